/* SPDX-License-Identifier: MIT */
/* syscall(2): programs that call the kernel by number.
 *
 * libuv's datagram batches go this way, so calls on a datagram or netlink socket of the portspace
 * meet the hook of the same name. Everything else is libc's syscall(), reached by a tail call with
 * its six arguments (the prototype has no "..." for that reason; on the machines that Linux has it
 * is called alike). What else a program could do with raw numbers is the seal's job.
 *
 * The library itself is compiled with -Dsyscall=shim_syscall, so that its own calls never come
 * here, and work before libc's function is known. */
#include <stdarg.h>

#include "netlink.h"
#include "real.h"
#include "udp.h"

#if defined(__x86_64__)
static long kernel(long n, const long a[6])
{
	register long r10 __asm__("r10") = a[3];
	register long r8 __asm__("r8") = a[4];
	register long r9 __asm__("r9") = a[5];
	long r;

	__asm__ volatile("syscall"
			 : "=a"(r)
			 : "a"(n), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return r;
}
#elif defined(__aarch64__)
static long kernel(long n, const long a[6])
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a[0];
	register long x1 __asm__("x1") = a[1];
	register long x2 __asm__("x2") = a[2];
	register long x3 __asm__("x3") = a[3];
	register long x4 __asm__("x4") = a[4];
	register long x5 __asm__("x5") = a[5];

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}
#elif defined(__riscv) && __riscv_xlen == 64
static long kernel(long n, const long a[6])
{
	register long a7 __asm__("a7") = n;
	register long a0 __asm__("a0") = a[0];
	register long a1 __asm__("a1") = a[1];
	register long a2 __asm__("a2") = a[2];
	register long a3 __asm__("a3") = a[3];
	register long a4 __asm__("a4") = a[4];
	register long a5 __asm__("a5") = a[5];

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
			 : "memory");
	return a0;
}
#else
#error "how is a system call made on this machine?"
#endif

long shim_syscall(long n, ...)
{
	enum { ERRNO_MAX = 4095 };
	long a[6], r;
	va_list ap;

	va_start(ap, n);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	r = kernel(n, a);
	if (r < 0 && r >= -ERRNO_MAX) {
		errno = (int)-r;
		return -1;
	}
	return r;
}

#undef syscall

static bool is_ours(int fd)
{
	struct tag tag;

	return udp_is(fd, &tag) || netlink_is(fd, &tag);
}

/* The calls that send and receive. True and *rp when the hook has served it. */
static bool serve(long n, const long a[6], long *rp)
{
	int fd = (int)a[0];

	switch (n) {
	case SYS_read:
	case SYS_readv:
	case SYS_recvfrom:
	case SYS_recvmsg:
	case SYS_recvmmsg:
	case SYS_write:
	case SYS_writev:
	case SYS_sendto:
	case SYS_sendmsg:
	case SYS_sendmmsg:
		if (!is_ours(fd))
			return false;
		break;
	default:
		return false;
	}
	if (n == SYS_read)
		*rp = read(fd, (void *)a[1], (size_t)a[2]);
	else if (n == SYS_readv)
		*rp = readv(fd, (const struct iovec *)a[1], (int)a[2]);
	else if (n == SYS_recvfrom)
		*rp = recvfrom(fd, (void *)a[1], (size_t)a[2], (int)a[3], (struct sockaddr *)a[4],
			(socklen_t *)a[5]);
	else if (n == SYS_recvmsg)
		*rp = recvmsg(fd, (struct msghdr *)a[1], (int)a[2]);
	else if (n == SYS_recvmmsg)
		*rp = recvmmsg(fd, (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3],
			(struct timespec *)a[4]);
	else if (n == SYS_write)
		*rp = write(fd, (const void *)a[1], (size_t)a[2]);
	else if (n == SYS_writev)
		*rp = writev(fd, (const struct iovec *)a[1], (int)a[2]);
	else if (n == SYS_sendto)
		*rp = sendto(fd, (const void *)a[1], (size_t)a[2], (int)a[3],
			(const struct sockaddr *)a[4], (socklen_t)a[5]);
	else if (n == SYS_sendmsg)
		*rp = sendmsg(fd, (const struct msghdr *)a[1], (int)a[2]);
	else
		*rp = sendmmsg(fd, (struct mmsghdr *)a[1], (unsigned)a[2], (int)a[3]);
	return true;
}

static inline bool any_seen(void)
{
	return atomic_load_explicit(&udp_seen, memory_order_relaxed) ||
	       atomic_load_explicit(&netlink_seen, memory_order_relaxed);
}

static __attribute__((noinline)) long look(long n, long a, long b, long c, long d, long e, long f)
{
	long args[6] = {a, b, c, d, e, f}, r;

	if (serve(n, args, &r))
		return r;
	return real(syscall)(n, a, b, c, d, e, f);
}

HOOK long syscall(long n, long a, long b, long c, long d, long e, long f);
HOOK long syscall(long n, long a, long b, long c, long d, long e, long f)
{
	if (__builtin_expect(any_seen(), 0))
		return look(n, a, b, c, d, e, f);
	return real(syscall)(n, a, b, c, d, e, f);
}

/* SPDX-License-Identifier: MIT */
/* What the files of the preload shim share.
 *
 * Model: the shim has no table of descriptors. Whether a descriptor is an internet socket of the
 * portspace, and in which state, is in the kernel's socket itself (tag.h); a hook asks with one
 * getsockopt(2). The shim's own state is what a process can lose without harm: the environment as
 * it was at start (env), the portspace's info file (info), a lease of ephemeral ports (lease.h)
 * and remembered option values (side.h). All of it is published with atomics: no lock, no
 * allocation, no descriptor kept open, no thread; hooks work before the constructor ran, in signal
 * handlers, after fork and between vfork and exec.
 *
 * Invariants: helpers return 0 or a negative errno and leave errno alone; only the hooks (marked
 * HOOK) translate with ret(). A hook that does not concern the portspace calls the next symbol
 * (real.h), so that other preloaded libraries keep working. Work on the shim's own behalf is done
 * with raw system calls, which no hook sees. */
#ifndef PERSONA_PRELOAD_H
#define PERSONA_PRELOAD_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "ask.h"
#include "tag.h"

#define HOOK __attribute__((visibility("default")))

/* A system call that returns its error and leaves errno alone. */
#define SYS(...)                                   \
	__extension__({                            \
		int sys_saved = errno;             \
		long sys_r = syscall(__VA_ARGS__); \
		if (sys_r < 0)                     \
			sys_r = -errno;            \
		errno = sys_saved;                 \
		sys_r;                             \
	})

/* Turns 0.. or a negative errno into what a libc function returns. */
static inline int ret(long r)
{
	if (r >= 0)
		return (int)r;
	errno = (int)-r;
	return -1;
}

/* --- init.c --- */

enum { ENV_SELF_MAX = 4096 };

/* The environment as it was when the process started: programs overwrite theirs. */
struct env {
	char dir[ASK_PATH_MAX];	  /* PERSONA_PORTSPACE_DIR, "" when missing or unusable */
	size_t runtime_len;	  /* length of the runtime directory inside dir */
	char self[ENV_SELF_MAX];  /* path of this library as LD_PRELOAD had it, "" when unknown */
	char *const *environment; /* `environ` when this was read, for the tests of the shim */
};

const struct env *env_get(void);

struct shim_info {
	struct info info;
	uid_t owner; /* the user whose portspace this is */
};

/* The portspace's info; NULL outside any portspace or when its info file cannot be read. The
 * memory lives as long as the process. */
const struct shim_info *info_get(void);
/* Index of an own address of the portspace, or -1. */
int info_own(const struct info *info, const struct addr *a);

/* --- ask_broker.c --- */

/* Sends req to the broker and waits for the reply. 0, the broker's errno as a negative number, or
 * -ENETUNREACH when there is no broker, -EMFILE or -ENFILE when there is no descriptor to ask
 * with. `cap` bounds the reply in bytes: ASK_SMALL or more. */
enum { ASK_SMALL = 512, ASK_MEDIUM = 2048, ASK_LARGE = 6144 };
int ask_broker(const struct ask_request *req, struct ask_reply *repp, size_t cap);
/* The same with the caller's buffer, which repp->answer points into. */
int ask_broker_at(
	const struct ask_request *req, struct ask_reply *repp, uint8_t *reply, size_t cap);
/* Writes "RUNTIME/name" or "PORTSPACE_DIR/name" as a socket address; its length, 0 if too long. */
socklen_t runtime_path(const char *name, struct sockaddr_un *sunp);
socklen_t portspace_path(const char *name, struct sockaddr_un *sunp);

/* --- user.c: pointers given by the program --- */

/* 0 or -EFAULT where the kernel would say so, instead of a crash. */
int user_read(void *dst, const void *src, size_t n);
/* The same for many small pieces that lie near each other: a page is looked at once. */
struct user_seen {
	uintptr_t page; /* its number; zero at the start */
};

int user_read_near(struct user_seen *seen, void *dst, const void *src, size_t n);
/* `sock` is any socket. The bytes at dst may be changed even on -EFAULT. */
int user_write(int sock, void *dst, const void *src, size_t n);
/* Copies at most *lenp bytes of an address out and sets *lenp to its full length, as
 * getsockname(2) does. 0, -EFAULT or -EINVAL. */
int user_write_sockaddr(int sock, struct sockaddr *dst, socklen_t *lenp,
	const struct sockaddr_storage *ss, socklen_t len);
/* Copies an address in, as the kernel does it: 0, -EINVAL for a bad length, -EFAULT. */
int user_read_sockaddr(struct sockaddr_storage *ssp, const struct sockaddr *src, socklen_t len);

/* --- socket.c --- */

/* A fresh socket of `kind`: AF_UNIX, tagged, gate closed. `flags`: SOCK_CLOEXEC, SOCK_NONBLOCK.
 * The descriptor or a negative errno. */
int socket_fresh(const struct tag *tag, int flags);
/* Replaces what fd refers to by a fresh socket with the same options, flags and (when it was
 * bound explicitly) address: what TCP may do after a failed connect and AF_UNIX may not.
 * *tagp is the new tag. 0 or a negative errno. */
int socket_renew(int fd, const struct tag *old, struct tag *tagp);

/* Are both directions shut (POLLHUP)? No cancellation point. */
bool socket_hung_up(int fd);

/* --- bind.c --- */

/* enum ask_bind_flags of a socket. */
uint8_t bind_flags(int fd, const struct tag *tag);
/* The address of a bound socket, from its tag. */
void tag_local(const struct tag *tag, const struct info *info, struct endpoint *ep);
/* Binds a fresh socket (not necessarily the one the program named) to a portspace address. */
int bind_endpoint(int fd, struct tag *tag, const struct endpoint *local);
/* Reads the program's sockaddr for a socket of this tag, for bind or connect. */
int sockaddr_to_endpoint(const struct tag *tag, const struct sockaddr_storage *ss, socklen_t len,
	struct endpoint *ep);

/* --- connect.c --- */

enum connect_flags { CONNECT_NONBLOCK = 1 };

/* connect(2) on a TCP socket with this tag. 0 or a negative errno. */
int connect_tcp(int fd, struct tag *tag, const struct sockaddr_storage *ss, socklen_t len);
/* What became of a pending connect: 0 pending or fine, else positive errno. Updates *tag. */
int connect_check(int fd, struct tag *tag);
/* Waits until the broker has answered (connect_wait.c). 0 or a negative errno. */
int connect_wait(int fd, struct tag *tag);

/* In TAG_CONNECTED the tag's value is the shim's: */
enum connected_value {
	CONNECTED_TOLD = 1,   /* connect(2) or accept(2) returned success for it */
	CONNECTED_WRSHUT = 2, /* the program has shut down writing */
	CONNECTED_RESET = 4,  /* ECONNRESET was delivered */
	CONNECTED_ABORT = 8,  /* the broker knows that a close is to be a reset (aside.h) */
	CONNECTED_KEPT = 16   /* a byte of ours stays unread in the broker */
};
/* In TAG_FAILED: the errno, 0 when SO_ERROR delivered it, or this when connect(2) did. */
enum { FAILED_SETTLED = 0x800000 };

/* --- names.c --- */

/* Overlay addresses of a connected socket; -ENOTCONN when the kernel's names say nothing. */
int names_of(int fd, const struct info *info, struct endpoint *localp, struct endpoint *peerp);
/* Does the broker carry this stream (as opposed to a direct one inside the portspace)? */
bool names_carried(int fd, const struct info *info);

/* --- ifs.c --- */

/* All interfaces of the portspace, at most max; the number or a negative errno. */
int ifs_load(struct ask_if *ifs, int max);
/* 0 and *ifp, or -ENODEV or a broker's error. One of name (or NULL) and index is looked for. */
int ifs_find(const char *name, unsigned index, struct ask_if *ifp);

/* --- resolve.c --- */

enum { RESOLVE_MAX = ASK_ADDRS_MAX };

struct resolved {
	char name[ASK_NAME_MAX]; /* canonical */
	int n;
	struct addr addr[RESOLVE_MAX]; /* in the order of preference */
};

/* Host name to addresses; `families`: enum ask_name_flags, a hint that saves questions: others may
 * come too. 0, -ENOENT (no such name), -ENODATA (it has no address), -EAGAIN (no broker, or no name
 * server answered), -EIO (an answer that makes no sense). */
int resolve_name(const char *name, unsigned families, struct resolved *resp);
/* Address to host name into buf[ASK_NAME_MAX]: 0, -ENOENT, -EAGAIN. */
int resolve_addr(const struct addr *a, char *buf);
/* Own addresses and loopback: does the portspace have a non-loopback address of this family? */
bool resolve_configured(bool v6);

#endif

/* SPDX-License-Identifier: MIT */
/* The functions whose next definition (normally libc's) the shim calls: one record for each, with
 * result, name and parameters. real.c resolves them. */
#ifndef PERSONA_PRELOAD_HOOKS_H
#define PERSONA_PRELOAD_HOOKS_H

#include <netdb.h>
#include <poll.h>
#include <resolv.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <wordexp.h>

/* Called before the constructor by allocators and the like: these have a raw fallback. */
#define REAL_EARLY(X)                                                                            \
	X(ssize_t, read, (int, void *, size_t))                                                  \
	X(ssize_t, readv, (int, const struct iovec *, int))                                      \
	X(ssize_t, write, (int, const void *, size_t))                                           \
	X(ssize_t, writev, (int, const struct iovec *, int))                                     \
	X(ssize_t, recv, (int, void *, size_t, int))                                             \
	X(ssize_t, recvfrom, (int, void *, size_t, int, struct sockaddr *, socklen_t *))         \
	X(ssize_t, recvmsg, (int, struct msghdr *, int))                                         \
	X(ssize_t, sendto, (int, const void *, size_t, int, const struct sockaddr *, socklen_t)) \
	X(ssize_t, send, (int, const void *, size_t, int))                                       \
	X(ssize_t, sendmsg, (int, const struct msghdr *, int))                                   \
	X(int, socket, (int, int, int))                                                          \
	X(int, open, (const char *, int, ...))                                                   \
	X(int, open64, (const char *, int, ...))                                                 \
	X(int, openat, (int, const char *, int, ...))                                            \
	X(int, openat64, (int, const char *, int, ...))                                          \
	X(int, connect, (int, const struct sockaddr *, socklen_t))                               \
	X(long, syscall, (long, long, long, long, long, long, long))                             \
	X(int, ioctl, (int, unsigned long, ...))                                                 \
	X(int, uname, (struct utsname *))

#define REAL_LATE(X)                                                                        \
	X(int, socketpair, (int, int, int, int *))                                          \
	X(int, bind, (int, const struct sockaddr *, socklen_t))                             \
	X(int, listen, (int, int))                                                          \
	X(int, accept4, (int, struct sockaddr *, socklen_t *, int))                         \
	X(int, shutdown, (int, int))                                                        \
	X(int, getsockname, (int, struct sockaddr *, socklen_t *))                          \
	X(int, getpeername, (int, struct sockaddr *, socklen_t *))                          \
	X(int, getsockopt, (int, int, int, void *, socklen_t *))                            \
	X(int, setsockopt, (int, int, int, const void *, socklen_t))                        \
	X(int, recvmmsg, (int, struct mmsghdr *, unsigned, int, struct timespec *))         \
	X(int, sendmmsg, (int, struct mmsghdr *, unsigned, int))                            \
	X(ssize_t, preadv2, (int, const struct iovec *, int, off_t, int))                   \
	X(ssize_t, pwritev2, (int, const struct iovec *, int, off_t, int))                  \
	X(ssize_t, sendfile, (int, int, off_t *, size_t))                                   \
	X(ssize_t, splice, (int, off64_t *, int, off64_t *, size_t, unsigned))              \
	X(int, poll, (struct pollfd *, nfds_t, int))                                        \
	X(int, ppoll, (struct pollfd *, nfds_t, const struct timespec *, const sigset_t *)) \
	X(int, __open_2, (const char *, int))                                               \
	X(int, __open64_2, (const char *, int))                                             \
	X(int, __openat_2, (int, const char *, int))                                        \
	X(int, __openat64_2, (int, const char *, int))                                      \
	X(FILE *, fopen, (const char *, const char *))                                      \
	X(FILE *, fopen64, (const char *, const char *))                                    \
	X(FILE *, freopen, (const char *, const char *, FILE *))                            \
	X(FILE *, freopen64, (const char *, const char *, FILE *))                          \
	X(int, __res_ninit, (struct __res_state *))                                         \
	X(int, __res_init, (void))                                                          \
	X(int, gethostname, (char *, size_t))                                               \
	X(int, execvpe, (const char *, char *const *, char *const *))                       \
	X(int, posix_spawn,                                                                 \
		(pid_t *, const char *, const posix_spawn_file_actions_t *,                 \
			const posix_spawnattr_t *, char *const *, char *const *))           \
	X(int, posix_spawnp,                                                                \
		(pid_t *, const char *, const posix_spawn_file_actions_t *,                 \
			const posix_spawnattr_t *, char *const *, char *const *))           \
	X(int, system, (const char *))                                                      \
	X(FILE *, popen, (const char *, const char *))                                      \
	X(int, wordexp, (const char *, wordexp_t *, int))                                   \
	X(int, getnameinfo,                                                                 \
		(const struct sockaddr *, socklen_t, char *, socklen_t, char *, socklen_t, int))

#define REAL_ALL(X) REAL_EARLY(X) REAL_LATE(X)

#endif

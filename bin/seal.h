/* SPDX-License-Identifier: MIT */
/* The `sealed` tier: the kernel refuses the base network to a process and all its descendants.
 *
 * Model: the preload library turns a program's network calls into AF_UNIX ones, so a process of a
 * portspace never needs another socket family. The seal takes away what it does not need; a
 * program that walks around the library (static, hostile, another ABI) gets an error from the
 * kernel and no packet leaves. Three parts, none of which can be undone:
 *
 * 1. no_new_privs: no setuid program, no file capabilities.
 * 2. A static seccomp filter. Default is to allow; denied are
 *      socket, socketpair     of every family but AF_UNIX: EACCES. The family is a register, not
 *                             memory, so there is no race between check and use.
 *      io_uring_*             ENOSYS: its operations never pass the filter (IORING_OP_SOCKET).
 *      pidfd_getfd            EPERM: it takes sockets out of other processes of the same user.
 *      ioctl TIOCSTI, TIOCLINUX  EPERM: they type into the terminal, that is, into the shell
 *                             outside.
 *      ioctl TUNSETIFF, TUNSETQUEUE  EPERM: who may attach to a TUN or TAP interface (root, or the
 *                             owner of a persistent one) writes packets without any socket.
 *      signals to init, pidfd_open of init  EPERM: when init dies, membership ends. SIGKILL to
 *                             -1 and pidfds from /proc are not covered; whoever ends init that way
 *                             loses the network, no more.
 *      other ABIs             (i386, x32, AArch32) ENOSYS for every call.
 * 3. Landlock, where the kernel has it: a domain of its own. The kernel then refuses ptrace,
 *    process_vm_writev and /proc/PID/mem towards processes outside (ptrace access is granted
 *    within a domain only), which would else be a way to make another process open sockets; and
 *    bind and connect of TCP sockets that came by descriptor passing. Without Landlock the
 *    filter denies PTRACE_ATTACH, PTRACE_SEIZE and process_vm_writev instead.
 *
 * References: seccomp(2), Documentation/userspace-api/landlock.rst. */
#ifndef PERSONA_BIN_SEAL_H
#define PERSONA_BIN_SEAL_H

#include <sys/types.h>

/* Seals the calling process (single-threaded) for good. `init` is the process whose end would end
 * its membership. 0 or a negative errno: then it must not go on, parts may be in force. */
int seal_apply(pid_t init);

#endif

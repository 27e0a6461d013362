/* SPDX-License-Identifier: MIT */
#include "seal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel looks at the low 32 bits of these arguments only; so must an equality test. */
#define LOW32(n, value) SCMP_CMP(n, SCMP_CMP_MASKED_EQ, 0xffffffffU, (uint32_t)(value))

/* Over all 64 bits. */
#define NOT(n, value) SCMP_CMP(n, SCMP_CMP_NE, value, 0)
#define IS(n, value)  SCMP_CMP(n, SCMP_CMP_EQ, value, 0)

struct rule {
	int syscall;
	int err;
	unsigned ncmp;
	struct scmp_arg_cmp cmp[2];
};

static int add_rules(scmp_filter_ctx ctx, const struct rule *rules, size_t n)
{
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint32_t)rules[i].err),
			rules[i].syscall, rules[i].ncmp, rules[i].cmp);
	return r;
}

#define ADD_RULES(ctx, rules) add_rules(ctx, rules, sizeof(rules) / sizeof((rules)[0]))

static int add_network(scmp_filter_ctx ctx)
{
	/* "Not equal" over 64 bits: garbage in the upper half makes it stricter, never laxer. */
	const struct rule rules[] = {
		{SCMP_SYS(socket), EACCES, 1, {NOT(0, AF_UNIX)}},
		{SCMP_SYS(socketpair), EACCES, 1, {NOT(0, AF_UNIX)}},
		{SCMP_SYS(io_uring_setup), ENOSYS, 0, {{0}}},
		{SCMP_SYS(io_uring_enter), ENOSYS, 0, {{0}}},
		{SCMP_SYS(io_uring_register), ENOSYS, 0, {{0}}},
		{SCMP_SYS(pidfd_getfd), EPERM, 0, {{0}}},
		{SCMP_SYS(ioctl), EPERM, 1, {LOW32(1, TIOCSTI)}},
		{SCMP_SYS(ioctl), EPERM, 1, {LOW32(1, TIOCLINUX)}},
		{SCMP_SYS(ioctl), EPERM, 1, {LOW32(1, TUNSETIFF)}},
		{SCMP_SYS(ioctl), EPERM, 1, {LOW32(1, TUNSETQUEUE)}},
	};

	return ADD_RULES(ctx, rules);
}

/* init blocks what can be blocked; SIGKILL and SIGSTOP are why this is here. Its thread id is its
 * process id, and it leads its own process group. */
static int add_init(scmp_filter_ctx ctx, pid_t init)
{
	const struct rule rules[] = {
		{SCMP_SYS(kill), EPERM, 2, {LOW32(0, init), NOT(1, 0)}},
		{SCMP_SYS(kill), EPERM, 2, {LOW32(0, -init), NOT(1, 0)}},
		{SCMP_SYS(tkill), EPERM, 2, {LOW32(0, init), NOT(1, 0)}},
		{SCMP_SYS(tgkill), EPERM, 2, {LOW32(1, init), NOT(2, 0)}},
		{SCMP_SYS(rt_sigqueueinfo), EPERM, 2, {LOW32(0, init), NOT(1, 0)}},
		{SCMP_SYS(rt_tgsigqueueinfo), EPERM, 2, {LOW32(1, init), NOT(2, 0)}},
		{SCMP_SYS(pidfd_open), EPERM, 1, {LOW32(0, init)}},
	};

	return ADD_RULES(ctx, rules);
}

static int add_ptrace(scmp_filter_ctx ctx)
{
	const struct rule rules[] = {
		{SCMP_SYS(ptrace), EPERM, 1, {IS(0, PTRACE_ATTACH)}},
		{SCMP_SYS(ptrace), EPERM, 1, {IS(0, PTRACE_SEIZE)}},
		{SCMP_SYS(process_vm_writev), EPERM, 0, {{0}}},
	};

	return ADD_RULES(ctx, rules);
}

/* The attributes as of Landlock ABI 4; <linux/landlock.h> may be older. */
struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net;
};
enum { NET_BIND_TCP = 1, NET_CONNECT_TCP = 2 };

/* ABI 2 and 3 know files only. An unhandled REFER right would forbid to rename between
 * directories, so it is handled and granted everywhere; then nothing about files changes but that
 * mounts are refused. */
static int allow_refer(int ruleset)
{
	struct landlock_path_beneath_attr beneath = {.allowed_access = LANDLOCK_ACCESS_FS_REFER};
	long r;

	beneath.parent_fd = open("/", O_PATH | O_CLOEXEC);
	if (beneath.parent_fd < 0)
		return -errno;
	r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0);
	r = r < 0 ? -errno : 0;
	close(beneath.parent_fd);
	return (int)r;
}

/* 0 when the process is in a domain of its own now, -ENOSYS when the kernel cannot. */
static int enter_domain(void)
{
	struct ruleset_attr attr = {.handled_net = NET_BIND_TCP | NET_CONNECT_TCP};
	size_t size = sizeof(attr);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, r = 0;

	if (abi < 2)
		return -ENOSYS;
	if (abi < 4) {
		attr.handled_fs = LANDLOCK_ACCESS_FS_REFER;
		size = sizeof(attr.handled_fs);
	}
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return -errno;
	if (abi < 4)
		r = allow_refer(ruleset);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	close(ruleset);
	return r;
}

int seal_apply(pid_t init)
{
	scmp_filter_ctx ctx;
	int domain, r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	domain = enter_domain();
	if (domain < 0 && domain != -ENOSYS)
		return domain;
	ctx = seccomp_init(SCMP_ACT_ALLOW);
	if (!ctx)
		return -ENOMEM;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	if (r == 0)
		r = add_network(ctx);
	if (r == 0)
		r = add_init(ctx, init);
	if (r == 0 && domain < 0)
		r = add_ptrace(ctx);
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

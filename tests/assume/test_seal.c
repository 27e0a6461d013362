/* SPDX-License-Identifier: MIT */
/* Assumption: the seal. A seccomp filter on socket(2)'s domain argument needs no privilege once
 * no_new_privs is set, holds for children and through exec, leaves AF_UNIX alone, and no_new_privs
 * can be read from /proc (broker/member.c does). Used by bin/seal.c. */
#include "pair.h"

#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int seal(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
		SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
	if (r == 0)
		r = seccomp_load(ctx);
	seccomp_release(ctx);
	return r;
}

static bool denied(int family)
{
	return socket(family, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT;
}

static int sealed_child(void *arg)
{
	(void)arg;
	if (seal() < 0)
		return 1;
	if (!denied(AF_INET) || !denied(AF_INET6) || !denied(AF_NETLINK) || !denied(AF_PACKET))
		return 2;
	return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? 3 : 0;
}

static void test_filter_denies_all_but_unix(void **state)
{
	(void)state;
	assert_int_equal(pair_fork(sealed_child, NULL), 0);
}

static int check_in_child(void *arg)
{
	(void)arg;
	return denied(AF_INET) ? 0 : 1;
}

static int sealed_parent(void *arg)
{
	(void)arg;
	return seal() < 0 ? 9 : pair_fork(check_in_child, NULL);
}

static void test_filter_holds_for_children(void **state)
{
	(void)state;
	assert_int_equal(pair_fork(sealed_parent, NULL), 0);
}

static int sealed_exec(void *arg)
{
	(void)arg;
	if (seal() < 0)
		return 9;
	execl("/proc/self/exe", "assume_seal", "exec", (char *)NULL);
	return 8;
}

static void test_filter_holds_through_exec(void **state)
{
	(void)state;
	assert_int_equal(pair_fork(sealed_exec, NULL), 0);
}

/* The value of NoNewPrivs in /proc/self/status, -1 when the line is missing. */
static int no_new_privs(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int v = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "NoNewPrivs: %d", &v) == 1)
			break;
	if (f)
		fclose(f);
	return v;
}

static int nnp_child(void *arg)
{
	int before = no_new_privs();

	(void)arg;
	if (before < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0)
		return 2; /* it can never be taken back */
	return no_new_privs() == 1 ? 0 : 3;
}

static void test_no_new_privs_shows_in_proc_and_stays(void **state)
{
	(void)state;
	assert_int_equal(pair_fork(nnp_child, NULL), 0);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter_denies_all_but_unix),
		cmocka_unit_test(test_filter_holds_for_children),
		cmocka_unit_test(test_filter_holds_through_exec),
		cmocka_unit_test(test_no_new_privs_shows_in_proc_and_stays),
	};

	if (argc == 2 && strcmp(argv[1], "exec") == 0)
		return denied(AF_INET) && denied(AF_INET6) ? 0 : 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

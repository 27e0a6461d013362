/* SPDX-License-Identifier: MIT */
#include "seal_lab.h"

#include <errno.h>
#include <linux/landlock.h>
#include <netinet/in.h>
#include <pty.h>
#include <seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "seal.h"

pid_t lab_init;
int lab_inet_fd = -1, lab_tty_fd = -1, lab_init_pidfd = -1;
int lab_claimed_abi = -1;

static void prepare(void)
{
	int master, slave;

	lab_inet_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	lab_init_pidfd = (int)syscall(SYS_pidfd_open, lab_init, 0);
	if (openpty(&master, &slave, NULL, NULL, NULL) == 0 && setsid() >= 0 &&
		ioctl(slave, TIOCSCTTY, 0) == 0)
		lab_tty_fd = slave;
}

/* From here on the question for the version gets this answer: another process gives it, through
 * a filter of its own. */
static int claim_abi(int abi)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	struct seccomp_notif_resp *resp;
	struct seccomp_notif *req;
	pid_t claimer;
	int fd, r;

	r = seccomp_rule_add(ctx, SCMP_ACT_NOTIFY, SCMP_SYS(landlock_create_ruleset), 1,
		SCMP_CMP(2, SCMP_CMP_EQ, LANDLOCK_CREATE_RULESET_VERSION, 0));
	if (r < 0 || seccomp_load(ctx) < 0)
		return -1;
	fd = seccomp_notify_fd(ctx);
	claimer = getpid();
	if (fork() == 0) {
		/* It is under the filter too, so the wait for a call would outlast its parent, and
		 * keep the test's output open. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != claimer)
			_exit(0);
		if (seccomp_notify_alloc(&req, &resp) == 0 &&
			seccomp_notify_receive(fd, req) == 0) {
			resp->id = req->id;
			resp->val = abi;
			seccomp_notify_respond(fd, resp);
		}
		_exit(0);
	}
	close(fd);
	return 0;
}

int lab_run(const struct seal_case *c, bool sealed)
{
	int out[2], status, value = LAB_KILLED;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int r;

		prepare();
		r = lab_claimed_abi < 0 ? 0 : claim_abi(lab_claimed_abi);
		if (r == 0 && sealed)
			r = seal_apply(lab_init);
		if (r == 0)
			r = c->fn();
		else
			r = LAB_KILLED + 1;
		_exit(write(out[1], &r, sizeof(r)) != sizeof(r));
	}
	close(out[1]);
	if (read(out[0], &value, sizeof(value)) != sizeof(value))
		value = LAB_KILLED;
	close(out[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return value;
}

unsigned lab_check(const struct seal_case *cases, size_t n)
{
	unsigned proven = 0;

	for (size_t i = 0; i < n; i++) {
		int before = lab_run(&cases[i], false), after;

		if (before == LAB_KILLED) {
			print_message("not testable here: %s\n", cases[i].name);
			continue;
		}
		after = lab_run(&cases[i], true);
		if (after != cases[i].sealed)
			print_error("%s: %d, not %d\n", cases[i].name, after, cases[i].sealed);
		assert_int_equal(after, cases[i].sealed);
		if (before == after)
			print_message("# proves nothing here: %s\n", cases[i].name);
		else
			proven++;
	}
	return proven;
}

int lab_start_init(void **state)
{
	(void)state;
	lab_init = fork();
	if (lab_init == 0) {
		setpgid(0, 0);
		for (;;)
			pause();
	}
	setpgid(lab_init, lab_init);
	return lab_init > 0 ? 0 : -1;
}

int lab_stop_init(void **state)
{
	(void)state;
	kill(lab_init, SIGKILL);
	return waitpid(lab_init, NULL, 0) == lab_init ? 0 : -1;
}

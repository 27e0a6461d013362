/* SPDX-License-Identifier: MIT */
#include "start.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fdmsg.h"
#include "locate.h"
#include "rundir.h"

enum { READY_FD = 3, ARGS_MAX = 36 };

struct daemon_plan {
	char program[PATH_MAX];
	char log[RUNDIR_PATH_MAX];
	char listen[1024]; /* the words behind --listen, cut in place */
	char *argv[ARGS_MAX];
};

/* The words of PERSONA_LISTEN, each behind --listen. */
static int plan_listen(struct daemon_plan *plan, int argc)
{
	static char option[] = "--listen";
	const char *env = getenv("PERSONA_LISTEN");
	char *save = NULL;

	if (!env)
		return 0;
	if (strlen(env) >= sizeof(plan->listen))
		return -E2BIG;
	memcpy(plan->listen, env, strlen(env) + 1);
	for (char *s = strtok_r(plan->listen, ", ", &save); s; s = strtok_r(NULL, ", ", &save)) {
		if (argc + 3 > ARGS_MAX)
			return -E2BIG;
		plan->argv[argc++] = option;
		plan->argv[argc++] = s;
	}
	plan->argv[argc] = NULL;
	return 0;
}

static int plan_make(struct daemon_plan *plan, const char *runtime, struct fail *failp)
{
	static char name[] = "persona-broker", ready[] = "--ready-fd", ready_fd[] = "3";
	int r = locate_broker(plan->program, sizeof(plan->program));

	if (r < 0)
		return fail_set(failp, r, "install it next to this program, or put it into PATH",
			"cannot find persona-broker");
	snprintf(plan->log, sizeof(plan->log), "%s/broker.log", runtime);
	plan->argv[0] = name;
	plan->argv[1] = ready;
	plan->argv[2] = ready_fd;
	plan->argv[3] = NULL;
	r = plan_listen(plan, 3);
	if (r < 0)
		return fail_set(
			failp, r, "give at most 16 endpoints", "PERSONA_LISTEN is too long");
	return 0;
}

static void reset_signals(void)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: becomes the broker or ends, which closes ready_wr. */
static _Noreturn void daemon_exec(const struct daemon_plan *plan, int ready_wr)
{
	int null, log;

	if (setsid() < 0 || fork() != 0)
		_exit(1);
	reset_signals();
	umask(077);
	unsetenv("NOTIFY_SOCKET"); /* the starter's: its service manager must not hear us */
	null = open("/dev/null", O_RDWR);
	log = open(plan->log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
	if (null < 0 || log < 0 || chdir("/") < 0)
		_exit(1);
	/* Out of the way of the numbers that are about to be given. */
	ready_wr = fcntl(ready_wr, F_DUPFD, 10);
	null = fcntl(null, F_DUPFD, 10);
	log = fcntl(log, F_DUPFD, 10);
	if (dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0 ||
		dup2(ready_wr, READY_FD) < 0)
		_exit(1);
	close_range(READY_FD + 1, ~0U, 0);
	execv(plan->program, plan->argv);
	dprintf(2, "persona-broker: error: start: %s: %s\n", plan->program, strerror(errno));
	_exit(1);
}

/* The last line of the log, for the message when a start fails. */
static void last_line(const char *path, char *buf, size_t cap)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t n = 0;
	char *nl;

	if (fd >= 0) {
		n = pread(fd, buf, cap - 1, end > (off_t)cap - 1 ? end - (off_t)cap + 1 : 0);
		close(fd);
	}
	while (n > 0 && buf[n - 1] == '\n')
		n--;
	buf[n > 0 ? n : 0] = '\0';
	nl = strrchr(buf, '\n');
	if (nl)
		memmove(buf, nl + 1, strlen(nl + 1) + 1);
}

/* One byte: it listens. End of file: it died. */
static int wait_ready(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};
	ssize_t n;
	char byte;
	int r;

	do
		r = poll(&pfd, 1, START_TIMEOUT_MS);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : -ECHILD;
}

static int spawn(const char *runtime, struct fail *failp)
{
	struct daemon_plan plan;
	char line[300], hint[416];
	int ready[2], r = plan_make(&plan, runtime, failp);
	pid_t pid;

	if (r < 0)
		return r;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return fail_set(failp, -errno, NULL, "cannot make a pipe: %m");
	pid = fork();
	if (pid == 0)
		daemon_exec(&plan, ready[1]);
	close(ready[1]);
	if (pid < 0) {
		close(ready[0]);
		return fail_set(failp, -errno, NULL, "cannot fork: %m");
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	r = wait_ready(ready[0]);
	close(ready[0]);
	if (r == 0)
		return 0;
	last_line(plan.log, line, sizeof(line));
	snprintf(hint, sizeof(hint), "%.100s has: %s", plan.log, line[0] ? line : "nothing");
	return fail_set(failp, r, hint,
		r == -ETIMEDOUT ? "the broker does not become ready" : "the broker cannot start");
}

/* Nobody listens: these are the errors of connect(2) that say so. */
static int absent(int err)
{
	return err == -ENOENT || err == -ECONNREFUSED;
}

static int cannot_connect(int err, const char *path, struct fail *failp)
{
	return fail_set(failp, err,
		err == -ENAMETOOLONG ? "choose a shorter PERSONA_RUNTIME_DIR" : NULL,
		"cannot connect to the broker at %s: %s", path, strerror(-err));
}

int start_connect(const char *runtime, int *fdp, struct fail *failp)
{
	char path[RUNDIR_PATH_MAX], lock[RUNDIR_PATH_MAX];
	int lock_fd, r;

	snprintf(path, sizeof(path), "%s/control", runtime);
	r = fdmsg_connect(path, SOCK_STREAM, fdp);
	if (r == 0)
		return 0;
	if (!absent(r))
		return cannot_connect(r, path, failp);
	r = rundir_make(runtime);
	if (r < 0)
		return fail_set(failp, r,
			"it must be a directory of yours that others cannot write to",
			"cannot use the runtime directory %s: %s", runtime, strerror(-r));
	snprintf(lock, sizeof(lock), "%s/start.lock", runtime);
	lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock_fd < 0)
		return fail_set(failp, -errno, NULL, "cannot open %s: %m", lock);
	while (flock(lock_fd, LOCK_EX) < 0 && errno == EINTR)
		continue;
	r = fdmsg_connect(path, SOCK_STREAM, fdp);
	if (absent(r)) {
		r = spawn(runtime, failp);
		if (r == 0) {
			r = fdmsg_connect(path, SOCK_STREAM, fdp);
			if (r < 0)
				cannot_connect(r, path, failp);
		}
	} else if (r < 0) {
		cannot_connect(r, path, failp);
	}
	close(lock_fd);
	return r;
}

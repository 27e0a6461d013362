/* SPDX-License-Identifier: MIT */
/* init: makes the membership, starts the program, reaps, keeps the membership; see run.h.
 *
 * It has no dumpable state: a member of the same user could else take the control connection out
 * of it with ptrace or pidfd_getfd. The program never has the connection: it is close-on-exec and
 * closed in the child before that.
 *
 * When the broker dies, init tries to connect to a new one (it starts none) and enters the same
 * portspace again; members have no network meanwhile. A new broker keeps an unnamed portspace for
 * some seconds, so the pause between attempts must stay well below. Only the answer that there is
 * no such portspace any more ends the attempts. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "enter.h"

enum { RETRY_FIRST_MS = 100, RETRY_MAX_MS = 1000 };

struct init {
	const struct run_env *env;
	struct client client;
	struct enter enter;
	pid_t front, program; /* program: 0 once it has ended */
	int sock, sigfd;      /* sock: -1 once the frontend is gone or told */
	bool stopped;
	unsigned stops; /* that the frontend was told of */
	int retry_ms;	/* 0: connected, or given up */
};

static _Noreturn void fail_with(const struct fail *fail)
{
	fail_print("persona-run", fail);
	_exit(RUN_EXIT_OWN);
}

static _Noreturn void fail_errno(const char *what)
{
	fprintf(stderr, "persona-run: %s: %m\n", what);
	_exit(RUN_EXIT_OWN);
}

/* The frontend was killed: the program hears it as it would from a closing terminal. */
static void lost_front(struct init *in)
{
	close(in->sock);
	in->sock = -1;
	if (in->program) {
		kill(in->program, SIGHUP);
		kill(in->program, SIGCONT);
	}
}

static void on_program_change(struct init *in, int status)
{
	if (WIFSTOPPED(status)) {
		in->stopped = true;
		in->stops++;
		run_send(in->sock, RUN_STOPPED, WSTOPSIG(status));
	} else if (WIFCONTINUED(status)) {
		run_send(in->sock, RUN_CONTINUED, 0);
		/* When somebody continued the program alone, the frontend must follow. */
		if (in->stopped && getppid() == in->front)
			kill(in->front, SIGCONT);
		in->stopped = false;
	}
}

/* Reaps what there is. When nothing is left, the membership ends first and the frontend hears of
 * it second, so that whoever waits for persona-run finds the portspace free. */
static void reap(struct init *in)
{
	int status, end = -1;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		if (pid != in->program)
			continue;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			in->program = 0;
			end = status;
		} else if (in->sock >= 0) {
			on_program_change(in, status);
		}
	}
	if (pid < 0 && errno == ECHILD)
		client_close(&in->client);
	if (end != -1 && in->sock >= 0) {
		run_send(in->sock, RUN_ENDED, end);
		close(in->sock);
		in->sock = -1;
	}
	if (pid < 0 && errno == ECHILD)
		_exit(0);
}

/* SIGCONT undoes the stops before it, not one that came while it was on its way: the kernel, too,
 * lets a stop signal discard a SIGCONT that waits. */
static void on_front(struct init *in)
{
	struct run_msg msg;
	int r = run_recv(in->sock, MSG_DONTWAIT, &msg);

	if (r == 0)
		lost_front(in);
	if (r != 1 || msg.type != RUN_SIGNAL)
		return;
	reap(in); /* learns of such a stop */
	if (!in->program || (run_signal_number(msg.value) == SIGCONT &&
				    msg.value != run_signal(SIGCONT, in->stops)))
		return;
	kill(in->program, run_signal_number(msg.value));
}

/* The broker ended the connection, or died. */
static void on_broker(struct init *in)
{
	char byte;

	if (recv(in->client.fd, &byte, 1, MSG_DONTWAIT) < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	client_close(&in->client);
	in->retry_ms = RETRY_FIRST_MS;
}

static void retry(struct init *in)
{
	struct fail fail;
	int r = client_open(false, &in->client, &fail);

	if (r == 0)
		r = enter_again(&in->client, &in->enter, &fail);
	if (r == 0) {
		in->retry_ms = 0;
		return;
	}
	client_close(&in->client);
	in->retry_ms = r == -ESTALE ? 0 : 2 * in->retry_ms;
	if (in->retry_ms > RETRY_MAX_MS)
		in->retry_ms = RETRY_MAX_MS;
}

static _Noreturn void loop(struct init *in)
{
	for (;;) {
		struct signalfd_siginfo info;
		struct pollfd pfd[3] = {{.fd = in->sigfd, .events = POLLIN},
			{.fd = in->sock, .events = POLLIN},
			{.fd = in->client.fd, .events = POLLIN}};
		int n = poll(pfd, 3, in->retry_ms ? in->retry_ms : -1);

		if (n == 0)
			retry(in);
		if (n <= 0)
			continue;
		if (pfd[1].revents)
			on_front(in);
		if (pfd[2].revents)
			on_broker(in);
		if (pfd[0].revents && read(in->sigfd, &info, sizeof(info)) > 0)
			reap(in);
	}
}

/* init keeps no descriptor of the user's: a pipe to the program must end with the program. */
static void let_go(struct init *in)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int keep[3] = {in->sock, in->sigfd, in->client.fd};
	unsigned from = STDERR_FILENO + 1;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			close(fd);
	for (int i = 0; i < 3; i++) {
		unsigned next = UINT_MAX;

		for (int k = 0; k < 3; k++)
			if ((unsigned)keep[k] >= from && (unsigned)keep[k] < next)
				next = (unsigned)keep[k];
		if (next > from)
			close_range(from, next - 1, 0);
		from = next + 1;
	}
	close_range(from, UINT_MAX, 0);
	if (chdir("/") < 0)
		return; /* then its directory stays busy, nothing else */
}

static void start_program(struct init *in)
{
	struct pollfd pfd = {.fd = in->sock};
	pid_t init = getpid();

	/* The user gave up while the broker was starting. */
	if (poll(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP))
		_exit(RUN_EXIT_OWN);
	in->program = fork();
	if (in->program < 0)
		fail_errno("cannot fork");
	if (in->program == 0) {
		close(in->client.fd);
		close(in->sock);
		close(in->sigfd);
		run_program(in->env, in->enter.dir, init);
	}
	/* Both sides do it, so that it is done whoever runs first. */
	setpgid(in->program, in->env->group);
	run_send(in->sock, RUN_STARTED, 0);
}

_Noreturn void run_init(const struct run_env *env)
{
	struct init in = {.env = env, .client = {.fd = -1}, .front = getppid(), .sock = env->sock};
	struct fail fail;
	sigset_t chld;

	signal(SIGCHLD, SIG_DFL); /* inherited SIG_IGN would hide the ends of children */
	if (setpgid(0, 0) < 0)
		fail_errno("cannot make a process group");
	client_init();
	if (client_open(true, &in.client, &fail) < 0)
		fail_with(&fail);
	/* Only now: a broker started just now must not become a child of this process. */
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		fail_errno("cannot become an init");
	if (enter_first(&in.client, env->args, &in.enter, &fail) < 0)
		fail_with(&fail);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	in.sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in.sigfd < 0)
		fail_errno("cannot make a signalfd");
	start_program(&in);
	prctl(PR_SET_NAME, "persona-init", 0, 0, 0);
	let_go(&in);
	loop(&in);
}

/* SPDX-License-Identifier: MIT */
/* The frontend: relays signals, stops and ends; see run.h. */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct front {
	int sock, sigfd;
	pid_t init;
	bool started;
	unsigned stops; /* of the program, that this process was told of */
};

/* All that can be blocked, but for the signals of the program's own faults. */
static void block_signals(sigset_t *oldp)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&set, faults[i]);
	sigprocmask(SIG_BLOCK, &set, oldp);
}

/* Lets the default action of `sig` happen to this process, and comes back if it survives. */
static void take_signal(int sig)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL}, old;
	sigset_t set;

	sigaction(sig, &dfl, &old);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(sig, &old, NULL);
}

/* Dies as the program did, without a core of its own. */
static int die_of(int sig)
{
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	take_signal(sig);
	return 128 + sig;
}

static bool ends_by_default(int sig)
{
	return sig != SIGCHLD && sig != SIGCONT && sig != SIGURG && sig != SIGWINCH &&
	       sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU;
}

static bool is_ignored(int sig)
{
	struct sigaction sa;

	return sigaction(sig, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

/* -1, or the exit status: before the program runs there is nobody to pass a signal to. */
static int on_signal(struct front *f)
{
	struct signalfd_siginfo info;
	int sig;

	if (read(f->sigfd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return -1;
	sig = (int)info.ssi_signo;
	if (!f->started && ends_by_default(sig) && !is_ignored(sig))
		return die_of(sig);
	/* From the kernel (the terminal): the whole process group has it. SIGCONT from init only
	 * wakes this process. Children's ends come over the socket. */
	if (sig == SIGCHLD || info.ssi_code > 0 ||
		(sig == SIGCONT && (pid_t)info.ssi_pid == f->init))
		return -1;
	run_send(f->sock, RUN_SIGNAL, run_signal(sig, f->stops));
	return -1;
}

/* init is gone. Before STARTED it has said why. */
static int on_init_end(struct front *f)
{
	int status = 0;

	while (waitpid(f->init, &status, 0) < 0 && errno == EINTR)
		continue;
	if (!f->started && WIFEXITED(status))
		return WEXITSTATUS(status);
	fprintf(stderr, "persona-run: its init process %d was killed\n", (int)f->init);
	return RUN_EXIT_OWN;
}

/* The program stopped; unless it was continued meanwhile, this process stops as well. */
static void on_stop(struct front *f, int sig)
{
	struct run_msg next;

	if (recv(f->sock, &next, sizeof(next), MSG_DONTWAIT | MSG_PEEK) == (ssize_t)sizeof(next) &&
		(next.type == RUN_CONTINUED || next.type == RUN_ENDED))
		return;
	take_signal(sig);
}

/* -1 to go on, else the exit status. */
static int on_message(struct front *f)
{
	struct run_msg msg;

	if (run_recv(f->sock, 0, &msg) != 1)
		return on_init_end(f);
	switch (msg.type) {
	case RUN_STARTED:
		f->started = true;
		return -1;
	case RUN_STOPPED:
		f->stops++;
		on_stop(f, msg.value);
		return -1;
	case RUN_ENDED:
		if (WIFSIGNALED(msg.value))
			return die_of(WTERMSIG(msg.value));
		return WEXITSTATUS(msg.value);
	default:
		return -1;
	}
}

static int loop(struct front *f)
{
	struct pollfd pfd[2] = {
		{.fd = f->sock, .events = POLLIN}, {.fd = f->sigfd, .events = POLLIN}};
	int status = -1;

	while (status < 0) {
		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[0].revents)
			status = on_message(f);
		else if (pfd[1].revents)
			status = on_signal(f);
	}
	return status;
}

int run_front(struct run_env *env)
{
	struct front f = {0};
	sigset_t all;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		fprintf(stderr, "persona-run: cannot make a socket pair: %m\n");
		return RUN_EXIT_OWN;
	}
	block_signals(&env->mask);
	env->group = getpgrp();
	f.init = fork();
	if (f.init == 0) {
		close(pair[0]);
		env->sock = pair[1];
		run_init(env);
	}
	close(pair[1]);
	f.sock = pair[0];
	sigfillset(&all);
	f.sigfd = f.init < 0 ? -1 : signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (f.sigfd < 0) {
		fprintf(stderr, "persona-run: cannot start: %m\n");
		return RUN_EXIT_OWN;
	}
	return loop(&f);
}

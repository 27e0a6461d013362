/* SPDX-License-Identifier: MIT */
/* persona-broker: options, limits, directories and the lock; the rest is loop.c. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#define LOG_MODULE "main"
#include "jsonio.h"
#include "log.h"
#include "loop.h"
#include "rundir.h"
#include "worker.h"

#ifndef PERSONA_VERSION
#define PERSONA_VERSION "unversioned" /* built without meson */
#endif

enum { LISTEN_MAX = 16, PORT_DEFAULT = 51821, FILES_WANTED = 1 << 20 };

static const char help[] =
	"Usage: persona-broker [--listen ADDR:PORT]... [--workers N] [--ready-fd N]\n"
	"\n"
	"Carries the network traffic of this user's portspaces. It runs in the foreground, one "
	"for\n"
	"each runtime directory, until SIGTERM or SIGINT. persona-run starts it when none runs.\n"
	"\n"
	"  --listen ADDR:PORT  where other hosts reach this one; may be given several times\n"
	"                      (default 0.0.0.0:51821 and [::]:51821; port 0 picks a free one)\n"
	"  --workers N         threads that carry data, 1 to 32 (default: one for every two\n"
	"                      processors, at most 8)\n"
	"  --ready-fd N        write one byte to this descriptor when ready, then close it\n"
	"  --version           print the version\n"
	"  --help              print this text\n"
	"\n"
	"Examples:\n"
	"  persona-broker\n"
	"  persona-broker --listen 192.0.2.1:51821 --listen '[2001:db8::1]:51821'\n"
	"  PERSONA_RUNTIME_DIR=/tmp/b2 PERSONA_CONFIG_DIR=$HOME/b2 persona-broker \\\n"
	"      --listen 127.0.0.1:0             # a second broker beside the first\n"
	"  PERSONA_DEBUG=control:debug persona-broker\n"
	"\n"
	"Files: $XDG_RUNTIME_DIR/persona (sockets), ~/.config/persona/NAME.conf (portspaces).\n"
	"PERSONA_RUNTIME_DIR and PERSONA_CONFIG_DIR override them.\n";

struct options {
	struct endpoint listen[LISTEN_MAX];
	size_t nlisten;
	unsigned workers;
	int ready_fd;
};

static int usage_error(const char *fmt, const char *arg)
{
	fprintf(stderr, "persona-broker: ");
	fprintf(stderr, fmt, arg);
	fprintf(stderr, "\nTry \"persona-broker --help\".\n");
	return 2;
}

static int parse_number(const char *s, long min, long max, long *np)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(s, &end, 10);
	if (errno || end == s || *end || n < min || n > max)
		return -EINVAL;
	*np = n;
	return 0;
}

/* -1: go on; else the exit status. */
static int parse_option(int c, const char *arg, struct options *o)
{
	long n;

	switch (c) {
	case 'l':
		if (o->nlisten == LISTEN_MAX)
			return usage_error("too many --listen options at \"%s\"", arg);
		if (endpoint_parse(arg, &o->listen[o->nlisten]) < 0)
			return usage_error("--listen \"%s\" is not ADDR:PORT; write it as "
					   "192.0.2.1:51821 or [2001:db8::1]:51821",
				arg);
		o->nlisten++;
		return -1;
	case 'w':
		if (parse_number(arg, 1, WORKERS_MAX, &n) < 0)
			return usage_error("--workers \"%s\" is not a number from 1 to 32", arg);
		o->workers = (unsigned)n;
		return -1;
	case 'r':
		if (parse_number(arg, 0, 1 << 20, &n) < 0 || fcntl((int)n, F_GETFD) < 0)
			return usage_error("--ready-fd \"%s\" is not an open descriptor", arg);
		o->ready_fd = (int)n;
		fcntl(o->ready_fd, F_SETFD, FD_CLOEXEC);
		return -1;
	case 'v':
		puts("persona-broker " PERSONA_VERSION);
		return 0;
	case 'h':
		fputs(help, stdout);
		return 0;
	default:
		fprintf(stderr, "Try \"persona-broker --help\".\n");
		return 2;
	}
}

static int parse_options(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {{"listen", required_argument, NULL, 'l'},
		{"workers", required_argument, NULL, 'w'},
		{"ready-fd", required_argument, NULL, 'r'}, {"version", no_argument, NULL, 'v'},
		{"help", no_argument, NULL, 'h'}, {0}};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		int status = parse_option(c, optarg, o);

		if (status >= 0)
			return status;
	}
	if (optind < argc)
		return usage_error("unexpected argument \"%s\"", argv[optind]);
	return -1;
}

/* Does this host have IPv6 at all? Only then the default listens on it. */
static bool has_ipv6(void)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0;

	if (fd >= 0)
		close(fd);
	return ok;
}

static void default_listen(struct options *o)
{
	if (o->nlisten)
		return;
	o->listen[o->nlisten++] = (struct endpoint){.addr = addr_any4, .port = PORT_DEFAULT};
	if (has_ipv6())
		o->listen[o->nlisten++] =
			(struct endpoint){.addr = addr_any6, .port = PORT_DEFAULT};
}

static void raise_limit(int resource, rlim_t wanted)
{
	struct rlimit l;

	if (getrlimit(resource, &l) < 0)
		return;
	if (l.rlim_max != RLIM_INFINITY && l.rlim_max < wanted) {
		struct rlimit more = {.rlim_cur = wanted, .rlim_max = wanted};

		if (setrlimit(resource, &more) == 0)
			return; /* we may: root */
	}
	l.rlim_cur = l.rlim_max;
	if (setrlimit(resource, &l) < 0)
		log_warning("cannot raise a limit: %s", strerror(errno));
}

/* Only one broker for each runtime directory. Returns the descriptor that holds the lock. */
static int lock(const char *runtime_dir)
{
	char path[RUNDIR_RUNTIME_MAX + 8], pid[16] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/lock", runtime_dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		log_error("cannot open %s: %s", path, strerror(errno));
		return -errno;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		n = read(fd, pid, sizeof(pid) - 1);
		if (n > 0)
			pid[strcspn(pid, "\n")] = '\0';
		if (r == -EWOULDBLOCK)
			log_error("a broker (process %s) runs in %s already; end it, or set "
				  "PERSONA_RUNTIME_DIR to another directory",
				pid[0] ? pid : "unknown", runtime_dir);
		else
			log_error("cannot lock %s: %s", path, strerror(-r));
		close(fd);
		return r;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, (size_t)n, 0) < 0)
		log_warning("cannot write %s: %s", path, strerror(errno));
	return fd;
}

static int make_dir(const char *what, int r, const char *dir)
{
	if (r == 0)
		r = rundir_make(dir);
	if (r == -EPERM)
		log_error("the %s directory %s belongs to somebody else, or others may write to "
			  "it; correct that or choose another one",
			what, dir);
	else if (r == -ENAMETOOLONG)
		log_error("the %s directory's name is too long", what);
	else if (r < 0)
		log_error("cannot use the %s directory: %s", what, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	static char runtime_dir[RUNDIR_RUNTIME_MAX], config_dir[RUNDIR_PATH_MAX];
	struct options o = {.ready_fd = -1};
	struct loop_config config;
	int status, fd, r;

	log_init("persona-broker");
	status = parse_options(argc, argv, &o);
	if (status >= 0)
		return status;
	/* Keys must not reach a core dump, nor a debugger of the same user. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	umask(077);
	signal(SIGPIPE, SIG_IGN);
	raise_limit(RLIMIT_NOFILE, FILES_WANTED);
	raise_limit(RLIMIT_MEMLOCK, RLIM_INFINITY);
	if (sodium_init() < 0) {
		log_error("libsodium cannot start");
		return 1;
	}
	jsonio_init();
	if (make_dir("runtime", rundir_runtime(runtime_dir, sizeof(runtime_dir)), runtime_dir) < 0)
		return 1;
	if (make_dir("configuration", rundir_config(config_dir, sizeof(config_dir)), config_dir) <
		0)
		return 1;
	fd = lock(runtime_dir);
	if (fd < 0)
		return 1;
	default_listen(&o);
	config = (struct loop_config){.runtime_dir = runtime_dir,
		.config_dir = config_dir,
		.listen = o.listen,
		.nlisten = o.nlisten,
		.workers = o.workers,
		.ready_fd = o.ready_fd};
	r = loop_run(&config);
	close(fd);
	return r < 0 ? 1 : 0;
}

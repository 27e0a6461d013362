/* SPDX-License-Identifier: MIT */
/* porttab against the kernel: random sequences of socket, bind, listen and close with random
 * options are done on real loopback sockets in a network namespace of their own, and each errno is
 * compared with the port table's answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "porttab.h"
#include "skip.h"

enum { SOCKETS = 6, STEPS = 40, SEQUENCES = 4000, TRIES = 3, EXIT_SKIP = 77 };

enum outcome { SAME, SHORTCUT, DIFFERENT };

struct sock {
	int fd; /* -1: none */
	uint64_t inode;
	struct porttab_request req;
	bool bound;
};

struct world {
	struct porttab *tab;
	struct sock socks[SOCKETS];
	uint64_t last_inode;
	uint16_t port;		/* this and the next one */
	bool reuseport_seen[2]; /* by port: one was bound in this sequence */
	char trace[STEPS * 96];
	size_t len;
};

static bool alive(uint64_t inode, void *arg)
{
	const struct world *w = arg;

	for (int i = 0; i < SOCKETS; i++) {
		if (w->socks[i].fd >= 0 && w->socks[i].inode == inode)
			return true;
	}
	return false;
}

static void note(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void note(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	w->len += (size_t)vsnprintf(w->trace + w->len, sizeof(w->trace) - w->len, fmt, ap);
	va_end(ap);
}

static void set(int fd, int level, int option, int on)
{
	if (setsockopt(fd, level, option, &on, sizeof(on))) {
		perror("setsockopt");
		_exit(1);
	}
}

static void make_socket(struct world *w, int i, uint8_t proto, uint8_t sharing)
{
	static const char *const v4[] = {"0.0.0.0", "127.0.0.1", "127.0.0.2"};
	static const char *const v6[] = {"::", "::", "::1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"};
	struct sock *s = &w->socks[i];
	const bool is_v6 = rand() % 2;
	const char *text = is_v6 ? v6[rand() % 5] : v4[rand() % 3];

	s->req = (struct porttab_request){.proto = proto, .pid = 1, .inode = ++w->last_inode};
	s->inode = s->req.inode;
	s->req.flags = (uint8_t)(rand() & sharing);
	addr_parse(text, &s->req.local.addr);
	s->req.local.port = (uint16_t)(w->port + (rand() % 4 == 0));
	if (is_v6)
		s->req.flags |= ASK_V6;
	if (is_v6 && !addr_is_v4(&s->req.local.addr) && rand() % 2)
		s->req.flags |= ASK_V6ONLY;
	s->bound = false;
	s->fd = socket(is_v6 ? AF_INET6 : AF_INET,
		(proto == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		perror("socket");
		_exit(1);
	}
	set(s->fd, SOL_SOCKET, SO_REUSEADDR, (s->req.flags & ASK_REUSEADDR) != 0);
	set(s->fd, SOL_SOCKET, SO_REUSEPORT, (s->req.flags & ASK_REUSEPORT) != 0);
	if (is_v6)
		set(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, (s->req.flags & ASK_V6ONLY) != 0);
	note(w, "socket %d: %s port %d%s%s%s\n", i, text, s->req.local.port - w->port,
		s->req.flags & ASK_V6ONLY ? " v6only" : "",
		s->req.flags & ASK_REUSEADDR ? " reuseaddr" : "",
		s->req.flags & ASK_REUSEPORT ? " reuseport" : "");
}

static int kernel_bind(const struct sock *s)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(
		&s->req.local, s->req.flags & ASK_V6 ? AF_INET6 : AF_INET, &ss);

	return bind(s->fd, (struct sockaddr *)&ss, len) ? -errno : 0;
}

/* The difference that the head of this file describes. */
static bool is_shortcut(const struct world *w, const struct sock *s, int kernel, int ours)
{
	return !kernel && ours == -EADDRINUSE && (s->req.flags & ASK_REUSEPORT) &&
	       w->reuseport_seen[s->req.local.port - w->port];
}

static enum outcome compare(struct world *w, const char *what, int i, int kernel, int ours)
{
	note(w, "%s %d: %s\n", what, i, kernel ? strerror(-kernel) : "ok");
	if (kernel == ours)
		return SAME;
	if (is_shortcut(w, &w->socks[i], kernel, ours))
		return SHORTCUT;
	note(w, "...but the port table says: %s\n", ours ? strerror(-ours) : "ok");
	return DIFFERENT;
}

static void close_socket(struct world *w, int i)
{
	close(w->socks[i].fd);
	w->socks[i].fd = -1; /* the table finds out by itself */
	note(w, "close %d\n", i);
}

static enum outcome bind_both(struct world *w, int i)
{
	struct sock *s = &w->socks[i];
	const int kernel = kernel_bind(s);
	enum outcome outcome;
	uint16_t port;

	outcome = compare(w, "bind", i, kernel, porttab_bind(w->tab, &s->req, &port));
	if (outcome != SAME)
		return outcome;
	s->bound = !kernel;
	if (kernel)
		close_socket(w, i);
	else if (s->req.flags & ASK_REUSEPORT)
		w->reuseport_seen[s->req.local.port - w->port] = true;
	return SAME;
}

static enum outcome listen_both(struct world *w, int i)
{
	struct sock *s = &w->socks[i];
	const int kernel = listen(s->fd, 1) ? -errno : 0;
	char file[SOCKNAME_FILE_MAX];
	uint16_t port;
	int ours = porttab_listen(w->tab, &s->req, &port, file);

	return compare(w, "listen", i, kernel, ours > 0 ? 0 : ours);
}

static enum outcome step(struct world *w, uint8_t proto, uint8_t sharing)
{
	const int i = rand() % SOCKETS;
	struct sock *s = &w->socks[i];

	if (s->fd < 0)
		make_socket(w, i, proto, sharing);
	else if (!s->bound)
		return bind_both(w, i);
	else if (proto == IPPROTO_TCP && rand() % 2)
		return listen_both(w, i);
	else
		close_socket(w, i);
	return SAME;
}

/* SAME when it was compared to its end. `last`: say what differs. */
static enum outcome sequence(unsigned seed, uint8_t proto, uint8_t sharing, bool last)
{
	struct world w = {.port = (uint16_t)(10000 + seed % 5000 * 2)};
	const struct porttab_ops ops = {.alive = alive, .arg = &w};
	enum outcome outcome = SAME;

	srand(seed);
	for (int i = 0; i < SOCKETS; i++)
		w.socks[i].fd = -1;
	if (porttab_new(&ops, NULL, &w.tab))
		_exit(1);
	note(&w, "seed %u, protocol %u\n", seed, proto);
	for (int i = 0; i < STEPS && outcome == SAME; i++)
		outcome = step(&w, proto, sharing);
	for (int i = 0; i < SOCKETS; i++) {
		if (w.socks[i].fd >= 0)
			close(w.socks[i].fd);
	}
	porttab_free(w.tab);
	if (outcome == DIFFERENT && last)
		fputs(w.trace, stderr);
	return outcome;
}

/* A network namespace with nothing but a loopback interface that is up. */
static bool enter_namespace(void)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, r;

	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	r = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &ifr);
	close(fd);
	return !r;
}

/* The exit status. */
static int sequences(uint8_t proto, uint8_t sharing)
{
	/* Without SO_REUSEPORT there is no shortcut to allow, with it few. */
	const unsigned least = sharing & ASK_REUSEPORT ? SEQUENCES * 3 / 4 : SEQUENCES;
	unsigned whole = 0;

	if (!enter_namespace())
		return EXIT_SKIP;
	for (unsigned seed = 1; seed <= SEQUENCES; seed++) {
		enum outcome outcome = DIFFERENT;

		for (int i = 1; i <= TRIES && outcome == DIFFERENT; i++)
			outcome = sequence(seed, proto, sharing, i == TRIES);
		if (outcome == DIFFERENT)
			return 1;
		whole += outcome == SAME;
	}
	if (whole < least)
		fprintf(stderr, "only %u of %d whole sequences\n", whole, SEQUENCES);
	return whole < least;
}

static void run(uint8_t proto, uint8_t sharing)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(sequences(proto, sharing));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == EXIT_SKIP)
		skip_test("no network namespace: neither root nor user namespaces");
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_tcp_without_sharing(void **state)
{
	(void)state;
	run(IPPROTO_TCP, 0);
}

static void test_tcp_reuseaddr(void **state)
{
	(void)state;
	run(IPPROTO_TCP, ASK_REUSEADDR);
}

static void test_tcp_reuseport(void **state)
{
	(void)state;
	run(IPPROTO_TCP, ASK_REUSEPORT);
}

static void test_tcp_both(void **state)
{
	(void)state;
	run(IPPROTO_TCP, ASK_REUSEADDR | ASK_REUSEPORT);
}

static void test_udp_without_sharing(void **state)
{
	(void)state;
	run(IPPROTO_UDP, 0);
}

static void test_udp_reuseaddr(void **state)
{
	(void)state;
	run(IPPROTO_UDP, ASK_REUSEADDR);
}

static void test_udp_reuseport(void **state)
{
	(void)state;
	run(IPPROTO_UDP, ASK_REUSEPORT);
}

static void test_udp_both(void **state)
{
	(void)state;
	run(IPPROTO_UDP, ASK_REUSEADDR | ASK_REUSEPORT);
}

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_without_sharing),
		cmocka_unit_test(test_tcp_reuseaddr),
		cmocka_unit_test(test_tcp_reuseport),
		cmocka_unit_test(test_tcp_both),
		cmocka_unit_test(test_udp_without_sharing),
		cmocka_unit_test(test_udp_reuseaddr),
		cmocka_unit_test(test_udp_reuseport),
		cmocka_unit_test(test_udp_both),
	};

	return skip_run_group_tests(tests, setup, NULL);
}

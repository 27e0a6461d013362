/* SPDX-License-Identifier: MIT */
/* hostports and hostaddr: what the kernel says of this host, by both ways it can be asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostaddr.h"
#include "hostports.h"
#include "skip.h"

enum { MAX = 8 };

struct wanted {
	struct hostport port[MAX];
	unsigned seen[MAX];
	size_t n;
};

static int note(const struct hostport *port, void *arg)
{
	struct wanted *w = arg;

	for (size_t i = 0; i < w->n; i++)
		if (w->port[i].proto == port->proto &&
			endpoint_equal(&w->port[i].local, &port->local))
			w->seen[i]++;
	return 0;
}

/* A socket bound to the address with a port of the kernel's choice, and its name. */
static int bound(int type, const char *at, struct hostport *hp)
{
	struct endpoint e;
	struct sockaddr_storage ss;
	socklen_t len;
	int fd;

	assert_int_equal(endpoint_parse(at, &e), 0);
	len = endpoint_to_sockaddr(&e, addr_is_v4(&e.addr) ? AF_INET : AF_INET6, &ss);
	fd = socket(ss.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, len) < 0)
		skip_test("no socket at %s: %s", at, strerror(errno));
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 1), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(endpoint_from_sockaddr((struct sockaddr *)&ss, len, &hp->local), 0);
	hp->proto = type == SOCK_STREAM ? IPPROTO_TCP : IPPROTO_UDP;
	return fd;
}

typedef int each_fn(int (*fn)(const struct hostport *port, void *arg), void *arg);

static void sees_servers(each_fn *each)
{
	struct wanted w = {.n = 5};
	int fd[5], peer;
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_port = htons(9)};

	fd[0] = bound(SOCK_STREAM, "127.0.0.1:0", &w.port[0]);
	fd[1] = bound(SOCK_STREAM, "[::1]:0", &w.port[1]);
	fd[2] = bound(SOCK_DGRAM, "127.0.0.1:0", &w.port[2]);
	fd[3] = bound(SOCK_DGRAM, "[::]:0", &w.port[3]);
	/* with a peer it is no server */
	fd[4] = bound(SOCK_DGRAM, "127.0.0.1:0", &w.port[4]);
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	peer = connect(fd[4], (struct sockaddr *)&sin, sizeof(sin));
	assert_int_equal(peer, 0);
	assert_int_equal(each(note, &w), 0);
	for (int i = 0; i < 4; i++)
		assert_int_equal(w.seen[i], 1);
	assert_int_equal(w.seen[4], 0);
	for (int i = 0; i < 5; i++)
		close(fd[i]);
}

static void test_proc_sees_servers(void **state)
{
	(void)state;
	sees_servers(hostports_proc);
}

static int nothing(const struct hostport *port, void *arg)
{
	(void)port;
	(void)arg;
	return 0;
}

static void test_diag_sees_servers(void **state)
{
	int r = hostports_diag(nothing, NULL);

	(void)state;
	if (r < 0)
		skip_test("no sock_diag: %s", strerror(-r));
	sees_servers(hostports_diag);
}

static void test_either_sees_servers(void **state)
{
	(void)state;
	sees_servers(hostports_each);
}

static int stop(const struct hostport *port, void *arg)
{
	(void)port;
	return ++*(int *)arg + 41;
}

static void test_non_zero_ends_the_list(void **state)
{
	struct hostport hp;
	int fd = bound(SOCK_STREAM, "127.0.0.1:0", &hp), calls = 0;

	(void)state;
	assert_int_equal(hostports_each(stop, &calls), 42);
	assert_int_equal(calls, 1);
	close(fd);
}

static void test_addresses_are_the_hosts_and_not_loopback(void **state)
{
	static const char *const like[] = {"10.0.0.1", "fd00::1"};
	struct addr list[HOSTADDR_MAX], a;
	bool own_first = true;

	(void)state;
	for (int f = 0; f < 2; f++) {
		assert_int_equal(addr_parse(like[f], &a), 0);
		size_t n = hostaddr_list(&a, list);

		for (size_t i = 0; i < n; i++) {
			struct endpoint e = {.addr = list[i]};
			struct sockaddr_storage ss;
			bool v4 = addr_is_v4(&e.addr);
			socklen_t len = endpoint_to_sockaddr(&e, v4 ? AF_INET : AF_INET6, &ss);
			int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

			assert_false(addr_is_loopback(&e.addr));
			assert_int_equal(bind(fd, (struct sockaddr *)&ss, len), 0);
			close(fd);
			if (i == 0)
				own_first = v4 == addr_is_v4(&a);
			if (v4 == addr_is_v4(&a))
				assert_true(own_first); /* the wanted family comes first */
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diag_sees_servers),
		cmocka_unit_test(test_proc_sees_servers),
		cmocka_unit_test(test_either_sees_servers),
		cmocka_unit_test(test_non_zero_ends_the_list),
		cmocka_unit_test(test_addresses_are_the_hosts_and_not_loopback),
	};

	return skip_run_group_tests(tests, NULL, NULL);
}

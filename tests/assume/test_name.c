/* SPDX-License-Identifier: MIT */
/* Assumption: names and credentials. An abstract name belongs to one socket of the network
 * namespace at a time and is free again at once when that socket is gone; the acceptor sees the
 * connecting end's name; a path of the full length of sun_path works; SO_PEERCRED names the
 * process that connected (or that called listen) with its uid, and keeps it after a fork.
 * Used by libpersona/proto/sockname.c and broker/member.c. */
#include "pair.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static socklen_t abstract(struct sockaddr_un *sunp)
{
	memset(sunp, 0, sizeof(*sunp));
	sunp->sun_family = AF_UNIX;
	memcpy(sunp->sun_path + 1, "persona-assume", 14);
	memcpy(sunp->sun_path + 20, &(pid_t){getpid()}, sizeof(pid_t));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 60);
}

static void test_abstract_name_is_taken_once(void **state)
{
	int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un sun;
	socklen_t len = abstract(&sun);

	(void)state;
	assert_return_code(bind(a, (struct sockaddr *)&sun, len), 0);
	assert_int_equal(bind(b, (struct sockaddr *)&sun, len), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(a);
	assert_return_code(bind(b, (struct sockaddr *)&sun, len), 0);
	close(b);
}

static void test_acceptor_sees_the_abstract_name(void **state)
{
	int listener = pair_listen(), client = pair_gated(), server;
	struct sockaddr_un sun, seen = {0};
	socklen_t len = abstract(&sun), seen_len = sizeof(seen);

	(void)state;
	assert_return_code(bind(client, (struct sockaddr *)&sun, len), 0);
	server = pair_connect(client, listener);
	assert_return_code(getpeername(server, (struct sockaddr *)&seen, &seen_len), 0);
	assert_int_equal(seen_len, len);
	assert_memory_equal(&seen, &sun, len);
	close(client);
	/* also when the client is gone: accept(2) may come late */
	seen_len = sizeof(seen);
	assert_return_code(getpeername(server, (struct sockaddr *)&seen, &seen_len), 0);
	assert_memory_equal(&seen, &sun, len);
	close(server);
	pair_unlisten(listener);
}

static void test_longest_path_can_be_bound_and_connected(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/assumeXXXXXX";
	int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);
	size_t n;

	(void)state;
	assert_non_null(mkdtemp(dir));
	n = strlen(dir);
	memcpy(sun.sun_path, dir, n);
	sun.sun_path[n] = '/';
	memset(sun.sun_path + n + 1, 'x', sizeof(sun.sun_path) - n - 2);
	assert_int_equal(strlen(sun.sun_path), 107);
	assert_return_code(bind(a, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_return_code(listen(a, 1), 0);
	assert_return_code(connect(b, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(a);
	close(b);
	unlink(sun.sun_path);
	rmdir(dir);
}

static int child_asks(void *arg)
{
	int *fds = arg;
	struct ucred cred;
	socklen_t len = sizeof(cred);

	/* fds[0]: the accepted end; its peer connected in the parent */
	if (getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return 1;
	return cred.pid == getppid() && cred.uid == getuid() ? 0 : 2;
}

static void test_peercred_is_who_connected(void **state)
{
	int listener = pair_listen(), client = pair_gated();
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int server = pair_connect(client, listener);

	(void)state;
	assert_return_code(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	assert_int_equal(cred.pid, getpid());
	assert_int_equal(cred.uid, getuid());
	assert_int_equal(pair_fork(child_asks, &server), 0);
	close(client);
	close(server);
	pair_unlisten(listener);
}

static void test_peercred_of_a_server_is_who_listened(void **state)
{
	int listener = pair_listen(), client = pair_gated();
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int server = pair_connect(client, listener);

	(void)state;
	assert_return_code(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &cred, &len), 0);
	assert_int_equal(cred.pid, getpid());
	close(client);
	close(server);
	pair_unlisten(listener);
}

static void test_dead_server_leaves_a_path_that_refuses(void **state)
{
	int listener = pair_listen(), client = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);

	(void)state;
	assert_return_code(getsockname(listener, (struct sockaddr *)&sun, &len), 0);
	close(listener);
	assert_int_equal(connect(client, (struct sockaddr *)&sun, len), -1);
	assert_int_equal(errno, ECONNREFUSED);
	unlink(sun.sun_path);
	assert_int_equal(connect(client, (struct sockaddr *)&sun, len), -1);
	assert_int_equal(errno, ENOENT);
	close(client);
	*strrchr(sun.sun_path, '/') = '\0';
	rmdir(sun.sun_path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_abstract_name_is_taken_once),
		cmocka_unit_test(test_acceptor_sees_the_abstract_name),
		cmocka_unit_test(test_longest_path_can_be_bound_and_connected),
		cmocka_unit_test(test_peercred_is_who_connected),
		cmocka_unit_test(test_peercred_of_a_server_is_who_listened),
		cmocka_unit_test(test_dead_server_leaves_a_path_that_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

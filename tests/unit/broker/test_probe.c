/* SPDX-License-Identifier: MIT */
/* probe: sockets in every state against the kernel, by both methods. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "probe.h"

static char dir[64];

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static int new_socket(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	return fd;
}

static int listener(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = new_socket(SOCK_STREAM);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 5), 0);
	return fd;
}

static void assert_alive(uint64_t inode, int alive)
{
	assert_int_equal(probe_inode_alive(inode), alive);
	assert_int_equal(probe_diag_alive(inode), alive);
	assert_int_equal(probe_proc_alive(inode), alive);
}

static void test_fresh_and_closed(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		int fd = new_socket(types[i]);
		uint64_t inode = inode_of(fd);

		assert_alive(inode, 1);
		close(fd);
		assert_alive(inode, 0);
	}
}

static void test_listening_and_connected(void **state)
{
	char path[128];
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int server, client = new_socket(SOCK_STREAM), accepted;

	(void)state;
	snprintf(path, sizeof(path), "%s/server", dir);
	server = listener(path);
	strcpy(sun.sun_path, path);
	assert_int_equal(connect(client, (struct sockaddr *)&sun, sizeof(sun)), 0);
	accepted = accept(server, NULL, NULL);
	assert_true(accepted >= 0);
	assert_alive(inode_of(server), 1);
	assert_alive(inode_of(client), 1);
	assert_alive(inode_of(accepted), 1);
	close(accepted);
	assert_alive(inode_of(client), 1); /* the other end is gone, this one is not */
	close(client);
	unlink(path);
	assert_alive(inode_of(server), 1); /* the name is gone, the socket is not */
	close(server);
}

static void test_held_by_a_duplicate(void **state)
{
	int fd = new_socket(SOCK_STREAM), copy = dup(fd);
	uint64_t inode = inode_of(fd);

	(void)state;
	close(fd);
	assert_alive(inode, 1);
	close(copy);
	assert_alive(inode, 0);
}

/* A descriptor in flight belongs to no process, yet its socket lives. */
static void test_held_in_flight(void **state)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int pair[2], fd = new_socket(SOCK_STREAM);
	uint64_t inode = inode_of(fd);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	close(fd);
	assert_alive(inode, 1);
	close(pair[1]);
	close(pair[0]);
}

static void test_impossible_inodes(void **state)
{
	int fd = new_socket(SOCK_STREAM);

	(void)state;
	assert_alive(0, 0);
	assert_alive(UINT64_MAX, 0);
	assert_alive(inode_of(fd) + (1ULL << 32), 0); /* not its low half */
	close(fd);
}

/* Other sockets have inodes of the same kind. */
static void test_other_families_do_not_count(void **state)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_alive(inode_of(fd), 0);
	close(fd);
}

struct seen {
	char paths[8][128];
	uint64_t inodes[8];
	int n;
	int stop_at; /* 0: never */
};

static int collect(const char *path, uint64_t inode, void *arg)
{
	struct seen *seen = arg;

	assert_true(seen->n < 8);
	snprintf(seen->paths[seen->n], sizeof(seen->paths[0]), "%s", path);
	seen->inodes[seen->n++] = inode;
	return seen->n == seen->stop_at ? 42 : 0;
}

static bool has(const struct seen *seen, const char *path, uint64_t inode)
{
	for (int i = 0; i < seen->n; i++) {
		if (!strcmp(seen->paths[i], path) && seen->inodes[i] == inode)
			return true;
	}
	return false;
}

typedef int (*listeners_fn)(const char *where, probe_listener_fn fn, void *arg);

static void check_listeners(listeners_fn list)
{
	char a[128], b[128], other[128], bound[128], where[128];
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct seen seen = {0}, one = {.stop_at = 1}, none = {0};
	int fa, fb, fo, unbound = new_socket(SOCK_STREAM);

	snprintf(a, sizeof(a), "%s/in", dir);
	assert_int_equal(mkdir(a, 0700), 0);
	snprintf(a, sizeof(a), "%s/in/tcp.any.80", dir);
	snprintf(b, sizeof(b), "%s/in/with space", dir);
	snprintf(other, sizeof(other), "%s/inside", dir); /* shares the prefix as text */
	snprintf(bound, sizeof(bound), "%s/in/bound", dir);
	fa = listener(a);
	fb = listener(b);
	fo = listener(other);
	strcpy(sun.sun_path, bound); /* bound but not listening */
	assert_int_equal(bind(unbound, (struct sockaddr *)&sun, sizeof(sun)), 0);

	snprintf(where, sizeof(where), "%s/in", dir);
	assert_int_equal(list(where, collect, &seen), 0);
	assert_int_equal(seen.n, 2);
	assert_true(has(&seen, a, inode_of(fa)));
	assert_true(has(&seen, b, inode_of(fb)));
	strcat(where, "//");
	assert_int_equal(list(where, collect, &one), 42);
	assert_int_equal(one.n, 1);
	close(fa);
	close(fb);
	assert_int_equal(list(where, collect, &none), 0);
	assert_int_equal(none.n, 0);
	assert_int_equal(list("relative", collect, &none), -EINVAL);
	close(fo);
	close(unbound);
	unlink(a);
	unlink(b);
	unlink(other);
	unlink(bound);
	where[strlen(where) - 2] = '\0';
	assert_int_equal(rmdir(where), 0);
}

static void test_listeners(void **state)
{
	(void)state;
	check_listeners(probe_listeners);
}

static void test_listeners_by_diag(void **state)
{
	(void)state;
	check_listeners(probe_diag_listeners);
}

static void test_listeners_by_proc(void **state)
{
	(void)state;
	check_listeners(probe_proc_listeners);
}

/* The longest path there is has no terminator in the kernel's answer. */
static void test_longest_path(void **state)
{
	char path[109];
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = new_socket(SOCK_STREAM), n;
	listeners_fn methods[] = {probe_diag_listeners, probe_proc_listeners};

	(void)state;
	n = snprintf(path, sizeof(path), "%s/", dir);
	memset(path + n, 'x', 108 - (size_t)n);
	path[108] = '\0';
	memcpy(sun.sun_path, path, 108);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	for (int i = 0; i < 2; i++) {
		struct seen seen = {0};

		assert_int_equal(methods[i](dir, collect, &seen), 0);
		assert_int_equal(seen.n, 1);
		assert_true(has(&seen, path, inode_of(fd)));
	}
	close(fd);
	unlink(path);
}

static int count(const char *path, uint64_t inode, void *arg)
{
	(void)path;
	(void)inode;
	++*(int *)arg;
	return 0;
}

/* More sockets than one message of the dump holds. */
static void test_dump_of_many(void **state)
{
	enum { MANY = 700 };
	static int fds[MANY];
	char path[128];
	int by_diag = 0, by_proc = 0;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "%s/m%d", dir, i);
		fds[i] = listener(path);
	}
	assert_int_equal(probe_diag_listeners(dir, count, &by_diag), 0);
	assert_int_equal(probe_proc_listeners(dir, count, &by_proc), 0);
	assert_int_equal(by_diag, MANY);
	assert_int_equal(by_proc, MANY);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "%s/m%d", dir, i);
		close(fds[i]);
		unlink(path);
	}
}

static void test_peer(void **state)
{
	uint64_t peer;
	int pair[2], lone;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(probe_peer_inode(inode_of(pair[0]), &peer), 0);
	assert_true(peer == inode_of(pair[1]));
	assert_int_equal(probe_peer_inode(inode_of(pair[1]), &peer), 0);
	assert_true(peer == inode_of(pair[0]));
	close(pair[1]);
	assert_int_equal(probe_peer_inode(inode_of(pair[0]), &peer), -ENOENT);
	lone = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(probe_peer_inode(inode_of(lone), &peer), -ENOENT);
	assert_int_equal(probe_peer_inode(0, &peer), -ENOENT);
	assert_int_equal(probe_peer_inode(UINT64_C(1) << 32, &peer), -ENOENT);
	close(pair[0]);
	close(lone);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_probe.XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	return rmdir(dir);
}

#define in_dir(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fresh_and_closed),
		in_dir(test_listening_and_connected),
		cmocka_unit_test(test_held_by_a_duplicate),
		cmocka_unit_test(test_held_in_flight),
		cmocka_unit_test(test_impossible_inodes),
		cmocka_unit_test(test_other_families_do_not_count),
		in_dir(test_listeners),
		in_dir(test_listeners_by_diag),
		in_dir(test_listeners_by_proc),
		in_dir(test_longest_path),
		in_dir(test_dump_of_many),
		cmocka_unit_test(test_peer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

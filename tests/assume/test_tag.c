/* SPDX-License-Identifier: MIT */
/* Assumption: SO_MAX_PACING_RATE keeps 64 bits of ours on an AF_UNIX socket, bound to the open
 * file: it survives dup, fork, exec and SCM_RIGHTS, and every holder of the file sees a change.
 * A fresh, an accepted and a socketpair's socket have none. Used by libpersona/proto/tag.c. */
#include "pair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tag.h"

static const struct tag sample = {.kind = TAG_TCP,
	.phase = TAG_BOUND,
	.class = TAG_ADDR_OWN,
	.v6 = true,
	.nodelay = true,
	.value = 0xabcdef,
	.port = 0xfedc};

static bool same(const struct tag *a, const struct tag *b)
{
	return tag_encode(a) == tag_encode(b);
}

static int tagged(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	assert_int_equal(tag_set(fd, &sample), 0);
	return fd;
}

static void test_new_socket_has_no_tag(void **state)
{
	int pair[2], fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct tag tag;

	(void)state;
	assert_int_equal(tag_get(fd, &tag), -ENOENT);
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(tag_get(pair[0], &tag), -ENOENT);
	close(pair[0]);
	close(pair[1]);
	close(fd);
}

static void test_all_64_bits_are_kept(void **state)
{
	static const uint64_t values[] = {
		0, 1, UINT64_C(0x8000000000000001), UINT64_C(0xa5a5a5a55a5a5a5a), UINT64_MAX - 1};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		uint64_t v = values[i], got = ~v;
		socklen_t len = sizeof(got);

		assert_return_code(
			setsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &v, sizeof(v)), 0);
		assert_return_code(getsockopt(fd, SOL_SOCKET, SO_MAX_PACING_RATE, &got, &len), 0);
		assert_int_equal(len, sizeof(got));
		assert_true(got == v);
	}
	close(fd);
}

static void test_survives_dup(void **state)
{
	int fd = tagged(), other = dup(fd), high = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	struct tag tag;

	(void)state;
	close(fd);
	assert_int_equal(tag_get(other, &tag), 0);
	assert_true(same(&tag, &sample));
	tag.phase = TAG_CONNECTED;
	assert_int_equal(tag_set(other, &tag), 0);
	assert_int_equal(tag_get(high, &tag), 0);
	assert_int_equal(tag.phase, TAG_CONNECTED);
	close(other);
	close(high);
}

static int child_changes(void *arg)
{
	struct tag tag;

	if (tag_get(*(int *)arg, &tag) < 0 || !same(&tag, &sample))
		return 1;
	tag.phase = TAG_FAILED;
	return tag_set(*(int *)arg, &tag) < 0 ? 2 : 0;
}

static void test_survives_fork_and_is_shared(void **state)
{
	int fd = tagged();
	struct tag tag;

	(void)state;
	assert_int_equal(pair_fork(child_changes, &fd), 0);
	assert_int_equal(tag_get(fd, &tag), 0);
	assert_int_equal(tag.phase, TAG_FAILED);
	close(fd);
}

static int child_execs(void *arg)
{
	char fd[16];

	snprintf(fd, sizeof(fd), "%d", *(int *)arg);
	execl("/proc/self/exe", "assume_tag", fd, (char *)NULL);
	return 99;
}

static void test_survives_exec(void **state)
{
	int fd = tagged();

	(void)state;
	assert_int_equal(pair_fork(child_execs, &fd), 0);
	close(fd);
}

static void test_survives_passing_the_socket_over_itself(void **state)
{
	int listener = pair_listen(), client = pair_gated(), server, passed;
	struct tag tag;

	(void)state;
	assert_int_equal(tag_set(client, &sample), 0);
	server = pair_connect(client, listener);
	pair_request(client);
	passed = pair_read_request(server);
	assert_int_equal(tag_get(passed, &tag), 0);
	assert_true(same(&tag, &sample));
	tag.phase = TAG_CONNECTED;
	assert_int_equal(tag_set(passed, &tag), 0);
	close(passed);
	assert_int_equal(tag_get(client, &tag), 0);
	assert_int_equal(tag.phase, TAG_CONNECTED);
	close(client);
	close(server);
	pair_unlisten(listener);
}

static void test_accepted_socket_has_no_tag(void **state)
{
	int listener = pair_listen(), client = pair_gated(), server;
	struct tag tag;

	(void)state;
	assert_int_equal(tag_set(listener, &sample), 0);
	assert_int_equal(tag_set(client, &sample), 0);
	server = pair_connect(client, listener);
	assert_int_equal(tag_get(server, &tag), -ENOENT);
	close(client);
	close(server);
	pair_unlisten(listener);
}

static void test_data_is_not_paced_by_the_tag(void **state)
{
	static char block[65536];
	int sv[2];
	struct tag slow = {.kind = TAG_TCP, .phase = TAG_CONNECTED};

	(void)state;
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	assert_int_equal(tag_set(sv[0], &slow), 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(write(sv[0], block, sizeof(block)), sizeof(block));
		assert_int_equal(recv(sv[1], block, sizeof(block), MSG_WAITALL), sizeof(block));
	}
	close(sv[0]);
	close(sv[1]);
}

/* The second life of this program: was the tag inherited through exec? */
static int after_exec(const char *arg)
{
	struct tag tag;

	return tag_get(atoi(arg), &tag) == 0 && same(&tag, &sample) ? 0 : 1;
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_socket_has_no_tag),
		cmocka_unit_test(test_all_64_bits_are_kept),
		cmocka_unit_test(test_survives_dup),
		cmocka_unit_test(test_survives_fork_and_is_shared),
		cmocka_unit_test(test_survives_exec),
		cmocka_unit_test(test_survives_passing_the_socket_over_itself),
		cmocka_unit_test(test_accepted_socket_has_no_tag),
		cmocka_unit_test(test_data_is_not_paced_by_the_tag),
	};

	if (argc == 2)
		return after_exec(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

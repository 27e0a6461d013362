/* SPDX-License-Identifier: MIT */
/* Assumption: FIN and reset can be told apart. shutdown(SHUT_WR) by one end is EOF without POLLHUP
 * at the other, which may go on writing; close by one end is EOF with POLLHUP; close with data
 * unread is ECONNRESET at once. Used by the shim's read family and the broker's stream module. */
#include "pair.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void pair_up(int sv[2])
{
	assert_return_code(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sv), 0);
}

static void test_shutdown_is_eof_without_hup(void **state)
{
	char b[4];
	int sv[2];

	(void)state;
	pair_up(sv);
	assert_int_equal(write(sv[1], "hi", 2), 2);
	assert_return_code(shutdown(sv[1], SHUT_WR), 0);
	assert_int_equal(read(sv[0], b, sizeof(b)), 2);
	assert_int_equal(read(sv[0], b, sizeof(b)), 0);
	assert_int_equal(pair_poll(sv[0], POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
	close(sv[0]);
	close(sv[1]);
}

static void test_half_closed_stream_still_carries_the_other_way(void **state)
{
	char b[4];
	int sv[2];

	(void)state;
	pair_up(sv);
	assert_return_code(shutdown(sv[1], SHUT_WR), 0);
	assert_int_equal(write(sv[0], "back", 4), 4);
	assert_int_equal(read(sv[1], b, sizeof(b)), 4);
	close(sv[0]);
	close(sv[1]);
}

static void test_close_is_eof_with_hup(void **state)
{
	char b[4];
	int sv[2];

	(void)state;
	pair_up(sv);
	close(sv[1]);
	assert_int_equal(read(sv[0], b, sizeof(b)), 0);
	assert_true(pair_poll(sv[0], POLLIN) & POLLHUP);
	close(sv[0]);
}

static void test_data_before_close_is_still_delivered(void **state)
{
	char b[4];
	int sv[2];

	(void)state;
	pair_up(sv);
	assert_int_equal(write(sv[1], "last", 4), 4);
	close(sv[1]);
	assert_int_equal(read(sv[0], b, sizeof(b)), 4);
	assert_int_equal(read(sv[0], b, sizeof(b)), 0);
	close(sv[0]);
}

static void test_both_shut_down_is_hup_too(void **state)
{
	int sv[2];

	(void)state;
	pair_up(sv);
	assert_return_code(shutdown(sv[1], SHUT_WR), 0);
	assert_return_code(shutdown(sv[0], SHUT_WR), 0);
	assert_true(pair_poll(sv[0], POLLIN) & POLLHUP);
	close(sv[0]);
	close(sv[1]);
}

static void test_close_with_unread_data_is_econnreset(void **state)
{
	char b[4];
	int sv[2];

	(void)state;
	pair_up(sv);
	assert_int_equal(write(sv[0], "lost", 4), 4);
	close(sv[1]);
	assert_int_equal(read(sv[0], b, sizeof(b)), -1);
	assert_int_equal(errno, ECONNRESET);
	/* once, as for TCP */
	assert_int_equal(read(sv[0], b, sizeof(b)), 0);
	close(sv[0]);
}

/* What ASIDE_FIN relies on (ask.h). */
static void test_close_with_a_byte_unread_resets_a_half_closed_end(void **state)
{
	char b[8];
	int sv[2];

	(void)state;
	pair_up(sv);
	assert_int_equal(write(sv[0], "k", 1), 1);
	assert_return_code(shutdown(sv[0], SHUT_WR), 0);
	assert_int_equal(write(sv[1], "part", 4), 4);
	close(sv[1]);
	assert_true(pair_poll(sv[0], POLLIN) & POLLERR);
	assert_int_equal(read(sv[0], b, sizeof(b)), 4); /* data first */
	assert_int_equal(read(sv[0], b, sizeof(b)), -1);
	assert_int_equal(errno, ECONNRESET);
	close(sv[0]);
	/* read before, the same is an orderly end */
	pair_up(sv);
	assert_int_equal(write(sv[0], "k", 1), 1);
	assert_return_code(shutdown(sv[0], SHUT_WR), 0);
	assert_int_equal(pair_poll(sv[1], POLLRDHUP), POLLRDHUP);
	assert_int_equal(read(sv[1], b, sizeof(b)), 1);
	close(sv[1]);
	assert_false(pair_poll(sv[0], POLLIN) & POLLERR);
	assert_int_equal(read(sv[0], b, sizeof(b)), 0);
	close(sv[0]);
}

static void send_with_descriptor(int fd, const char *byte)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(fd, &msg, 0), 1);
}

/* A read takes what is before a message with descriptors together with it, and stops there. */
static void test_a_read_ends_behind_a_descriptor(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char b[16];
	struct iovec iov = {b, sizeof(b)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	int sv[2], fd;

	(void)state;
	pair_up(sv);
	assert_int_equal(write(sv[0], "ab", 2), 2);
	assert_int_equal(write(sv[0], "c", 1), 1);
	send_with_descriptor(sv[0], "M");
	assert_int_equal(write(sv[0], "k", 1), 1);
	assert_int_equal(recvmsg(sv[1], &msg, 0), 4);
	assert_memory_equal(b, "abcM", 4);
	assert_true(msg.msg_controllen > 0);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	close(fd);
	assert_int_equal(read(sv[1], b, sizeof(b)), 1);
	assert_int_equal(b[0], 'k');
	close(sv[0]);
	close(sv[1]);
}

static void test_write_after_close_is_epipe(void **state)
{
	int sv[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	pair_up(sv);
	close(sv[1]);
	assert_int_equal(write(sv[0], "x", 1), -1);
	assert_int_equal(errno, EPIPE);
	close(sv[0]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shutdown_is_eof_without_hup),
		cmocka_unit_test(test_half_closed_stream_still_carries_the_other_way),
		cmocka_unit_test(test_close_is_eof_with_hup),
		cmocka_unit_test(test_data_before_close_is_still_delivered),
		cmocka_unit_test(test_both_shut_down_is_hup_too),
		cmocka_unit_test(test_close_with_unread_data_is_econnreset),
		cmocka_unit_test(test_close_with_a_byte_unread_resets_a_half_closed_end),
		cmocka_unit_test(test_a_read_ends_behind_a_descriptor),
		cmocka_unit_test(test_write_after_close_is_epipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

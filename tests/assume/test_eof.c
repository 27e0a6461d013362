/* SPDX-License-Identifier: MIT */
/* Assumption: FIN and reset can be told apart. shutdown(SHUT_WR) by one end is EOF without POLLHUP
 * at the other, which may go on writing; close by one end is EOF with POLLHUP; close with data
 * unread is ECONNRESET at once. Used by the shim's read family and the broker's stream module. */
#include "pair.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
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
		cmocka_unit_test(test_write_after_close_is_epipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

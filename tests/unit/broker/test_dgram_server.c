/* SPDX-License-Identifier: MIT */
/* Datagram sockets as connections to the broker: who may make and name them, their order, their
 * ends, and what abuse costs. */
#include "plane_world.h"
#include "skip.h"

#include <sys/resource.h>

static void test_nobody_speaks_for_an_unknown_socket(void **state)
{
	struct ask_request req;
	struct ask_reply rep;
	int a = app(0), pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	req = request(pair[0], ASK_DGRAM_BIND, IPPROTO_UDP, 0, "0.0.0.0:5");
	assert_int_equal(ask_host(0, &req, &rep), -EBADF);
	/* another host's socket neither */
	req = request(a, ASK_DGRAM_BIND, IPPROTO_UDP, 0, "0.0.0.0:5");
	assert_int_equal(ask_host(1, &req, &rep), -EBADF);
	close(pair[0]);
	close(pair[1]);
	close(a);
}

/* A question about the very connection that it comes by, and more behind it. */
static void test_question_about_itself(void **state)
{
	uint8_t in[ASK_MAX], out[ASK_REPLY_MAX];
	struct ask_reply rep;
	int b = server(0, "0.0.0.0:7"), a = app(0);

	(void)state;
	for (int op = ASK_DGRAM_BIND; op <= ASK_DGRAM_OPTION; op++) {
		int asker = app(0);
		struct ask_request req = request(asker, op, IPPROTO_UDP, 0, "0.0.0.0:0");
		ssize_t n;

		req.option = ASK_OPT_RECVERR;
		n = ask_encode_request(&req, in, sizeof(in));
		assert_true(n > 0);
		assert_int_equal(send(asker, in, (size_t)n, 0), n);
		(void)!send(asker, "\xff\xff", 2, MSG_NOSIGNAL);
		n = recv(asker, out, sizeof(out), 0);
		if (n > 0) {
			assert_int_equal(ask_decode_reply(out, (size_t)n, &rep), 0);
			assert_int_equal(rep.err, EBADF);
		}
		close(asker);
	}
	send_to(a, "127.0.0.1:7", "alive", 5);
	expect_text(b, "alive", NULL);
	close(a);
	close(b);
}

static void test_garbage_costs_its_sender_the_socket(void **state)
{
	uint8_t buf[DGRAM_HEAD];
	struct dgram_head head = {.kind = DGRAM_DATA};
	int a = app(0), b = app(0), c = server(0, "0.0.0.0:7");

	(void)state;
	assert_int_equal(send(a, "\xff\xff", 2, 0), 2);
	assert_int_equal(receive(a, &head, buf, 0), -1);
	send_to(b, "127.0.0.1:7", "good", 4);
	expect_text(c, "good", NULL);
	head.kind = DGRAM_ERROR;
	head.err = 1;
	dgram_head_encode(&head, buf);
	assert_int_equal(send(b, buf, sizeof(buf), 0), sizeof(buf));
	assert_int_equal(receive(b, &head, buf, 0), -1);
	assert_int_equal(send(c, "D", 1, 0), 1);
	assert_int_equal(receive(c, &head, buf, 0), -1);
	close(a);
	close(b);
	close(c);
}

static void test_slow_receiver_loses_its_own_only(void **state)
{
	enum { N = 4000 };
	int a = app(0), slow = server(1, "0.0.0.0:1"), quick = server(1, "0.0.0.0:2");
	uint8_t block[1200] = {0};
	size_t kept = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		send_to(a, "10.7.0.2:1", block, sizeof(block));
		if (i % 50 == 0) {
			send_to(a, "10.7.0.2:2", "tick", 4);
			expect_text(quick, "tick", NULL);
		}
	}
	while (readable(slow, QUIET_MS)) {
		struct dgram_head head;

		assert_int_equal(receive(slow, &head, block, sizeof(block)), sizeof(block));
		kept++;
	}
	assert_true(kept > 0 && kept < N);
	send_to(a, "10.7.0.2:1", "again", 5);
	expect_text(slow, "again", NULL);
	close(a);
	close(slow);
	close(quick);
}

static void test_shutdown(void **state)
{
	struct dgram_head head;
	char buf[8];
	int a = app(0), b = server(1, "0.0.0.0:7");

	(void)state;
	assert_int_equal(app_option(0, a, ASK_OPT_SHUTDOWN, SHUT_WR, NULL), -ENOTCONN);
	assert_int_equal(app_connect(0, a, 0, "10.7.0.2:7"), 0);
	assert_int_equal(app_option(0, a, ASK_OPT_SHUTDOWN, SHUT_RD, NULL), 0);
	assert_int_equal(receive(a, &head, buf, sizeof(buf)), -1);
	assert_int_equal(app_option(0, a, ASK_OPT_SHUTDOWN, 7, NULL), -EINVAL);
	close(a);
	close(b);
}

static void test_portspace_gone_closes_its_sockets(void **state)
{
	struct dgram_head head;
	char buf[8];
	int a = server(0, "0.0.0.0:7"), b = app(0);

	(void)state;
	portspace_remove(hosts[0].f->core, hosts[0].ps);
	assert_int_equal(receive(a, &head, buf, sizeof(buf)), -1);
	assert_int_equal(receive(b, &head, buf, sizeof(buf)), -1);
	close(a);
	close(b);
}

static void test_process_outside_is_refused(void **state)
{
	struct dgram_head head;
	char buf[8];
	int fd;

	(void)state;
	portspace_leave(hosts[0].f->core, hosts[0].ps, getpid());
	fd = app(0);
	assert_int_equal(receive(fd, &head, buf, sizeof(buf)), -1);
	close(fd);
}

static void test_quota_of_a_process(void **state)
{
	enum { MOST = 4096 };
	static int fds[MOST];
	struct dgram_head head;
	struct rlimit limit;
	char buf[8];
	int more, have = 0;

	(void)state;
	/* both ends are in this process */
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < 2 * MOST + 256)
		skip_test(
			"no more than %ju descriptors (RLIMIT_NOFILE)", (uintmax_t)limit.rlim_max);
	while (have < MOST)
		fds[have++] = app(0);
	more = app(0);
	assert_int_equal(receive(more, &head, buf, sizeof(buf)), -1);
	close(more);
	while (have > 0)
		close(fds[--have]);
	more = server(0, "0.0.0.0:7"); /* the places are free again */
	close(more);
}

static void test_order_of_sends_and_questions(void **state)
{
	int a = app(0), one = server(1, "0.0.0.0:1"), two = server(1, "0.0.0.0:2");

	(void)state;
	for (int i = 0; i < 200; i++) {
		assert_int_equal(app_connect(0, a, 0, "10.7.0.2:1"), 0);
		send_to(a, NULL, "to one", 6);
		assert_int_equal(app_connect(0, a, 0, "10.7.0.2:2"), 0);
		send_to(a, NULL, "to two", 6);
		expect_text(one, "to one", NULL);
		expect_text(two, "to two", NULL);
	}
	close(a);
	close(one);
	close(two);
}

static void test_sent_before_close_is_sent(void **state)
{
	int a = app(0), b = server(1, "0.0.0.0:7");

	(void)state;
	send_to(a, "10.7.0.2:7", "last words", 10);
	close(a);
	expect_text(b, "last words", NULL);
	close(b);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nobody_speaks_for_an_unknown_socket),
		T(test_question_about_itself),
		T(test_garbage_costs_its_sender_the_socket),
		T(test_slow_receiver_loses_its_own_only),
		T(test_shutdown),
		T(test_portspace_gone_closes_its_sockets),
		T(test_process_outside_is_refused),
		T(test_quota_of_a_process),
		T(test_order_of_sends_and_questions),
		T(test_sent_before_close_is_sent),
	};

	return skip_run_group_tests(tests, NULL, NULL);
}

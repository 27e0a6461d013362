/* SPDX-License-Identifier: MIT */
/* RUNTIME/route: members and strangers, readers that are slow, garbage, news. */
#include "server_world.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

#include "fdmsg.h"
#include "netlink.h"
#include "netlink_server.h"
#include "nlreq.h"

enum { MANY = 1000, LINKS = 12 }; /* prefixes of a link; more than a socket's buffer holds */

struct bench {
	struct fixture *f;
	uv_loop_t loop;
	struct netlink_server *server;
	struct portspace *ps;
	char path[64];
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	fixture_setup((void **)&b->f);
	assert_int_equal(uv_loop_init(&b->loop), 0);
	snprintf(b->path, sizeof(b->path), "%s/route", b->f->rt);
	assert_int_equal(netlink_server_new(&b->loop, b->f->core, b->path, &b->server), 0);
	b->ps = make_portspace(b->f, "work", "10.77.0.1/24");
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	netlink_server_close(b->server);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	fixture_teardown((void **)&b->f);
	free(b);
	return 0;
}

static int connected(struct bench *b)
{
	int fd;

	assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET | SOCK_NONBLOCK, &fd), 0);
	return fd;
}

/* Sends a dump request as the shim does; groups go with it. */
static void ask_dump(int fd, uint16_t type, const struct nlreq *req)
{
	_Alignas(8) uint8_t buf[NLREQ_PADDED] = {0};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf + NLREQ_HEAD);

	nlreq_encode(req, buf);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = 3;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct rtgenmsg));
	assert_int_equal(send(fd, buf, sizeof(buf), MSG_NOSIGNAL), sizeof(buf));
}

/* Reads a dump to its end, slowly; the number of its messages. */
static unsigned read_dump(struct bench *b, int fd, uint32_t portid)
{
	_Alignas(8) uint8_t buf[8192];
	unsigned count = 0;

	for (;;) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
		int len;

		run_until(&b->loop, fd, POLLIN);
		len = (int)recv(fd, buf, sizeof(buf), 0);
		assert_true(len > 0);
		for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
			assert_int_equal(nlh->nlmsg_pid, portid);
			if (nlh->nlmsg_type == NLMSG_DONE)
				return count;
			count++;
		}
	}
}

static void test_a_member_sees_its_portspace_and_a_stranger_nothing(void **state)
{
	const struct nlreq req = {.portid = 4711};
	struct bench *b = *state;
	int fd = connected(b);
	char c;

	run_until(&b->loop, fd, POLLIN);
	assert_int_equal(recv(fd, &c, 1, 0), 0);
	close(fd);
	enter_self(b->ps);
	make_link(b->ps, "home", "10.1.0.0/16", NULL);
	fd = connected(b);
	ask_dump(fd, RTM_GETLINK, &req);
	assert_int_equal(read_dump(b, fd, 4711), 2);
	ask_dump(fd, RTM_GETADDR, &req);
	assert_int_equal(read_dump(b, fd, 4711), 3);
	close(fd);
}

static void add_many(struct bench *b)
{
	for (int i = 0; i < LINKS; i++) {
		struct config *config = portspace_config(b->ps);
		struct config_peer *peer;
		struct prefix prefix;
		char text[32];
		struct key key;

		randombytes_buf(&key, sizeof(key));
		assert_non_null(config);
		assert_int_equal(config_add_peer(config, &key, &peer), 0);
		snprintf(peer->name, sizeof(peer->name), "l%d", i);
		for (int k = 0; k < MANY; k++) {
			snprintf(text, sizeof(text), "10.%d.%d.%d/32", i + 1, k / 250, k % 250);
			assert_int_equal(prefix_parse(text, &prefix), 0);
			assert_int_equal(config_add_allowed(peer, &prefix), 0);
		}
		assert_int_equal(link_add(b->ps, peer, NULL), 0);
		portspace_set_config(b->ps, config);
	}
}

/* As many dumps as one send may ask for. */
static void ask_dumps(int fd, unsigned n)
{
	_Alignas(8) uint8_t buf[NLREQ_PADDED] = {0};
	const struct nlreq req = {.portid = 1};
	uint8_t *at = buf + NLREQ_HEAD;

	nlreq_encode(&req, buf);
	for (unsigned i = 0; i < n; i++) {
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(at);

		nlh->nlmsg_type = RTM_GETROUTE;
		nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
		mnl_nlmsg_put_extra_header(nlh, sizeof(struct rtgenmsg));
		at += MNL_ALIGN(nlh->nlmsg_len);
	}
	assert_int_equal(send(fd, buf, sizeof(buf), MSG_NOSIGNAL), sizeof(buf));
}

static void test_what_a_process_does_not_read_is_bounded(void **state)
{
	enum { CONNECTIONS = 12, DUMPS = 8 };
	_Alignas(8) uint8_t buf[8192];
	struct bench *b = *state;
	int fd[CONNECTIONS], err = 0;
	size_t all = 0;

	enter_self(b->ps);
	add_many(b);
	for (int i = 0; i < CONNECTIONS; i++) {
		fd[i] = connected(b);
		ask_dumps(fd[i], DUMPS);
		run_until(&b->loop, fd[i], POLLIN);
	}
	/* all that waits is read */
	for (int i = 0; i < CONNECTIONS; i++)
		for (unsigned ends = 0; ends < DUMPS;) {
			const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
			int len;

			run_until(&b->loop, fd[i], POLLIN);
			len = (int)recv(fd[i], buf, sizeof(buf), 0);
			assert_true(len > 0);
			all += (size_t)len;
			for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
				ends += nlh->nlmsg_type == NLMSG_DONE ||
					nlh->nlmsg_type == NLMSG_ERROR;
				if (nlh->nlmsg_type == NLMSG_ERROR)
					memcpy(&err, mnl_nlmsg_get_payload(nlh), sizeof(err));
			}
		}
	assert_int_equal(err, -ENOBUFS);
	assert_true(all < NETLINK_OUT_MAX + CONNECTIONS * (1 << 20));
	for (int i = 0; i < CONNECTIONS; i++)
		close(fd[i]);
}

static void test_a_slow_reader_gets_everything(void **state)
{
	const struct nlreq req = {.portid = 1};
	struct bench *b = *state;
	int fd, other;

	enter_self(b->ps);
	add_many(b);
	fd = connected(b);
	other = connected(b);
	ask_dump(fd, RTM_GETROUTE, &req);
	run_until(&b->loop, fd, POLLIN | POLLOUT);
	for (int i = 0; i < 10; i++)
		uv_run(&b->loop, UV_RUN_NOWAIT);
	/* its buffer is full; others do not wait for it, and it may ask again meanwhile */
	ask_dump(other, RTM_GETLINK, &req);
	assert_int_equal(read_dump(b, other, 1), 1 + LINKS);
	ask_dump(fd, RTM_GETRULE, &req);
	/* and the own addresses, one for each interface that has it */
	assert_int_equal(read_dump(b, fd, 1), LINKS * MANY + 2 + LINKS);
	assert_int_equal(read_dump(b, fd, 1), 5);
	close(fd);
	close(other);
}

static void test_a_reader_that_leaves_in_between_is_forgotten(void **state)
{
	const struct nlreq req = {.portid = 1};
	struct bench *b = *state;
	int fd;

	enter_self(b->ps);
	add_many(b);
	for (int i = 0; i < 3; i++) {
		fd = connected(b);
		ask_dump(fd, RTM_GETROUTE, &req);
		run_until(&b->loop, fd, POLLIN);
		close(fd);
		uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	fd = connected(b);
	ask_dump(fd, RTM_GETLINK, &req);
	assert_int_equal(read_dump(b, fd, 1), 1 + LINKS);
	close(fd);
}

static void test_garbage_gets_no_answer_and_the_next_request_one(void **state)
{
	const struct nlreq req = {.portid = 1};
	struct bench *b = *state;
	uint8_t buf[NLREQ_MAX + 4096];
	int fd;

	enter_self(b->ps);
	fd = connected(b);
	for (size_t len = 1; len <= sizeof(buf); len += 1 + len / 3) {
		randombytes_buf(buf, len);
		buf[0] &= 0x0f; /* no length that fits, and no request: the flags' first bit */
		if (len > 6)
			buf[6] &= 0xfa;
		assert_int_equal(send(fd, buf, len, MSG_NOSIGNAL), (ssize_t)len);
		uv_run(&b->loop, UV_RUN_NOWAIT);
		uv_run(&b->loop, UV_RUN_NOWAIT);
		assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), -1);
	}
	ask_dump(fd, RTM_GETLINK, &req);
	assert_int_equal(read_dump(b, fd, 1), 1);
	close(fd);
}

static void test_connections_of_a_process_are_bounded(void **state)
{
	struct bench *b = *state;
	int fd[NETLINK_PID_MAX + 1];
	char c;

	enter_self(b->ps);
	for (int i = 0; i <= NETLINK_PID_MAX; i++)
		fd[i] = connected(b);
	run_until(&b->loop, fd[NETLINK_PID_MAX], POLLIN);
	assert_int_equal(recv(fd[NETLINK_PID_MAX], &c, 1, 0), 0);
	assert_int_equal(recv(fd[0], &c, 1, MSG_DONTWAIT), -1);
	for (int i = 0; i <= NETLINK_PID_MAX; i++)
		close(fd[i]);
}

static void test_news_of_links_and_the_end_of_the_portspace(void **state)
{
	const struct nlreq member = {
		.portid = 9, .flags = NLREQ_SET_GROUPS, .groups = 1U << (RTNLGRP_LINK - 1)};
	const struct nlreq other = {.portid = 8};
	struct bench *b = *state;
	_Alignas(8) uint8_t buf[4096];
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
	struct link *link;
	int fd, quiet;

	enter_self(b->ps);
	fd = connected(b);
	quiet = connected(b);
	ask_dump(fd, RTM_GETLINK, &member);
	ask_dump(quiet, RTM_GETLINK, &other);
	assert_int_equal(read_dump(b, fd, 9), 1);
	assert_int_equal(read_dump(b, quiet, 8), 1);
	link = make_link(b->ps, "home", "10.1.0.0/16", NULL);
	netlink_server_link_changed(b->server, link);
	assert_true(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
	assert_int_equal(nlh->nlmsg_type, RTM_NEWLINK);
	link_ref(link);
	link_remove(link);
	netlink_server_link_changed(b->server, link);
	link_unref(link);
	assert_true(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
	assert_int_equal(nlh->nlmsg_type, RTM_DELLINK);
	assert_int_equal(recv(quiet, buf, sizeof(buf), MSG_DONTWAIT), -1);
	netlink_server_portspace_gone(b->server, b->ps);
	run_until(&b->loop, fd, POLLIN);
	assert_int_equal(recv(fd, buf, sizeof(buf), 0), 0);
	close(fd);
	close(quiet);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_a_member_sees_its_portspace_and_a_stranger_nothing),
		T(test_what_a_process_does_not_read_is_bounded),
		T(test_a_slow_reader_gets_everything),
		T(test_a_reader_that_leaves_in_between_is_forgotten),
		T(test_garbage_gets_no_answer_and_the_next_request_one),
		T(test_connections_of_a_process_are_bounded),
		T(test_news_of_links_and_the_end_of_the_portspace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

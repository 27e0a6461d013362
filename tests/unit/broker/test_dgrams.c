/* SPDX-License-Identifier: MIT */
/* Datagram sockets of applications, between hosts and inside one. */
#include "plane_world.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

static void test_echo_between_hosts(void **state)
{
	int a = app(0), b = server(1, "0.0.0.0:7");
	struct dgram_head head;

	(void)state;
	send_to(a, "10.7.0.2:7", "hello", 5);
	answer(b);
	expect_text(a, "hello", &head);
	expect_endpoint(&head.src, "10.7.0.2:7");
	assert_int_equal(head.ttl, 64);
	assert_int_equal(head.ifindex, 2);
	close(a);
	close(b);
}

static void test_echo_over_ipv6(void **state)
{
	int a = app(0), b = server(1, "[::]:7");
	struct dgram_head head;

	(void)state;
	send_to(a, "[fd07::2]:7", "six", 3);
	answer(b);
	expect_text(a, "six", &head);
	expect_endpoint(&head.src, "[fd07::2]:7");
	close(a);
	close(b);
}

static void test_dual_stack_socket_takes_ipv4(void **state)
{
	int a = app(0), b = server(1, "[::]:7");
	struct dgram_head head;

	(void)state;
	send_to(a, "10.7.0.2:7", "four", 4);
	expect_text(b, "four", &head);
	expect_endpoint(&head.dst, "10.7.0.2:7");
	close(a);
	close(b);
}

static void test_v6only_socket_takes_no_ipv4(void **state)
{
	int a = app(0), b = app(1);

	(void)state;
	assert_int_equal(app_bind(1, b, ASK_V6 | ASK_V6ONLY, "[::]:7", NULL), 0);
	assert_int_equal(app_connect(0, a, 0, "10.7.0.2:7"), 0);
	send_to(a, NULL, "four", 4);
	expect_error(a, ECONNREFUSED, NULL);
	expect_quiet(b);
	close(a);
	close(b);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {0, 1, 1392, 1393, 9000, 65507};
	static uint8_t out[DGRAM_PAYLOAD_MAX], in[DGRAM_PAYLOAD_MAX];
	int a = app(0), b = server(1, "0.0.0.0:7");

	(void)state;
	randombytes_buf(out, sizeof(out));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct dgram_head head;

		send_to(a, "10.7.0.2:7", out, sizes[i]);
		answer(b);
		assert_int_equal(receive(a, &head, in, sizeof(in)), sizes[i]);
		assert_int_equal(head.kind, DGRAM_DATA);
		assert_memory_equal(in, out, sizes[i]);
	}
	close(a);
	close(b);
}

static void test_too_long_is_reported(void **state)
{
	static uint8_t out[DGRAM_PAYLOAD_MAX];
	struct dgram_head head = {.kind = DGRAM_DATA,
		.flags = DGRAM_HAS_DST | DGRAM_DONTFRAG,
		.dst = endpoint("10.7.0.2:7")};
	int a = app(0);

	(void)state;
	send_to(a, "10.7.0.2:7", out, 65508);
	expect_error(a, EMSGSIZE, NULL);
	send_head(a, &head, out, 1393);
	expect_error(a, EMSGSIZE, &head);
	assert_int_equal(head.info, 1420);
	close(a);
}

static void test_inside_one_portspace(void **state)
{
	static const char *const to[] = {"10.7.0.1:7", "127.0.0.1:7", "127.1.2.3:7"};
	int a = app(0), b = server(0, "0.0.0.0:7");

	(void)state;
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct dgram_head head;

		send_to(a, to[i], "near", 4);
		answer(b);
		expect_text(a, "near", &head);
		assert_int_equal(head.ifindex, 1);
		/* who is wildcard answers from its own choice, as Linux */
		assert_true(is_address(&head.dst.addr, to[i]) || i == 2);
	}
	close(a);
	close(b);
}

static void test_loopback_does_not_leave(void **state)
{
	int a = app(0), b = server(1, "0.0.0.0:7");
	struct dgram_head head = {.kind = DGRAM_DATA,
		.flags = DGRAM_HAS_DST | DGRAM_HAS_SRC,
		.src = endpoint("127.0.0.1:0"),
		.dst = endpoint("10.7.0.2:7")};

	(void)state;
	send_to(a, "127.0.0.1:7", "x", 1);
	send_head(a, &head, "x", 1);
	expect_error(a, EINVAL, NULL);
	expect_quiet(b);
	close(a);
	close(b);
}

/* More members than one hand-over has room for, and one who wants no more. */
static void test_every_member_of_a_group_gets_each_datagram(void **state)
{
	enum { MEMBERS = 200, SENT = 3, SIZE = 60000 };
	static uint8_t out[SENT][SIZE], in[SIZE];
	int a = app(0), members[MEMBERS];
	struct dgram_head head;

	(void)state;
	randombytes_buf(out, sizeof(out));
	for (int i = 0; i < MEMBERS; i++) {
		members[i] = app(0);
		assert_int_equal(app_bind(0, members[i], ASK_REUSEADDR, "0.0.0.0:7", NULL), 0);
		assert_int_equal(app_option(0, members[i], ASK_OPT_JOIN, 0, "239.1.2.3"), 0);
	}
	/* the first in line: the newest */
	(void)app_option(0, members[MEMBERS - 1], ASK_OPT_SHUTDOWN, SHUT_RD, NULL);
	send_to(a, "127.0.0.1:7", "before", 6);
	for (int k = 0; k < SENT; k++)
		send_to(a, "239.1.2.3:7", out[k], SIZE);
	for (int i = 0; i < MEMBERS - 1; i++)
		for (int k = 0; k < SENT; k++) {
			assert_int_equal(receive(members[i], &head, in, sizeof(in)), SIZE);
			assert_memory_equal(in, out[k], SIZE);
		}
	for (int i = 0; i < MEMBERS; i++)
		close(members[i]);
	close(a);
}

static void test_foreign_source_is_refused(void **state)
{
	int a = app(0), b = server(1, "0.0.0.0:7");
	struct dgram_head head = {.kind = DGRAM_DATA,
		.flags = DGRAM_HAS_DST | DGRAM_HAS_SRC,
		.src = endpoint("10.7.0.9:0"),
		.dst = endpoint("10.7.0.2:7")};

	(void)state;
	send_head(a, &head, "x", 1);
	expect_error(a, EINVAL, NULL);
	expect_quiet(b);
	close(a);
	close(b);
}

static void test_no_route(void **state)
{
	int a = app(0);

	(void)state;
	send_to(a, "10.9.0.1:7", "x", 1);
	expect_error(a, ENETUNREACH, NULL);
	assert_int_equal(app_connect(0, a, 0, "10.9.0.1:7"), -ENETUNREACH);
	close(a);
}

static void test_refused_reaches_connected_sockets(void **state)
{
	static const char *const to[] = {"10.7.0.2:9", "10.7.0.1:9", "127.0.0.1:9"};
	int a = app(0);

	(void)state;
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		struct dgram_head head;

		assert_int_equal(app_connect(0, a, 0, to[i]), 0);
		send_to(a, NULL, "anyone?", 7);
		expect_error(a, ECONNREFUSED, &head);
		expect_endpoint(&head.dst, to[i]);
		assert_int_equal(head.icmp_type, ICMP_DEST_UNREACH);
		assert_int_equal(head.icmp_code, ICMP_PORT_UNREACH);
	}
	close(a);
}

static void test_refused_is_silent_for_others(void **state)
{
	int a = app(0);

	(void)state;
	send_to(a, "10.7.0.2:9", "anyone?", 7);
	send_to(a, "127.0.0.1:9", "anyone?", 7);
	expect_quiet(a);
	close(a);
}

static void test_recverr_reports_what_was_sent(void **state)
{
	uint8_t buf[DGRAM_QUOTE_MAX];
	struct dgram_head head;
	int a = app(0);

	(void)state;
	assert_int_equal(app_option(0, a, ASK_OPT_RECVERR, 1, NULL), 0);
	send_to(a, "10.7.0.2:9", "anyone?", 7);
	assert_int_equal(receive(a, &head, buf, sizeof(buf)), 7);
	assert_int_equal(head.err, ECONNREFUSED);
	assert_memory_equal(buf, "anyone?", 7);
	assert_true(is_address(&head.offender, "10.7.0.2:0"));
	close(a);
}

static void test_forwarded_by_the_middle(void **state)
{
	int a = app(0), c = server(2, "0.0.0.0:7");
	struct dgram_head head;

	(void)state;
	send_to(a, "10.7.0.3:7", "far", 3);
	expect_text(c, "far", &head);
	assert_int_equal(head.ttl, 63);
	expect_endpoint(&head.dst, "10.7.0.3:7");
	head = (struct dgram_head){.kind = DGRAM_DATA, .flags = DGRAM_HAS_DST, .dst = head.src};
	send_head(c, &head, "back", 4);
	expect_text(a, "back", NULL);
	close(a);
	close(c);
}

static void test_ttl_ends_in_the_middle(void **state)
{
	struct dgram_head head = {.kind = DGRAM_DATA,
		.flags = DGRAM_HAS_DST | DGRAM_HAS_TTL,
		.ttl = 1,
		.dst = endpoint("10.7.0.3:33434")};
	int a = app(0);

	(void)state;
	assert_int_equal(app_option(0, a, ASK_OPT_RECVERR, 1, NULL), 0);
	send_head(a, &head, "probe", 5);
	expect_error(a, EHOSTUNREACH, &head);
	assert_int_equal(head.icmp_type, ICMP_TIME_EXCEEDED);
	assert_true(is_address(&head.offender, "10.7.0.2:0"));
	close(a);
}

static void test_ports_conflict(void **state)
{
	int a = app(0), b = app(0), c = app(0), d = app(0);

	(void)state;
	assert_int_equal(app_bind(0, a, 0, "10.7.0.1:53", NULL), 0);
	assert_int_equal(app_bind(0, b, 0, "0.0.0.0:53", NULL), -EADDRINUSE);
	assert_int_equal(app_bind(0, b, 0, "127.0.0.1:53", NULL), 0);
	assert_int_equal(app_bind(0, b, 0, "127.0.0.1:54", NULL), -EINVAL);
	assert_int_equal(app_bind(0, c, 0, "10.7.0.2:53", NULL), -EADDRNOTAVAIL);
	close(a);
	close(b);
	/* a port is free at once when its socket is closed */
	assert_int_equal(app_bind(0, c, ASK_REUSEADDR, "0.0.0.0:53", NULL), 0);
	assert_int_equal(app_bind(0, d, ASK_REUSEADDR, "0.0.0.0:53", NULL), 0);
	close(c);
	close(d);
}

static void test_reuseport_members_share_by_flow(void **state)
{
	enum { SENDERS = 64 };
	int a = app(0), b = app(0), from[SENDERS], got[2] = {0, 0};

	(void)state;
	assert_int_equal(app_bind(0, a, ASK_REUSEPORT, "0.0.0.0:53", NULL), 0);
	assert_int_equal(app_bind(0, b, ASK_REUSEPORT, "0.0.0.0:53", NULL), 0);
	for (int i = 0; i < SENDERS; i++) {
		from[i] = app(0);
		send_to(from[i], "127.0.0.1:53", "q", 1);
		send_to(from[i], "127.0.0.1:53", "q", 1);
	}
	for (int i = 0; i < 2 * SENDERS; i++) {
		struct pollfd pfd[2] = {{.fd = a, .events = POLLIN}, {.fd = b, .events = POLLIN}};

		assert_true(poll(pfd, 2, WAIT_MS) > 0);
		expect_text(pfd[0].revents ? a : b, "q", NULL);
		got[pfd[0].revents ? 0 : 1]++;
	}
	assert_int_equal(got[0] % 2, 0); /* the same flow, the same socket */
	assert_true(got[0] > 0 && got[1] > 0);
	for (int i = 0; i < SENDERS; i++)
		close(from[i]);
	close(a);
	close(b);
}

static void test_connected_socket_hears_its_peer_only(void **state)
{
	int a = app(0), other = app(0), b = app(1);
	struct endpoint at;

	(void)state;
	assert_int_equal(app_bind(1, b, 0, "0.0.0.0:7", NULL), 0);
	assert_int_equal(app_bind(0, a, 0, "10.7.0.1:1000", &at), 0);
	assert_int_equal(app_connect(1, b, 0, "10.7.0.1:1000"), 0);
	assert_int_equal(app_connect(0, other, 0, "10.7.0.2:7"), 0);
	send_to(other, NULL, "stranger", 8);
	expect_error(other, ECONNREFUSED, NULL);
	send_to(a, "10.7.0.2:7", "peer", 4);
	expect_text(b, "peer", NULL);
	expect_quiet(b);
	close(a);
	close(other);
	close(b);
}

static void test_connected_wins_over_wildcard(void **state)
{
	int a = app(0), wild = app(1), mine = app(1);
	struct dgram_head head;

	(void)state;
	assert_int_equal(app_bind(1, wild, ASK_REUSEADDR, "0.0.0.0:7", NULL), 0);
	assert_int_equal(app_bind(1, mine, ASK_REUSEADDR, "0.0.0.0:7", NULL), 0);
	send_to(a, "10.7.0.2:7", "one", 3);
	expect_text(mine, "one", &head); /* the newest of equals */
	assert_int_equal(app_bind(0, a, 0, "0.0.0.0:1", NULL), -EINVAL);
	char text[ENDPOINT_STRLEN];
	assert_int_equal(app_connect(1, wild, 0, endpoint_format(&head.src, text)), 0);
	send_to(a, "10.7.0.2:7", "two", 3);
	expect_text(wild, "two", NULL);
	close(a);
	close(wild);
	close(mine);
}

static void test_names(void **state)
{
	struct ask_request req;
	struct ask_reply rep;
	int a = app(0);

	(void)state;
	req = request(a, ASK_DGRAM_NAME, IPPROTO_UDP, 0, "0.0.0.0:0");
	assert_int_equal(ask_host(0, &req, &rep), 0);
	assert_int_equal(rep.local.port, 0);
	assert_int_equal(rep.peer.port, 0);
	assert_int_equal(app_connect(0, a, 0, "10.7.0.2:7"), 0);
	assert_int_equal(ask_host(0, &req, &rep), 0);
	assert_true(is_address(&rep.local.addr, "10.7.0.1:0"));
	assert_true(rep.local.port >= PORTTAB_EPHEMERAL_FIRST);
	expect_endpoint(&rep.peer, "10.7.0.2:7");
	/* the peer taken away: what connect chose goes too */
	assert_int_equal(app_connect(0, a, 0, "0.0.0.0:0"), 0);
	assert_int_equal(ask_host(0, &req, &rep), 0);
	assert_int_equal(rep.local.port, 0);
	assert_int_equal(rep.peer.port, 0);
	close(a);
}

static void test_bound_port_survives_disconnect(void **state)
{
	struct ask_request req;
	struct ask_reply rep;
	int a = app(0);

	(void)state;
	assert_int_equal(app_bind(0, a, 0, "0.0.0.0:1234", NULL), 0);
	assert_int_equal(app_connect(0, a, 0, "10.7.0.2:7"), 0);
	assert_int_equal(app_connect(0, a, 0, "0.0.0.0:0"), 0);
	req = request(a, ASK_DGRAM_NAME, IPPROTO_UDP, 0, "0.0.0.0:0");
	assert_int_equal(ask_host(0, &req, &rep), 0);
	expect_endpoint(&rep.local, "0.0.0.0:1234");
	close(a);
}

static size_t echo_message(uint8_t *p, uint8_t type, uint16_t id)
{
	memset(p, 0, 16);
	p[0] = type;
	p[4] = (uint8_t)(id >> 8);
	p[5] = (uint8_t)id;
	p[7] = 1;
	memcpy(p + 8, "pingpong", 8);
	return 16;
}

static void ping(const char *to, uint8_t proto, uint8_t request_type, uint8_t reply_type)
{
	uint8_t out[16], in[64];
	size_t n = echo_message(out, request_type, 4711);
	struct dgram_head head;
	struct ask_request req;
	struct ask_reply rep;
	int a = app(0);

	req = request(a, ASK_DGRAM_BIND, proto, proto == IPPROTO_ICMPV6 ? ASK_V6 : 0,
		proto == IPPROTO_ICMPV6 ? "[::]:0" : "0.0.0.0:0");
	assert_int_equal(ask_host(0, &req, &rep), 0);
	assert_int_not_equal(rep.local.port, 0);
	send_to(a, to, out, n);
	assert_int_equal(receive(a, &head, in, sizeof(in)), n);
	assert_int_equal(head.kind, DGRAM_DATA);
	assert_int_equal(in[0], reply_type);
	/* the identifier is the socket's, not what it wrote */
	assert_int_equal(in[4] << 8 | in[5], rep.local.port);
	assert_int_equal(head.dst.port, rep.local.port);
	assert_memory_equal(in + 6, out + 6, n - 6);
	close(a);
}

static void test_ping(void **state)
{
	(void)state;
	ping("10.7.0.2:0", IPPROTO_ICMP, ICMP_ECHO, ICMP_ECHOREPLY);
	ping("10.7.0.3:0", IPPROTO_ICMP, ICMP_ECHO, ICMP_ECHOREPLY);
	ping("10.7.0.1:0", IPPROTO_ICMP, ICMP_ECHO, ICMP_ECHOREPLY);
	ping("127.0.0.1:0", IPPROTO_ICMP, ICMP_ECHO, ICMP_ECHOREPLY);
}

static void test_ping6(void **state)
{
	(void)state;
	ping("[fd07::2]:0", IPPROTO_ICMPV6, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY);
	ping("[fd07::3]:0", IPPROTO_ICMPV6, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY);
	ping("[fd07::1]:0", IPPROTO_ICMPV6, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY);
	ping("[::1]:0", IPPROTO_ICMPV6, ICMP6_ECHO_REQUEST, ICMP6_ECHO_REPLY);
}

static void test_echo_socket_sends_requests_only(void **state)
{
	uint8_t out[16];
	size_t n = echo_message(out, ICMP_REDIRECT, 1);
	struct ask_request req;
	struct ask_reply rep;
	int a = app(0);

	(void)state;
	req = request(a, ASK_DGRAM_BIND, IPPROTO_ICMP, 0, "0.0.0.0:77");
	assert_int_equal(ask_host(0, &req, &rep), 0);
	assert_int_equal(rep.local.port, 77);
	send_to(a, "10.7.0.2:0", out, n);
	expect_error(a, EINVAL, NULL);
	close(a);
}

static void test_identifiers_conflict(void **state)
{
	struct ask_request req;
	struct ask_reply rep;
	int a = app(0), b = app(0);

	(void)state;
	req = request(a, ASK_DGRAM_BIND, IPPROTO_ICMP, 0, "0.0.0.0:77");
	assert_int_equal(ask_host(0, &req, &rep), 0);
	req = request(b, ASK_DGRAM_BIND, IPPROTO_ICMPV6, ASK_V6, "[::]:77");
	assert_int_equal(ask_host(0, &req, &rep), -EADDRINUSE);
	/* but not with a UDP port */
	close(b);
	b = server(0, "0.0.0.0:77");
	close(a);
	close(b);
}

static void test_members_of_a_group(void **state)
{
	int a = app(0), in = app(1), out = app(1), near = app(0);
	struct dgram_head head;

	(void)state;
	assert_int_equal(app_bind(1, in, ASK_REUSEADDR, "0.0.0.0:5353", NULL), 0);
	assert_int_equal(app_bind(1, out, ASK_REUSEADDR, "10.7.0.2:5353", NULL), 0);
	assert_int_equal(app_bind(0, near, 0, "0.0.0.0:5353", NULL), 0);
	assert_int_equal(app_option(1, in, ASK_OPT_JOIN, 0, "224.0.0.251"), 0);
	assert_int_equal(app_option(1, in, ASK_OPT_JOIN, 0, "224.0.0.251"), -EADDRINUSE);
	assert_int_equal(app_option(1, in, ASK_OPT_JOIN, 99, "224.0.0.1"), -ENODEV);
	assert_int_equal(app_option(1, in, ASK_OPT_JOIN, 0, "10.0.0.1"), -EINVAL);
	assert_int_equal(app_option(0, near, ASK_OPT_JOIN, 0, "224.0.0.251"), 0);
	send_to(a, "224.0.0.251:5353", "who?", 4);
	expect_text(in, "who?", &head);
	expect_endpoint(&head.dst, "224.0.0.251:5353");
	assert_int_equal(head.ttl, 1);
	expect_text(near, "who?", NULL);
	expect_quiet(out);
	assert_int_equal(app_option(1, in, ASK_OPT_LEAVE, 0, "224.0.0.251"), 0);
	assert_int_equal(app_option(1, in, ASK_OPT_LEAVE, 0, "224.0.0.251"), -EADDRNOTAVAIL);
	send_to(a, "224.0.0.251:5353", "who?", 4);
	expect_quiet(in);
	close(a);
	close(in);
	close(out);
	close(near);
}

static void test_broadcast_reaches_the_neighbour(void **state)
{
	int a = app(0), b = server(1, "0.0.0.0:67"), c = server(2, "0.0.0.0:67");

	(void)state;
	send_to(a, "255.255.255.255:67", "all", 3);
	expect_text(b, "all", NULL);
	expect_quiet(c);
	close(a);
	close(b);
	close(c);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_echo_between_hosts),
		T(test_echo_over_ipv6),
		T(test_dual_stack_socket_takes_ipv4),
		T(test_v6only_socket_takes_no_ipv4),
		T(test_sizes),
		T(test_too_long_is_reported),
		T(test_inside_one_portspace),
		T(test_loopback_does_not_leave),
		T(test_every_member_of_a_group_gets_each_datagram),
		T(test_foreign_source_is_refused),
		T(test_no_route),
		T(test_refused_reaches_connected_sockets),
		T(test_refused_is_silent_for_others),
		T(test_recverr_reports_what_was_sent),
		T(test_forwarded_by_the_middle),
		T(test_ttl_ends_in_the_middle),
		T(test_ports_conflict),
		T(test_reuseport_members_share_by_flow),
		T(test_connected_socket_hears_its_peer_only),
		T(test_connected_wins_over_wildcard),
		T(test_names),
		T(test_bound_port_survives_disconnect),
		T(test_ping),
		T(test_ping6),
		T(test_echo_socket_sends_requests_only),
		T(test_identifiers_conflict),
		T(test_members_of_a_group),
		T(test_broadcast_reaches_the_neighbour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

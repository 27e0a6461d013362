/* SPDX-License-Identifier: MIT */
/* Underlay sockets on the loopback interface, with and without segmentation offload, and with a
 * kernel that refuses. */
#include <sys/socket.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "skip.h"
#include "udpio_priv.h"

/* ---- a kernel that refuses: in place of libc's functions ---- */

static int fail_with;	     /* the next group calls fail so */
static unsigned fail_calls;  /* this many of them; the calls of single messages as well */
static bool fail_groups;     /* those with segments only */
static unsigned group_calls; /* calls with segments */

static bool has_segments(const struct msghdr *mh)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR((struct msghdr *)mh, c))
		if (c->cmsg_level == 17 && c->cmsg_type == 103)
			return true;
	return false;
}

static bool refuse(const struct msghdr *mh)
{
	if (has_segments(mh))
		group_calls++;
	if (fail_calls == 0 || (fail_groups && !has_segments(mh)))
		return false;
	fail_calls--;
	errno = fail_with;
	return true;
}

int sendmmsg(int fd, struct mmsghdr *mm, unsigned n, int flags)
{
	for (unsigned i = 0; i < n; i++)
		if (fail_calls > 0 && (!fail_groups || has_segments(&mm[i].msg_hdr))) {
			if (i == 0)
				return refuse(&mm[i].msg_hdr) ? -1 : 0;
			n = i; /* those before it leave */
		}
	for (unsigned i = 0; i < n; i++)
		group_calls += has_segments(&mm[i].msg_hdr);
	return (int)syscall(SYS_sendmmsg, fd, mm, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *mh, int flags)
{
	if (refuse(mh))
		return -1;
	return syscall(SYS_sendmsg, fd, mh, flags);
}

/* ---- two sockets ---- */

enum { GOT_MAX = 5000 };

struct end {
	struct udpio *io;
	struct endpoint at;
	struct {
		size_t len;
		uint32_t number;
		struct endpoint from;
	} got[GOT_MAX];
	size_t ngot;
	bool authentic;
	bool answer;
};

static uint8_t pattern(uint32_t number, size_t i)
{
	return (uint8_t)(number * 31 + i * 7 + (i >> 8));
}

static size_t make(uint8_t *msg, uint32_t number, size_t len)
{
	for (size_t i = 0; i < len; i++)
		msg[i] = pattern(number, i);
	if (len >= 4)
		memcpy(msg, &number, 4);
	return len;
}

static bool on_input(void *arg, const struct endpoint *from, uint8_t *msg, size_t len)
{
	struct end *end = arg;
	uint32_t number = 0;

	assert_true(end->ngot < GOT_MAX);
	if (len >= 4) {
		memcpy(&number, msg, 4);
		for (size_t i = 4; i < len; i++)
			assert_int_equal(msg[i], pattern(number, i));
	}
	end->got[end->ngot].len = len;
	end->got[end->ngot].number = number;
	end->got[end->ngot++].from = *from;
	if (end->answer)
		udpio_send(end->io, from, msg, len);
	/* The room that is promised, and the message itself. */
	memset(msg - UDPIO_HEADROOM, 0xaa, UDPIO_HEADROOM + len + UDPIO_TAILROOM);
	return end->authentic;
}

static void open_end(struct end *end, const char *at, bool no_gso, bool no_gro)
{
	struct udpio_config config = {
		.input = on_input, .arg = end, .no_gso = no_gso, .no_gro = no_gro};

	memset(end, 0, sizeof(*end));
	assert_int_equal(endpoint_parse(at, &config.at), 0);
	assert_int_equal(udpio_open(&config, &end->io), 0);
	udpio_bound(end->io, &end->at);
	assert_true(end->at.port != 0);
}

/* Until nothing more comes. */
static void drain(struct end *end)
{
	struct pollfd p = {.fd = udpio_fd(end->io), .events = POLLIN};

	/* The loopback interface delivers within the sender's call. */
	while (poll(&p, 1, 0) > 0)
		udpio_read(end->io, 4);
}

static void send_one(struct end *from, const struct endpoint *to, uint32_t number, size_t len)
{
	static uint8_t msg[UDPIO_MESSAGE_MAX + 1];

	udpio_send(from->io, to, msg, make(msg, number, len));
}

static uint64_t lost(const struct end *end)
{
	struct udpio_stats stats;

	udpio_stats(end->io, &stats);
	return stats.lost;
}

static void expect_numbers(const struct end *end, uint32_t first, size_t n)
{
	assert_int_equal(end->ngot, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(end->got[i].number, first + i);
}

/* ---- tests ---- */

static void all_sizes_arrive_with_and_without_offload(void **state)
{
	static const size_t sizes[] = {1400, 1400, 1400, 700, 1400, 32, 32, 32, 32, 4, 65507, 1200,
		1201, 1200, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 9000, 1};
	static const char *const at[] = {"127.0.0.1:0", "[::1]:0"};
	const size_t n = sizeof(sizes) / sizeof(sizes[0]);
	static struct end a, b;

	(void)state;
	for (unsigned mode = 0; mode < 8; mode++) {
		open_end(&a, at[mode / 4], mode & 1, mode & 1);
		open_end(&b, at[mode / 4], mode & 2, mode & 2);
		for (uint32_t i = 0; i < n; i++)
			send_one(&a, &b.at, i, sizes[i]);
		assert_true(udpio_flush(a.io));
		drain(&b);
		assert_int_equal(b.ngot, n);
		for (uint32_t i = 0; i < n; i++) {
			assert_int_equal(b.got[i].len, sizes[i]);
			if (sizes[i] >= 4)
				assert_int_equal(b.got[i].number, i);
			assert_true(endpoint_equal(&b.got[i].from, &a.at));
		}
		assert_int_equal(lost(&a), 0);
		udpio_close(a.io);
		udpio_close(b.io);
	}
}

static void empty_message_is_a_message(void **state)
{
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	send_one(&a, &b.at, 0, 0);
	send_one(&a, &b.at, 0, 0);
	send_one(&a, &b.at, 1, 100);
	send_one(&a, &b.at, 0, 0);
	assert_true(udpio_flush(a.io));
	drain(&b);
	assert_int_equal(b.ngot, 4);
	assert_int_equal(b.got[0].len + b.got[1].len + b.got[3].len, 0);
	assert_int_equal(b.got[2].len, 100);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void equal_sizes_share_one_call(void **state)
{
	struct udpio_stats sa, sb;
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	udpio_stats(a.io, &sa);
	udpio_stats(b.io, &sb);
	if (!sa.gso || !sb.gro) {
		udpio_close(a.io);
		udpio_close(b.io);
		skip_test("this kernel has no segmentation offload for UDP (GSO, GRO)");
	}
	group_calls = 0;
	for (uint32_t i = 0; i < 40; i++)
		send_one(&a, &b.at, i, 1400);
	send_one(&a, &b.at, 40, 100); /* ends the group */
	for (uint32_t i = 41; i < 50; i++)
		send_one(&a, &b.at, i, 100);
	assert_true(udpio_flush(a.io));
	drain(&b);
	expect_numbers(&b, 0, 50);
	assert_int_equal(group_calls, 2);
	udpio_stats(a.io, &sa);
	udpio_stats(b.io, &sb);
	assert_int_equal(sa.send_calls, 1);
	assert_int_equal(sa.sent, 50);
	assert_int_equal(sb.received, 50);
	assert_true(sb.receive_calls <= 2);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void order_to_each_destination_is_kept(void **state)
{
	static struct end a, b[3];

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	for (int i = 0; i < 3; i++)
		open_end(&b[i], "127.0.0.1:0", false, false);
	for (uint32_t i = 0; i < 900; i++) {
		send_one(&a, &b[i * 7 / 5 % 3].at, i, 300 + i % 11 / 7 * 100);
		if (i % 100 == 99) {
			assert_true(udpio_flush(a.io));
			for (int j = 0; j < 3; j++)
				drain(&b[j]);
		}
	}
	assert_int_equal(b[0].ngot + b[1].ngot + b[2].ngot, 900);
	for (int i = 0; i < 3; i++) {
		for (size_t j = 1; j < b[i].ngot; j++)
			assert_true(b[i].got[j].number > b[i].got[j - 1].number);
		udpio_close(b[i].io);
	}
	udpio_close(a.io);
}

/* What the callback sends back from its message is copied before its room is used again. */
static void answers_from_inside_the_callback(void **state)
{
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	b.answer = true;
	for (uint32_t i = 0; i < 500; i++)
		send_one(&a, &b.at, i, 60 + i / 50);
	assert_true(udpio_flush(a.io));
	drain(&b);
	assert_true(udpio_flush(b.io));
	drain(&a);
	expect_numbers(&b, 0, 500);
	expect_numbers(&a, 0, 500);
	udpio_close(a.io);
	udpio_close(b.io);
}

/* A socket on the wildcard is spoken to at 127.0.0.2. */
static void answers_leave_from_the_address_that_was_used(void **state)
{
	static struct end a, b;
	struct endpoint to, any;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "0.0.0.0:0", false, false);
	to = b.at;
	assert_int_equal(addr_parse("127.0.0.2", &to.addr), 0);
	any = to;
	assert_int_equal(addr_parse("127.0.0.1", &any.addr), 0);

	/* At once, whoever it is. */
	b.answer = true;
	send_one(&a, &to, 1, 100);
	assert_true(udpio_flush(a.io));
	drain(&b);
	assert_true(udpio_flush(b.io));
	drain(&a);
	assert_int_equal(a.ngot, 1);
	assert_true(endpoint_equal(&a.got[0].from, &to));
	/* Later only to who was authentic. */
	b.answer = false;
	send_one(&b, &a.at, 2, 100);
	assert_true(udpio_flush(b.io));
	drain(&a);
	assert_true(endpoint_equal(&a.got[1].from, &any));
	b.authentic = true;
	send_one(&a, &to, 3, 100);
	assert_true(udpio_flush(a.io));
	drain(&b);
	for (uint32_t i = 0; i < 5; i++)
		send_one(&b, &a.at, 10 + i, 100);
	assert_true(udpio_flush(b.io));
	drain(&a);
	assert_int_equal(a.ngot, 7);
	for (size_t i = 2; i < 7; i++)
		assert_true(endpoint_equal(&a.got[i].from, &to));
	udpio_close(a.io);
	udpio_close(b.io);
}

static void ipv6_wildcard_answers_and_takes_no_ipv4(void **state)
{
	static struct end a, b;
	struct endpoint to;

	(void)state;
	open_end(&a, "[::1]:0", false, false);
	open_end(&b, "[::]:0", false, false);
	b.answer = b.authentic = true;
	to = b.at;
	to.addr = addr_loopback6;
	for (uint32_t i = 0; i < 10; i++)
		send_one(&a, &to, i, 1000);
	assert_true(udpio_flush(a.io));
	drain(&b);
	assert_true(udpio_flush(b.io));
	drain(&a);
	expect_numbers(&a, 0, 10);
	assert_true(endpoint_equal(&a.got[0].from, &to));
	to.addr = addr_loopback4;
	send_one(&b, &to, 1, 10);
	assert_int_equal(lost(&b), 1);
	udpio_close(a.io);
	/* The same port is free for IPv4. */
	struct udpio_config config = {.at = to, .input = on_input, .arg = &a};
	assert_int_equal(udpio_open(&config, &a.io), 0);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void own_address_that_is_gone_is_forgotten(void **state)
{
	static struct end a, b;
	struct addr gone;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "0.0.0.0:0", false, false);
	assert_int_equal(addr_parse("192.0.2.77", &gone), 0);
	udpio_source_keep(b.io, &a.at, &gone);
	for (uint32_t i = 0; i < 5; i++)
		send_one(&b, &a.at, i, 500);
	assert_true(udpio_flush(b.io));
	drain(&a);
	expect_numbers(&a, 0, 5);
	assert_null(udpio_source_find(b.io, &a.at));
	assert_int_equal(lost(&b), 0);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void sources_are_bounded(void **state)
{
	struct endpoint peer = {.addr = addr_loopback4};
	static struct end a;

	(void)state;
	open_end(&a, "0.0.0.0:0", false, false);
	for (unsigned i = 0; i < UDPIO_SOURCES + 100; i++) {
		peer.port = (uint16_t)(1 + i);
		udpio_source_keep(a.io, &peer, &addr_loopback4);
	}
	assert_int_equal(HASH_COUNT(a.io->sources), UDPIO_SOURCES);
	assert_non_null(udpio_source_find(a.io, &peer));
	peer.port = 1;
	assert_null(udpio_source_find(a.io, &peer));
	udpio_close(a.io);
}

static void interface_without_checksums_switches_segments_off(void **state)
{
	struct udpio_stats stats;
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	udpio_stats(a.io, &stats);
	if (!stats.gso) {
		udpio_close(a.io);
		udpio_close(b.io);
		skip_test("this kernel has no segmentation offload for UDP (GSO)");
	}
	fail_with = EIO;
	fail_calls = 1;
	fail_groups = true;
	for (uint32_t i = 0; i < 20; i++)
		send_one(&a, &b.at, i, 1400);
	assert_true(udpio_flush(a.io));
	assert_int_equal(fail_calls, 0);
	udpio_stats(a.io, &stats);
	assert_false(stats.gso);
	for (uint32_t i = 20; i < 40; i++)
		send_one(&a, &b.at, i, 1400);
	group_calls = 0;
	assert_true(udpio_flush(a.io));
	assert_int_equal(group_calls, 0);
	drain(&b);
	expect_numbers(&b, 0, 40);
	assert_int_equal(lost(&a), 0);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void path_too_narrow_for_segments_gets_them_singly(void **state)
{
	struct udpio_stats stats;
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	udpio_stats(a.io, &stats);
	if (!stats.gso) {
		udpio_close(a.io);
		udpio_close(b.io);
		skip_test("this kernel has no segmentation offload for UDP (GSO)");
	}
	send_one(&a, &b.at, 0, 10);
	for (uint32_t i = 1; i < 21; i++)
		send_one(&a, &b.at, i, 1400);
	fail_with = EINVAL;
	fail_calls = 1;
	fail_groups = true;
	assert_true(udpio_flush(a.io));
	assert_int_equal(fail_calls, 0);
	drain(&b);
	expect_numbers(&b, 0, 21);
	udpio_stats(a.io, &stats);
	assert_true(stats.gso); /* others may still have them */
	udpio_close(a.io);
	udpio_close(b.io);
}

static void refused_message_does_not_stop_the_others(void **state)
{
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", true, true);
	open_end(&b, "127.0.0.1:0", true, true);
	for (uint32_t i = 0; i < 3; i++)
		send_one(&a, &b.at, i, 100);
	fail_with = ENETUNREACH;
	fail_calls = 1;
	fail_groups = false;
	assert_true(udpio_flush(a.io));
	drain(&b);
	expect_numbers(&b, 1, 2);
	assert_int_equal(lost(&a), 1);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void full_kernel_keeps_the_queue_and_then_loses_the_newest(void **state)
{
	static struct end a, b;
	uint32_t sent = 0;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	fail_with = EAGAIN;
	fail_calls = UINT32_MAX;
	fail_groups = false;
	for (uint32_t i = 0; i < 10; i++)
		send_one(&a, &b.at, sent++, 100);
	assert_false(udpio_flush(a.io));
	assert_int_equal(lost(&a), 0);
	while (lost(&a) == 0)
		send_one(&a, &b.at, sent, 100 + sent % 2), sent++;
	assert_true(sent > 11);
	assert_false(udpio_flush(a.io));
	fail_calls = 0;
	assert_true(udpio_flush(a.io));
	drain(&b);
	expect_numbers(&b, 0, sent - 1);
	/* And it goes on. */
	send_one(&a, &b.at, sent - 1, 100);
	assert_true(udpio_flush(a.io));
	drain(&b);
	expect_numbers(&b, 0, sent);
	udpio_close(a.io);
	udpio_close(b.io);
}

/* The kernel takes part of a group that goes singly, then no more. */
static void group_that_is_half_sent_continues_where_it_stopped(void **state)
{
	struct udpio_stats stats;
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	udpio_stats(a.io, &stats);
	if (!stats.gso) {
		udpio_close(a.io);
		udpio_close(b.io);
		skip_test("this kernel has no segmentation offload for UDP (GSO)");
	}
	for (uint32_t i = 0; i < 6; i++)
		send_one(&a, &b.at, i, i < 5 ? 200 : 50);
	fail_with = EINVAL;
	fail_calls = 1;
	fail_groups = true;
	/* As send_singly() leaves it after two messages and EAGAIN. */
	a.io->group[0].start += 400;
	a.io->group[0].len -= 400;
	a.io->group[0].count -= 2;
	assert_true(udpio_flush(a.io));
	drain(&b);
	expect_numbers(&b, 2, 4);
	assert_int_equal(b.got[3].len, 50);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void too_long_is_lost(void **state)
{
	static struct end a, b;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	open_end(&b, "127.0.0.1:0", false, false);
	send_one(&a, &b.at, 1, UDPIO_MESSAGE_MAX + 1);
	assert_int_equal(lost(&a), 1);
	assert_true(udpio_flush(a.io));
	assert_int_equal(udpio_read(b.io, 1), 0);
	udpio_close(a.io);
	udpio_close(b.io);
}

static void open_reports_what_is_wrong(void **state)
{
	struct udpio_config config = {.input = on_input};
	struct udpio *io;
	static struct end a;

	(void)state;
	open_end(&a, "127.0.0.1:0", false, false);
	config.at = a.at;
	assert_int_equal(udpio_open(&config, &io), -EADDRINUSE);
	assert_int_equal(endpoint_parse("192.0.2.1:0", &config.at), 0);
	assert_int_equal(udpio_open(&config, &io), -EADDRNOTAVAIL);
	udpio_close(NULL);
	udpio_close(a.io);
}

static int reset(void **state)
{
	(void)state;
	fail_calls = 0;
	fail_groups = false;
	return 0;
}

#define TEST(f) cmocka_unit_test_setup(f, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_sizes_arrive_with_and_without_offload),
		TEST(empty_message_is_a_message),
		TEST(equal_sizes_share_one_call),
		TEST(order_to_each_destination_is_kept),
		TEST(answers_from_inside_the_callback),
		TEST(answers_leave_from_the_address_that_was_used),
		TEST(ipv6_wildcard_answers_and_takes_no_ipv4),
		TEST(own_address_that_is_gone_is_forgotten),
		TEST(sources_are_bounded),
		TEST(interface_without_checksums_switches_segments_off),
		TEST(path_too_narrow_for_segments_gets_them_singly),
		TEST(refused_message_does_not_stop_the_others),
		TEST(full_kernel_keeps_the_queue_and_then_loses_the_newest),
		TEST(group_that_is_half_sent_continues_where_it_stopped),
		TEST(too_long_is_lost),
		TEST(open_reports_what_is_wrong),
	};

	return skip_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The local protocol's codec: each message there and back, cut at every byte, one byte too long,
 * and filled with garbage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>

#include "ask.h"

static struct endpoint endpoint(const char *text)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(text, &e), 0);
	return e;
}

static struct ask_request request(enum ask_op op)
{
	struct ask_request req = {.op = op};

	if (op <= ASK_LOCAL)
		req.proto = op == ASK_LEASE ? IPPROTO_UDP : IPPROTO_TCP;
	if (op == ASK_BIND || op == ASK_LISTEN) {
		req.flags = ASK_REUSEADDR | ASK_REUSEPORT | ASK_V6ONLY | ASK_V6;
		req.inode = 0x0102030405060708;
	}
	if (op == ASK_BIND || op == ASK_LISTEN || op == ASK_LOCAL || op == ASK_ADDR)
		req.local = endpoint("[2001:db8::1]:8080");
	if (op == ASK_NAME) {
		req.flags = ASK_NAME_V6;
		strcpy(req.name, "www.example.org");
	}
	if (op == ASK_DNS) {
		req.nquery = 17;
		memset(req.query, 0xd5, req.nquery);
		return req;
	}
	if (op == ASK_IFS)
		req.first = 300;
	if (op >= ASK_DGRAM_BIND) {
		req.proto = op == ASK_DGRAM_NAME ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		req.inode = 0x1112131415161718;
	}
	if (op == ASK_DGRAM_BIND || op == ASK_DGRAM_CONNECT)
		req.flags = ASK_V6;
	if (op >= ASK_DGRAM_BIND && op != ASK_DGRAM_NAME)
		req.local = endpoint("224.0.0.9:520");
	if (op == ASK_DGRAM_OPTION) {
		req.option = ASK_OPT_JOIN;
		req.value = 0x21222324;
	}
	return req;
}

static struct ask_reply reply(enum ask_op op)
{
	struct ask_reply rep = {.op = op};

	if (op <= ASK_LEASE)
		rep.port = 40000;
	if (op == ASK_LEASE)
		rep.count = 64;
	if (op == ASK_LISTEN || op == ASK_LOCAL)
		strcpy(rep.path, "/run/user/1000/persona/ps/1/tcp.any.80");
	if (op == ASK_NAME || op == ASK_ADDR)
		strcpy(rep.name, "www");
	if (op == ASK_NAME) {
		rep.naddr = 2;
		rep.addr[0] = addr_loopback4;
		rep.addr[1] = addr_loopback6;
	}
	if (op == ASK_IFS) {
		rep.count = 200;
		rep.nif = 2;
		rep.ifs[0] = (struct ask_if){.name = "lo", .index = 1, .flags = 0x49, .mtu = 65536};
		rep.ifs[1] = (struct ask_if){.name = "fifteencharname", .index = 2, .mtu = 1420};
	}
	if (op == ASK_DNS) {
		rep.answer = (const uint8_t *)"an answer";
		rep.nanswer = 9;
	}
	if (op >= ASK_DGRAM_BIND && op < ASK_DGRAM_OPTION)
		rep.local = endpoint("10.77.0.1:40000");
	if (op == ASK_DGRAM_NAME)
		rep.peer = endpoint("[2001:db8::1]:53");
	return rep;
}

static void assert_same_reply(const struct ask_reply *a, const struct ask_reply *b)
{
	assert_int_equal(a->op, b->op);
	assert_int_equal(a->err, b->err);
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->count, b->count);
	assert_string_equal(a->path, b->path);
	assert_string_equal(a->name, b->name);
	assert_true(endpoint_equal(&a->local, &b->local) && endpoint_equal(&a->peer, &b->peer));
	assert_int_equal(a->naddr, b->naddr);
	assert_memory_equal(a->addr, b->addr, sizeof(a->addr));
	assert_int_equal(a->nanswer, b->nanswer);
	if (a->nanswer)
		assert_memory_equal(a->answer, b->answer, a->nanswer);
	assert_int_equal(a->nif, b->nif);
	for (size_t i = 0; i < a->nif; i++) {
		assert_string_equal(a->ifs[i].name, b->ifs[i].name);
		assert_int_equal(a->ifs[i].index, b->ifs[i].index);
		assert_int_equal(a->ifs[i].flags, b->ifs[i].flags);
		assert_int_equal(a->ifs[i].mtu, b->ifs[i].mtu);
	}
}

static void requests_round_trip(void **state)
{
	(void)state;
	for (int op = ASK_BIND; op <= ASK_DNS; op++) {
		struct ask_request req = request(op), got;
		uint8_t buf[ASK_MAX];
		int len = ask_encode_request(&req, buf, sizeof(buf));

		assert_true(len >= 2);
		assert_int_equal(ask_decode_request(buf, (size_t)len, &got), 0);
		assert_int_equal(got.op, req.op);
		assert_int_equal(got.proto, req.proto);
		assert_int_equal(got.flags, req.flags);
		assert_true(endpoint_equal(&got.local, &req.local));
		assert_true(got.inode == req.inode);
		assert_int_equal(got.first, req.first);
		assert_int_equal(got.option, req.option);
		assert_int_equal(got.value, req.value);
		assert_string_equal(got.name, req.name);
		assert_int_equal(got.nquery, req.nquery);
		assert_memory_equal(got.query, req.query, sizeof(got.query));
	}
}

/* The buffer is exactly as long as the message, so that a read behind it is seen by ASan. */
static int decode_request(const uint8_t *buf, size_t len, struct ask_request *reqp)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, buf, len);
	r = ask_decode_request(copy, len, reqp);
	free(copy);
	return r;
}

/* What an answer points to stays until the next call. */
static int decode_reply(const uint8_t *buf, size_t len, struct ask_reply *repp)
{
	static uint8_t kept[ASK_DNS_MAX];
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, buf, len);
	r = ask_decode_reply(copy, len, repp);
	if (r == 0 && repp->answer) {
		assert_true(repp->answer + repp->nanswer == copy + len);
		memcpy(kept, repp->answer, repp->nanswer);
		repp->answer = kept;
	}
	free(copy);
	return r;
}

static void cut_and_long_requests_are_refused(void **state)
{
	(void)state;
	for (int op = ASK_BIND; op <= ASK_DNS; op++) {
		struct ask_request req = request(op), got = {.first = 77};
		uint8_t buf[ASK_MAX + 1] = {0};
		int len = ask_encode_request(&req, buf, ASK_MAX);

		for (int n = 0; n <= ASK_MAX + 1; n++)
			if (n != len)
				assert_int_equal(decode_request(buf, (size_t)n, &got), -EPROTO);
		assert_int_equal(got.first, 77); /* untouched */
		for (int cap = 0; cap < len; cap++)
			assert_int_equal(ask_encode_request(&req, buf, (size_t)cap), -EMSGSIZE);
	}
}

static void requests_with_bad_values_are_refused(void **state)
{
	struct ask_request req = request(ASK_BIND), got;
	uint8_t buf[ASK_MAX], bad[ASK_MAX];
	size_t len = (size_t)ask_encode_request(&req, buf, sizeof(buf));

	(void)state;
	memcpy(bad, buf, len);
	for (unsigned v = 0; v < 256; v++) {
		bad[0] = (uint8_t)v;
		assert_int_equal(decode_request(bad, len, &got), v == ASK_VERSION ? 0 : -EPROTO);
	}
	bad[0] = ASK_VERSION;
	for (unsigned op = 0; op < 256; op++) {
		bad[1] = (uint8_t)op;
		assert_int_equal(decode_request(bad, len, &got),
			op == ASK_BIND || op == ASK_LISTEN ? 0 : -EPROTO);
	}
	bad[1] = ASK_BIND;
	for (unsigned proto = 0; proto < 256; proto++) {
		bad[2] = (uint8_t)proto;
		assert_int_equal(decode_request(bad, len, &got),
			proto == IPPROTO_TCP || proto == IPPROTO_UDP ? 0 : -EPROTO);
	}
	bad[2] = IPPROTO_TCP;
	for (unsigned flags = 0; flags < 256; flags++) {
		bad[3] = (uint8_t)flags;
		assert_int_equal(decode_request(bad, len, &got), flags < 16 ? 0 : -EPROTO);
	}
}

static void datagram_requests_with_bad_values_are_refused(void **state)
{
	struct ask_request got;
	uint8_t buf[ASK_MAX];

	(void)state;
	for (int op = ASK_DGRAM_BIND; op <= ASK_DGRAM_OPTION; op++) {
		struct ask_request req = request(op);
		size_t len = (size_t)ask_encode_request(&req, buf, sizeof(buf));

		for (unsigned proto = 0; proto < 256; proto++) {
			bool good = proto == IPPROTO_UDP || proto == IPPROTO_ICMP ||
				    proto == IPPROTO_ICMPV6;

			buf[2] = (uint8_t)proto;
			assert_int_equal(decode_request(buf, len, &got), good ? 0 : -EPROTO);
		}
		buf[2] = IPPROTO_UDP;
		if (op == ASK_DGRAM_NAME)
			continue;
		for (unsigned v = 0; v < 256; v++) { /* flags, or the option */
			bool good =
				op == ASK_DGRAM_OPTION ? v >= 1 && v <= ASK_OPT_SHUTDOWN : v < 16;

			buf[3] = (uint8_t)v;
			assert_int_equal(decode_request(buf, len, &got), good ? 0 : -EPROTO);
		}
	}
}

static void names_are_bounded(void **state)
{
	struct ask_request req = request(ASK_NAME), got;
	uint8_t buf[ASK_MAX] = {ASK_VERSION, ASK_NAME, ASK_NAME_V4};
	int len;

	(void)state;
	memset(req.name, 'x', ASK_NAME_MAX - 1);
	len = ask_encode_request(&req, buf, sizeof(buf));
	assert_int_equal(decode_request(buf, (size_t)len, &got), 0);
	assert_int_equal(strlen(got.name), ASK_NAME_MAX - 1);
	/* One more does not fit the receiver. */
	memset(buf + 3, 'x', sizeof(buf) - 3);
	buf[3] = ASK_NAME_MAX >> 8;
	buf[4] = ASK_NAME_MAX & 0xff;
	assert_int_equal(decode_request(buf, 5 + ASK_NAME_MAX, &got), -EPROTO);
	/* A NUL inside would hide what comes behind it. */
	buf[3] = 0;
	buf[4] = 3;
	assert_int_equal(decode_request(buf, 8, &got), 0);
	buf[6] = 0;
	assert_int_equal(decode_request(buf, 8, &got), -EPROTO);
	/* No family, or one that there is not. */
	buf[6] = 'x';
	buf[2] = 0;
	assert_int_equal(decode_request(buf, 8, &got), -EPROTO);
	buf[2] = 2 * ASK_NAME_V6;
	assert_int_equal(decode_request(buf, 8, &got), -EPROTO);
}

static void dns_messages_are_bounded(void **state)
{
	static uint8_t buf[ASK_DNS_HEAD + ASK_DNS_MAX], message[ASK_DNS_MAX];
	struct ask_request req = request(ASK_DNS), got;
	struct ask_reply rep = reply(ASK_DNS), seen;
	int len;

	(void)state;
	req.nquery = ASK_QUERY_MAX;
	len = ask_encode_request(&req, buf, sizeof(buf));
	assert_int_equal(decode_request(buf, (size_t)len, &got), 0);
	assert_int_equal(got.nquery, ASK_QUERY_MAX);
	req.nquery = ASK_QUERY_MAX + 1;
	assert_int_equal(ask_encode_request(&req, buf, sizeof(buf)), -EMSGSIZE);
	buf[2] = (ASK_QUERY_MAX + 1) >> 8;
	buf[3] = (ASK_QUERY_MAX + 1) & 0xff;
	assert_int_equal(decode_request(buf, (size_t)len + 1, &got), -EPROTO);
	rep.answer = message;
	rep.nanswer = sizeof(message);
	len = ask_encode_reply(&rep, buf, sizeof(buf));
	assert_int_equal(len, ASK_DNS_HEAD + ASK_DNS_MAX);
	assert_int_equal(decode_reply(buf, (size_t)len, &seen), 0);
	assert_int_equal(seen.nanswer, sizeof(message));
	assert_int_equal(ask_encode_reply(&rep, buf, sizeof(buf) - 1), -EMSGSIZE);
}

static void replies_round_trip(void **state)
{
	static struct ask_reply got;

	(void)state;
	for (int op = ASK_BIND; op <= ASK_DNS; op++) {
		struct ask_reply rep = reply(op);
		uint8_t buf[ASK_REPLY_MAX];
		int len = ask_encode_reply(&rep, buf, sizeof(buf));

		assert_true(len >= 6);
		assert_int_equal(decode_reply(buf, (size_t)len, &got), 0);
		assert_same_reply(&got, &rep);
	}
}

static void error_replies_carry_nothing_else(void **state)
{
	uint8_t buf[ASK_REPLY_MAX];
	struct ask_reply rep, got, want;

	(void)state;
	for (int op = ASK_BIND; op <= ASK_DNS; op++) {
		rep = reply(op);
		rep.err = EADDRINUSE;
		assert_int_equal(ask_encode_reply(&rep, buf, sizeof(buf)), 6);
		assert_int_equal(decode_reply(buf, 6, &got), 0);
		want = (struct ask_reply){.op = op, .err = EADDRINUSE};
		assert_same_reply(&got, &want);
		assert_int_equal(decode_reply(buf, 7, &got), -EPROTO);
	}
	buf[2] = buf[3] = 0;
	buf[4] = 4096 >> 8; /* the kernel has no such errno */
	buf[5] = 0;
	assert_int_equal(decode_reply(buf, 6, &got), -EPROTO);
	memset(buf + 2, 0xff, 4);
	assert_int_equal(decode_reply(buf, 6, &got), -EPROTO);
}

static void cut_and_long_replies_are_refused(void **state)
{
	static const struct ask_reply none;
	static struct ask_reply got;

	(void)state;
	for (int op = ASK_BIND; op <= ASK_DNS; op++) {
		struct ask_reply rep = reply(op);
		uint8_t buf[ASK_REPLY_MAX] = {0};
		int len = ask_encode_reply(&rep, buf, sizeof(buf));

		for (int n = 0; n <= len + 200; n++) {
			if (n == len)
				continue;
			assert_int_equal(decode_reply(buf, (size_t)n, &got), -EPROTO);
			assert_memory_equal(&got, &none, sizeof(got)); /* nothing to trip over */
		}
		for (int cap = 0; cap < len; cap++)
			assert_int_equal(ask_encode_reply(&rep, buf, (size_t)cap), -EMSGSIZE);
	}
}

static void counts_in_replies_are_bounded(void **state)
{
	static uint8_t buf[ASK_REPLY_MAX];
	struct ask_reply rep = reply(ASK_NAME), got;
	int len;

	(void)state;
	rep.naddr = ASK_ADDRS_MAX;
	len = ask_encode_reply(&rep, buf, sizeof(buf));
	assert_int_equal(decode_reply(buf, (size_t)len, &got), 0);
	buf[6 + 5 + 1] = ASK_ADDRS_MAX + 1; /* behind the header and "www" */
	assert_int_equal(decode_reply(buf, (size_t)len + 16, &got), -EPROTO);
	rep = reply(ASK_IFS);
	rep.nif = ASK_IFS_MAX;
	for (size_t i = 0; i < ASK_IFS_MAX; i++)
		rep.ifs[i] = rep.ifs[0];
	len = ask_encode_reply(&rep, buf, sizeof(buf));
	assert_int_equal(decode_reply(buf, (size_t)len, &got), 0);
	assert_int_equal(got.nif, ASK_IFS_MAX);
	buf[6 + 2 + 1] = ASK_IFS_MAX + 1;
	assert_int_equal(decode_reply(buf, (size_t)len + 28, &got), -EPROTO);
	buf[6 + 2 + 1] = ASK_IFS_MAX;
	buf[6 + 2 + 2 + 15] = 'x'; /* a name without its end */
	assert_int_equal(decode_reply(buf, (size_t)len, &got), -EPROTO);
}

static void the_largest_reply_fits(void **state)
{
	struct ask_reply rep = reply(ASK_IFS);
	uint8_t buf[ASK_REPLY_MAX];

	(void)state;
	rep.nif = ASK_IFS_MAX;
	assert_true(ask_encode_reply(&rep, buf, sizeof(buf)) > 0);
	rep = reply(ASK_NAME);
	rep.naddr = ASK_ADDRS_MAX;
	memset(rep.name, 'x', ASK_NAME_MAX - 1);
	assert_true(ask_encode_reply(&rep, buf, sizeof(buf)) > 0);
}

static void connreq_round_trips(void **state)
{
	struct connreq req = {.proto = IPPROTO_TCP, .sndbuf = 0x01020304}, got;
	uint8_t buf[CONNREQ_LEN + CONNREQ_PAD];

	(void)state;
	memset(buf, 0xff, sizeof(buf));
	req.src = endpoint("10.77.0.1:40000");
	req.dst = endpoint("10.77.0.2:80");
	connreq_encode(&req, buf);
	for (size_t i = CONNREQ_LEN; i < sizeof(buf); i++)
		assert_int_equal(buf[i], 0);
	assert_int_equal(connreq_decode(buf, &got), 0);
	assert_int_equal(got.proto, IPPROTO_TCP);
	assert_int_equal(got.sndbuf, req.sndbuf);
	assert_false(got.abort);
	req.abort = true;
	connreq_encode(&req, buf);
	assert_int_equal(connreq_decode(buf, &got), 0);
	assert_true(got.abort);
	assert_true(endpoint_equal(&got.src, &req.src) && endpoint_equal(&got.dst, &req.dst));
}

static void malformed_connreqs_are_refused(void **state)
{
	struct connreq req = {.proto = IPPROTO_TCP}, got = {.sndbuf = 77};
	uint8_t good[CONNREQ_LEN + CONNREQ_PAD], bad[CONNREQ_LEN];

	(void)state;
	req.src = endpoint("10.77.0.1:40000");
	req.dst = endpoint("10.77.0.2:80");
	connreq_encode(&req, good);
	/* Any other byte in the head or the reserved tail. */
	for (size_t at = 0; at < CONNREQ_LEN; at++) {
		if (at >= 4 && at < 8 + 2 * ENDPOINT_WIRELEN)
			continue; /* the values */
		for (unsigned v = 0; v < 256; v++) {
			memcpy(bad, good, sizeof(bad));
			bad[at] = (uint8_t)v;
			if (v != good[at] && (at != 3 || v > 1))
				assert_int_equal(connreq_decode(bad, &got), -EPROTO);
		}
	}
	assert_int_equal(got.sndbuf, 77); /* untouched */
}

static struct info make_info(void)
{
	struct info info = {.portspace = 7,
		.nworkers = 2,
		.mtu = 1420,
		.name = "work",
		.hostname = "host.example",
		.naddr = INFO_ADDRS_MAX};

	memset(info.secret, 0x5a, sizeof(info.secret));
	for (size_t i = 0; i < INFO_ADDRS_MAX; i++)
		assert_int_equal(prefix_parse("2001:db8::1/64", &info.addr[i]), 0);
	return info;
}

static int decode_info(const uint8_t *buf, size_t len, struct info *infop)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, buf, len);
	r = info_decode(copy, len, infop);
	free(copy);
	return r;
}

static void info_round_trips(void **state)
{
	struct info info = make_info(), got;
	uint8_t buf[INFO_MAX];
	int len;

	(void)state;
	memset(info.name, 'n', sizeof(info.name) - 1);
	memset(info.hostname, 'h', sizeof(info.hostname) - 1);
	len = info_encode(&info, buf, sizeof(buf)); /* the largest there is */
	assert_true(len > 0);
	assert_int_equal(decode_info(buf, (size_t)len, &got), 0);
	assert_int_equal(got.portspace, 7);
	assert_int_equal(got.nworkers, 2);
	assert_memory_equal(got.secret, info.secret, 16);
	assert_int_equal(got.mtu, 1420);
	assert_string_equal(got.name, info.name);
	assert_string_equal(got.hostname, info.hostname);
	assert_int_equal(got.naddr, INFO_ADDRS_MAX);
	for (size_t i = 0; i < INFO_ADDRS_MAX; i++) {
		assert_true(addr_equal(&got.addr[i].addr, &info.addr[i].addr));
		assert_int_equal(got.addr[i].len, 64);
	}
}

static void malformed_info_is_refused(void **state)
{
	struct info info = make_info(), got = {.mtu = 77};
	uint8_t buf[INFO_MAX + 1] = {0};
	int len = info_encode(&info, buf, INFO_MAX);

	(void)state;
	for (int n = 0; n <= len + 100; n++)
		if (n != len)
			assert_int_equal(decode_info(buf, (size_t)n, &got), -EPROTO);
	for (int cap = 0; cap < len; cap++)
		assert_int_equal(info_encode(&info, buf, (size_t)cap), -EMSGSIZE);
	assert_int_equal(info_encode(&info, buf, INFO_MAX), len);
	buf[0]++;
	assert_int_equal(decode_info(buf, (size_t)len, &got), -EPROTO);
	buf[0]--;
	buf[1] = 0; /* no worker */
	assert_int_equal(decode_info(buf, (size_t)len, &got), -EPROTO);
	buf[1] = 1;
	buf[len - 1] = 129; /* prefix length */
	assert_int_equal(decode_info(buf, (size_t)len, &got), -EPROTO);
	buf[len - 1] = 128;
	assert_int_equal(got.mtu, 77);
	assert_int_equal(decode_info(buf, (size_t)len, &got), 0);
	info.naddr = 0;
	len = info_encode(&info, buf, INFO_MAX);
	buf[len - 1] = INFO_ADDRS_MAX + 1;
	assert_int_equal(decode_info(buf, (size_t)len + 17 * 17, &got), -EPROTO);
}

/* Garbage in, error out: any random message is refused or encodes back to itself. */
static void random_messages(void **state)
{
	static struct ask_reply rep;
	uint8_t buf[160], again[ASK_REPLY_MAX];
	struct ask_request req;
	struct info info;
	unsigned accepted = 0;

	(void)state;
	srandom(1);
	for (unsigned i = 0; i < 200000; i++) {
		size_t len = (size_t)random() % sizeof(buf);

		for (size_t k = 0; k < len; k++)
			buf[k] = (uint8_t)(random() % 4 ? 0 : random());
		buf[0] = ASK_VERSION;
		buf[1] = (uint8_t)(1 + random() % 12);
		if (decode_request(buf, len, &req) == 0) {
			assert_int_equal(ask_encode_request(&req, again, sizeof(again)), len);
			assert_memory_equal(again, buf, len);
			accepted++;
		}
		if (decode_reply(buf, len, &rep) == 0) {
			assert_int_equal(ask_encode_reply(&rep, again, sizeof(again)), len);
			assert_memory_equal(again, buf, len);
			accepted++;
		}
		if (decode_info(buf, len, &info) == 0) {
			assert_int_equal(info_encode(&info, again, sizeof(again)), len);
			assert_memory_equal(again, buf, len);
			accepted++;
		}
	}
	assert_true(accepted > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_round_trip),
		cmocka_unit_test(cut_and_long_requests_are_refused),
		cmocka_unit_test(requests_with_bad_values_are_refused),
		cmocka_unit_test(datagram_requests_with_bad_values_are_refused),
		cmocka_unit_test(names_are_bounded),
		cmocka_unit_test(dns_messages_are_bounded),
		cmocka_unit_test(replies_round_trip),
		cmocka_unit_test(error_replies_carry_nothing_else),
		cmocka_unit_test(cut_and_long_replies_are_refused),
		cmocka_unit_test(counts_in_replies_are_bounded),
		cmocka_unit_test(the_largest_reply_fits),
		cmocka_unit_test(connreq_round_trips),
		cmocka_unit_test(malformed_connreqs_are_refused),
		cmocka_unit_test(info_round_trips),
		cmocka_unit_test(malformed_info_is_refused),
		cmocka_unit_test(random_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

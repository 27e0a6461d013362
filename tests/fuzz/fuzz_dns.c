/* SPDX-License-Identifier: MIT */
/* Answers of name servers, as c-ares reads them from a resolver's sockets. The first byte chooses
 * the question and how the answer begins: with the question's identifier, with its whole question,
 * or with anything. By UDP; when it says that it was cut, the same comes by TCP. */
#include <errno.h>
#include <sodium.h>
#include <unistd.h>
#include <uv.h>

#include "dgram.h"
#include "dns.h"
#include "fuzz.h"

enum { MESSAGE_MAX = 4096, TURNS = 16 };

static struct {
	const uint8_t *data;
	size_t size;
	int udp, tcp; /* far ends */
	int calls;
} server;

static int keep(int *slot, int far)
{
	if (*slot >= 0)
		close(*slot);
	*slot = far;
	return 0;
}

static int open_udp(void *arg, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	(void)arg, (void)ps, (void)to, (void)near;
	return keep(&server.udp, far);
}

static int open_tcp(void *arg, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	(void)arg, (void)ps, (void)to, (void)near;
	return keep(&server.tcp, far);
}

/* What the server says to this query. */
static size_t reply(const uint8_t *query, size_t len, uint8_t out[MESSAGE_MAX])
{
	size_t copied = server.size > 0 && server.data[0] & 4 ? len : server.data[0] & 8 ? 2 : 0;
	size_t rest = server.size - 1;

	if (copied > len)
		copied = len;
	memcpy(out, query, copied);
	if (rest > MESSAGE_MAX - copied)
		rest = MESSAGE_MAX - copied;
	memcpy(out + copied, server.data + 1, rest);
	if (copied == len && rest >= 10) { /* flags and counts are the first ones */
		memcpy(out + 2, server.data + 1, 10);
		memmove(out + copied, out + copied + 10, rest - 10);
		rest -= 10;
	}
	return copied + rest;
}

static void serve_udp(void)
{
	uint8_t in[DGRAM_HEAD + 1024], out[DGRAM_HEAD + MESSAGE_MAX];
	struct dgram_head head = {.kind = DGRAM_DATA};
	ssize_t n = recv(server.udp, in, sizeof(in), MSG_DONTWAIT);
	size_t len;

	if (n <= DGRAM_HEAD)
		return;
	head.src.addr = addr_any4;
	memcpy(head.src.addr.b + 12, "\x0a\x4d\x00\x02", 4);
	head.src.port = DNS_PORT;
	dgram_head_encode(&head, out);
	len = reply(in + DGRAM_HEAD, (size_t)n - DGRAM_HEAD, out + DGRAM_HEAD);
	(void)!send(server.udp, out, DGRAM_HEAD + len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void serve_tcp(void)
{
	uint8_t in[1024], out[2 + MESSAGE_MAX];
	ssize_t n = recv(server.tcp, in, sizeof(in), MSG_DONTWAIT);
	size_t len;

	if (n <= 2)
		return;
	len = reply(in + 2, (size_t)n - 2, out + 2);
	out[0] = (uint8_t)(len >> 8);
	out[1] = (uint8_t)len;
	(void)!send(server.tcp, out, 2 + len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void got_addrs(int err, const struct dns_addrs *addrs, void *arg)
{
	(void)arg;
	server.calls++;
	FUZZ_CHECK(err <= 0 && (err < 0) == (addrs->n == 0) && addrs->n <= DNS_ADDRS_MAX);
	FUZZ_CHECK(strnlen(addrs->name, sizeof(addrs->name)) < sizeof(addrs->name));
}

static void got_name(int err, const char *name, void *arg)
{
	(void)arg;
	server.calls++;
	FUZZ_CHECK(err <= 0 && (err < 0) == (name[0] == '\0'));
}

static void got_raw(int err, const uint8_t *answer, size_t len, void *arg)
{
	(void)arg;
	server.calls++;
	FUZZ_CHECK(err <= 0 && (err < 0) == (len == 0));
	FUZZ_CHECK(len == 0 || memcmp(answer, "\x12\x34", 2) == 0);
}

static void start(struct dns *dns, unsigned what)
{
	static const uint8_t query[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\1a\4test\0\0\20\0\1";
	struct addr addr = addr_loopback4;

	addr.b[15] = 9;
	switch (what % 4) {
	case 0:
		dns_query_addrs(dns, "a.test", AF_INET, got_addrs, NULL);
		break;
	case 1:
		dns_query_addrs(dns, "a.test", AF_UNSPEC, got_addrs, NULL);
		break;
	case 2:
		dns_query_name(dns, &addr, got_name, NULL);
		break;
	default:
		dns_query_raw(dns, query, sizeof(query) - 1, got_raw, NULL);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct dns_ops ops = {.udp = open_udp, .tcp = open_tcp};
	static struct portspace ps; /* never freed: one reference more than is given back */
	struct addr address = addr_any4;
	struct dns *dns;
	uv_loop_t loop;

	if (size < 1)
		return 0;
	FUZZ_CHECK(sodium_init() >= 0);
	atomic_store(&ps.refs, 1);
	memcpy(address.b + 12, "\x0a\x4d\x00\x02", 4);
	server.data = data;
	server.size = size;
	server.udp = server.tcp = -1;
	server.calls = 0;
	FUZZ_CHECK(uv_loop_init(&loop) == 0);
	FUZZ_CHECK(dns_new(&loop, &ops, &ps, &address, 1, &dns) == 0);
	start(dns, data[0]);
	for (int i = 0; i < TURNS && server.calls == 0; i++) {
		if (server.udp >= 0)
			serve_udp();
		if (server.tcp >= 0)
			serve_tcp();
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	dns_close(dns);
	FUZZ_CHECK(server.calls == 1);
	uv_run(&loop, UV_RUN_DEFAULT);
	FUZZ_CHECK(uv_loop_close(&loop) == 0);
	keep(&server.udp, -1);
	keep(&server.tcp, -1);
	return 0;
}

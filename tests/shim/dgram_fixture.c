/* SPDX-License-Identifier: MIT */
#include "dgram_fixture.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dgram.h"
#include "fdmsg.h"
#include "probe.h"

enum { SOCKS_MAX = 256, GROUPS_MAX = 4, PORT_FIRST = 45000, MESSAGE_MAX = 66000, SNDBUF = 212992 };

struct sock {
	int fd; /* -1: unused */
	uint64_t inode;
	uint8_t proto, flags;
	bool bound, connected, recverr;
	bool addr_chosen, port_chosen;
	struct endpoint local, peer;
	struct addr groups[GROUPS_MAX];
	int ngroups;
};

static struct fixture *fixture;
static struct sock socks[SOCKS_MAX];
static uint16_t next_port = PORT_FIRST;
static volatile sig_atomic_t stop;

static struct addr parse(const char *text)
{
	struct addr a = addr_any4;

	addr_parse(text, &a);
	return a;
}

static struct addr wildcard(const struct sock *s)
{
	return s->flags & ASK_V6 ? addr_any6 : addr_any4;
}

static uint64_t peer_inode(int fd)
{
	uint64_t inode = 0;
	struct stat st;

	if (fstat(fd, &st) == 0)
		probe_peer_inode(st.st_ino, &inode);
	return inode;
}

static struct sock *by_inode(uint64_t inode)
{
	for (int i = 0; i < SOCKS_MAX; i++)
		if (socks[i].fd >= 0 && socks[i].inode == inode)
			return &socks[i];
	return NULL;
}

static void deliver(
	const struct sock *s, const struct dgram_head *head, const void *data, size_t len)
{
	static uint8_t buf[MESSAGE_MAX];

	dgram_head_encode(head, buf);
	memcpy(buf + DGRAM_HEAD, data, len);
	send(s->fd, buf, DGRAM_HEAD + len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* --- what is sent --- */

static void report(const struct sock *s, const struct dgram_head *sent, int err, int type, int code,
	const struct addr *offender, uint32_t info, const void *data, size_t len)
{
	struct dgram_head head = {.kind = DGRAM_ERROR,
		.src = sent->src,
		.dst = sent->dst,
		.ttl = 55,
		.err = (uint16_t)err,
		.icmp_type = (uint8_t)type,
		.icmp_code = (uint8_t)code,
		.info = info,
		.offender = *offender};

	if (s->connected || s->recverr)
		deliver(s, &head, data, len < DGRAM_QUOTE_MAX ? len : DGRAM_QUOTE_MAX);
}

static void refuse(
	const struct sock *s, const struct dgram_head *sent, const void *data, size_t len)
{
	bool v4 = addr_is_v4(&sent->dst.addr);

	report(s, sent, ECONNREFUSED, v4 ? ICMP_DEST_UNREACH : ICMP6_DST_UNREACH,
		v4 ? ICMP_PORT_UNREACH : ICMP6_DST_UNREACH_NOPORT, &sent->dst.addr, 0, data, len);
}

static bool fits(const struct sock *s, const struct dgram_head *head)
{
	bool dual = addr_equal(&s->local.addr, &addr_any6) && !(s->flags & ASK_V6ONLY);

	if (s->fd < 0 || !s->bound || s->proto != IPPROTO_UDP || s->local.port != head->dst.port ||
		(s->connected && !endpoint_equal(&s->peer, &head->src)))
		return false;
	if (addr_is_any(&s->local.addr))
		return dual || addr_is_v4(&s->local.addr) == addr_is_v4(&head->dst.addr);
	return addr_equal(&s->local.addr, &head->dst.addr);
}

static void to_group(const struct dgram_head *head, const void *data, size_t len)
{
	for (int i = 0; i < SOCKS_MAX; i++)
		for (int k = 0; k < socks[i].ngroups; k++)
			if (socks[i].fd >= 0 && socks[i].local.port == head->dst.port &&
				addr_equal(&socks[i].groups[k], &head->dst.addr))
				deliver(&socks[i], head, data, len);
}

static void to_own(
	const struct sock *from, const struct dgram_head *sent, const void *data, size_t len)
{
	struct dgram_head head = *sent;

	head.flags = 0;
	head.ifindex = 1;
	if (!(sent->flags & DGRAM_HAS_TTL))
		head.ttl = 64;
	for (int i = SOCKS_MAX - 1; i >= 0; i--)
		if (fits(&socks[i], &head)) {
			deliver(&socks[i], &head, data, len);
			return;
		}
	refuse(from, sent, data, len);
}

/* The answer of a destination to an echo request, or the payload as it is. */
static void echo(const struct sock *s, const struct dgram_head *sent, uint8_t *data, size_t len)
{
	struct dgram_head head = {.kind = DGRAM_DATA,
		.ttl = 61,
		.tos = 4,
		.ifindex = 2,
		.src = sent->dst,
		.dst = sent->src};

	if (fixture_is_own(fixture, &sent->dst.addr)) {
		head.ttl = 64;
		head.tos = sent->tos;
		head.ifindex = 1;
	}
	if (s->proto != IPPROTO_UDP) {
		data[0] = s->proto == IPPROTO_ICMP ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
		data[4] = (uint8_t)(s->local.port >> 8);
		data[5] = (uint8_t)s->local.port;
		head.src.port = s->local.port;
	}
	deliver(s, &head, data, len);
}

static void tell(const struct sock *s, const struct dgram_head *sent, size_t len)
{
	char src[ENDPOINT_STRLEN], dst[ENDPOINT_STRLEN], text[256];
	int n = snprintf(text, sizeof(text), "src %s dst %s flags %u ttl %u tos %u if %u len %zu",
		endpoint_format(&sent->src, src), endpoint_format(&sent->dst, dst), sent->flags,
		sent->ttl, sent->tos, sent->ifindex, len);

	echo(s, sent, (uint8_t *)text, (size_t)n);
}

static void to_remote(
	const struct sock *s, const struct dgram_head *sent, uint8_t *data, size_t len)
{
	struct addr router = parse(addr_is_v4(&sent->dst.addr) ? "10.9.0.254" : "fd09::fe");
	struct dgram_head quiet = {.kind = DGRAM_ERROR,
		.flags = DGRAM_EOR_ERR,
		.src = sent->src,
		.dst = sent->dst,
		.err = EHOSTUNREACH,
		.icmp_type = ICMP_TIME_EXCEEDED};

	switch (sent->dst.addr.b[15]) {
	case 1:
		echo(s, sent, data, len);
		break;
	case 2:
		refuse(s, sent, data, len);
		break;
	case 6:
		report(s, sent, EHOSTUNREACH,
			addr_is_v4(&router) ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED, 0, &router,
			0, data, len);
		break;
	case 8:
		report(s, sent, EMSGSIZE, 0, 0, &addr_any6, 1300, data, len);
		break;
	case 9:
		tell(s, sent, len);
		break;
	case 10:
		quiet.offender = router;
		deliver(s, &quiet, data, 0);
		break;
	case 11:
		echo(s, sent, data, len);
		refuse(s, sent, data, len);
		data[0]++;
		echo(s, sent, data, len);
		break;
	default:
		break;
	}
}

static bool bind_sock(struct sock *s, const struct endpoint *want);

static void on_message(struct sock *s, uint8_t *buf, size_t n)
{
	struct endpoint any = {.addr = wildcard(s)};
	struct dgram_head head;
	uint8_t *data = buf + DGRAM_HEAD;
	bool v4;

	if (dgram_head_decode(buf, n, &head) < 0 || head.kind != DGRAM_DATA) {
		fprintf(stderr, "fixture: bad datagram message of %zu bytes\n", n);
		return;
	}
	if (!s->bound && !bind_sock(s, &any))
		return;
	if (!(head.flags & DGRAM_HAS_DST))
		head.dst = s->peer;
	v4 = addr_is_v4(&head.dst.addr);
	if (!(head.flags & DGRAM_HAS_SRC)) {
		head.src = s->local;
		if (addr_is_any(&head.src.addr))
			head.src.addr = addr_is_loopback(&head.dst.addr)
						? (v4 ? addr_loopback4 : addr_loopback6)
						: parse(v4 ? "10.0.0.1" : "fd00::1");
	}
	head.src.port = s->local.port;
	n -= DGRAM_HEAD;
	if (addr_is_multicast(&head.dst.addr))
		to_group(&head, data, n);
	else if (fixture_is_own(fixture, &head.dst.addr) && s->proto == IPPROTO_UDP)
		to_own(s, &head, data, n);
	else if (fixture_is_own(fixture, &head.dst.addr))
		echo(s, &head, data, n);
	else
		to_remote(s, &head, data, n);
}

/* --- what is asked --- */

static bool taken(const struct sock *s, const struct endpoint *want)
{
	struct dgram_head head = {.dst = *want};

	for (int i = 0; i < SOCKS_MAX; i++) {
		struct sock *o = &socks[i], copy = *o;
		struct endpoint theirs = o->local;
		uint8_t both = o->flags & s->flags;

		copy.connected = false;
		if (o == s || o->fd < 0 || !o->bound || o->local.port != want->port ||
			both & (ASK_REUSEADDR | ASK_REUSEPORT))
			continue;
		if (fits(&copy, &head) || addr_is_any(&want->addr) ||
			addr_equal(&theirs.addr, &want->addr))
			return true;
	}
	return false;
}

static bool bind_sock(struct sock *s, const struct endpoint *want)
{
	struct endpoint local = *want;

	if (local.port == 0)
		do
			local.port = next_port++;
		while (taken(s, &local));
	else if (taken(s, &local))
		return false;
	s->local = local;
	s->bound = true;
	s->port_chosen = want->port != 0;
	s->addr_chosen = !addr_is_any(&want->addr);
	return true;
}

static int do_bind(struct sock *s, const struct ask_request *req, struct ask_reply *rep)
{
	const struct addr *a = &req->local.addr;

	if (s->bound)
		return EINVAL;
	if (!addr_is_any(a) && !addr_is_multicast(a) && !fixture_is_own(fixture, a))
		return EADDRNOTAVAIL;
	s->flags = req->flags;
	if (!bind_sock(s, &req->local))
		return EADDRINUSE;
	rep->local = s->local;
	return 0;
}

static int do_connect(struct sock *s, const struct ask_request *req, struct ask_reply *rep)
{
	struct endpoint any = {.addr = wildcard(s)};
	const struct addr *a = &req->local.addr;
	bool v4 = addr_is_v4(a);

	if (v4 && a->b[12] == 10 && a->b[13] == 99)
		return ENETUNREACH;
	s->connected = !addr_is_any(a);
	s->peer = req->local;
	if (!s->connected) {
		if (!s->addr_chosen)
			s->local.addr = any.addr;
		if (!s->port_chosen) {
			s->bound = false;
			s->local.port = 0;
		}
	} else {
		if (!s->bound) {
			s->flags = req->flags;
			any.addr = wildcard(s);
			bind_sock(s, &any);
		}
		if (!s->addr_chosen)
			s->local.addr =
				addr_is_loopback(a) ? *a : parse(v4 ? "10.0.0.1" : "fd00::1");
	}
	rep->local = s->local;
	return 0;
}

static int do_option(struct sock *s, const struct ask_request *req)
{
	switch (req->option) {
	case ASK_OPT_RECVERR:
		s->recverr = req->value;
		return 0;
	case ASK_OPT_JOIN:
		for (int i = 0; i < s->ngroups; i++)
			if (addr_equal(&s->groups[i], &req->local.addr))
				return EADDRINUSE;
		if (s->ngroups == GROUPS_MAX)
			return ENOBUFS;
		s->groups[s->ngroups++] = req->local.addr;
		return 0;
	case ASK_OPT_LEAVE:
		for (int i = 0; i < s->ngroups; i++)
			if (addr_equal(&s->groups[i], &req->local.addr)) {
				s->groups[i] = s->groups[--s->ngroups];
				return 0;
			}
		return EADDRNOTAVAIL;
	default:
		return 0;
	}
}

static int answer(struct sock *s, const struct ask_request *req, struct ask_reply *rep)
{
	s->proto = req->proto;
	switch (req->op) {
	case ASK_DGRAM_BIND:
		return do_bind(s, req, rep);
	case ASK_DGRAM_CONNECT:
		return do_connect(s, req, rep);
	case ASK_DGRAM_NAME:
		rep->local = s->local;
		rep->peer = s->connected ? s->peer : (struct endpoint){.addr = wildcard(s)};
		return 0;
	case ASK_DGRAM_OPTION:
		return do_option(s, req);
	default:
		return EPROTO;
	}
}

static void close_sock(struct sock *s)
{
	close(s->fd);
	*s = (struct sock){.fd = -1};
}

/* True when there was a message. */
static bool serve(struct sock *s);

static void on_question(int fd, const uint8_t *buf, size_t n)
{
	uint8_t out[ASK_REPLY_MAX];
	struct ask_reply rep = {0};
	struct ask_request req;
	struct sock *s;
	int len;

	if (ask_decode_request(buf, n, &req) < 0) {
		fprintf(stderr, "fixture: bad question about a datagram socket\n");
		return;
	}
	s = by_inode(req.inode);
	rep.op = req.op;
	rep.err = EBADF;
	if (s) {
		while (serve(s)) /* what it sent before */
			;
		rep.err = answer(s, &req, &rep);
	}
	len = ask_encode_reply(&rep, out, sizeof(out));
	fdmsg_send(fd, out, (size_t)len, -1);
}

static bool serve(struct sock *s)
{
	static uint8_t buf[MESSAGE_MAX];
	ssize_t n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n > 0 && buf[0] == DGRAM_DATA) {
		on_message(s, buf, (size_t)n);
		return true;
	}
	if (n > 0) {
		uint8_t question[ASK_MAX];
		int fd = s->fd;

		memcpy(question, buf, (size_t)n < sizeof(question) ? (size_t)n : sizeof(question));
		s->inode = 0;
		on_question(fd, question, (size_t)n);
	}
	close_sock(s);
	return false;
}

static void accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), size = SNDBUF;

	for (int i = 0; fd >= 0 && i < SOCKS_MAX; i++)
		if (socks[i].fd < 0) {
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
			socks[i] = (struct sock){
				.fd = fd, .inode = peer_inode(fd), .proto = IPPROTO_UDP};
			return;
		}
	if (fd >= 0)
		close(fd);
}

static void on_stop(int sig)
{
	(void)sig;
	stop = 1;
}

void dgram_fixture_run(struct fixture *f, int listener)
{
	struct pollfd p[SOCKS_MAX + 1];

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGTERM, on_stop);
	fixture = f;
	for (int i = 0; i < SOCKS_MAX; i++)
		socks[i].fd = -1;
	while (!stop) {
		for (int i = 0; i < SOCKS_MAX; i++)
			p[i] = (struct pollfd){.fd = socks[i].fd, .events = POLLIN};
		p[SOCKS_MAX] = (struct pollfd){.fd = listener, .events = POLLIN};
		if (poll(p, SOCKS_MAX + 1, -1) < 0)
			continue;
		if (p[SOCKS_MAX].revents)
			accept_one(listener);
		for (int i = 0; i < SOCKS_MAX; i++)
			if (p[i].revents && socks[i].fd == p[i].fd)
				serve(&socks[i]);
	}
	_exit(0);
}

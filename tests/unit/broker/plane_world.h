/* SPDX-License-Identifier: MIT */
/* Three hosts in a line, in one process: real cores and packet planes over UDP of the loopback
 * network, and applications that speak the local protocol of datagram sockets by hand. The test
 * process is a member of each host's portspace. Included by one file of a test program. */
#ifndef PERSONA_TEST_PLANE_WORLD_H
#define PERSONA_TEST_PLANE_WORLD_H

#include "core_fixture.h"

#include <semaphore.h>
#include <sys/stat.h>
#include <time.h>

#include "dgram.h"
#include "fdmsg.h"
#include "plane_priv.h"

enum { HOSTS = 3, WAIT_MS = 10000, QUIET_MS = 100 };

struct host {
	struct fixture *f;
	struct portspace *ps;
	struct plane *plane;
	struct endpoint at; /* underlay */
};

static struct host hosts[HOSTS];

static inline void world_link(struct link *link, void *arg)
{
	struct host *h = arg;

	if (h->plane)
		plane_link_changed(h->plane, link);
}

static inline void world_changed(struct portspace *ps, void *arg)
{
	struct host *h = arg;

	if (h->plane)
		plane_portspace_changed(h->plane, ps);
}

static inline void world_gone(struct portspace *ps, void *arg)
{
	struct host *h = arg;

	if (h->plane)
		plane_portspace_gone(h->plane, ps);
}

/* This process becomes an init of the portspace. */
static inline void enter(struct portspace *ps)
{
	struct peer peer;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(peer_get(pair[0], &peer), 0);
	assert_int_equal(portspace_enter(ps, &peer, "sealed", NULL), 0);
	peer_close(&peer);
	close(pair[0]);
	close(pair[1]);
}

/* An address of the loopback network that no other test program uses. */
static inline struct endpoint underlay_address(int host)
{
	struct endpoint e = {.addr = addr_loopback4, .port = 51820};
	const unsigned pid = (unsigned)getpid();

	e.addr.b[13] = (uint8_t)(1 + (pid >> 13) % 250);
	e.addr.b[14] = (uint8_t)(pid >> 5);
	e.addr.b[15] = (uint8_t)((pid << 3 & 0xf8) + (unsigned)host + 1);
	return e;
}

static inline void plane_up(struct host *h, bool listens)
{
	struct plane_config config = {
		.core = h->f->core, .runtime_dir = h->f->rt, .listen = &h->at, .nlisten = listens};

	assert_int_equal(plane_start(&config, &h->plane), 0);
	for (struct portspace_priv *p = h->f->core->by_name; p; p = p->hh.next) {
		plane_portspace_changed(h->plane, p->ps);
		for (struct link *link = p->ps->links; link; link = link->next)
			plane_link_changed(h->plane, link);
	}
}

static inline void host_up(int i, const char *addresses)
{
	struct host *h = &hosts[i];

	assert_int_equal(fixture_setup((void **)&h->f), 0);
	h->f->core->hooks = (struct core_hooks){.link_changed = world_link,
		.portspace_changed = world_changed,
		.portspace_gone = world_gone,
		.arg = h};
	h->at = underlay_address(i);
	h->ps = make_portspace(h->f, "p", addresses);
	enter(h->ps);
	plane_up(h, true);
}

/* One side of a link. `allowed`: prefixes with spaces between. */
static inline struct link *join(
	int from, int to, const char *allowed, bool endpoint, const struct key *psk)
{
	struct portspace *ps = hosts[from].ps;
	struct config *config = portspace_config(ps);
	struct config_peer *peer;
	char text[256], *save = NULL;
	struct link *link;

	assert_non_null(config);
	assert_int_equal(config_add_peer(config, &hosts[to].ps->public_key, &peer), 0);
	snprintf(peer->name, sizeof(peer->name), "to%d", to);
	if (endpoint)
		endpoint_format(&hosts[to].at, peer->endpoint);
	if (psk) {
		peer->psk = key_new();
		*peer->psk = *psk;
	}
	snprintf(text, sizeof(text), "%s", allowed);
	for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		struct prefix prefix;

		assert_int_equal(prefix_parse(s, &prefix), 0);
		assert_int_equal(config_add_allowed(peer, &prefix), 0);
	}
	assert_int_equal(link_add(ps, peer, &link), 0);
	portspace_set_config(ps, config);
	return link;
}

/* 0 - 1 - 2; host 1 forwards. */
static inline int world_up(void **state)
{
	struct key psk;

	(void)state;
	memset(hosts, 0, sizeof(hosts));
	assert_true(sodium_init() >= 0);
	key_generate_psk(&psk);
	host_up(0, "10.7.0.1/24 fd07::1/64");
	host_up(1, "10.7.0.2/24 fd07::2/64");
	host_up(2, "10.7.0.3/24 fd07::3/64");
	join(0, 1, "10.7.0.2/31 fd07::2/127", true, &psk);
	join(1, 0, "10.7.0.1/32 fd07::1/128", false, &psk);
	join(1, 2, "10.7.0.3/32 fd07::3/128", true, NULL);
	join(2, 1, "10.7.0.0/30 fd07::/126", true, NULL);
	return 0;
}

static inline int world_down(void **state)
{
	(void)state;
	for (int i = 0; i < HOSTS; i++) {
		struct host *h = &hosts[i];

		plane_stop(h->plane);
		h->plane = NULL;
		h->f->core->hooks = (struct core_hooks){0};
		fixture_teardown((void **)&h->f);
	}
	return 0;
}

static inline void reached(struct plane *plane, void *arg)
{
	(void)plane;
	assert_int_equal(sem_post(arg), 0);
}

/* Returns when the plane of a host has done what it was told before. */
static inline void settle(int host)
{
	sem_t sem;

	assert_int_equal(sem_init(&sem, 0, 0), 0);
	assert_int_equal(plane_post(hosts[host].plane, reached, &sem), 0);
	while (sem_wait(&sem) < 0)
		assert_int_equal(errno, EINTR);
	sem_destroy(&sem);
}

/* ---- applications ---- */

static inline void dgram_path(int host, char path[108])
{
	snprintf(path, 108, "%s/dgram", hosts[host].f->rt);
}

static inline int app(int host)
{
	char path[108];
	int fd;

	dgram_path(host, path);
	assert_int_equal(fdmsg_connect(path, SOCK_SEQPACKET, &fd), 0);
	return fd;
}

static inline uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

/* The errno of the answer, negative. */
static inline int ask_host(int host, const struct ask_request *req, struct ask_reply *rep)
{
	uint8_t in[ASK_MAX], out[ASK_REPLY_MAX];
	int n = ask_encode_request(req, in, sizeof(in));
	char path[108];
	ssize_t len;

	dgram_path(host, path);
	assert_true(n > 0);
	len = fdmsg_ask(path, in, (size_t)n, out, sizeof(out));
	assert_true(len > 0);
	assert_int_equal(ask_decode_reply(out, (size_t)len, rep), 0);
	assert_int_equal(rep->op, req->op);
	return -rep->err;
}

static inline struct ask_request request(
	int fd, enum ask_op op, uint8_t proto, uint8_t flags, const char *where)
{
	return (struct ask_request){.op = op,
		.proto = proto,
		.flags = flags,
		.local = endpoint(where),
		.inode = inode_of(fd)};
}

static inline int app_bind(int host, int fd, uint8_t flags, const char *at, struct endpoint *localp)
{
	struct ask_request req = request(fd, ASK_DGRAM_BIND, IPPROTO_UDP, flags, at);
	struct ask_reply rep;
	int r = ask_host(host, &req, &rep);

	if (r == 0 && localp)
		*localp = rep.local;
	return r;
}

static inline int app_connect(int host, int fd, uint8_t flags, const char *to)
{
	struct ask_request req = request(fd, ASK_DGRAM_CONNECT, IPPROTO_UDP, flags, to);
	struct ask_reply rep;

	return ask_host(host, &req, &rep);
}

static inline int app_option(int host, int fd, uint8_t option, uint32_t value, const char *address)
{
	struct ask_request req = request(fd, ASK_DGRAM_OPTION, IPPROTO_UDP, 0, "0.0.0.0:0");
	struct ask_reply rep;

	req.option = option;
	req.value = value;
	if (address)
		req.local.addr = (struct addr){0};
	if (address)
		assert_int_equal(addr_parse(address, &req.local.addr), 0);
	return ask_host(host, &req, &rep);
}

/* A socket bound there. */
static inline int server(int host, const char *at)
{
	int fd = app(host);

	assert_int_equal(app_bind(host, fd, at[0] == '[' ? ASK_V6 : 0, at, NULL), 0);
	return fd;
}

static inline void send_head(int fd, const struct dgram_head *head, const void *data, size_t len)
{
	uint8_t buf[DGRAM_HEAD];
	struct iovec iov[2] = {{buf, sizeof(buf)}, {(void *)(uintptr_t)data, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

	dgram_head_encode(head, buf);
	assert_int_equal(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)(sizeof(buf) + len));
}

/* `to` NULL: to the connected peer. */
static inline void send_to(int fd, const char *to, const void *data, size_t len)
{
	struct dgram_head head = {.kind = DGRAM_DATA};

	if (to) {
		head.flags = DGRAM_HAS_DST;
		head.dst = endpoint(to);
	}
	send_head(fd, &head, data, len);
}

static inline bool readable(int fd, int wait_ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, wait_ms) == 1;
}

static inline void expect_quiet(int fd)
{
	assert_false(readable(fd, QUIET_MS));
}

/* One message of either kind: its payload's length. -1 at the end. */
static inline ssize_t receive(int fd, struct dgram_head *head, void *buf, size_t cap)
{
	static uint8_t all[DGRAM_HEAD + DGRAM_PAYLOAD_MAX];
	ssize_t n;

	assert_true(readable(fd, WAIT_MS));
	n = recv(fd, all, sizeof(all), 0);
	if (n <= 0)
		return -1;
	assert_int_equal(dgram_head_decode(all, (size_t)n, head), 0);
	n -= DGRAM_HEAD;
	assert_true((size_t)n <= cap);
	memcpy(buf, all + DGRAM_HEAD, (size_t)n);
	return n;
}

static inline void expect_text(int fd, const char *text, struct dgram_head *headp)
{
	struct dgram_head head;
	char buf[256] = "";

	assert_int_equal(receive(fd, &head, buf, sizeof(buf) - 1), (ssize_t)strlen(text));
	assert_int_equal(head.kind, DGRAM_DATA);
	assert_string_equal(buf, text);
	if (headp)
		*headp = head;
}

static inline void expect_error(int fd, int err, struct dgram_head *headp)
{
	uint8_t buf[DGRAM_QUOTE_MAX];
	struct dgram_head head;

	assert_true(receive(fd, &head, buf, sizeof(buf)) >= 0);
	assert_int_equal(head.kind, DGRAM_ERROR);
	assert_int_equal(head.err, err);
	if (headp)
		*headp = head;
}

/* Sends back one datagram. */
static inline void answer(int fd)
{
	static uint8_t buf[DGRAM_PAYLOAD_MAX];
	struct dgram_head head, back = {.kind = DGRAM_DATA, .flags = DGRAM_HAS_DST};
	ssize_t n = receive(fd, &head, buf, sizeof(buf));

	assert_true(n >= 0);
	assert_int_equal(head.kind, DGRAM_DATA);
	back.dst = head.src;
	send_head(fd, &back, buf, (size_t)n);
}

static inline bool is_address(const struct addr *a, const char *text)
{
	struct endpoint e = endpoint(text);

	return addr_equal(a, &e.addr);
}

static inline void expect_endpoint(const struct endpoint *e, const char *text)
{
	char buf[ENDPOINT_STRLEN];

	assert_string_equal(endpoint_format(e, buf), text);
}

#endif

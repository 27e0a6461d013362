/* SPDX-License-Identifier: MIT */
/* The data path alone: worker threads, carriers and streams of three "hosts" in one process over
 * loopback TCP, with a core that is a table. Clients and servers are AF_UNIX sockets that behave
 * as the shim's do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core.h"
#include "fdmsg.h"
#include "handshake.h"
#include "sockname.h"
#include "tag.h"
#include "worker.h"

enum { HOSTS = 3, NOWHERE = 3, PORT = 80, WAIT_MS = 10000 };

/* ---- a core that is a table ---- */

struct core {
	struct portspace ps;
	struct link *links[2];
	size_t nlinks;
	char server[ASK_PATH_MAX]; /* who serves PORT, "" nobody */
	struct addr addr;
};

struct host {
	struct core core;
	struct workers *workers;
	char dir[48];
};

static struct host hosts[HOSTS + 1]; /* the last one is only an address */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

struct portspace *portspace_ref(struct portspace *ps)
{
	atomic_fetch_add(&ps->refs, 1);
	return ps;
}

void portspace_unref(struct portspace *ps)
{
	if (ps)
		atomic_fetch_sub(&ps->refs, 1);
}

struct link *link_ref(struct link *link)
{
	atomic_fetch_add(&link->refs, 1);
	return link;
}

void link_unref(struct link *link)
{
	if (link)
		atomic_fetch_sub(&link->refs, 1);
}

struct portspace *core_member(struct core *core, int sock, pid_t *pidp)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return NULL;
	*pidp = cred.pid;
	return portspace_ref(&core->ps);
}

struct portspace *core_by_mac1(struct core *core, const uint8_t *msg, size_t len)
{
	return handshake_check_mac1(core->ps.mac1_key, msg, len) ? portspace_ref(&core->ps) : NULL;
}

struct link *core_link_by_key(struct core *core, struct portspace *ps, const struct key *peer)
{
	struct link *link = NULL;

	(void)ps;
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < core->nlinks; i++)
		if (key_equal(&core->links[i]->peer, peer))
			link = link_ref(core->links[i]);
	pthread_mutex_unlock(&lock);
	return link;
}

bool core_link_endpoint(struct core *core, struct link *link, struct endpoint *ep)
{
	(void)core;
	pthread_mutex_lock(&lock);
	bool has = link->has_endpoint;
	*ep = link->endpoint;
	pthread_mutex_unlock(&lock);
	return has;
}

bool core_link_fresh(struct core *core, struct link *link, const uint8_t *timestamp)
{
	bool fresh;

	(void)core;
	pthread_mutex_lock(&lock);
	fresh = handshake_replay_check(&link->replay, timestamp);
	pthread_mutex_unlock(&lock);
	return fresh;
}

void core_each_link(struct core *core, void (*fn)(struct link *link, void *arg), void *arg)
{
	for (size_t i = 0; i < core->nlinks; i++)
		fn(core->links[i], arg);
}

static int table_route(struct core *core, const struct link *from, const struct endpoint *dst,
	struct core_hop *hopp)
{
	if (addr_equal(&dst->addr, &core->addr)) {
		if (dst->port != PORT || !core->server[0])
			return -ECONNREFUSED;
		hopp->kind = CORE_HOP_LOCAL;
		strcpy(hopp->path, core->server);
		return 0;
	}
	for (size_t i = 0; i < core->nlinks; i++) {
		for (size_t j = 0; j < core->links[i]->nallowed; j++) {
			if (!prefix_contains(&core->links[i]->allowed[j], &dst->addr))
				continue;
			if (core->links[i] == from)
				return -EHOSTUNREACH;
			hopp->kind = CORE_HOP_LINK;
			hopp->link = link_ref(core->links[i]);
			return 0;
		}
	}
	return -ENETUNREACH;
}

int core_route(struct core *core, struct portspace *ps, const struct link *from,
	const struct endpoint *src, const struct endpoint *dst, struct core_hop *hopp)
{
	int r;

	(void)ps;
	(void)src;
	pthread_mutex_lock(&lock);
	r = table_route(core, from, dst, hopp);
	pthread_mutex_unlock(&lock);
	return r;
}

void core_stale(struct core *core, struct portspace *ps, const char *path)
{
	(void)core;
	(void)ps;
	(void)path;
}

/* ---- hosts 0 - 1 - 2 in a line; host 1 relays ---- */

static void add_link(int from, int to, const char *prefixes[], size_t n, bool endpoint)
{
	struct link *link = calloc(1, sizeof(*link));

	link->portspace = &hosts[from].core.ps;
	link->peer = hosts[to].core.ps.public_key;
	link->psk = key_new();
	snprintf(link->name, sizeof(link->name), "to%d", to);
	link->allowed = calloc(n, sizeof(*link->allowed));
	link->nallowed = n;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(prefix_parse(prefixes[i], &link->allowed[i]), 0);
	link->has_endpoint = endpoint;
	if (endpoint)
		link->endpoint = workers_listening(hosts[to].workers)[0];
	pthread_mutex_lock(&lock);
	hosts[from].core.links[hosts[from].core.nlinks++] = link;
	pthread_mutex_unlock(&lock);
}

static void start_host(struct host *h, int i)
{
	struct endpoint at = {.addr = addr_loopback4};
	struct workers_config config = {
		.core = &h->core, .runtime_dir = h->dir, .n = 2, .listen = &at, .nlisten = 1};
	struct portspace *ps = &h->core.ps;
	char text[32];

	strcpy(h->dir, "/tmp/persona-worker.XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	ps->id = (uint32_t)i + 1;
	ps->private_key = key_new();
	key_generate_private(ps->private_key);
	key_public(ps->private_key, &ps->public_key);
	handshake_mac1_key(&ps->public_key, ps->mac1_key);
	randombytes_buf(ps->info.secret, 16);
	ps->streams_max = 100;
	snprintf(text, sizeof(text), "10.0.0.%d", i + 1);
	addr_parse(text, &h->core.addr);
	assert_int_equal(workers_start(&config, &h->workers), 0);
}

static int setup(void **state)
{
	static const char *one[] = {"10.0.0.1"}, *three[] = {"10.0.0.3"};
	static const char *right[] = {"10.0.0.2", "10.0.0.3"};
	static const char *left[] = {"10.0.0.1", "10.0.0.2"};

	(void)state;
	assert_true(sodium_init() >= 0);
	memset(hosts, 0, sizeof(hosts));
	for (int i = 0; i < HOSTS; i++)
		start_host(&hosts[i], i);
	assert_int_equal(addr_parse("10.9.9.9", &hosts[NOWHERE].core.addr), 0);
	add_link(0, 1, right, 2, true);
	add_link(1, 0, one, 1, false); /* one-sided: only host 0 can dial */
	add_link(1, 2, three, 1, true);
	add_link(2, 1, left, 2, true);
	for (int i = 0; i < HOSTS; i++)
		for (size_t j = 0; j < hosts[i].core.nlinks; j++)
			workers_link_changed(hosts[i].workers, hosts[i].core.links[j]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < HOSTS; i++)
		workers_stop(hosts[i].workers);
	for (int i = 0; i < HOSTS; i++) {
		struct core *core = &hosts[i].core;

		assert_int_equal(atomic_load(&core->ps.streams), 0);
		assert_int_equal(atomic_load(&core->ps.refs), 0);
		for (size_t j = 0; j < core->nlinks; j++) {
			assert_int_equal(atomic_load(&core->links[j]->refs), 0);
			assert_int_equal(atomic_load(&core->links[j]->stats.carriers), 0);
			assert_int_equal(atomic_load(&core->links[j]->stats.streams), 0);
			key_free(core->links[j]->psk);
			free(core->links[j]->allowed);
			free(core->links[j]);
		}
		key_free(core->ps.private_key);
		unlink(core->server);
		rmdir(hosts[i].dir);
	}
	return 0;
}

/* ---- applications ---- */

static int serve(int host)
{
	struct core *core = &hosts[host].core;
	char path[ASK_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/server", hosts[host].dir);
	assert_int_equal(fdmsg_listen(path, SOCK_STREAM, 16, &fd), 0);
	pthread_mutex_lock(&lock);
	strcpy(core->server, path);
	pthread_mutex_unlock(&lock);
	return fd;
}

static struct endpoint at(int host, uint16_t port)
{
	return (struct endpoint){.addr = hosts[host].core.addr, .port = port};
}

static int client(int from, int to, uint16_t port)
{
	static uint16_t next = 40000;
	struct tag tag = {.kind = TAG_TCP, .phase = TAG_CONNECTING};
	struct connreq req = {.proto = IPPROTO_TCP, .src = at(from, next++), .dst = at(to, port)};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	uint8_t buf[CONNREQ_LEN + CONNREQ_PAD];
	int one = 1, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one)), 0);
	assert_int_equal(tag_set(fd, &tag), 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/stream.%d", hosts[from].dir, next % 2);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	connreq_encode(&req, buf);
	assert_int_equal(fdmsg_send(fd, buf, sizeof(buf), fd), sizeof(buf));
	return fd;
}

static int wait_for(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};

	assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
	return pfd.revents;
}

/* 0 when the gate opened, else the errno in the tag. */
static int outcome(int fd)
{
	int revents = wait_for(fd, POLLOUT);
	struct tag tag;

	assert_int_equal(tag_get(fd, &tag), 0);
	if (tag.phase == TAG_FAILED) {
		assert_true(revents & POLLHUP);
		return (int)tag.value;
	}
	assert_int_equal(tag.phase, TAG_CONNECTED);
	return 0;
}

static int accept_one(int listen_fd, struct sockaddr_un *peer, socklen_t *len)
{
	int fd;

	wait_for(listen_fd, POLLIN);
	fd = accept4(listen_fd, (struct sockaddr *)peer, len, SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

struct stream_pair {
	int listener, client, server;
};

static struct stream_pair open_pair(int from, int to)
{
	struct stream_pair p = {.listener = serve(to)};

	p.client = client(from, to, PORT);
	p.server = accept_one(p.listener, NULL, NULL);
	assert_int_equal(outcome(p.client), 0);
	return p;
}

static void close_pair(struct stream_pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

static void expect_bytes(int fd, const char *text)
{
	char buf[64] = "";
	size_t have = 0;

	while (have < strlen(text)) {
		ssize_t n;

		wait_for(fd, POLLIN);
		n = read(fd, buf + have, sizeof(buf) - 1 - have);
		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_string_equal(buf, text);
}

static void expect_eof(int fd, bool reset)
{
	char c;
	int revents = wait_for(fd, POLLIN);

	assert_int_equal(read(fd, &c, 1), 0);
	assert_int_equal((revents & POLLHUP) != 0, reset);
}

/* ---- tests ---- */

static void test_server_sees_both_addresses(void **state)
{
	struct sockaddr_un peer;
	socklen_t len = sizeof(peer);
	struct sockname name;
	int listener = serve(1), c = client(0, 1, PORT);
	int s = accept_one(listener, &peer, &len);

	(void)state;
	assert_true(sockname_decode(&peer, len, 2, hosts[1].core.ps.info.secret, &name));
	assert_int_equal(name.kind, SOCKNAME_RELAY);
	assert_true(addr_equal(&name.src.addr, &hosts[0].core.addr));
	assert_true(addr_equal(&name.dst.addr, &hosts[1].core.addr));
	assert_int_equal(name.dst.port, PORT);
	assert_int_equal(outcome(c), 0);
	close(c);
	close(s);
	close(listener);
}

static void test_bytes_and_half_close(void **state)
{
	struct stream_pair p = open_pair(0, 1);

	(void)state;
	assert_int_equal(write(p.client, "ping", 4), 4);
	expect_bytes(p.server, "ping");
	shutdown(p.client, SHUT_WR);
	expect_eof(p.server, false);
	assert_int_equal(write(p.server, "late answer", 11), 11);
	expect_bytes(p.client, "late answer");
	close_pair(&p);
}

static void test_client_close_with_unread_data_resets_server(void **state)
{
	struct stream_pair p = open_pair(0, 1);
	char c;

	(void)state;
	assert_int_equal(write(p.server, "unread", 6), 6);
	wait_for(p.client, POLLIN);
	close(p.client);
	wait_for(p.server, POLLIN);
	assert_int_equal(read(p.server, &c, 1), 0);
	assert_true(wait_for(p.server, POLLIN) & POLLHUP);
	close(p.server);
	close(p.listener);
}

static void test_refused_port(void **state)
{
	int c = client(0, 1, PORT + 1);

	(void)state;
	assert_int_equal(outcome(c), ECONNREFUSED);
	close(c);
}

static void test_dead_server_is_refused(void **state)
{
	int listener = serve(1), c;

	(void)state;
	close(listener); /* its file stays */
	c = client(0, 1, PORT);
	assert_int_equal(outcome(c), ECONNREFUSED);
	close(c);
}

static void test_no_route(void **state)
{
	int c = client(2, NOWHERE, PORT);

	(void)state;
	assert_int_equal(outcome(c), ENETUNREACH);
	close(c);
}

static void test_relay(void **state)
{
	struct stream_pair p = open_pair(0, 2);

	(void)state;
	assert_int_equal(write(p.client, "over two hops", 13), 13);
	expect_bytes(p.server, "over two hops");
	assert_int_equal(write(p.server, "and back", 8), 8);
	expect_bytes(p.client, "and back");
	shutdown(p.server, SHUT_WR);
	expect_eof(p.client, false);
	close_pair(&p);
}

static void test_side_without_endpoint_opens_by_reverse_carrier(void **state)
{
	struct stream_pair p = open_pair(1, 0);

	(void)state;
	assert_int_equal(write(p.client, "reverse", 7), 7);
	expect_bytes(p.server, "reverse");
	close_pair(&p);
}

struct bulk {
	int fd;
	size_t len;
	uint64_t sum;
};

static void *bulk_write(void *arg)
{
	struct bulk *b = arg;
	uint8_t buf[70000];
	size_t done = 0;

	while (done < b->len) {
		size_t n = b->len - done < sizeof(buf) ? b->len - done : sizeof(buf);
		ssize_t w;

		for (size_t i = 0; i < n; i++)
			buf[i] = (uint8_t)((done + i) * 2654435761u >> 24);
		for (size_t off = 0; off < n; off += (size_t)w) {
			wait_for(b->fd, POLLOUT);
			w = write(b->fd, buf + off, n - off);
			if (w < 0)
				w = 0;
		}
		done += n;
	}
	shutdown(b->fd, SHUT_WR);
	return NULL;
}

static void bulk_through(int from, int to)
{
	struct stream_pair p = open_pair(from, to);
	struct bulk b = {.fd = p.client, .len = 64 << 20};
	static uint8_t buf[300000];
	pthread_t thread;
	size_t done = 0;

	assert_int_equal(pthread_create(&thread, NULL, bulk_write, &b), 0);
	for (;;) {
		ssize_t n;

		wait_for(p.server, POLLIN);
		n = read(p.server, buf, sizeof(buf));
		assert_true(n >= 0);
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(buf[i], (uint8_t)((done + (size_t)i) * 2654435761u >> 24));
		done += (size_t)n;
	}
	assert_int_equal(done, b.len);
	pthread_join(thread, NULL);
	close_pair(&p);
}

static void test_bulk_arrives_intact(void **state)
{
	(void)state;
	bulk_through(0, 1);
}

static void test_bulk_through_relay_arrives_intact(void **state)
{
	(void)state;
	bulk_through(0, 2);
}

static void test_slow_reader_stops_the_sender(void **state)
{
	struct stream_pair p = open_pair(0, 1);
	static uint8_t buf[65536];
	size_t sent = 0;
	struct pollfd pfd = {.fd = p.client, .events = POLLOUT};

	(void)state;
	/* Nobody reads: the buffers along the way fill up and the sender blocks. */
	while (sent < 1u << 30 && poll(&pfd, 1, 1000) == 1) {
		ssize_t n = write(p.client, buf, sizeof(buf));

		if (n > 0)
			sent += (size_t)n;
	}
	assert_true(sent < 64u << 20);
	while (sent > 0) {
		ssize_t n;

		wait_for(p.server, POLLIN);
		n = read(p.server, buf, sizeof(buf));
		assert_true(n > 0);
		sent -= (size_t)n;
	}
	close_pair(&p);
}

static void test_quota(void **state)
{
	struct portspace *ps = &hosts[0].core.ps;
	int c;

	(void)state;
	atomic_fetch_add(&ps->streams, ps->streams_max);
	c = client(0, 1, PORT);
	assert_int_equal(outcome(c), EAGAIN);
	atomic_fetch_sub(&ps->streams, ps->streams_max);
	close(c);
}

static void test_link_removed_resets_streams(void **state)
{
	struct stream_pair p = open_pair(0, 1);
	struct link *link = hosts[0].core.links[0];

	(void)state;
	atomic_store(&link->removed, true);
	workers_link_changed(hosts[0].workers, link);
	expect_eof(p.client, true);
	expect_eof(p.server, true);
	close_pair(&p);
}

static void test_peer_gone_resets_streams_and_comes_back(void **state)
{
	struct stream_pair p = open_pair(2, 1);
	struct endpoint where = workers_listening(hosts[1].workers)[0];
	struct workers_config config = {.core = &hosts[1].core,
		.runtime_dir = hosts[1].dir,
		.n = 2,
		.listen = &where,
		.nlisten = 1};
	int c, err;

	(void)state;
	workers_stop(hosts[1].workers);
	expect_eof(p.client, true);
	c = client(2, 1, PORT);
	assert_int_equal(outcome(c), EHOSTUNREACH);
	close(c);
	assert_int_equal(workers_start(&config, &hosts[1].workers), 0);
	do {
		c = client(2, 1, PORT);
		err = outcome(c);
		close(c);
	} while (err == EHOSTUNREACH);
	assert_int_equal(err, 0);
	close_pair(&p);
}

static void test_connections_in_a_row_reuse_carriers(void **state)
{
	int listener = serve(1);
	struct link_stats *stats = &hosts[0].core.links[0]->stats;
	uint64_t handshake_ms = 0;

	(void)state;
	for (int i = 0; i < 500; i++) {
		/* Once warm, no stream needs a new handshake. */
		if (i == 50)
			handshake_ms = atomic_load(&stats->handshake_ms);
		int c = client(0, 1, PORT), s = accept_one(listener, NULL, NULL);

		assert_int_equal(outcome(c), 0);
		assert_int_equal(write(s, "x", 1), 1);
		close(s);
		expect_bytes(c, "x");
		expect_eof(c, false);
		close(c);
	}
	assert_true(atomic_load(&stats->carriers) < 20);
	assert_int_equal(atomic_load(&stats->handshake_ms), handshake_ms);
	close(listener);
}

static void test_late_reset_does_not_hit_the_next_stream(void **state)
{
	int listener = serve(1);

	(void)state;
	for (int i = 0; i < 500; i++) {
		int c = client(0, 1, PORT), s = accept_one(listener, NULL, NULL);

		/* Its FIN is under way when our data makes it a RST, and so is ours. */
		assert_int_equal(outcome(c), 0);
		close(s);
		(void)!write(c, "x", 1);
		close(c);
	}
	close(listener);
}

static void test_garbage_request_is_dropped(void **state)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	uint8_t buf[2048];
	char c;

	(void)state;
	for (int i = 0; i < 50; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/stream.0", hosts[0].dir);
		assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
		randombytes_buf(buf, sizeof(buf));
		(void)!write(fd, buf, (size_t)(i + 1) * 40);
		if (i % 2)
			shutdown(fd, SHUT_WR);
		if (i >= 2 || i % 2) {
			wait_for(fd, POLLIN);
			assert_true(read(fd, &c, 1) <= 0);
		}
		close(fd);
	}
	test_bytes_and_half_close(state);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_server_sees_both_addresses),
		T(test_bytes_and_half_close),
		T(test_client_close_with_unread_data_resets_server),
		T(test_refused_port),
		T(test_dead_server_is_refused),
		T(test_no_route),
		T(test_relay),
		T(test_side_without_endpoint_opens_by_reverse_carrier),
		T(test_bulk_arrives_intact),
		T(test_bulk_through_relay_arrives_intact),
		T(test_slow_reader_stops_the_sender),
		T(test_quota),
		T(test_link_removed_resets_streams),
		T(test_peer_gone_resets_streams_and_comes_back),
		T(test_connections_in_a_row_reuse_carriers),
		T(test_late_reset_does_not_hit_the_next_stream),
		T(test_garbage_request_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

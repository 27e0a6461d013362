/* SPDX-License-Identifier: MIT */
/* Three "hosts" in one process for tests of the data path: worker threads, carriers and streams
 * over loopback TCP, with a core that is a table. Clients and servers are AF_UNIX sockets that
 * behave as the shim's do. Included by one file of a test program. */
#ifndef PERSONA_TESTS_WORKER_WORLD_H
#define PERSONA_TESTS_WORKER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

struct portspace *core_member_since(struct core *core, int sock, uint64_t since_ms, pid_t *pidp)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	(void)since_ms;
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

static inline int table_route(struct core *core, const struct link *from,
	const struct endpoint *dst, struct core_hop *hopp)
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
	hopp->src = *src;
	hopp->dst = *dst;
	pthread_mutex_lock(&lock);
	r = table_route(core, from, dst, hopp);
	pthread_mutex_unlock(&lock);
	return r;
}

bool core_stale(struct core *core, struct portspace *ps, const char *path)
{
	(void)core;
	(void)ps;
	(void)path;
	return false;
}

/* ---- hosts 0 - 1 - 2 in a line; host 1 relays ---- */

static inline void add_link(int from, int to, const char *prefixes[], size_t n, bool endpoint)
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

static inline void start_host(struct host *h, int i)
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

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline int serve(int host)
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

static inline struct endpoint at(int host, uint16_t port)
{
	return (struct endpoint){.addr = hosts[host].core.addr, .port = port};
}

static inline int client(int from, int to, uint16_t port)
{
	static uint16_t next = 40000;
	struct tag tag = {.kind = TAG_TCP, .phase = TAG_CONNECTING};
	struct connreq req = {.proto = IPPROTO_TCP, .src = at(from, next++), .dst = at(to, port)};
	struct sockname name = {.kind = SOCKNAME_CLIENT,
		.portspace = hosts[from].core.ps.id,
		.src = req.src,
		.dst = req.dst};
	struct sockaddr_un sun = {.sun_family = AF_UNIX}, own;
	socklen_t own_len = sockname_encode(&name, hosts[from].core.ps.info.secret, &own);
	uint8_t buf[CONNREQ_LEN + CONNREQ_PAD];
	int one = 1, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one)), 0);
	assert_int_equal(tag_set(fd, &tag), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, own_len), 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/stream.%d", hosts[from].dir, next % 2);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	connreq_encode(&req, buf);
	assert_int_equal(fdmsg_send(fd, buf, sizeof(buf), fd), sizeof(buf));
	return fd;
}

/* What every socket of this process holds: who waits for whom, when a test waited in vain. */
static inline void dump_sockets(void)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct tcp_info info = {0};
		socklen_t len = sizeof(info);
		int in = -1, out = -1, type;

		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &(socklen_t){sizeof(type)}) < 0)
			continue;
		(void)ioctl(fd, FIONREAD, &in);
		(void)ioctl(fd, TIOCOUTQ, &out);
		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
			print_message("fd %d: unread %d unsent %d\n", fd, in, out);
		else if (info.tcpi_state == TCP_ESTABLISHED)
			print_message("fd %d: tcp unread %d unsent %d unacked %u probes %u "
				      "backoff %u rto %u us, last ack %u ms ago\n",
				fd, in, out, info.tcpi_unacked, info.tcpi_probes, info.tcpi_backoff,
				info.tcpi_rto, info.tcpi_last_ack_recv);
	}
}

static inline int wait_for(int fd, short events)
{
	struct pollfd pfd = {.fd = fd, .events = events};
	int r = poll(&pfd, 1, WAIT_MS);

	if (r == 0) {
		print_message("waited in vain for fd %d\n", fd);
		dump_sockets();
	}
	assert_int_equal(r, 1);
	return pfd.revents;
}

/* 0 when the gate opened, else the errno in the tag. */
static inline int outcome(int fd)
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

static inline int accept_one(int listen_fd, struct sockaddr_un *peer, socklen_t *len)
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

static inline struct stream_pair open_pair(int from, int to)
{
	struct stream_pair p = {.listener = serve(to)};

	p.client = client(from, to, PORT);
	p.server = accept_one(p.listener, NULL, NULL);
	assert_int_equal(outcome(p.client), 0);
	return p;
}

static inline void close_pair(struct stream_pair *p)
{
	close(p->client);
	close(p->server);
	close(p->listener);
}

static inline void expect_bytes(int fd, const char *text)
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

static inline void expect_eof(int fd, bool reset)
{
	char c;
	int revents = wait_for(fd, POLLIN);

	assert_int_equal(read(fd, &c, 1), 0);
	assert_int_equal((revents & POLLHUP) != 0, reset);
}

#endif

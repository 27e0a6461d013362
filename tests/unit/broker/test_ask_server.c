/* SPDX-License-Identifier: MIT */
/* ask_server: every question, and clients that lie, stall or flood. */
#include "core_fixture.h"

#include <net/if.h>

#include "ask_server.h"
#include "fdmsg.h"

enum { DEADLINE_MS = 20000 };

struct bench {
	struct fixture *f;
	uv_loop_t loop;
	struct ask_server *server;
	struct portspace *ps;
	char path[64];
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct config *config;
	struct addr a;

	assert_non_null(b);
	fixture_setup((void **)&b->f);
	assert_int_equal(uv_loop_init(&b->loop), 0);
	snprintf(b->path, sizeof(b->path), "%s/ask", b->f->rt);
	assert_int_equal(ask_server_new(&b->loop, b->f->core, b->path, &b->server), 0);
	config = make_config("10.77.0.1/24 fd00::1/64");
	a = address("10.77.0.9");
	assert_int_equal(config_add_host(config, &a, "srv"), 0);
	a = address("fd00::9");
	assert_int_equal(config_add_host(config, &a, "srv"), 0);
	strcpy(config->hostname, "office");
	config->mtu = 1400;
	assert_int_equal(portspace_add(b->f->core, "work", config, false, NULL, &b->ps), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	ask_server_close(b->server);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	fixture_teardown((void **)&b->f);
	free(b);
	return 0;
}

static struct ask_reply answer(struct bench *b, const struct ask_request *req)
{
	struct ask_reply rep;

	ask_answer(b->f->core, b->ps, getpid(), req, &rep);
	assert_int_equal(rep.op, req->op);
	return rep;
}

static struct ask_reply ask_bind(struct bench *b, enum ask_op op, const char *at, uint64_t inode)
{
	struct ask_request req = {
		.op = op, .proto = IPPROTO_TCP, .local = endpoint(at), .inode = inode};

	if (!addr_is_v4(&req.local.addr))
		req.flags = ASK_V6;
	return answer(b, &req);
}

static uint64_t inode_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

static void test_bind_takes_own_addresses_only(void **state)
{
	struct bench *b = *state;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(ask_bind(b, ASK_BIND, "10.77.0.1:80", inode_of(fd)).err, 0);
	assert_int_equal(ask_bind(b, ASK_BIND, "10.77.0.1:80", 99).err, EADDRINUSE);
	assert_int_equal(ask_bind(b, ASK_BIND, "10.77.0.2:81", 100).err, EADDRNOTAVAIL);
	assert_int_equal(ask_bind(b, ASK_BIND, "[fd00::2]:81", 100).err, EADDRNOTAVAIL);
	assert_int_equal(ask_bind(b, ASK_BIND, "127.0.0.5:81", 101).err, 0);
	assert_int_equal(ask_bind(b, ASK_BIND, "[::1]:81", 102).err, 0);
	assert_int_equal(ask_bind(b, ASK_BIND, "0.0.0.0:82", 103).err, 0);
	assert_int_equal(ask_bind(b, ASK_BIND, "[fd00::1]:82", 104).err, 0);
	assert_true(ask_bind(b, ASK_BIND, "0.0.0.0:0", 105).port >= PORTTAB_EPHEMERAL_FIRST);
	close(fd);
	/* Nobody holds it any more: found out when it stands in the way. */
	assert_int_equal(ask_bind(b, ASK_BIND, "10.77.0.1:80", 106).err, 0);
}

static void test_bind_refuses_other_protocols(void **state)
{
	struct ask_request req = {
		.op = ASK_BIND, .proto = IPPROTO_SCTP, .local = endpoint("0.0.0.0:1"), .inode = 1};

	assert_int_equal(answer(*state, &req).err, EPROTONOSUPPORT);
}

/* Datagram sockets ask the packet plane: here anybody could take every port without a socket. */
static void test_ports_of_udp_are_not_given_here(void **state)
{
	static const enum ask_op ops[] = {ASK_BIND, ASK_LISTEN, ASK_LEASE};
	struct ask_request req = {
		.proto = IPPROTO_UDP, .local = endpoint("0.0.0.0:53"), .inode = 1};

	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		req.op = ops[i];
		assert_int_equal(answer(*state, &req).err, EPROTONOSUPPORT);
	}
}

static void test_listen_gives_a_free_path(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), old = socket(AF_UNIX, SOCK_STREAM, 0);
	struct ask_reply rep;
	struct stat st;

	/* What an earlier owner left there goes. */
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/tcp.any.80", b->ps->dir);
	assert_int_equal(bind(old, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(old);
	rep = ask_bind(b, ASK_LISTEN, "[::]:80", inode_of(fd));
	assert_int_equal(rep.err, 0);
	assert_int_equal(rep.port, 80);
	assert_string_equal(rep.path, sun.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	/* Asking again does not harm the server. */
	rep = ask_bind(b, ASK_LISTEN, "[::]:80", inode_of(fd));
	assert_int_equal(rep.err, 0);
	assert_int_equal(stat(sun.sun_path, &st), 0);
	assert_int_equal(ask_bind(b, ASK_LISTEN, "10.77.0.1:80", 7).err, EADDRINUSE);
	close(fd);
}

static void test_local_finds_living_servers(void **state)
{
	struct bench *b = *state;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct ask_request req = {
		.op = ASK_LOCAL, .proto = IPPROTO_TCP, .local = endpoint("127.0.0.1:80")};
	struct ask_reply listening;

	assert_int_equal(answer(b, &req).err, ECONNREFUSED);
	listening = ask_bind(b, ASK_LISTEN, "0.0.0.0:80", inode_of(fd));
	assert_string_equal(answer(b, &req).path, listening.path);
	req.local = endpoint("0.0.0.0:80");
	assert_string_equal(answer(b, &req).path, listening.path);
	req.local = endpoint("[::1]:80");
	assert_int_equal(answer(b, &req).err, ECONNREFUSED);
	req.local = endpoint("10.77.0.2:80");
	assert_int_equal(answer(b, &req).err, EADDRNOTAVAIL);
	close(fd);
	req.local = endpoint("10.77.0.1:80");
	assert_int_equal(answer(b, &req).err, ECONNREFUSED);
	assert_int_equal(porttab_count(b->ps->porttab), 0);
}

static void test_lease_gives_blocks(void **state)
{
	struct ask_request req = {.op = ASK_LEASE, .proto = IPPROTO_TCP};
	struct ask_reply one = answer(*state, &req), two = answer(*state, &req);

	assert_int_equal(one.err, 0);
	assert_int_equal(one.count, PORTTAB_LEASE_FIRST);
	assert_true(one.port >= PORTTAB_EPHEMERAL_FIRST);
	assert_true(two.port >= one.port + one.count || two.port + two.count <= one.port);
}

static struct ask_reply ask_name(struct bench *b, const char *name)
{
	struct ask_request req = {.op = ASK_NAME, .flags = ASK_NAME_V4 | ASK_NAME_V6};

	snprintf(req.name, sizeof(req.name), "%s", name);
	return answer(b, &req);
}

static void test_names(void **state)
{
	struct bench *b = *state;
	struct addr a = address("10.77.0.9"), own = address("10.77.0.1");
	struct ask_reply rep = ask_name(b, "srv");
	struct link *link;

	assert_int_equal(rep.naddr, 2);
	assert_true(addr_equal(&rep.addr[0], &a));
	assert_int_equal(ask_name(b, "SRV.").naddr, 2);
	assert_int_equal(ask_name(b, "localhost").naddr, 2);
	assert_true(addr_is_loopback(&ask_name(b, "localhost").addr[0]));
	rep = ask_name(b, "office");
	assert_int_equal(rep.naddr, 2);
	assert_true(addr_equal(&rep.addr[0], &own));
	assert_int_equal(ask_name(b, "www.example.com").err, ENOENT);
	assert_int_equal(ask_name(b, "").err, ENOENT);
	/* A link's name leads to its first host; the configured names come first. */
	assert_int_equal(ask_name(b, "home").err, ENOENT);
	link = make_link(b->ps, "home", "10.1.0.0/16 10.77.0.2/32 10.77.0.3/32", NULL);
	a = address("10.77.0.2");
	rep = ask_name(b, "home");
	assert_int_equal(rep.naddr, 1);
	assert_true(addr_equal(&rep.addr[0], &a));
	make_link(b->ps, "srv", "10.77.0.4/32", NULL);
	assert_int_equal(ask_name(b, "srv").naddr, 2);
	link_remove(link);
	portspace_build_hosts(b->ps);
	assert_int_equal(ask_name(b, "home").err, ENOENT);
}

static void test_addresses_have_names(void **state)
{
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_ADDR};

	req.local.addr = address("10.77.0.9");
	assert_string_equal(answer(b, &req).name, "srv");
	req.local.addr = address("10.77.0.1");
	assert_string_equal(answer(b, &req).name, "office");
	req.local.addr = address("127.0.0.1");
	assert_string_equal(answer(b, &req).name, "localhost");
	req.local.addr = address("192.0.2.1");
	assert_int_equal(answer(b, &req).err, ENOENT);
}

static void test_interfaces(void **state)
{
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_IFS};
	struct ask_reply rep = answer(b, &req);
	char name[16], prefix[32];

	assert_int_equal(rep.count, 1);
	assert_string_equal(rep.ifs[0].name, "lo");
	assert_int_equal(rep.ifs[0].index, 1);
	assert_int_equal(rep.ifs[0].mtu, 65536);
	assert_int_equal(rep.ifs[0].flags, IFF_UP | IFF_LOOPBACK | IFF_RUNNING);
	for (int i = 0; i < ASK_IFS_MAX + 1; i++) {
		snprintf(name, sizeof(name), "l%d", i);
		snprintf(prefix, sizeof(prefix), "10.%d.0.0/16", i);
		make_link(b->ps, name, prefix, NULL);
	}
	rep = answer(b, &req);
	assert_int_equal(rep.count, ASK_IFS_MAX + 2);
	assert_int_equal(rep.nif, ASK_IFS_MAX);
	assert_string_equal(rep.ifs[1].name, "l0");
	assert_int_equal(rep.ifs[1].index, 2);
	assert_int_equal(rep.ifs[1].mtu, 1400);
	assert_int_equal(rep.ifs[1].flags,
		IFF_UP | IFF_POINTOPOINT | IFF_NOARP | IFF_MULTICAST | IFF_RUNNING);
	req.first = ASK_IFS_MAX;
	rep = answer(b, &req);
	assert_int_equal(rep.count, ASK_IFS_MAX + 2);
	assert_int_equal(rep.nif, 2);
	assert_string_equal(rep.ifs[1].name, "l128");
	req.first = 60000;
	assert_int_equal(answer(b, &req).nif, 0);
}

static void test_removed_portspace_answers_nothing(void **state)
{
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_IFS};

	portspace_ref(b->ps);
	portspace_remove(b->f->core, b->ps);
	assert_int_equal(answer(b, &req).err, ENETDOWN);
	portspace_unref(b->ps);
}

/* --- over the socket --- */

static void run_until_readable(struct bench *b, int fd)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ULL;
	struct pollfd p[2] = {
		{.fd = fd, .events = POLLIN}, {.fd = uv_backend_fd(&b->loop), .events = POLLIN}};

	for (;;) {
		int timeout = uv_backend_timeout(&b->loop);

		/* Twice: what the first run starts to watch is watched by the second only. */
		uv_run(&b->loop, UV_RUN_NOWAIT);
		uv_run(&b->loop, UV_RUN_NOWAIT);
		if (poll(p, 1, 0) == 1)
			return;
		assert_true(uv_hrtime() < end);
		poll(p, 2, timeout < 0 || timeout > 1000 ? 1000 : timeout);
	}
}

static void enter_self(struct bench *b)
{
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd = socket(AF_UNIX, SOCK_STREAM, 0), conn;

	assert_int_equal(connect(fd, (struct sockaddr *)&sun, len), 0);
	conn = accept(listener, NULL, NULL);
	assert_int_equal(peer_get(conn, &peer), 0);
	assert_int_equal(portspace_enter(b->ps, &peer, "shim", NULL), 0);
	peer_close(&peer);
	close(conn);
	close(fd);
	close(listener);
}

/* The reply's length, 0 when the connection was closed without one. */
static ssize_t exchange(struct bench *b, const void *req, size_t len, void *rep, size_t cap)
{
	ssize_t n;
	int fd, passed;

	assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET, &fd), 0);
	uv_run(&b->loop, UV_RUN_NOWAIT); /* accepted before anything was sent */
	assert_int_equal(fdmsg_send(fd, req, len, -1), (ssize_t)len);
	run_until_readable(b, fd);
	n = fdmsg_recv(fd, rep, cap, &passed);
	close(fd);
	return n < 0 ? 0 : n;
}

static void test_member_gets_an_answer(void **state)
{
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_NAME, .flags = ASK_NAME_V4, .name = "srv"};
	uint8_t in[ASK_REPLY_MAX], out[ASK_MAX];
	struct ask_reply rep;
	int n = ask_encode_request(&req, out, sizeof(out));
	ssize_t len;

	assert_int_equal(exchange(b, out, (size_t)n, in, sizeof(in)), 0); /* not yet a member */
	enter_self(b);
	len = exchange(b, out, (size_t)n, in, sizeof(in));
	assert_int_equal(ask_decode_reply(in, (size_t)len, &rep), 0);
	assert_int_equal(rep.naddr, 2);
}

static void test_garbage_is_closed(void **state)
{
	struct bench *b = *state;
	uint8_t in[ASK_REPLY_MAX], out[ASK_MAX + 1];
	struct ask_request req = {.op = ASK_LEASE, .proto = IPPROTO_TCP};
	int n;

	enter_self(b);
	for (size_t len = 1; len <= sizeof(out); len += len < 40 ? 1 : 97) {
		randombytes_buf(out, len);
		out[0] = 0xff; /* no version */
		assert_int_equal(exchange(b, out, len, in, sizeof(in)), 0);
	}
	n = ask_encode_request(&req, out, sizeof(out));
	out[n] = 0; /* one byte too many */
	assert_int_equal(exchange(b, out, (size_t)n + 1, in, sizeof(in)), 0);
	assert_true(exchange(b, out, (size_t)n, in, sizeof(in)) > 0);
}

/* Where the kernel lets the broker refuse them (Linux 6.16), sending one fails; the last close of a
 * descriptor may block. Elsewhere it is closed. */
static void test_descriptors_do_not_stay(void **state)
{
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_LEASE, .proto = IPPROTO_TCP};
	uint8_t out[ASK_MAX];
	int n = ask_encode_request(&req, out, sizeof(out)), fd, pipefd[2], on;
	socklen_t len = sizeof(on);
	bool refusable;
	char c;

	enter_self(b);
	assert_int_equal(pipe(pipefd), 0);
	assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET, &fd), 0);
	refusable = getsockopt(fd, SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &on, &len) == 0;
	assert_int_equal(fdmsg_send(fd, out, (size_t)n, pipefd[1]), refusable ? -EPERM : n);
	if (refusable) /* the connection is as good as before */
		assert_int_equal(fdmsg_send(fd, out, (size_t)n, -1), n);
	close(pipefd[1]);
	run_until_readable(b, fd);
	assert_int_equal(read(pipefd[0], &c, 1), 0); /* nobody holds the other end */
	close(pipefd[0]);
	close(fd);
}

static void test_silent_clients_are_bounded_and_dropped(void **state)
{
	struct bench *b = *state;
	int fd[ASK_SERVER_PID_MAX], more;
	uint64_t start = uv_hrtime();
	char c;

	enter_self(b);
	for (int i = 0; i < ASK_SERVER_PID_MAX; i++)
		assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET, &fd[i]), 0);
	for (int i = 0; i < 3; i++)
		uv_run(&b->loop, UV_RUN_NOWAIT);
	/* One more is closed at once, and others are still served. */
	assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET, &more), 0);
	run_until_readable(b, more);
	assert_int_equal(read(more, &c, 1), 0);
	close(more);
	assert_true(uv_hrtime() - start < (ASK_SERVER_STALL_MS - 1000) * 1000000ULL);
	for (int i = 0; i < ASK_SERVER_PID_MAX; i++) {
		run_until_readable(b, fd[i]);
		assert_int_equal(read(fd[i], &c, 1), 0);
		close(fd[i]);
	}
	assert_true(uv_hrtime() - start >= (ASK_SERVER_STALL_MS - 100) * 1000000ULL);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_bind_takes_own_addresses_only),
		T(test_bind_refuses_other_protocols),
		T(test_ports_of_udp_are_not_given_here),
		T(test_listen_gives_a_free_path),
		T(test_local_finds_living_servers),
		T(test_lease_gives_blocks),
		T(test_names),
		T(test_addresses_have_names),
		T(test_interfaces),
		T(test_removed_portspace_answers_nothing),
		T(test_member_gets_an_answer),
		T(test_garbage_is_closed),
		T(test_descriptors_do_not_stay),
		T(test_silent_clients_are_bounded_and_dropped),
	};

	return cmocka_run_group_tests_name("ask_server", tests, NULL, NULL);
}

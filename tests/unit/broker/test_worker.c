/* SPDX-License-Identifier: MIT */
/* The data path alone, with honest peers and applications (worker_world.h). */
#include "worker_world.h"

#include <sys/wait.h>

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

/* Passes an internet socket that lingers over unsent data instead of its own, and exits: then the
 * broker's close is the last one, and would wait. */
static _Noreturn void pass_lingering(const struct sockaddr_in *to, int worker)
{
	struct connreq req = {.proto = IPPROTO_TCP, .src = at(0, 1), .dst = at(1, PORT)};
	struct linger linger = {.l_onoff = 1, .l_linger = 60};
	struct tag tag = {.kind = TAG_TCP, .phase = TAG_CONNECTING};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), strange = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	uint8_t buf[CONNREQ_LEN + CONNREQ_PAD];
	static char data[1 << 20];

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/stream.%d", hosts[0].dir, worker);
	connreq_encode(&req, buf);
	if (connect(strange, (const struct sockaddr *)to, sizeof(*to)) < 0)
		_exit(1);
	while (send(strange, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	if (setsockopt(strange, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ||
		tag_set(strange, &tag) < 0 ||
		connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 ||
		fdmsg_send(fd, buf, sizeof(buf), strange) != sizeof(buf))
		_exit(2);
	_exit(0);
}

static void test_strange_descriptor_does_not_hold_up_a_worker(void **state)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), peer[8], status;
	socklen_t len = sizeof(sin);

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	for (int i = 0; i < 8; i++) {
		pid_t pid = fork();

		if (pid == 0)
			pass_lingering(&sin, i % 2);
		peer[i] = accept(listener, NULL, NULL); /* never read */
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	test_bytes_and_half_close(state);
	for (int i = 0; i < 8; i++)
		close(peer[i]);
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
		T(test_strange_descriptor_does_not_hold_up_a_worker),
		T(test_garbage_request_is_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The data path against a peer that holds a right key and does what it likes, a slow one, and one
 * that is not there any more. The peer takes the place of host 0 or 2 of worker_world.h. */
#include "carrier_peer.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "worker_priv.h"

static void expect_works(int from, int to)
{
	struct stream_pair p = open_pair(from, to);

	assert_int_equal(write(p.client, "ping", 4), 4);
	expect_bytes(p.server, "ping");
	close_pair(&p);
}

/* Bytes that wait at a socket, once there are `want` of them or none come any more. */
static int queued(int fd, int want)
{
	struct timespec pause = {.tv_nsec = 1000000};
	int n = 0;

	for (int i = 0; i < 300; i++) {
		assert_int_equal(ioctl(fd, FIONREAD, &n), 0);
		if (n >= want)
			break;
		nanosleep(&pause, NULL);
	}
	return n;
}

/* ---- tests ---- */

/* Answers that the peer does not read pile up on the carrier; a stream that is opened then has to
 * wait for them. */
static void test_stream_on_a_carrier_with_waiting_answers(void **state)
{
	struct peer p = peer_dial(0, 1, HANDSHAKE_FORWARD, 2048);
	static uint8_t buf[64 * 3000];
	int listener = serve(1);
	struct timespec pause = {.tv_nsec = 5000000};
	uint32_t no = 0;
	size_t len;

	(void)state;
	fcntl(p.fd, F_SETFL, O_NONBLOCK);
	for (int round = 0; round < 400; round++) {
		int fd;

		len = 0;
		for (int i = 0; i < 2000; i++, no++)
			len += peer_seal_open(&p, buf + len, 1, PORT + 1); /* refused */
		len += peer_seal_open(&p, buf + len, 1, PORT);
		no++;
		for (size_t done = 0; done < len;) {
			struct pollfd pfd = {.fd = p.fd, .events = POLLOUT};
			ssize_t n;

			assert_int_equal(poll(&pfd, 1, WAIT_MS), 1);
			n = send(p.fd, buf + done, len - done, MSG_NOSIGNAL);
			if (n < 0 && errno != EAGAIN)
				goto lost; /* it stopped listening to us */
			done += n > 0 ? (size_t)n : 0;
		}
		struct pollfd both[2] = {{.fd = listener, .events = POLLIN}, {.fd = p.fd}};

		if (poll(both, 2, 1000) <= 0 || !(both[0].revents & POLLIN))
			goto lost;
		fd = accept_one(listener, NULL, NULL);
		(void)!write(fd, "data", 4);
		nanosleep(&pause, NULL); /* time for the data to be looked at */
		peer_rst(&p, no);
		wait_for(fd, POLLHUP);
		close(fd);
	}
	fail_msg("the carrier never ended");
lost:
	/* It closed; that shows behind what it had written. */
	do
		wait_for(p.fd, POLLIN);
	while (recv(p.fd, buf, sizeof(buf), 0) > 0);
	peer_close(&p);
	close(listener);
	expect_works(0, 1);
}

/* DATA that the server does not take, FIN and the next OPEN come in one segment. */
static void test_open_behind_what_a_slow_server_does_not_take(void **state)
{
	enum { PIECE = 40000 };
	struct peer p = peer_dial(0, 1, HANDSHAKE_FORWARD, 0);
	static uint8_t piece[PIECE], buf[PIECE + 1000];
	int listener = serve(1), fd, pieces = 0;
	ssize_t n;
	size_t len;

	(void)state;
	/* How many pieces go in before the server's buffer is full? */
	peer_open(&p, 1, PORT);
	fd = accept_one(listener, NULL, NULL);
	assert_int_equal(peer_recv(&p, NULL), RECORD_OPENED);
	do {
		peer_send(&p, RECORD_DATA, piece, PIECE);
		pieces++;
	} while (queued(fd, pieces * PIECE) == pieces * PIECE);
	close(fd);
	assert_int_equal(peer_recv(&p, NULL), RECORD_RST);
	peer_rst(&p, 1);

	peer_open(&p, 1, PORT);
	fd = accept_one(listener, NULL, NULL);
	assert_int_equal(peer_recv(&p, NULL), RECORD_OPENED);
	shutdown(fd, SHUT_WR);
	assert_int_equal(peer_recv(&p, NULL), RECORD_FIN);
	for (int i = 1; i < pieces; i++) {
		peer_send(&p, RECORD_DATA, piece, PIECE);
		assert_int_equal(queued(fd, i * PIECE), i * PIECE);
	}
	len = peer_seal(&p, buf, RECORD_DATA, piece, PIECE);
	len += peer_seal(&p, buf + len, RECORD_FIN, NULL, 0);
	len += peer_seal_open(&p, buf + len, 1, PORT);
	peer_write(&p, buf, len);
	queued(fd, pieces * PIECE);
	for (size_t total = 0;; total += (size_t)n) {
		wait_for(fd, POLLIN);
		n = read(fd, buf, sizeof(buf));
		assert_true(n >= 0);
		if (n == 0) {
			assert_int_equal(total, pieces * PIECE);
			break;
		}
	}
	close(fd);
	fd = accept_one(listener, NULL, NULL);
	assert_int_equal(peer_recv(&p, NULL), RECORD_OPENED);
	close(fd);
	close(listener);
	peer_close(&p);
}

/* A client of host 1 whose OPEN the peer has got, in the place of host 0. */
static struct peer peer_opened(int *clientp)
{
	struct peer p;
	int c;

	workers_stop(hosts[0].workers);
	hosts[0].workers = NULL;
	for (;;) {
		p = peer_dial(0, 1, HANDSHAKE_REVERSE, 0);
		c = client(1, 0, PORT);
		struct pollfd pfd[2] = {
			{.fd = p.fd, .events = POLLIN}, {.fd = c, .events = POLLOUT}};

		assert_true(poll(pfd, 2, WAIT_MS) > 0);
		if (pfd[0].revents & POLLIN)
			break;
		peer_close(&p); /* a dead carrier of before was taken */
		close(c);
	}
	assert_int_equal(peer_recv(&p, NULL), RECORD_OPEN);
	*clientp = c;
	return p;
}

/* The peer accepts the stream and ends its own direction. */
static void peer_serve_end(struct peer *p, int c)
{
	static const uint8_t ok;

	peer_send(p, RECORD_OPENED, &ok, 1);
	assert_int_equal(outcome(c), 0);
	peer_send(p, RECORD_FIN, NULL, 0);
	expect_eof(c, false);
}

static void test_last_fin_comes_without_a_next_stream(void **state)
{
	struct peer p;
	int c;

	(void)state;
	p = peer_opened(&c);
	peer_serve_end(&p, c);
	close(c);
	assert_int_equal(peer_recv(&p, NULL), RECORD_FIN);
	peer_close(&p);
}

static uint32_t segments_in(int fd)
{
	/* tcpi_data_segs_in in linux/tcp.h, which cannot be had beside netinet/tcp.h */
	enum { OFFSET = 152 };
	uint8_t info[256];
	socklen_t len = sizeof(info);
	uint32_t n;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len), 0);
	assert_true(len >= OFFSET + sizeof(n));
	memcpy(&n, info + OFFSET, sizeof(n));
	return n;
}

static void test_last_fin_goes_with_the_next_open(void **state)
{
	bool together = false;
	struct peer p;
	int c;

	(void)state;
	p = peer_opened(&c);
	/* Whoever is held up for longer than the FIN is sees two segments. */
	for (int i = 0; i < 100 && !together; i++) {
		uint32_t before;

		peer_serve_end(&p, c);
		before = segments_in(p.fd);
		close(c);
		close(client(1, NOWHERE, PORT)); /* clients take turns at two workers */
		c = client(1, 0, PORT);
		assert_int_equal(peer_recv(&p, NULL), RECORD_FIN);
		assert_int_equal(peer_recv(&p, NULL), RECORD_OPEN);
		together = segments_in(p.fd) == before + 1;
	}
	assert_true(together);
	close(c);
	peer_close(&p);
}

static void test_last_fin_comes_before_the_carrier_is_closed(void **state)
{
	struct link *link = hosts[1].core.links[0];
	struct timespec pause = {.tv_nsec = 100000};
	struct peer p;
	uint8_t byte;
	int c;

	(void)state;
	p = peer_opened(&c);
	peer_serve_end(&p, c);
	close(c);
	while (atomic_load(&hosts[1].core.ps.streams) > 0)
		nanosleep(&pause, NULL);
	atomic_store(&link->removed, true);
	workers_link_changed(hosts[1].workers, link);
	assert_int_equal(peer_recv(&p, NULL), RECORD_FIN);
	wait_for(p.fd, POLLIN);
	assert_int_equal(recv(p.fd, &byte, 1, 0), 0);
	peer_close(&p);
}

/* Whatever ends a connect ends it with an errno at the client. */
static void test_fin_instead_of_an_answer_fails_the_connect(void **state)
{
	struct peer p;
	int c;

	(void)state;
	p = peer_opened(&c);
	peer_send(&p, RECORD_FIN, NULL, 0);
	assert_int_equal(outcome(c), ECONNRESET);
	close(c);
	peer_close(&p);
}

/* A peer may ask for carriers, but not for all our descriptors and time. */
static void test_flood_of_wants_is_bounded(void **state)
{
	static const uint8_t want[RECORD_WANT_LEN] = {0, 0, 0, 16};
	struct link *link = hosts[1].core.links[1];
	struct peer p = peer_dial(2, 1, HANDSHAKE_FORWARD, 0);
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd, dials = 0;
	socklen_t len = sizeof(sin);
	struct timespec start, now;

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&sin, len), 0);
	assert_int_equal(listen(listener, 128), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&sin, &len), 0);
	pthread_mutex_lock(&lock);
	link->endpoint.port = ntohs(sin.sin_port);
	pthread_mutex_unlock(&lock);
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		peer_send(&p, RECORD_WANT, want, sizeof(want));
		while ((fd = accept(listener, NULL, NULL)) >= 0) {
			close(fd);
			dials++;
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < 2);
	assert_true(dials > 0);
	assert_true(dials < 3 * 256 + 100);
	close(listener);
	peer_close(&p);
	expect_works(0, 1);
}

/* Out of descriptors: the connection waits in the backlog, the worker does not spin. */
static void test_no_descriptors_left(void **state)
{
	struct rlimit old, none;
	struct timespec cpu0, cpu1, pause = {.tv_nsec = 600000000};
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), probe;
	double used;
	char c;

	(void)state;
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/stream.0", hosts[0].dir);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	probe = dup(fd);
	close(probe);
	none = old;
	none.rlim_cur = (rlim_t)probe;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu0);
	nanosleep(&pause, NULL);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu1);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	used = (double)(cpu1.tv_sec - cpu0.tv_sec) + (double)(cpu1.tv_nsec - cpu0.tv_nsec) / 1e9;
	assert_true(used < 0.2);
	/* Then it is taken: garbage ends it. */
	assert_int_equal(write(fd, "garbage", 7), 7);
	wait_for(fd, POLLIN);
	assert_true(read(fd, &c, 1) <= 0);
	close(fd);
	expect_works(0, 1);
}

/* How many TCP sockets of this process have output that the other side has no room for, and of
 * these, how many would be given up for that? */
static void stuck_sockets(int *stuckp, int *doomedp)
{
	*stuckp = *doomedp = 0;
	for (int fd = 3; fd < 1024; fd++) {
		struct tcp_info info = {0};
		socklen_t len = sizeof(info);
		int ms = 0, pending = 0;

		if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
			info.tcpi_state != TCP_ESTABLISHED || ioctl(fd, TIOCOUTQ, &pending) < 0 ||
			pending == 0)
			continue;
		len = sizeof(ms);
		assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &len), 0);
		++*stuckp;
		*doomedp += ms != 0;
	}
}

/* TCP_USER_TIMEOUT ends a connection whose peer keeps its window closed; a reader may take its
 * time. */
static void test_slow_reader_is_not_given_up(void **state)
{
	struct stream_pair p = open_pair(0, 1);
	struct timespec pause = {.tv_nsec = 100000000};
	struct pollfd pfd = {.fd = p.client, .events = POLLOUT};
	static uint8_t buf[65536];
	int stuck = 0, doomed = 1;
	size_t sent = 0;

	(void)state;
	while (poll(&pfd, 1, 500) == 1) {
		ssize_t n = write(p.client, buf, sizeof(buf));

		if (n > 0)
			sent += (size_t)n;
	}
	for (int i = 0; i < 100 && doomed; i++) {
		stuck_sockets(&stuck, &doomed);
		nanosleep(&pause, NULL);
	}
	assert_true(stuck > 0);
	assert_int_equal(doomed, 0);
	while (sent > 0) {
		ssize_t n;

		wait_for(p.server, POLLIN);
		n = read(p.server, buf, sizeof(buf));
		assert_true(n > 0);
		sent -= (size_t)n;
	}
	close_pair(&p);
}

/* Also a carrier that waits for the answer to a reset goes with its link. */
static void test_removed_link_takes_draining_carriers_along(void **state)
{
	struct link *link = hosts[1].core.links[1];
	struct peer p = peer_dial(2, 1, HANDSHAKE_FORWARD, 0);
	int listener = serve(1), fd;
	uint8_t byte;

	(void)state;
	peer_open(&p, 1, PORT);
	fd = accept_one(listener, NULL, NULL);
	assert_int_equal(peer_recv(&p, NULL), RECORD_OPENED);
	peer_send(&p, RECORD_DATA, "unread", 6);
	assert_int_equal(queued(fd, 6), 6);
	close(fd);
	peer_send(&p, RECORD_DATA, "more", 4);
	assert_int_equal(peer_recv(&p, NULL), RECORD_RST);
	atomic_store(&link->removed, true);
	workers_link_changed(hosts[1].workers, link);
	wait_for(p.fd, POLLIN);
	assert_true(recv(p.fd, &byte, 1, 0) <= 0);
	close(listener);
	peer_close(&p);
}

struct look {
	const struct peer *peer;
	int answer; /* a pipe's end */
};

static void look_for_keys(struct worker *w, void *arg)
{
	const struct look *look = arg;
	char found = aead_remembers(w->aead, &look->peer->keys.tx) ||
		     aead_remembers(w->aead, &look->peer->keys.rx);

	assert_int_equal(write(look->answer, &found, 1), 1);
}

/* How many workers of a host remember a key of the peer's carrier? */
static unsigned remembering(int host, const struct peer *p)
{
	struct workers *all = hosts[host].workers;
	unsigned n = 0;
	int ends[2];
	char found;

	assert_int_equal(pipe(ends), 0);
	for (unsigned i = 0; i < all->n; i++) {
		struct look look = {.peer = p, .answer = ends[1]};

		assert_int_equal(worker_post(&all->worker[i], look_for_keys, &look), 0);
		assert_int_equal(read(ends[0], &found, 1), 1);
		n += found != 0;
	}
	close(ends[0]);
	close(ends[1]);
	return n;
}

static void test_keys_go_with_their_carrier(void **state)
{
	struct link *link = hosts[1].core.links[1];
	struct peer p = peer_dial(2, 1, HANDSHAKE_FORWARD, 0);
	uint8_t byte;

	(void)state;
	peer_open(&p, 1, PORT); /* nobody listens there */
	assert_int_equal(peer_recv(&p, &byte), RECORD_OPENED);
	assert_int_equal(byte, RECORD_REFUSED);
	assert_int_equal(remembering(1, &p), 1);
	atomic_store(&link->removed, true);
	workers_link_changed(hosts[1].workers, link);
	wait_for(p.fd, POLLIN);
	assert_true(recv(p.fd, &byte, 1, 0) <= 0);
	assert_int_equal(remembering(1, &p), 0);
	peer_close(&p);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(test_stream_on_a_carrier_with_waiting_answers),
		T(test_open_behind_what_a_slow_server_does_not_take),
		T(test_last_fin_comes_without_a_next_stream),
		T(test_last_fin_goes_with_the_next_open),
		T(test_last_fin_comes_before_the_carrier_is_closed),
		T(test_fin_instead_of_an_answer_fails_the_connect),
		T(test_flood_of_wants_is_bounded),
		T(test_no_descriptors_left),
		T(test_slow_reader_is_not_given_up),
		T(test_removed_link_takes_draining_carriers_along),
		T(test_keys_go_with_their_carrier),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

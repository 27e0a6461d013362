/* SPDX-License-Identifier: MIT */
/* A broker for testing the shim alone: the local protocol (ask, stream.N) with the real codec, a
 * port table that follows the kernel's socket list, and destinations that behave in a known way.
 *
 *   broker_fixture LIBRARY PROGRAM [ARGUMENT...]
 *
 * makes a runtime directory, runs PROGRAM inside the portspace "testbox" (10.0.0.1/24, fd00::1/64)
 * with LIBRARY preloaded, and ends with its exit status. Destinations 10.9.0.N (and fd09::N):
 *   1 connects    2 ECONNREFUSED    3 connects after 300 ms    4 hangs up without a verdict
 *   5 never answers    6 refuses with EHOSTUNREACH after 300 ms
 * Ports of a connected destination: 7 echo; 9 discard; 19 sends a mebibyte, then FIN; 20 resets
 * after the first byte; 21 sends FIN after the first byte, then discards; 22 sends its own and the
 * client's address as text, then FIN; 23 answers FIN with one byte and a reset; 24 answers each
 * byte with 'r' where a close of the client is to be a reset, else with 'f';
 * 25 reads on after FIN and says nothing. Own addresses are
 * relayed to the portspace's servers. Datagrams: dgram_fixture.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "dgram_fixture.h"
#include "fdmsg.h"
#include "fixture.h"
#include "sockname.h"
#include "tag.h"

enum { CONNS_MAX = 2048, BURST = 1 << 20, SNDBUF = 212992 };

enum state { UNUSED, REQUEST, WAITING, HANGING, SERVICE, RELAY, DRAIN };

struct conn {
	enum state state;
	int fd;
	int client_fd;
	int peer; /* RELAY: index of the other end */
	uint64_t due_ms;
	int verdict; /* WAITING: errno at due_ms, 0 to connect */
	struct connreq req;
	size_t left; /* bytes of the burst still to be sent */
	char pending[65536];
	size_t npending;
	bool eof;
	bool fin_told; /* a byte stays unread, the shutdown follows */
	bool abort;
};

static struct conn *conns;
static struct fixture fixture;
static volatile sig_atomic_t stop;

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int conn_new(int fd, enum state state)
{
	for (int i = 0; i < CONNS_MAX; i++)
		if (conns[i].state == UNUSED) {
			memset(&conns[i], 0, offsetof(struct conn, pending));
			conns[i] = (struct conn){
				.state = state, .fd = fd, .client_fd = -1, .peer = -1};
			nonblocking(fd);
			return i;
		}
	close(fd);
	return -1;
}

static void conn_close(struct conn *c)
{
	if (c->client_fd >= 0)
		close(c->client_fd);
	close(c->fd);
	c->state = UNUSED;
}

/* After both FINs. */
static void conn_end(struct conn *c)
{
	char byte;

	while (c->fin_told && recv(c->fd, &byte, 1, MSG_DONTWAIT) > 0)
		;
	conn_close(c);
}

static void refuse(struct conn *c, int err)
{
	struct tag tag;

	if (tag_get(c->client_fd, &tag) == 0) {
		tag.phase = TAG_FAILED;
		tag.value = (uint32_t)err;
		tag_set(c->client_fd, &tag);
	}
	conn_close(c);
}

static void grant(struct conn *c)
{
	int size = c->req.sndbuf ? (int)c->req.sndbuf : SNDBUF;
	uint8_t pad[CONNREQ_PAD];
	struct tag tag;

	if (tag_get(c->client_fd, &tag) == 0) {
		tag.phase = TAG_CONNECTED;
		tag_set(c->client_fd, &tag);
	}
	setsockopt(c->client_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (recv(c->fd, pad, sizeof(pad), MSG_DONTWAIT) != CONNREQ_PAD)
		fprintf(stderr, "fixture: the pad is not there\n");
	close(c->client_fd);
	c->client_fd = -1;
	c->state = SERVICE;
	if (c->req.dst.port == 19)
		c->left = BURST;
	if (c->req.dst.port == 22) {
		char src[ENDPOINT_STRLEN], dst[ENDPOINT_STRLEN];

		c->npending = (size_t)snprintf(c->pending, sizeof(c->pending), "%s %s\n",
			endpoint_format(&c->req.dst, dst), endpoint_format(&c->req.src, src));
		send(c->fd, c->pending, c->npending, MSG_NOSIGNAL);
		c->npending = 0;
		shutdown(c->fd, SHUT_WR);
		c->state = DRAIN;
	}
}

/* Connects to a server of the portspace under the client's addresses. */
static int dial(const struct connreq *req, const char *path)
{
	struct sockname name = {.kind = SOCKNAME_RELAY,
		.portspace = fixture.info.portspace,
		.src = req->src,
		.dst = req->dst};
	struct sockaddr_un local, sun = {.sun_family = AF_UNIX};
	socklen_t len = sockname_encode(&name, fixture.info.secret, &local);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	memcpy(sun.sun_path, path, strlen(path) + 1);
	if (bind(fd, (struct sockaddr *)&local, len) < 0 ||
		connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0) {
		int err = errno;

		close(fd);
		return -err;
	}
	return fd;
}

static void relay(struct conn *c)
{
	char path[ASK_PATH_MAX];
	int fd, i, r = fixture_find(&fixture, IPPROTO_TCP, &c->req.dst, path);

	if (r < 0) {
		refuse(c, -r);
		return;
	}
	fd = dial(&c->req, path);
	if (fd == -EAGAIN) {
		c->state = WAITING; /* the backlog is full: try again */
		c->verdict = EAGAIN;
		c->due_ms = now_ms() + 10;
		return;
	}
	if (fd < 0) {
		refuse(c, -fd);
		return;
	}
	i = conn_new(fd, RELAY);
	grant(c);
	c->state = RELAY;
	c->peer = i;
	conns[i].peer = (int)(c - conns);
}

static void decide(struct conn *c)
{
	uint8_t n = c->req.dst.addr.b[15];

	c->state = WAITING;
	c->due_ms = now_ms();
	c->verdict = 0;
	if (fixture_is_own(&fixture, &c->req.dst.addr)) {
		relay(c);
	} else if (n == 2) {
		refuse(c, ECONNREFUSED);
	} else if (n == 3) {
		c->due_ms += 300;
	} else if (n == 4) {
		conn_close(c);
	} else if (n == 5) {
		c->state = HANGING;
	} else if (n == 6) {
		c->due_ms += 300;
		c->verdict = EHOSTUNREACH;
	} else {
		grant(c);
	}
}

static void read_request(struct conn *c)
{
	uint8_t buf[CONNREQ_LEN];
	ssize_t n = fdmsg_recv(c->fd, buf, sizeof(buf), &c->client_fd);

	if (n == -EAGAIN)
		return;
	if (n != CONNREQ_LEN || c->client_fd < 0 || connreq_decode(buf, &c->req) < 0) {
		fprintf(stderr, "fixture: bad connect request\n");
		conn_close(c);
		return;
	}
	c->abort = c->req.abort;
	decide(c);
}

static void finish_sending(struct conn *c)
{
	shutdown(c->fd, SHUT_WR);
	c->state = DRAIN;
}

static void send_burst(struct conn *c)
{
	static const char zeros[65536];
	size_t n = c->left < sizeof(zeros) ? c->left : sizeof(zeros);
	ssize_t r = send(c->fd, zeros, n, MSG_NOSIGNAL);

	if (r > 0)
		c->left -= (size_t)r;
	if (c->left == 0)
		finish_sending(c);
}

static void flush(struct conn *to)
{
	ssize_t r = send(to->fd, to->pending, to->npending, MSG_NOSIGNAL);

	if (r > 0) {
		to->npending -= (size_t)r;
		memmove(to->pending, to->pending + r, to->npending);
	}
}

/* Data without the asides; as recv(2). */
static ssize_t receive(struct conn *c, char *buf, size_t cap)
{
	ssize_t n;
	int fd;

	if (c->fin_told)
		return 0; /* polled for POLLRDHUP */
	n = fdmsg_recv(c->fd, buf, cap, &fd);
	if (fd < 0)
		return n;
	close(fd);
	if (buf[n - 1] == ASIDE_FIN)
		c->fin_told = true;
	else
		c->abort = buf[n - 1] == ASIDE_ABORT;
	return n > 1 ? n - 1 : -EAGAIN;
}

/* The client's FIN (n is 0) or its loss. */
static void serve_end(struct conn *c, struct conn *to, ssize_t n)
{
	if (c->state == RELAY && n == 0) {
		c->eof = true;
		shutdown(to->fd, SHUT_WR);
		if (!to->eof)
			return;
		conn_end(to);
	} else if (c->state == RELAY) {
		conn_close(to);
	} else if (c->req.dst.port == 25 && n == 0) {
		c->eof = true;
		return;
	} else if (c->req.dst.port == 23) {
		send(c->fd, "c", 1, MSG_NOSIGNAL);
		conn_close(c);
		return;
	}
	conn_end(c);
}

static void serve_input(struct conn *c)
{
	struct conn *to = c->state == RELAY ? &conns[c->peer] : c;
	char buf[sizeof(c->pending)];
	ssize_t n = receive(c, buf, sizeof(buf));

	if (n == -EAGAIN)
		return;
	if (n <= 0) {
		serve_end(c, to, n);
		return;
	}
	if (c->state == DRAIN || c->req.dst.port == 9 || c->req.dst.port == 23 ||
		c->req.dst.port == 25)
		return;
	if (c->state == SERVICE && c->req.dst.port == 24)
		memset(buf, c->abort ? 'r' : 'f', (size_t)n);
	if (c->state == SERVICE && c->req.dst.port == 20) {
		conn_close(c);
		return;
	}
	if (c->state == SERVICE && c->req.dst.port == 21) {
		finish_sending(c);
		return;
	}
	memcpy(to->pending, buf, (size_t)n);
	to->npending = (size_t)n;
	flush(to);
}

static void tick(struct conn *c)
{
	if (c->state != WAITING || now_ms() < c->due_ms)
		return;
	if (c->verdict == EAGAIN)
		relay(c);
	else if (c->verdict)
		refuse(c, c->verdict);
	else
		grant(c);
}

static short wanted(const struct conn *c)
{
	const struct conn *to = c->state == RELAY ? &conns[c->peer] : c;

	if (c->state == WAITING)
		return 0;
	return (short)((to->npending || c->eof ? 0
			       : c->fin_told   ? POLLRDHUP
					       : POLLIN) |
		       (c->npending || c->left ? POLLOUT : 0));
}

static void serve(struct conn *c, short events)
{
	if (c->state == REQUEST && events)
		read_request(c);
	else if (c->state == HANGING && events & (POLLHUP | POLLERR))
		conn_close(c);
	else if (events & POLLOUT && c->npending)
		flush(c);
	else if (events & POLLOUT && c->left)
		send_burst(c);
	else if (events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR) &&
		 wanted(c) & (POLLIN | POLLRDHUP) &&
		 (c->state == SERVICE || c->state == RELAY || c->state == DRAIN))
		serve_input(c);
}

static void on_stop(int sig)
{
	(void)sig;
	stop = 1;
}

static void loop(int ask, const int stream[FIXTURE_WORKERS])
{
	static struct pollfd p[CONNS_MAX + 1 + FIXTURE_WORKERS];
	static int index[CONNS_MAX];

	while (!stop) {
		int n = 0, nconn = 0;

		p[n++] = (struct pollfd){.fd = ask, .events = POLLIN};
		for (int i = 0; i < FIXTURE_WORKERS; i++)
			p[n++] = (struct pollfd){.fd = stream[i], .events = POLLIN};
		for (int i = 0; i < CONNS_MAX; i++)
			if (conns[i].state != UNUSED && conns[i].state != WAITING) {
				index[nconn++] = i;
				p[n++] = (struct pollfd){
					.fd = conns[i].fd, .events = wanted(&conns[i])};
			}
		if (poll(p, (nfds_t)n, 5) < 0 && errno != EINTR)
			return;
		if (p[0].revents)
			fixture_answer(&fixture, ask);
		for (int i = 0; i < FIXTURE_WORKERS; i++)
			if (p[1 + i].revents) {
				int fd = accept4(stream[i], NULL, NULL, SOCK_CLOEXEC);

				if (fd >= 0)
					conn_new(fd, REQUEST);
			}
		for (int i = 0; i < nconn; i++)
			if (p[1 + FIXTURE_WORKERS + i].revents && conns[index[i]].state != UNUSED)
				serve(&conns[index[i]], p[1 + FIXTURE_WORKERS + i].revents);
		for (int i = 0; i < CONNS_MAX; i++)
			tick(&conns[i]);
	}
}

static void broker(int ready)
{
	int ask = fixture_listen(&fixture, "ask", SOCK_SEQPACKET), stream[FIXTURE_WORKERS];
	char name[16];

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	signal(SIGTERM, on_stop);
	signal(SIGPIPE, SIG_IGN);
	conns = calloc(CONNS_MAX, sizeof(*conns));
	for (int i = 0; i < FIXTURE_WORKERS; i++) {
		snprintf(name, sizeof(name), "stream.%d", i);
		stream[i] = fixture_listen(&fixture, name, SOCK_STREAM);
	}
	if (!conns || write(ready, "r", 1) != 1)
		_exit(1);
	close(ready);
	loop(ask, stream);
	_exit(0);
}

int main(int argc, char **argv)
{
	int ready[2], status, listener, result = 1;
	char byte, pidtext[16], library[PATH_MAX];
	pid_t pid, dgram, program;

	if (argc < 3 || !realpath(argv[1], library) || fixture_make(&fixture) < 0 ||
		pipe(ready) < 0) {
		fprintf(stderr, "usage: broker_fixture LIBRARY PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		broker(ready[1]);
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		return 2;
	close(ready[0]);
	listener = fixture_listen(&fixture, "dgram", SOCK_SEQPACKET);
	dgram = fork();
	if (dgram == 0)
		dgram_fixture_run(&fixture, listener);
	close(listener);
	snprintf(pidtext, sizeof(pidtext), "%d", pid);
	program = fork();
	if (program == 0) {
		setenv("FIXTURE_BROKER_PID", pidtext, 1);
		snprintf(pidtext, sizeof(pidtext), "%d", dgram);
		setenv("FIXTURE_DGRAM_PID", pidtext, 1);
		setenv("PERSONA_PORTSPACE_DIR", fixture.dir, 1);
		setenv("LD_PRELOAD", library, 1);
		execv(argv[2], argv + 2);
		perror(argv[2]);
		_exit(127);
	}
	if (waitpid(program, &status, 0) == program)
		result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	kill(dgram, SIGTERM);
	waitpid(dgram, NULL, 0);
	fixture_remove(&fixture);
	return result;
}

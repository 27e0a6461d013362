/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "app"
#include "app.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdmsg.h"
#include "log.h"
#include "strayfd.h"
#include "tag.h"
#include "worker_priv.h"

enum {
	APP_SNDBUF = 212992, /* the kernel's default limit; it doubles what is asked for */
	FDS_MAX = 253	     /* SCM_MAX_FD: the kernel passes no more at once */
};

void app_update_poll(struct app *app)
{
	uint32_t want = 0;

	if (app->dead)
		return;
	if (app->wbuf || app->connecting)
		want |= EPOLLOUT;
	if (!app->paused && !app->eof)
		want |= app->fin_told ? EPOLLRDHUP : EPOLLIN | EPOLLRDHUP;
	/* It fails only for want of kernel memory. The stream stands still then, until it is reset.
	 */
	if (watch_set(&app->worker->poller, &app->watch, want) < 0)
		log_warning("cannot watch a socket: out of memory");
}

static void on_ready(struct watch *watch, uint32_t events);

struct app *app_wrap(struct worker *w, int fd, const struct app_events *events)
{
	struct app *app = calloc(1, sizeof(*app));

	if (!app) {
		close(fd);
		return NULL;
	}
	watch_init(&app->watch, fd, on_ready);
	app->worker = w;
	app->events = events;
	app->fd = fd;
	app->client_fd = -1;
	app->paused = true;
	app->born_ms = worker_now_ms(w);
	return app;
}

static bool same_name(
	const struct sockaddr_un *a, socklen_t a_len, const struct sockaddr_un *b, socklen_t b_len)
{
	return a_len == b_len && a_len > offsetof(struct sockaddr_un, sun_path) &&
	       a->sun_family == AF_UNIX && memcmp(a, b, a_len) == 0;
}

/* Is this the socket at the other end? The one of the two that connected has a name that nobody
 * else can have (sockname.h). Closing it does not block. */
static bool is_peer(const struct app *app, int fd)
{
	struct sockaddr_un a, b;
	socklen_t a_len = sizeof(a), b_len = sizeof(b);

	if (app->server)
		return getpeername(fd, (struct sockaddr *)&a, &a_len) == 0 &&
		       getsockname(app->fd, (struct sockaddr *)&b, &b_len) == 0 &&
		       same_name(&a, a_len, &b, b_len);
	return getsockname(fd, (struct sockaddr *)&a, &a_len) == 0 &&
	       getpeername(app->fd, (struct sockaddr *)&b, &b_len) == 0 &&
	       same_name(&a, a_len, &b, b_len);
}

/* Reads the fixed part of the request and the descriptor that comes with it. */
void app_read_request(struct app *app)
{
	uint8_t buf[CONNREQ_LEN];
	struct connreq req;
	struct tag tag;
	int fd;
	ssize_t n = fdmsg_recv(app->fd, buf, sizeof(buf), &fd);

	if (n == -EAGAIN) {
		app_update_poll(app);
		return;
	}
	app->waiting = false;
	if (fd >= 0 && is_peer(app, fd))
		app->client_fd = fd;
	else
		strayfd_close(fd);
	if (n != CONNREQ_LEN || app->client_fd < 0 || connreq_decode(buf, &req) < 0 ||
		tag_get(fd, &tag) < 0 || tag.phase != TAG_CONNECTING) {
		app->events->lost(app, EPROTO);
		return;
	}
	app->paused = true;
	app->abort = req.abort;
	app_update_poll(app);
	app->events->request(app, &req);
}

int app_new_client(struct worker *w, int fd, const struct app_events *events, struct app **ap)
{
	struct app *app = app_wrap(w, fd, events);

	if (!app)
		return -ENOMEM;
	app->waiting = true;
	app->paused = false;
	app->since_ms = w->local_empty_ms;
	*ap = app;
	return 0;
}

int app_new_gated(
	struct worker *w, int fd, int client_fd, const struct app_events *events, struct app **ap)
{
	struct app *app = app_wrap(w, fd, events);

	if (!app) {
		close(client_fd);
		return -ENOMEM;
	}
	app->client_fd = client_fd;
	app_update_poll(app);
	*ap = app;
	return 0;
}

int app_new_server(struct worker *w, const char *path, const struct sockname *name,
	const uint8_t secret[16], const struct app_events *events, void *user, struct app **ap)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX}, local;
	socklen_t len = sockname_encode(name, secret, &local);
	int fd, size = APP_SNDBUF, r = 0;
	struct app *app;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	memcpy(sun.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&local, len) < 0)
		r = errno == EADDRINUSE ? -EAGAIN : -errno;
	else if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		r = -errno;
	if (r < 0) {
		close(fd);
		return r;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	app = app_wrap(w, fd, events);
	if (!app)
		return -ENOMEM;
	app->user = user;
	app->server = true;
	*ap = app;
	return 0;
}

int app_grant(struct app *app, uint32_t sndbuf)
{
	int size = sndbuf && sndbuf < CONNREQ_SNDBUF ? (int)sndbuf : CONNREQ_SNDBUF;
	uint8_t pad[CONNREQ_PAD];
	struct tag tag;
	ssize_t n;
	int r = tag_get(app->client_fd, &tag);

	if (r < 0)
		return r;
	tag.phase = TAG_CONNECTED;
	r = tag_set(app->client_fd, &tag);
	if (r < 0)
		return r;
	(void)setsockopt(app->client_fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	n = recv(app->fd, pad, sizeof(pad), MSG_DONTWAIT);
	close(app->client_fd);
	app->client_fd = -1;
	return n == CONNREQ_PAD ? 0 : -EPROTO;
}

void app_refuse(struct app *app, int err)
{
	struct tag tag;

	if (app->client_fd >= 0 && tag_get(app->client_fd, &tag) == 0) {
		tag.phase = TAG_FAILED;
		tag.value = (uint32_t)err;
		(void)tag_set(app->client_fd, &tag);
	}
	app_close(app);
}

/* ---- reading ---- */

/* Closes the descriptors that came with a message. True when one was the peer's own socket. */
static bool take_descriptors(const struct app *app, struct msghdr *msg)
{
	bool own = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (!own && is_peer(app, fd)) {
				own = true;
				close(fd);
			} else {
				strayfd_close(fd);
			}
		}
	}
	return own;
}

static uint8_t last_byte(const struct iovec *iov, size_t len)
{
	for (; len > iov->iov_len; iov++)
		len -= iov->iov_len;
	return ((const uint8_t *)iov->iov_base)[len - 1];
}

static int take_aside(struct app *app, uint8_t code)
{
	switch (code) {
	case ASIDE_FIN:
		app->fin_told = true;
		return 0;
	case ASIDE_ABORT:
	case ASIDE_NO_ABORT:
		app->abort = code == ASIDE_ABORT;
		return 0;
	default:
		return -EPROTO;
	}
}

/* It has shut down: was that all? A read ends early for other reasons too (MSG_OOB). */
static bool is_drained(const struct app *app)
{
	char byte;

	return recv(app->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

ssize_t app_readv(struct app *app, struct iovec *iov, size_t n, bool *endp)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = {.msg_iov = iov,
		.msg_iovlen = n,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	ssize_t len;
	int r;

	*endp = false;
	if (app->fin_told)
		return app->shut ? 0 : -EAGAIN;
	len = recvmsg(app->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (len == 0)
		return app->abort && app_gone(app) ? -ECONNRESET : 0;
	if (msg.msg_controllen == 0 && !(msg.msg_flags & MSG_CTRUNC)) {
		*endp = app->shut && !app->abort && is_drained(app);
		return len;
	}
	if (take_descriptors(app, &msg)) {
		/* Reading stops behind a message with descriptors, so its byte is the last. */
		r = take_aside(app, last_byte(iov, (size_t)len));
		if (r < 0)
			return r;
		*endp = len > 1 && app->shut && app->fin_told;
		return len > 1 ? len - 1 : -EAGAIN;
	}
	/* Out of descriptors: it cannot be told whether the last byte is data. */
	return msg.msg_flags & MSG_CTRUNC ? -EMFILE : len;
}

/* ---- writing ---- */

/* Keeps what the kernel did not take: everything behind the first `done` bytes of the vector. */
static int keep_rest(struct app *app, const struct iovec *iov, size_t n, size_t done)
{
	app->wbuf = chunk_get(&app->worker->chunks);
	if (!app->wbuf)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;

		memcpy(app->wbuf->data + app->wbuf->len, (uint8_t *)iov[i].iov_base + skip,
			iov[i].iov_len - skip);
		app->wbuf->len += iov[i].iov_len - skip;
		done -= skip;
	}
	app_update_poll(app);
	return 0;
}

int app_writev(struct app *app, struct iovec *iov, size_t n)
{
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	size_t total = 0;
	ssize_t sent;

	for (size_t i = 0; i < n; i++)
		total += iov[i].iov_len;
	do
		sent = sendmsg(app->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno != EAGAIN)
		return -errno;
	if (sent < 0)
		sent = 0;
	return (size_t)sent < total ? keep_rest(app, iov, n, (size_t)sent) : 0;
}

static void flush(struct app *app)
{
	while (app->wbuf) {
		ssize_t n = send(app->fd, app->wbuf->data + app->wbuf->off, app->wbuf->len,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			app->events->lost(app, errno);
			return;
		}
		app->wbuf->off += (size_t)n;
		app->wbuf->len -= (size_t)n;
		if (app->wbuf->len == 0) {
			chunk_put(&app->worker->chunks, app->wbuf);
			app->wbuf = NULL;
		}
	}
	if (app->fin_after)
		shutdown(app->fd, SHUT_WR);
	app->events->drained(app);
}

static void on_ready(struct watch *watch, uint32_t events)
{
	struct app *app = (struct app *)watch;

	if (app->connecting) {
		app_base_ready(app);
		return;
	}
	/* Closed with unread data. TCP first gives what came before the reset. */
	if ((events & EPOLLERR) && (!app->tcp || app->paused || app->eof)) {
		app->events->lost(app, ECONNRESET);
		return;
	}
	if (app->waiting) {
		app_read_request(app);
		return;
	}
	if (app->wbuf && (events & (EPOLLOUT | EPOLLHUP))) {
		flush(app);
		if (app->dead)
			return;
		app_update_poll(app);
	}
	app->shut = (events & (EPOLLRDHUP | EPOLLHUP)) && !(events & EPOLLERR);
	if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) && !app->paused && !app->eof)
		app->events->readable(app);
	if (!app->dead)
		app_update_poll(app);
}

bool app_blocked(const struct app *app)
{
	return app->wbuf != NULL;
}

void app_pause(struct app *app)
{
	app->paused = true;
	app_update_poll(app);
}

void app_resume(struct app *app)
{
	app->paused = false;
	app_update_poll(app);
}

void app_fin(struct app *app)
{
	if (app->wbuf)
		app->fin_after = true;
	else
		shutdown(app->fd, SHUT_WR);
}

bool app_gone(const struct app *app)
{
	struct pollfd pfd = {.fd = app->fd};

	return poll(&pfd, 1, 0) == 1 && (pfd.revents & (POLLHUP | POLLERR));
}

static void destroy(struct watch *watch)
{
	free(watch);
}

void app_end(struct app *app)
{
	char byte[16];

	/* It has shut down, so nothing comes behind this. */
	if (app->fin_told)
		while (recv(app->fd, byte, sizeof(byte), MSG_DONTWAIT) > 0)
			;
	app->ended = true;
	app_close(app);
}

void app_close(struct app *app)
{
	static const struct linger at_once = {.l_onoff = 1};

	if (app->dead)
		return;
	app->dead = true;
	chunk_put(&app->worker->chunks, app->wbuf);
	app->wbuf = NULL;
	watch_discard(&app->worker->poller, &app->watch, destroy);
	if (app->tcp && !app->ended)
		(void)setsockopt(app->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	/* Order matters: the client learns of the failure from its own socket's state first. */
	close(app->fd);
	if (app->client_fd >= 0)
		close(app->client_fd);
}

/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "listener"
#include "listener.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fdmsg.h"
#include "log.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

enum { BACKLOG = 4096, BATCH = 64, PAUSE_MS = 100 };

static void readable(uv_poll_t *poll, int status, int events);

static void resume(uv_timer_t *timer)
{
	struct listener *l = timer->data;

	uv_poll_start(&l->poll, UV_READABLE, readable);
}

static void accept_one(struct listener *l, int fd)
{
	struct peer peer;

	if (peer_get(fd, &peer) < 0) {
		close(fd);
		return;
	}
	if (peer.uid != geteuid()) {
		log_warning("process %d of user %u was refused", (int)peer.pid, (unsigned)peer.uid);
		peer_close(&peer);
		close(fd);
		return;
	}
	l->fn(fd, &peer, l->arg);
}

static void readable(uv_poll_t *poll, int status, int events)
{
	struct listener *l = poll->data;

	(void)status;
	(void)events;
	for (int i = 0; i < BATCH; i++) {
		int fd = accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accept_one(l, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			log_warning("cannot accept: %s; trying again soon", strerror(errno));
			uv_poll_stop(&l->poll);
			uv_timer_start(&l->pause, resume, PAUSE_MS, 0);
		}
		if (errno != ECONNABORTED && errno != EINTR)
			return;
	}
}

int listener_init(struct listener *l, uv_loop_t *loop, const char *path, int type, listener_fn fn,
	void (*closed)(void *arg), void *arg)
{
	int r = fdmsg_listen(path, type, BACKLOG, &l->fd);

	if (r < 0)
		return r;
	(void)setsockopt(l->fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){0}, sizeof(int));
	l->fn = fn;
	l->closed = closed;
	l->arg = arg;
	r = uv_poll_init(loop, &l->poll, l->fd);
	if (r < 0) {
		close(l->fd);
		return r;
	}
	uv_timer_init(loop, &l->pause);
	l->poll.data = l->pause.data = l;
	l->handles = 2;
	uv_poll_start(&l->poll, UV_READABLE, readable);
	return 0;
}

static void handle_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	if (--l->handles == 0)
		l->closed(l->arg);
}

void listener_close(struct listener *l)
{
	uv_close((uv_handle_t *)&l->poll, handle_closed);
	uv_close((uv_handle_t *)&l->pause, handle_closed);
	close(l->fd);
	l->fd = -1;
}

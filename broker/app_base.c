/* SPDX-License-Identifier: MIT */
/* A stream's end that is a TCP connection of the base network: a service of the host, or the target
 * of a gateway (app.h).
 *
 * A service of this host is reached at one of the host's own addresses, and the socket is bound to
 * that address first: when it is no longer the host's, bind(2) fails and nothing is sent to
 * whoever has it now. */
#define LOG_MODULE "app"
#include "app.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker_priv.h"

static int start(int fd, const struct endpoint *dst, bool own)
{
	struct endpoint from = {.addr = dst->addr};
	int on = 1, family = addr_is_v4(&dst->addr) ? AF_INET : AF_INET6;
	struct sockaddr_storage ss;
	socklen_t len;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (own) {
		/* The port is chosen by connect, so each server has the whole range for itself. */
		(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
		len = endpoint_to_sockaddr(&from, family, &ss);
		if (bind(fd, (struct sockaddr *)&ss, len) < 0)
			return -errno;
	}
	len = endpoint_to_sockaddr(dst, family, &ss);
	if (connect(fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS)
		return -errno;
	return 0;
}

int app_new_base(struct worker *w, const struct endpoint *dst, bool own,
	const struct app_events *events, void *user, struct app **ap)
{
	int family = addr_is_v4(&dst->addr) ? AF_INET : AF_INET6;
	int r, fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	struct app *app;

	if (fd < 0)
		return -errno;
	r = start(fd, dst, own);
	if (r < 0) {
		close(fd);
		return r;
	}
	app = app_wrap(w, fd, events);
	if (!app)
		return -ENOMEM;
	app->user = user;
	app->tcp = true;
	app->connecting = true;
	app_update_poll(app);
	*ap = app;
	return 0;
}

void app_base_ready(struct app *app)
{
	int err = 0;
	socklen_t len = sizeof(err);

	if (getsockopt(app->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	app->connecting = false;
	app->events->connected(app, err);
	app_update_poll(app);
}

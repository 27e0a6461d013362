/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "netspace"
#include "netspace_ps.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdmsg.h"
#include "ifaddr.h"
#include "log.h"
#include "opening.h"
#include "porttab.h"
#include "sockname.h"
#include "stream.h"
#include "tag.h"
#include "worker_priv.h"

enum {
	PS_BACKLOG = 1024,
	PORTS = PORTTAB_EPHEMERAL_LAST - PORTTAB_EPHEMERAL_FIRST + 1,
	NAME_TRIES = 4096
};

/* --- connecting --- */

int netspace_ps_name(
	struct portspace *ps, const struct endpoint *dst, int fd, struct endpoint *srcp)
{
	struct sockname name = {.kind = SOCKNAME_CLIENT, .portspace = ps->id, .dst = *dst};
	uint32_t first = randombytes_uniform(PORTS);
	struct sockaddr_un sun;
	socklen_t len;
	int r = ifaddr_source(&ps->info, &dst->addr, &name.src.addr);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < NAME_TRIES; i++) {
		name.src.port = (uint16_t)(PORTTAB_EPHEMERAL_FIRST + (first + i) % PORTS);
		len = sockname_encode(&name, ps->info.secret, &sun);
		if (bind(fd, (struct sockaddr *)&sun, len) == 0) {
			*srcp = name.src;
			return 0;
		}
		if (errno != EADDRINUSE)
			return -errno;
	}
	return -EADDRNOTAVAIL;
}

int netspace_ps_close_gate(int near, int far)
{
	static const uint8_t request[CONNREQ_LEN + CONNREQ_PAD];
	const struct tag tag = {.kind = TAG_TCP, .phase = TAG_CONNECTING};
	uint8_t head[CONNREQ_LEN];
	int minimum = 0, r = tag_set(near, &tag);

	if (r < 0)
		return r;
	if (setsockopt(near, SOL_SOCKET, SO_SNDBUF, &minimum, sizeof(minimum)) < 0)
		return -errno;
	if (send(near, request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) !=
			(ssize_t)sizeof(request) ||
		recv(far, head, sizeof(head), MSG_DONTWAIT) != (ssize_t)sizeof(head))
		return -ENOBUFS;
	return 0;
}

static int ps_connect(const struct netspace *ns, const struct endpoint *dst, int *fdp)
{
	const struct netspace_ps *np = (const struct netspace_ps *)ns;
	int pair[2], lent = -1, r;
	struct endpoint src;
	struct app *app;

	if (np->ps->removed)
		return -ENETDOWN;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	r = netspace_ps_name(np->ps, dst, pair[0], &src);
	if (r == 0)
		r = netspace_ps_close_gate(pair[0], pair[1]);
	if (r == 0) {
		lent = fcntl(pair[0], F_DUPFD_CLOEXEC, 3);
		r = lent < 0 ? -errno : 0;
	}
	if (r < 0) {
		close(pair[0]);
		close(pair[1]);
		return r;
	}
	r = app_new_gated(np->worker, pair[1], lent, &stream_app_events, &app);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	opening_from_inside(app, np->ps, &src, dst);
	*fdp = pair[0];
	return 0;
}

/* --- listening --- */

static int ps_listen(
	const struct netspace *ns, const struct endpoint *at, struct endpoint *localp, int *fdp)
{
	const struct netspace_ps *np = (const struct netspace_ps *)ns;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char path[ASK_PATH_MAX];
	struct stat st;
	int r, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno
			       : core_own_listen(np->core, np->ps, at->port, st.st_ino, path);
	if (r < 0) {
		close(fd);
		return r;
	}
	memcpy(sun.sun_path, path, strnlen(path, sizeof(sun.sun_path) - 1));
	unlink(path); /* the port table says that nobody has it */
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0 || listen(fd, PS_BACKLOG) < 0) {
		r = -errno;
		core_own_drop(np->core, np->ps, st.st_ino);
		close(fd);
		return r;
	}
	*localp = *at;
	*fdp = fd;
	return 0;
}

void netspace_ps_unlisten(struct netspace_ps *np, int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0)
		core_own_drop(np->core, np->ps, st.st_ino);
	close(fd);
}

/* Who connects is a process of this user (the directory is private) or the broker, and its name
 * says whom it speaks for. */
static int ps_accept(const struct netspace *ns, int listen_fd, struct endpoint *peerp, int *fdp)
{
	const struct netspace_ps *np = (const struct netspace_ps *)ns;
	const struct info *info = &np->ps->info;
	struct sockname name;
	struct sockaddr_un sun;
	socklen_t len = sizeof(sun);
	int fd = accept4(listen_fd, (struct sockaddr *)&sun, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (len > sizeof(sun) || !sockname_decode(&sun, len, np->ps->id, info->secret, &name)) {
		close(fd);
		return -ECONNABORTED;
	}
	*peerp = name.src;
	*fdp = fd;
	return 0;
}

static const struct netspace_ops ps_ops = {
	.connect = ps_connect,
	.listen = ps_listen,
	.accept = ps_accept,
};

void netspace_ps_init(
	struct netspace_ps *np, struct core *core, struct worker *worker, struct portspace *ps)
{
	*np = (struct netspace_ps){
		.ns = {.ops = &ps_ops}, .core = core, .worker = worker, .ps = ps};
}

const struct netspace *netspace_of(
	struct worker *worker, const struct portspace *ps, struct netspace_ps *np)
{
	struct portspace *super = atomic_load(&ps->super);

	if (!ps->below)
		return worker->netspace;
	if (!super)
		return NULL;
	netspace_ps_init(np, worker->core, worker, super);
	return &np->ns;
}

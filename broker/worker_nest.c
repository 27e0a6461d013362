/* SPDX-License-Identifier: MIT */
/* Where carriers of nested links are accepted: listening sockets in the networks of
 * super-portspaces (worker.h, netspace_ps.h).
 *
 * Model: the control loop makes one socket for each super-portspace and port and gives a copy of it
 * to every worker. Whichever worker accepts first has the carrier. */
#define LOG_MODULE "worker"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <utlist.h>

#include "log.h"
#include "netspace_ps.h"
#include "worker_priv.h"

/* The control loop's side. */
struct nest {
	struct portspace *super; /* reference */
	uint16_t port;
	int fd;
	unsigned users;
	struct nest *next;
};

/* A worker's copy. */
struct worker_nest {
	struct worker_listener listener; /* first: found by its watch */
	uint16_t port;
	struct worker_nest *next;
};

/* --- in the worker --- */

static void nest_destroy(struct watch *watch)
{
	struct worker_nest *nest = (struct worker_nest *)watch;

	close(nest->listener.fd);
	portspace_unref(nest->listener.via);
	free(nest);
}

static void nest_close(struct worker *w, struct worker_nest *nest)
{
	LL_DELETE(w->nests, nest);
	watch_discard(&w->poller, &nest->listener.watch, nest_destroy);
}

static void nest_open(struct worker *w, void *arg)
{
	struct worker_nest *nest = arg;

	LL_PREPEND(w->nests, nest);
	if (worker_listen_underlay(w, &nest->listener) < 0) {
		log_warning("cannot watch a listening socket of %s: out of memory",
			nest->listener.via->info.name);
		nest_close(w, nest);
	}
}

/* arg says which one; it is the sender's copy. */
static void nest_end(struct worker *w, void *arg)
{
	struct worker_nest *which = arg, *nest, *tmp;

	LL_FOREACH_SAFE(w->nests, nest, tmp)
	{
		if (nest->listener.via == which->listener.via && nest->port == which->port)
			nest_close(w, nest);
	}
	portspace_unref(which->listener.via);
	free(which);
}

void worker_nest_rearm(struct worker *w)
{
	struct worker_nest *nest;

	LL_FOREACH(w->nests, nest)
	(void)watch_set(&w->poller, &nest->listener.watch, EPOLLIN);
}

void worker_nest_deinit(struct worker *w)
{
	while (w->nests)
		nest_close(w, w->nests);
}

/* --- in the control loop --- */

static struct worker_nest *message(const struct nest *nest, int fd)
{
	struct worker_nest *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->listener.fd = fd;
	m->listener.via = portspace_ref(nest->super);
	m->port = nest->port;
	return m;
}

/* Gives one worker its copy. */
static int hand_over(struct worker *w, const struct nest *nest)
{
	int fd = fcntl(nest->fd, F_DUPFD_CLOEXEC, 3);
	struct worker_nest *m;

	if (fd < 0)
		return -errno;
	m = message(nest, fd);
	if (m && worker_post(w, nest_open, m) == 0)
		return 0;
	if (m)
		portspace_unref(m->listener.via);
	free(m);
	close(fd);
	return -ENOMEM;
}

static void nest_free(struct workers *all, struct nest *nest)
{
	struct netspace_ps np;

	netspace_ps_init(&np, all->core, NULL, nest->super);
	netspace_ps_unlisten(&np, nest->fd);
	portspace_unref(nest->super);
	free(nest);
}

static void withdraw(struct workers *all, struct nest *nest)
{
	for (unsigned i = 0; i < all->n; i++) {
		struct worker_nest *m = message(nest, -1);

		if (m && worker_post(&all->worker[i], nest_end, m) == 0)
			continue;
		/* Its copy stays until the worker ends; nothing finds the socket any more. */
		if (m)
			portspace_unref(m->listener.via);
		free(m);
	}
	LL_DELETE(all->nests, nest);
	nest_free(all, nest);
}

static struct nest *find(struct workers *all, const struct portspace *super, uint16_t port)
{
	struct nest *nest = all->nests;

	while (nest && (nest->super != super || nest->port != port))
		nest = nest->next;
	return nest;
}

int workers_nest_add(struct workers *all, const struct portspace *ps)
{
	struct portspace *super = atomic_load(&ps->super);
	struct nest *nest = find(all, super, ps->listen_port);
	struct endpoint at = {.addr = addr_any6, .port = ps->listen_port};
	struct netspace_ps np;
	int r = 0;

	if (nest) {
		nest->users++;
		return 0;
	}
	nest = calloc(1, sizeof(*nest));
	if (!nest)
		return -ENOMEM;
	netspace_ps_init(&np, all->core, NULL, super);
	r = np.ns.ops->listen(&np.ns, &at, &at, &nest->fd);
	if (r < 0) {
		free(nest);
		return r;
	}
	nest->super = portspace_ref(super);
	nest->port = ps->listen_port;
	nest->users = 1;
	LL_PREPEND(all->nests, nest);
	for (unsigned i = 0; r == 0 && i < all->n; i++)
		r = hand_over(&all->worker[i], nest);
	if (r < 0)
		withdraw(all, nest);
	return r;
}

void workers_nest_remove(struct workers *all, const struct portspace *ps)
{
	struct nest *nest = find(all, atomic_load(&ps->super), ps->listen_port);

	if (nest && --nest->users == 0)
		withdraw(all, nest);
}

void workers_nest_free(struct workers *all)
{
	struct nest *nest;

	while ((nest = all->nests)) {
		LL_DELETE(all->nests, nest);
		nest_free(all, nest);
	}
}

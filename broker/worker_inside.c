/* SPDX-License-Identifier: MIT */
/* A TCP connection of a portspace that the broker itself makes (worker.h): one end of a socket pair
 * enters the data path as a client at the gate, as in netspace_ps.h; the other is in the control
 * loop. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "netspace_ps.h"
#include "opening.h"
#include "stream.h"
#include "worker_priv.h"

struct inside {
	struct portspace *ps; /* reference */
	struct endpoint src, dst;
	int far, lent;
};

static void inside_free(struct inside *inside)
{
	portspace_unref(inside->ps);
	free(inside);
}

static void open_here(struct worker *w, void *arg)
{
	struct inside *inside = arg;
	struct app *app;

	if (w->stopping) {
		close(inside->far);
		close(inside->lent);
	} else if (app_new_gated(w, inside->far, inside->lent, &stream_app_events, &app) == 0) {
		opening_from_inside(app, inside->ps, &inside->src, &inside->dst);
	}
	inside_free(inside);
}

/* Everything that can fail before a worker has it. */
static int prepare(struct inside *inside, int near, int far)
{
	int r = netspace_ps_name(inside->ps, &inside->dst, near, &inside->src);

	if (r == 0)
		r = netspace_ps_close_gate(near, far);
	if (r < 0)
		return r;
	inside->far = far;
	inside->lent = fcntl(near, F_DUPFD_CLOEXEC, 3);
	return inside->lent < 0 ? -errno : 0;
}

int workers_tcp_inside(
	struct workers *all, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	struct inside *inside = calloc(1, sizeof(*inside));
	int r = -ENOMEM;

	if (inside) {
		inside->ps = portspace_ref(ps);
		inside->dst = *to;
		inside->lent = -1;
		r = prepare(inside, near, far);
	}
	if (r == 0)
		r = worker_post(&all->worker[inside->src.port % all->n], open_here, inside);
	if (r == 0)
		return 0;
	if (inside) {
		if (inside->lent >= 0)
			close(inside->lent);
		inside_free(inside);
	}
	close(far);
	return r;
}

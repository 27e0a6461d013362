/* SPDX-License-Identifier: MIT */
/* A datagram socket of a portspace that the broker itself uses (plane.h). To the plane it is one
 * socket more; its other end is in the control loop. */
#include "dgram_priv.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

struct inside {
	struct portspace *ps; /* reference */
	struct endpoint to;
	int fd;
};

static void inside_free(struct inside *inside)
{
	portspace_unref(inside->ps);
	free(inside);
}

/* A failure shows as the end of the socket. */
static void open_here(struct plane *plane, void *arg)
{
	struct inside *inside = arg;
	struct dgram *d;

	if (plane->stopping || dgram_adopt(plane->dgram, inside->ps, getpid(), inside->fd, &d) < 0)
		close(inside->fd);
	else if (dgram_connect(d, &inside->to) < 0)
		dgram_close(d);
	inside_free(inside);
}

int plane_udp_inside(struct plane *plane, struct portspace *ps, const struct endpoint *to, int fd)
{
	struct inside *inside = malloc(sizeof(*inside));
	int r = -ENOMEM;

	if (inside) {
		*inside = (struct inside){.ps = portspace_ref(ps), .to = *to, .fd = fd};
		r = plane_post(plane, open_here, inside);
	}
	if (r == 0)
		return 0;
	if (inside)
		inside_free(inside);
	close(fd);
	return r;
}

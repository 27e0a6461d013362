/* SPDX-License-Identifier: MIT */
/* This process as a member of a portspace, and waiting in a loop that serves it: for the tests of
 * the servers on RUNTIME. */
#ifndef PERSONA_TEST_SERVER_WORLD_H
#define PERSONA_TEST_SERVER_WORLD_H

#include "core_fixture.h"

#include <uv.h>

enum { WAIT_MS = 20000 };

static inline void enter_self(struct portspace *ps)
{
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd = socket(AF_UNIX, SOCK_STREAM, 0), conn;

	assert_int_equal(connect(fd, (struct sockaddr *)&sun, len), 0);
	conn = accept(listener, NULL, NULL);
	assert_int_equal(peer_get(conn, &peer), 0);
	assert_int_equal(portspace_enter(ps, &peer, "shim", NULL), 0);
	peer_close(&peer);
	close(conn);
	close(fd);
	close(listener);
}

/* Runs the loop until the descriptor has one of the events. */
static inline void run_until(uv_loop_t *loop, int fd, short events)
{
	uint64_t end = uv_hrtime() + WAIT_MS * 1000000ULL;
	struct pollfd p[2] = {
		{.fd = fd, .events = events}, {.fd = uv_backend_fd(loop), .events = POLLIN}};

	for (;;) {
		int timeout;

		/* Twice: what the first run starts to watch is watched by the second only. */
		uv_run(loop, UV_RUN_NOWAIT);
		uv_run(loop, UV_RUN_NOWAIT);
		if (poll(p, 1, 0) == 1)
			return;
		assert_true(uv_hrtime() < end);
		timeout = uv_backend_timeout(loop);
		poll(p, 2, timeout < 0 || timeout > 100 ? 100 : timeout);
	}
}

#endif

/* SPDX-License-Identifier: MIT */
/* An application's end of a stream: the broker's side of an AF_UNIX socket.
 *
 * A client: accepted on stream.N, sends a connect request and waits at the gate (see ask.h) until
 * app_grant() or app_refuse(). A server: the broker connected to a listening socket of the
 * portspace. A base end: a TCP connection of the host's own, where a FIN and a reset are TCP's.
 *
 * A FIN towards the application is shutdown(SHUT_WR), a reset is close(2) without it: the shim
 * tells them apart by POLLHUP. After the application's own FIN a byte of it lies unread here
 * (ASIDE_FIN), so that the kernel makes ECONNRESET of a plain close; app_end() reads it first.
 * Belongs to one worker's thread. */
#ifndef PERSONA_BROKER_APP_H
#define PERSONA_BROKER_APP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "ask.h"
#include "chunk.h"
#include "poller.h"
#include "sockname.h"

struct worker;
struct app;

struct app_events {
	void (*request)(
		struct app *app, const struct connreq *req); /* a client's request is here */
	void (*readable)(struct app *app);
	void (*drained)(struct app *app);	     /* waiting output is gone */
	void (*connected)(struct app *app, int err); /* a base end: 0 or a positive errno */
	void (*lost)(struct app *app, int err);	     /* broken; not freed: call app_close() */
};

struct app {
	struct watch watch; /* first: the struct is found by it */
	struct worker *worker;
	const struct app_events *events;
	void *user;
	struct app *prev, *next; /* worker's list of waiting clients */
	struct chunk *wbuf;	 /* plaintext the application has not taken yet */
	uint64_t born_ms;
	uint64_t since_ms; /* a client connected after this loop time */
	int fd;
	int client_fd;	 /* the client's own socket while it waits at the gate, else -1 */
	bool server : 1; /* made by app_new_server() */
	bool tcp : 1;	 /* made by app_new_base() */
	bool connecting : 1;
	bool ended : 1;	  /* app_end() was called */
	bool waiting : 1; /* for the request */
	bool paused : 1;
	bool eof : 1;	    /* it sent all it will send */
	bool fin_after : 1; /* shut down when wbuf is empty */
	bool fin_told : 1;  /* ASIDE_FIN came: a byte stays unread, the shutdown follows */
	bool abort : 1;	    /* ASIDE_ABORT came */
	bool shut : 1;	    /* at the last event it had shut down writing */
	bool dead : 1;
};

/* Takes over an accepted client (fd is closed on failure); app_read_request() comes next. */
int app_new_client(struct worker *w, int fd, const struct app_events *events, struct app **ap);
/* Reads the request if it is here already; then the request or lost event comes. */
void app_read_request(struct app *app);
/* Connects to the server at `path` under the abstract name. 0; -EAGAIN: its backlog is full or the
 * name still in use, try later; -ECONNREFUSED, -ENOENT: nobody there; other negative errno. */
int app_new_server(struct worker *w, const char *path, const struct sockname *name,
	const uint8_t secret[16], const struct app_events *events, void *user, struct app **ap);

/* A client whose socket is already here, with its request read: `fd` is our end and `client_fd` the
 * other one. Takes over both, also on failure. It waits at the gate. */
int app_new_gated(
	struct worker *w, int fd, int client_fd, const struct app_events *events, struct app **ap);
/* Starts a TCP connect by the base network; the connected event tells the result. With `own`, dst
 * must be an address of this host, and nothing leaves it. 0; -EADDRNOTAVAIL: it is not; other
 * negative errno (app_base.c). */
int app_new_base(struct worker *w, const struct endpoint *dst, bool own,
	const struct app_events *events, void *user, struct app **ap);

/* Opens the gate: the client's connect succeeds. 0 or negative errno (close it then). */
int app_grant(struct app *app, uint32_t sndbuf);
/* The client's connect fails with this positive errno. Closes. */
void app_refuse(struct app *app, int err);
/* In the readable event: reads what the application sends; at most as much as fits. The number of
 * bytes, with *endp set when its FIN is known to be right behind; 0: FIN; -EAGAIN: nothing now;
 * another negative errno: it is gone, or wants the stream reset. */
ssize_t app_readv(struct app *app, struct iovec *iov, size_t n, bool *endp);
/* Writes as much as possible; the rest stays in wbuf. Only when !app_blocked(). Negative errno when
 * the application has gone. */
int app_writev(struct app *app, struct iovec *iov, size_t n);
bool app_blocked(const struct app *app);
void app_pause(struct app *app);
void app_resume(struct app *app);
void app_fin(struct app *app); /* after what is waiting */
/* Has the application closed its socket (not only shut down writing)? */
bool app_gone(const struct app *app);
/* Both directions have ended well: closes. */
void app_end(struct app *app);
void app_close(struct app *app); /* a reset, unless nothing is left to be reset */

/* For app_base.c. app_wrap() takes over fd, also on failure. */
struct app *app_wrap(struct worker *w, int fd, const struct app_events *events);
void app_update_poll(struct app *app);
void app_base_ready(struct app *app);

#endif

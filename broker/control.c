/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "control"
#include "control.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utlist.h>

#include "fdmsg.h"
#include "listener.h"
#include "log.h"

enum { READ_CHUNK = 16384 };

enum owes { OWES_NOTHING, OWES_REQUEST, OWES_READING, OWES_ACTIVITY };

struct client {
	struct control *control;
	uv_poll_t poll;
	uv_timer_t timer;
	unsigned handles;
	int fd;
	struct peer peer;
	uint32_t home;		   /* whose places it takes, home_of() */
	struct portspace *entered; /* reference; this client is an init */
	char *in;
	size_t in_len, in_cap;
	char *out;
	size_t out_len, out_done;
	struct ops_request *rq; /* waits for its turn, or is at the disk */
	bool queued;		/* waits for its turn */
	bool running;		/* client_run() is on the stack */
	bool served;		/* had a reply */
	bool eof;		/* will send no more */
	bool last;		/* close when the reply is written */
	enum owes owes;
	struct client *prev, *next;
	struct client *queue_next; /* waiting for a turn */
};

struct control {
	struct listener listener;
	uv_loop_t *loop;
	struct ops *ops;
	struct client *clients;
	struct client *queue;	/* first in the queue */
	struct client *at_disk; /* its request is in the thread pool */
	uv_work_t work;
	bool closing;
	bool closed; /* the listener is */
};

static void client_run(struct client *c);
static void client_update(struct client *c);
static void queue_run(struct control *control);

/* --- life of a client --- */

static void maybe_free(struct control *control)
{
	if (control->closed && !control->clients)
		free(control);
}

static void client_free(struct client *c)
{
	struct control *control = c->control;

	if (c->handles > 0 || control->at_disk == c)
		return;
	close(c->fd);
	peer_close(&c->peer);
	jsonio_free_text(c->in, c->in_cap);
	jsonio_free_text(c->out, c->out_len);
	ops_request_free(c->rq);
	DL_DELETE(control->clients, c);
	free(c);
	maybe_free(control);
}

static void handle_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	c->handles--;
	client_free(c);
}

static bool is_closing(const struct client *c)
{
	return uv_is_closing((const uv_handle_t *)&c->poll);
}

static void unqueue(struct client *c)
{
	if (c->queued)
		LL_DELETE2(c->control->queue, c, queue_next);
	c->queued = false;
}

static void client_close(struct client *c)
{
	struct control *control = c->control;
	struct portspace *ps = c->entered;

	if (is_closing(c))
		return;
	uv_close((uv_handle_t *)&c->poll, handle_closed);
	uv_close((uv_handle_t *)&c->timer, handle_closed);
	unqueue(c);
	c->entered = NULL;
	if (ps && !control->closing)
		portspace_leave(control->ops->core, ps, c->peer.pid);
	portspace_unref(ps);
}

/* --- replies --- */

static void client_write(struct client *c)
{
	while (c->out_done < c->out_len) {
		ssize_t n =
			send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			client_close(c);
			return;
		}
		if (n < 0)
			return;
		c->out_done += (size_t)n;
		c->owes = OWES_NOTHING; /* progress: the time starts again */
		uv_timer_stop(&c->timer);
	}
	jsonio_free_text(c->out, c->out_len);
	c->out = NULL;
	c->out_len = c->out_done = 0;
	if (c->last)
		client_close(c);
}

/* Takes the reference to `reply`; NULL when memory ran out on the way. */
static void client_reply(struct client *c, json_t *reply)
{
	struct jsonio_error err;

	c->out = jsonio_format(reply, CONTROL_REPLY_MAX, &c->out_len);
	json_decref(reply);
	if (!c->out) {
		jsonio_fail(&err, EMSGSIZE, "ask for one portspace by its name",
			"the reply would be longer than %d bytes, or memory ran out",
			CONTROL_REPLY_MAX);
		reply = jsonio_refusal(&err);
		c->out = jsonio_format(reply, CONTROL_REPLY_MAX, &c->out_len);
		json_decref(reply);
	}
	c->served = true;
	if (c->out)
		client_write(c);
	else
		client_close(c);
}

static void client_refuse(struct client *c, const struct jsonio_error *err)
{
	client_reply(c, jsonio_refusal(err));
}

/* --- requests --- */

/* The member is a reference. */
static struct ops_caller who(const struct ops *ops, const struct peer *peer)
{
	struct ops_caller caller = {
		.peer = peer, .member = members_of_peer(ops->core->members, peer)};
	int filters;

	if (caller.member)
		return caller;
	filters = peer_seccomp_filters(peer->pid);
	caller.no_new_privs = peer_no_new_privs(peer->pid) != 0;
	caller.filters = filters < 0 ? INT_MAX : filters;
	return caller;
}

static void client_start(struct client *c)
{
	struct ops *ops = c->control->ops;
	struct ops_caller caller;
	struct ops_request *rq = c->rq;
	json_t *reply;

	if (!peer_alive(c->peer.pidfd)) { /* who holds the connection now is not known */
		client_close(c);
		return;
	}
	caller = who(ops, &c->peer);
	reply = ops_start(ops, rq, &caller);
	portspace_unref(caller.member);
	if (caller.entered)
		c->entered = caller.entered;
	if (!reply && ops_pending(rq))
		return;
	c->rq = NULL;
	ops_request_free(rq);
	client_reply(c, reply);
}

static void at_disk(uv_work_t *work)
{
	struct control *control = work->data;

	ops_file(control->at_disk->rq);
}

static void disk_done(uv_work_t *work, int status)
{
	struct control *control = work->data;
	struct client *c = control->at_disk;
	json_t *reply = ops_finish(control->ops, c->rq);

	(void)status;
	control->at_disk = NULL;
	ops_request_free(c->rq);
	c->rq = NULL;
	if (is_closing(c)) {
		json_decref(reply);
		queue_run(control);
		client_free(c); /* perhaps the control too */
		return;
	}
	client_reply(c, reply);
	client_run(c);
	queue_run(control);
}

/* Gives the first in the queue its turn when nobody is at the disk. */
static void queue_run(struct control *control)
{
	while (!control->at_disk && control->queue) {
		struct client *c = control->queue;

		unqueue(c);
		client_start(c);
		if (!is_closing(c) && c->rq) {
			control->at_disk = c;
			control->work.data = control;
			uv_queue_work(control->loop, &control->work, at_disk, disk_done);
		} else {
			client_run(c);
		}
	}
}

static void client_line(struct client *c, const char *line, size_t len)
{
	struct jsonio_error err;

	c->rq = ops_parse(line, len, &err);
	if (!c->rq) {
		client_refuse(c, &err);
	} else if (ops_writes(c->rq)) {
		LL_APPEND2(c->control->queue, c, queue_next);
		c->queued = true;
		queue_run(c->control);
	} else {
		client_start(c);
	}
}

/* Takes the first line out of the buffer: running it may change the buffer. NULL: none is whole, or
 * the client was closed because memory ran out. */
static char *client_take_line(struct client *c, size_t *lenp)
{
	char *nl = c->in_len ? memchr(c->in, '\n', c->in_len) : NULL;
	size_t len;
	char *line;

	if (!nl)
		return NULL;
	len = (size_t)(nl - c->in);
	line = malloc(len + 1);
	if (!line) {
		client_close(c);
		return NULL;
	}
	memcpy(line, c->in, len);
	c->in_len -= len + 1;
	memmove(c->in, nl + 1, c->in_len);
	*lenp = len;
	return line;
}

/* Runs the lines that are there, as far as the client may go on. */
static void client_run(struct client *c)
{
	if (c->running)
		return;
	c->running = true;
	while (!is_closing(c) && !c->rq && !c->out && !c->last) {
		size_t len;
		char *line = client_take_line(c, &len);

		if (!line)
			break;
		client_line(c, line, len);
		jsonio_free_text(line, len);
	}
	c->running = false;
	client_update(c);
}

/* --- reading --- */

static int client_grow(struct client *c)
{
	size_t cap = c->in_cap ? 2 * c->in_cap : READ_CHUNK;
	char *p;

	if (c->in_len < c->in_cap)
		return 0;
	p = malloc(cap);
	if (!p)
		return -ENOMEM;
	if (c->in_len)
		memcpy(p, c->in, c->in_len);
	jsonio_free_text(c->in, c->in_cap);
	c->in = p;
	c->in_cap = cap;
	return 0;
}

static void client_read(struct client *c)
{
	struct jsonio_error err;
	size_t room;
	ssize_t n;

	if (client_grow(c) < 0) {
		client_close(c);
		return;
	}
	room = c->in_cap - c->in_len;
	n = recv(c->fd, c->in + c->in_len, room < READ_CHUNK ? room : READ_CHUNK, 0);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		client_close(c);
	if (n < 0)
		return;
	if (n == 0)
		c->eof = true;
	c->in_len += (size_t)n;
	client_run(c);
	if (is_closing(c) || c->in_len <= CONTROL_LINE_MAX ||
		memchr(c->in, '\n', CONTROL_LINE_MAX + 1))
		return;
	jsonio_fail(&err, EMSGSIZE, NULL, "the request is longer than %d bytes", CONTROL_LINE_MAX);
	c->last = true;
	client_refuse(c, &err);
	client_update(c);
}

static void polled(uv_poll_t *poll, int status, int events)
{
	struct client *c = poll->data;

	if (status < 0) {
		client_close(c);
		return;
	}
	if ((events & UV_WRITABLE) && c->out) {
		client_write(c);
		if (!is_closing(c))
			client_run(c);
	}
	if ((events & UV_READABLE) && !is_closing(c) && !c->eof && !c->rq && !c->out)
		client_read(c);
}

static void timed_out(uv_timer_t *timer)
{
	struct client *c = timer->data;

	log_debug("process %d stalled and was dropped", (int)c->peer.pid);
	client_close(c);
}

static enum owes client_owes(const struct client *c)
{
	if (c->out)
		return OWES_READING;
	if (c->rq)
		return OWES_NOTHING;
	if (c->in_len > 0 || !c->served)
		return OWES_REQUEST;
	return c->entered ? OWES_NOTHING : OWES_ACTIVITY;
}

/* Sets what to wait for next. */
static void client_update(struct client *c)
{
	enum owes owes = client_owes(c);
	int events = 0;

	if (is_closing(c))
		return;
	if (c->eof && !c->rq && !c->out) {
		client_close(c);
		return;
	}
	if (owes != c->owes || owes == OWES_ACTIVITY) {
		c->owes = owes;
		if (owes == OWES_NOTHING)
			uv_timer_stop(&c->timer);
		else
			uv_timer_start(&c->timer, timed_out,
				owes == OWES_ACTIVITY ? CONTROL_IDLE_MS : CONTROL_STALL_MS, 0);
	}
	if (c->out)
		events |= UV_WRITABLE;
	else if (!c->rq && !c->eof)
		events |= UV_READABLE;
	if (events)
		uv_poll_start(&c->poll, events, polled);
	else
		uv_poll_stop(&c->poll);
}

/* --- accepting --- */

enum { HOME_OUTSIDE = 0 };
#define HOME_NOWHERE UINT32_MAX /* sealed, but no member any more */

/* Whose places a connection of this process takes: a portspace's id, or one of the above. Each home
 * has its own, so that the programs of one portspace crowd out nobody else. */
static uint32_t home_of(const struct ops *ops, const struct peer *peer)
{
	struct ops_caller caller = who(ops, peer);
	uint32_t home = ops_believes(ops, &caller) ? HOME_OUTSIDE : HOME_NOWHERE;

	if (caller.member)
		home = caller.member->info.portspace;
	portspace_unref(caller.member);
	return home;
}

/* Is there room for one more connection of this process? When all places of its home are taken, the
 * oldest connection there that waits for nothing gives its own up. */
static bool make_room(struct control *control, pid_t pid, uint32_t home)
{
	unsigned max = home == HOME_OUTSIDE ? CONTROL_CLIENTS_MAX : CONTROL_MEMBERS_MAX;
	struct client *c, *oldest = NULL;
	unsigned total = 0, same = 0;

	DL_FOREACH(control->clients, c)
	{
		if (is_closing(c) || c->home != home)
			continue;
		same += c->peer.pid == pid;
		total += !c->entered;
		if (!oldest && !c->entered && !c->rq && !c->out)
			oldest = c;
	}
	if (same >= CONTROL_PID_MAX || (total >= max && !oldest))
		return false;
	if (total >= max)
		client_close(oldest);
	return true;
}

/* Says why, as far as the fresh socket's buffer takes it, and closes. */
static void turn_away(int fd, struct peer *peer)
{
	struct jsonio_error err;
	json_t *reply;
	char *text;
	size_t len;

	jsonio_fail(&err, EAGAIN, "close connections that are not used, or try again",
		"the broker has too many control connections");
	reply = jsonio_refusal(&err);
	text = jsonio_format(reply, CONTROL_REPLY_MAX, &len);
	json_decref(reply);
	if (text)
		(void)fdmsg_send(fd, text, len, -1);
	jsonio_free_text(text, text ? len : 0);
	peer_close(peer);
	close(fd);
}

static void accepted(int fd, struct peer *peer, void *arg)
{
	struct control *control = arg;
	uint32_t home = home_of(control->ops, peer);
	struct client *c = make_room(control, peer->pid, home) ? calloc(1, sizeof(*c)) : NULL;

	if (!c) {
		turn_away(fd, peer);
		return;
	}
	c->control = control;
	c->fd = fd;
	c->peer = *peer;
	c->home = home;
	if (uv_poll_init(control->loop, &c->poll, fd) < 0) {
		free(c);
		turn_away(fd, peer);
		return;
	}
	uv_timer_init(control->loop, &c->timer);
	c->poll.data = c->timer.data = c;
	c->handles = 2;
	DL_APPEND(control->clients, c);
	client_update(c);
}

static void listener_closed(void *arg)
{
	struct control *control = arg;

	control->closed = true;
	maybe_free(control);
}

int control_new(uv_loop_t *loop, struct ops *ops, const char *path, struct control **controlp)
{
	struct control *control = calloc(1, sizeof(*control));
	int r;

	if (!control)
		return -ENOMEM;
	control->loop = loop;
	control->ops = ops;
	r = listener_init(
		&control->listener, loop, path, SOCK_STREAM, accepted, listener_closed, control);
	if (r < 0) {
		free(control);
		return r;
	}
	*controlp = control;
	return 0;
}

void control_close(struct control *control)
{
	struct client *c;

	if (!control)
		return;
	control->closing = true;
	listener_close(&control->listener);
	DL_FOREACH(control->clients, c)
	{
		client_close(c);
	}
}

/* The init has left already. */
static void end_init(struct client *c)
{
	portspace_unref(c->entered);
	c->entered = NULL;
	client_close(c);
}

void control_portspace_gone(struct control *control, struct portspace *ps)
{
	struct client *c;

	DL_FOREACH(control->clients, c)
	{
		if (c->entered == ps)
			end_init(c);
	}
}

void control_process_gone(struct control *control, pid_t pid)
{
	struct client *c;

	DL_FOREACH(control->clients, c)
	{
		if (c->entered && c->peer.pid == pid)
			client_close(c);
	}
}

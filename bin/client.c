/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "fdmsg.h"
#include "rundir.h"
#include "start.h"

static void wipe_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void client_init(void)
{
	json_set_alloc_funcs(malloc, wipe_free);
}

void client_adopt(int fd, struct client *cp)
{
	const struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	cp->fd = fd;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

int client_open(bool start, struct client *cp, struct fail *failp)
{
	char runtime[RUNDIR_PATH_MAX], path[RUNDIR_PATH_MAX + 16];
	int fd, r = rundir_runtime(runtime, sizeof(runtime));

	cp->fd = -1;
	if (r < 0)
		return fail_set(failp, r,
			"set PERSONA_RUNTIME_DIR to a short absolute path (47 bytes at most)",
			"no usable runtime directory: %s", strerror(-r));
	if (start) {
		r = start_connect(runtime, &fd, failp);
	} else {
		snprintf(path, sizeof(path), "%s/control", runtime);
		r = fdmsg_connect(path, SOCK_STREAM, &fd);
		if (r == -ECONNREFUSED)
			r = -ENOENT;
		if (r < 0)
			fail_set(failp, r, NULL, "no broker runs at %s", path);
	}
	if (r == 0)
		client_adopt(fd, cp);
	return r;
}

static int send_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int send_line(int fd, json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t len = text ? strlen(text) : 0;
	int r;

	if (!text)
		return -ENOMEM;
	if (len + 1 > CLIENT_LINE_MAX) {
		r = -EMSGSIZE;
	} else {
		text[len] = '\n'; /* in the place of the terminator */
		r = send_all(fd, text, len + 1);
	}
	wipe_free(text);
	return r;
}

/* Reads up to the newline, which becomes the terminator. The caller frees *linep. */
static int recv_line(int fd, char **linep)
{
	size_t cap = 8192, len = 0;
	char *buf = malloc(cap), *more;
	int r = buf ? 0 : -ENOMEM;

	while (r == 0) {
		ssize_t n = recv(fd, buf + len, cap - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			r = n == 0 ? -EPIPE : errno == EAGAIN ? -ETIMEDOUT : -errno;
			break;
		}
		more = memchr(buf + len, '\n', (size_t)n);
		len += (size_t)n;
		if (more) {
			*more = '\0';
			*linep = buf;
			/* Nothing is sent without a request: more than one line is an error. */
			if (more + 1 == buf + len)
				return 0;
			r = -EPROTO;
		} else if (len == cap) {
			if (cap >= CLIENT_REPLY_MAX) {
				r = -EPROTO;
				break;
			}
			cap *= 2;
			more = realloc(buf, cap);
			if (!more)
				r = -ENOMEM;
			else
				buf = more;
		}
	}
	free(buf);
	return r;
}

const char *client_str(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* 0, -EPROTO or -EREMOTEIO; the reply is still the caller's. */
static int check_reply(json_t *reply, struct fail *failp)
{
	const json_t *ok = json_object_get(reply, "ok");
	const json_t *error = json_object_get(reply, "error");

	if (json_integer_value(json_object_get(reply, "version")) != 1 || !json_is_boolean(ok))
		return -EPROTO;
	if (json_is_true(ok))
		return 0;
	if (!client_str(error, "message")[0])
		return -EPROTO;
	fail_set(failp, 0, client_str(error, "hint"), "%s", client_str(error, "message"));
	snprintf(failp->code, sizeof(failp->code), "%s", client_str(error, "code"));
	return -EREMOTEIO;
}

static int say(int err, struct fail *failp)
{
	switch (err) {
	case -EPROTO:
		return fail_set(failp, err, "are the tools and the broker of the same version?",
			"the broker's answer makes no sense");
	case -EPIPE:
	case -ECONNRESET:
		return fail_set(failp, -EPIPE, "look at broker.log in the runtime directory",
			"the broker closed the connection");
	case -ETIMEDOUT:
	case -EAGAIN:
		return fail_set(failp, -ETIMEDOUT, NULL, "the broker does not answer");
	default:
		return fail_set(failp, err, NULL, "cannot talk to the broker: %s", strerror(-err));
	}
}

int client_call(struct client *c, json_t *request, json_t **replyp, struct fail *failp)
{
	json_t *reply = NULL;
	char *line = NULL;
	int r = -ENOMEM;

	if (request && json_object_set_new(request, "version", json_integer(1)) == 0)
		r = send_line(c->fd, request);
	json_decref(request);
	if (r == 0)
		r = recv_line(c->fd, &line);
	if (r < 0)
		return say(r, failp);
	reply = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	wipe_free(line);
	r = json_is_object(reply) ? check_reply(reply, failp) : -EPROTO;
	if (r < 0) {
		json_decref(reply);
		return r == -EREMOTEIO ? r : say(r, failp);
	}
	json_object_del(reply, "ok");
	*replyp = reply;
	return 0;
}

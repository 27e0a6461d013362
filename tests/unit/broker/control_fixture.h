/* SPDX-License-Identifier: MIT */
/* A control socket whose loop runs in the test's own thread, and clients: in this process, and in
 * children (who asks matters). */
#ifndef PERSONA_TEST_CONTROL_FIXTURE_H
#define PERSONA_TEST_CONTROL_FIXTURE_H

#include "core_fixture.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <time.h>

#include "control.h"
#include "state.h"

enum { DEADLINE_MS = 20000, CLI_MAX = 1 << 20 };

struct bench {
	struct fixture *f;
	uv_loop_t loop;
	struct ops ops;
	struct status_broker status;
	struct control *control;
	char path[64];
};

/* A client in the test's process. */
struct cli {
	struct bench *b;
	int fd;
	size_t len;
	char buf[CLI_MAX];
};

static inline void hook_portspace(struct portspace *ps, void *arg)
{
	struct bench *b = arg;

	if (b->control)
		control_portspace_gone(b->control, ps);
}

static inline void hook_process(pid_t pid, void *arg)
{
	struct bench *b = arg;

	if (b->control)
		control_process_gone(b->control, pid);
}

static inline int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	fixture_setup((void **)&b->f);
	b->f->core->hooks = (struct core_hooks){
		.process_gone = hook_process, .portspace_gone = hook_portspace, .arg = b};
	assert_int_equal(uv_loop_init(&b->loop), 0);
	b->ops = (struct ops){.core = b->f->core, .broker = &b->status};
	snprintf(b->path, sizeof(b->path), "%s/control", b->f->rt);
	assert_int_equal(control_new(&b->loop, &b->ops, b->path, &b->control), 0);
	*state = b;
	return 0;
}

static inline int teardown(void **state)
{
	struct bench *b = *state;

	control_close(b->control);
	b->control = NULL;
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0); /* nothing was left open */
	fixture_teardown((void **)&b->f);
	free(b);
	return 0;
}

/* Runs the loop until fd has something to say, at most until the deadline. */
static inline void run_until_readable(struct bench *b, int fd)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ULL;
	struct pollfd p[2] = {
		{.fd = fd, .events = POLLIN}, {.fd = uv_backend_fd(&b->loop), .events = POLLIN}};

	for (;;) {
		int timeout = uv_backend_timeout(&b->loop);

		/* Twice: what the first run starts to watch is watched by the second only. */
		uv_run(&b->loop, UV_RUN_NOWAIT);
		uv_run(&b->loop, UV_RUN_NOWAIT);
		if (poll(p, 1, 0) == 1)
			return;
		assert_true(uv_hrtime() < end);
		poll(p, 2, timeout < 0 || timeout > 1000 ? 1000 : timeout);
	}
}

static inline struct cli *cli_open(struct bench *b)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct cli *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->b = b;
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	strcpy(sun.sun_path, b->path);
	assert_int_equal(connect(c->fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return c;
}

static inline void cli_close(struct cli *c)
{
	close(c->fd);
	free(c);
}

static inline void cli_send(struct cli *c, const char *text, size_t len)
{
	assert_int_equal(send(c->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The next reply, or NULL at the end of the connection. The caller's reference. */
static inline json_t *cli_reply(struct cli *c)
{
	char *nl;
	ssize_t n;
	json_t *o;

	while (!(nl = memchr(c->buf, '\n', c->len))) {
		run_until_readable(c->b, c->fd);
		n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, MSG_DONTWAIT);
		if (n <= 0)
			return NULL;
		c->len += (size_t)n;
	}
	o = json_loadb(c->buf, (size_t)(nl - c->buf), 0, NULL);
	assert_non_null(o);
	c->len -= (size_t)(nl + 1 - c->buf);
	memmove(c->buf, nl + 1, c->len);
	assert_int_equal(json_integer_value(json_object_get(o, "version")), 1);
	return o;
}

/* Sends one request given without version; the reply. */
static inline json_t *ask(struct cli *c, const char *op, const char *members)
{
	char line[4096];
	int n = snprintf(line, sizeof(line), "{\"version\":1,\"op\":\"%s\"%s%s}\n", op,
		members[0] ? "," : "", members);

	cli_send(c, line, (size_t)n);
	return cli_reply(c);
}

static inline void assert_ok_reply(json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok"))) {
		char *text = reply ? json_dumps(reply, 0) : NULL;

		fail_msg("%s", text ? text : "connection closed");
	}
}

static inline void expect_ok(struct cli *c, const char *op, const char *members)
{
	json_t *reply = ask(c, op, members);

	assert_ok_reply(reply);
	json_decref(reply);
}

/* Each refusal must have a code, a cause, and never `ok`. */
static inline void check_refusal(json_t *reply, const char *code)
{
	json_t *error = json_object_get(reply, "error");

	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(json_string_value(json_object_get(error, "code")), code);
	assert_true(json_string_length(json_object_get(error, "message")) > 0);
}

static inline void expect_error(
	struct cli *c, const char *op, const char *members, const char *code)
{
	json_t *reply = ask(c, op, members);

	assert_non_null(reply);
	check_refusal(reply, code);
	json_decref(reply);
}

static inline bool on_disk(struct bench *b, const char *name, const char *has)
{
	char *text;
	size_t len;
	bool found;

	if (state_read(b->f->cfg, name, &text, &len, NULL) < 0)
		return false;
	found = strstr(text, has) != NULL;
	sodium_free(text);
	return found;
}

#define PEER1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define PEER2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define WORK  "\"name\":\"work\""

/* --- other processes --- */

enum child_flags { CHILD_NO_NEW_PRIVS = 1, CHILD_FILTER = 2 /* a seccomp filter of its own */ };

static inline void add_filter(void)
{
	struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	struct sock_fprog prog = {1, &allow};

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) < 0)
		_exit(1);
}

/* In a child: asks once for each line and writes the replies to the pipe. */
static inline void child_asks(
	const struct bench *b, unsigned flags, const char *const *lines, int out)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char buf[65536];
	ssize_t n;

	if (flags & CHILD_NO_NEW_PRIVS)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (flags & CHILD_FILTER)
		add_filter();
	strcpy(sun.sun_path, b->path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		_exit(1);
	for (; *lines; lines++)
		if (dprintf(fd, "{\"version\":1,%s}\n", *lines) < 0)
			_exit(1);
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(out, buf, (size_t)n) != n)
			_exit(1);
	_exit(0);
}

/* Starts it; the replies can be read with cli_reply() of the result. */
static inline struct cli *child_open(
	struct bench *b, unsigned flags, const char *const *lines, pid_t *pidp)
{
	struct cli *c = calloc(1, sizeof(*c));
	int pair[2];

	assert_non_null(c);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	*pidp = fork();
	if (*pidp == 0) {
		close(pair[0]);
		child_asks(b, flags, lines, pair[1]);
	}
	close(pair[1]);
	c->b = b;
	c->fd = pair[0];
	return c;
}

/* NULL in `codes` means ok. */
static inline void child_expects(struct bench *b, unsigned flags, const char *const *lines,
	const char *const *codes, size_t n)
{
	pid_t pid;
	struct cli *c = child_open(b, flags, lines, &pid);

	for (size_t i = 0; i < n; i++) {
		json_t *reply = cli_reply(c);

		if (codes[i])
			check_refusal(reply, codes[i]);
		else
			assert_ok_reply(reply);
		json_decref(reply);
	}
	assert_null(cli_reply(c));
	cli_close(c);
	reap(pid);
}

#endif

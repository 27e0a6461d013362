/* SPDX-License-Identifier: MIT */
/* control and ops: the whole protocol over a real socket; the loop runs in the test's own thread.
 */
#include "core_fixture.h"

#include <fcntl.h>
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

static void hook_portspace(struct portspace *ps, void *arg)
{
	struct bench *b = arg;

	if (b->control)
		control_portspace_gone(b->control, ps);
}

static void hook_process(pid_t pid, void *arg)
{
	struct bench *b = arg;

	if (b->control)
		control_process_gone(b->control, pid);
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	fixture_setup((void **)&b->f);
	b->f->core->hooks = (struct core_hooks){NULL, hook_process, hook_portspace, b};
	assert_int_equal(uv_loop_init(&b->loop), 0);
	b->ops = (struct ops){.core = b->f->core, .broker = &b->status};
	snprintf(b->path, sizeof(b->path), "%s/control", b->f->rt);
	assert_int_equal(control_new(&b->loop, &b->ops, b->path, &b->control), 0);
	*state = b;
	return 0;
}

static int teardown(void **state)
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
static void run_until_readable(struct bench *b, int fd)
{
	uint64_t end = uv_hrtime() + DEADLINE_MS * 1000000ULL;
	struct pollfd p[2] = {
		{.fd = fd, .events = POLLIN}, {.fd = uv_backend_fd(&b->loop), .events = POLLIN}};

	for (;;) {
		int timeout = uv_backend_timeout(&b->loop);

		uv_run(&b->loop, UV_RUN_NOWAIT);
		if (poll(p, 1, 0) == 1)
			return;
		assert_true(uv_hrtime() < end);
		poll(p, 2, timeout < 0 || timeout > 1000 ? 1000 : timeout);
	}
}

static struct cli *cli_open(struct bench *b)
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

static void cli_close(struct cli *c)
{
	close(c->fd);
	free(c);
}

static void cli_send(struct cli *c, const char *text, size_t len)
{
	assert_int_equal(send(c->fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* The next reply, or NULL at the end of the connection. The caller's reference. */
static json_t *cli_reply(struct cli *c)
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
static json_t *ask(struct cli *c, const char *op, const char *members)
{
	char line[4096];
	int n = snprintf(line, sizeof(line), "{\"version\":1,\"op\":\"%s\"%s%s}\n", op,
		members[0] ? "," : "", members);

	cli_send(c, line, (size_t)n);
	return cli_reply(c);
}

static void assert_ok_reply(json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok"))) {
		char *text = reply ? json_dumps(reply, 0) : NULL;

		fail_msg("%s", text ? text : "connection closed");
	}
}

static void expect_ok(struct cli *c, const char *op, const char *members)
{
	json_t *reply = ask(c, op, members);

	assert_ok_reply(reply);
	json_decref(reply);
}

/* Each refusal must have a code, a cause, and never `ok`. */
static void check_refusal(json_t *reply, const char *code)
{
	json_t *error = json_object_get(reply, "error");

	assert_true(json_is_false(json_object_get(reply, "ok")));
	assert_string_equal(json_string_value(json_object_get(error, "code")), code);
	assert_true(json_string_length(json_object_get(error, "message")) > 0);
}

static void expect_error(struct cli *c, const char *op, const char *members, const char *code)
{
	json_t *reply = ask(c, op, members);

	assert_non_null(reply);
	check_refusal(reply, code);
	json_decref(reply);
}

static bool on_disk(struct bench *b, const char *name, const char *has)
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

static void test_ping(void **state)
{
	struct cli *c = cli_open(*state);
	json_t *reply = ask(c, "ping", "");

	assert_ok_reply(reply);
	assert_int_equal(
		json_integer_value(json_object_get(json_object_get(reply, "broker"), "pid")),
		getpid());
	json_decref(reply);
	cli_close(c);
}

static void test_garbage_costs_an_error_each(void **state)
{
	static const char *const lines[] = {
		"",
		" ",
		"garbage",
		"[]",
		"1",
		"null",
		"{",
		"{}",
		"{\"version\":1}",
		"{\"version\":2,\"op\":\"ping\"}",
		"{\"version\":\"1\",\"op\":\"ping\"}",
		"{\"version\":1,\"op\":\"nonsense\"}",
		"{\"version\":1,\"op\":1}",
		"{\"version\":1,\"op\":\"ping\",\"more\":1}",
		"{\"version\":1,\"op\":\"ping\",\"op\":\"ping\"}",
		"{\"version\":1,\"op\":\"ping\"} {}",
		"{\"version\":1,\"op\":\"\\u0000\"}",
		"\xff\xfe",
		"{\"version\":1,\"op\":\"\xff\"}",
		"{\"version\":1,\"op\":\"show\"}",
		"{\"version\":1,\"op\":\"show\",\"name\":1}",
		"{\"version\":1,\"op\":\"show\",\"name\":null}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":\"10.0.0.1\"}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[1]}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[]}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"nonsense\"]}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"../x\",\"addresses\":[\"10.0.0.1\"]}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"10.0.0.1\"],"
		"\"mtu\":10}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"10.0.0.1\"],"
		"\"mtu\":4294968716}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"10.0.0.1\"],"
		"\"private_key\":\"short\"}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"10.0.0.1\"],"
		"\"hosts\":{\"a b\":\"10.0.0.2\"}}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"10.0.0.1\"],"
		"\"hosts\":{\"a\":[1]}}",
		"{\"version\":1,\"op\":\"create\",\"name\":\"x\",\"addresses\":[\"10.0.0.1\"],"
		"\"hosts\":[]}",
		"{\"version\":1,\"op\":\"enter\",\"name\":\"x\",\"seal\":\"none\"}",
		"{\"version\":1,\"op\":\"enter\",\"seal\":\"shim\"}",
		"{\"version\":1,\"op\":\"enter\",\"name\":\"x\",\"new\":true,\"seal\":\"shim\"}",
		"{\"version\":1,\"op\":\"enter\",\"new\":true,\"seal\":\"shim\",\"command\":1}",
		"{\"version\":1,\"op\":\"enter\",\"new\":true,\"seal\":\"shim\","
		"\"addresses\":[\"x\"]}",
		"{\"version\":1,\"op\":\"import\",\"name\":\"x\",\"text\":\"nonsense\"}",
	};
	struct bench *b = *state;
	struct cli *c = cli_open(b);

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		json_t *reply;

		cli_send(c, lines[i], strlen(lines[i]));
		cli_send(c, "\n", 1);
		reply = cli_reply(c);
		if (!reply || json_is_true(json_object_get(reply, "ok")))
			fail_msg("line %zu was not refused: %s", i, lines[i]);
		check_refusal(reply, "EINVAL");
		json_decref(reply);
	}
	expect_ok(c, "ping", "");
	assert_int_equal(core_count(b->f->core), 0);
	cli_close(c);
}

static void test_endless_line_ends_the_connection(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char chunk[4096];
	size_t sent = 0;
	json_t *reply;

	memset(chunk, 'x', sizeof(chunk));
	while (sent <= CONTROL_LINE_MAX) {
		ssize_t n = send(c->fd, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			sent += (size_t)n;
		uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	reply = cli_reply(c);
	assert_non_null(reply);
	check_refusal(reply, "EMSGSIZE");
	json_decref(reply);
	assert_null(cli_reply(c));
	cli_close(c);
}

static void test_replies_come_in_order_also_after_half_close(void **state)
{
	struct cli *c = cli_open(*state);
	static const char lines[] =
		"{\"version\":1,\"op\":\"create\",\"name\":\"a\",\"addresses\":[\"10.0.0.1\"]}\n"
		"{\"version\":1,\"op\":\"show\",\"name\":\"a\"}\n"
		"{\"version\":1,\"op\":\"create\",\"name\":\"a\",\"addresses\":[\"10.0.0.1\"]}\n"
		"{\"version\":1,\"op\":\"destroy\",\"name\":\"a\"}\n"
		"{\"version\":1,\"op\":\"show\",\"name\":\"a\"}\n";
	static const char *const codes[] = {NULL, NULL, "EEXIST", NULL, "ENOENT"};

	cli_send(c, lines, strlen(lines));
	shutdown(c->fd, SHUT_WR);
	for (int i = 0; i < 5; i++) {
		json_t *reply = cli_reply(c);

		if (codes[i])
			check_refusal(reply, codes[i]);
		else
			assert_ok_reply(reply);
		json_decref(reply);
	}
	assert_null(cli_reply(c));
	cli_close(c);
}

static void test_reader_that_lags_gets_every_reply(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	static const char line[] = "{\"version\":1,\"op\":\"ping\"}\n";
	unsigned sent = 0, got = 0;

	/* Until both directions are full: the broker stops reading, nothing is lost. */
	for (int idle = 0; idle < 100;) {
		ssize_t n = send(c->fd, line, strlen(line), MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(n < 0 || n == (ssize_t)strlen(line));
		idle = n < 0 ? idle + 1 : 0;
		sent += n > 0;
		uv_run(&b->loop, UV_RUN_NOWAIT);
	}
	shutdown(c->fd, SHUT_WR);
	for (json_t *reply; (reply = cli_reply(c)); got++) {
		assert_ok_reply(reply);
		json_decref(reply);
	}
	assert_true(sent > 100);
	assert_int_equal(got, sent);
	cli_close(c);
}

static void test_create_is_on_disk_before_the_reply(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char path[128], name[] = "\"name\":\"work\"";
	struct stat st;
	json_t *reply, *o;

	reply = ask(c, "create",
		WORK ",\"addresses\":[\"10.77.0.1/24\",\"fd00::1/64\"],\"mtu\":1400,"
		     "\"hostname\":\"office\",\"hosts\":{\"srv\":\"10.77.0.9\","
		     "\"two\":[\"10.0.0.1\",\"10.0.0.2\"]}");
	assert_ok_reply(reply);
	o = json_object_get(reply, "portspace");
	assert_string_equal(json_string_value(json_object_get(o, "hostname")), "office");
	assert_int_equal(json_integer_value(json_object_get(o, "mtu")), 1400);
	assert_int_equal(json_array_size(json_object_get(o, "addresses")), 2);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "hosts"), "srv")),
		"10.77.0.9");
	assert_int_equal(json_array_size(json_object_get(json_object_get(o, "hosts"), "two")), 2);
	assert_string_equal(json_string_value(json_object_get(o, "public_key")),
		key_format(&core_find(b->f->core, "work")->public_key, path));
	json_decref(reply);
	snprintf(path, sizeof(path), "%s/work.conf", b->f->cfg);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(on_disk(b, "work", "Address = 10.77.0.1/24"));
	expect_error(c, "create", WORK ",\"addresses\":[\"10.77.0.1\"]", "EEXIST");
	expect_ok(c, "destroy", name);
	assert_int_equal(stat(path, &st), -1);
	expect_error(c, "show", name, "ENOENT");
	cli_close(c);
}

static void test_file_that_was_not_loaded_is_not_overwritten(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);

	assert_int_equal(state_write(b->f->cfg, "work", "broken", 6, NULL), 0);
	expect_error(c, "create", WORK ",\"addresses\":[\"10.77.0.1\"]", "EEXIST");
	assert_true(on_disk(b, "work", "broken"));
	cli_close(c);
}

static void test_full_disk_changes_nothing(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply;

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1\"]");
	/* A directory that is not there refuses also root. */
	snprintf(b->f->core->config_dir, sizeof(b->f->core->config_dir), "%s/none", b->f->top);
	expect_error(c, "create", "\"name\":\"b\",\"addresses\":[\"10.77.0.1\"]", "ENOENT");
	expect_error(c, "link-add", WORK ",\"peer\":\"" PEER1 "\",\"allowed_ips\":[]", "ENOENT");
	expect_error(c, "show", "\"name\":\"b\"", "ENOENT");
	reply = ask(c, "link-list", WORK);
	assert_ok_reply(reply);
	assert_int_equal(json_array_size(json_object_get(reply, "links")), 0);
	json_decref(reply);
	cli_close(c);
}

static void test_links(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply, *o;

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	reply = ask(c, "link-add",
		WORK ",\"peer\":\"" PEER1 "\",\"allowed_ips\":[\"10.77.0.2/32\"],"
		     "\"endpoint\":\"192.0.2.2:51821\",\"keepalive\":25,"
		     "\"preshared_key\":\"" PEER2 "\"");
	assert_ok_reply(reply);
	o = json_object_get(reply, "link");
	assert_string_equal(json_string_value(json_object_get(o, "name")), "link1");
	assert_true(json_is_true(json_object_get(o, "preshared")));
	assert_string_equal(json_string_value(json_object_get(o, "state")), "idle");
	assert_true(json_is_null(json_object_get(o, "error")));
	assert_true(json_is_null(json_object_get(o, "last_handshake_s")));
	json_decref(reply);
	assert_true(on_disk(b, "work", "PublicKey = " PEER1));
	assert_true(on_disk(b, "work", "PresharedKey = " PEER2));
#define ADD(rest) expect_error(c, "link-add", WORK "," rest
	ADD("\"peer\":\"" PEER1 "\",\"allowed_ips\":[]"), "EEXIST");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[\"10.77.0.2\"]"), "EEXIST");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"link_name\":\"link1\""), "EEXIST");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"link_name\":\"lo\""), "EINVAL");
	ADD("\"peer\":\"x\",\"allowed_ips\":[]"), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[\"x\"]"), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"endpoint\":\"x\""), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"keepalive\":65536"), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"preshared_key\":\"x\""), "EINVAL");
#undef ADD
	expect_error(c, "link-add", "\"name\":\"x\",\"peer\":\"" PEER2 "\",\"allowed_ips\":[]",
		"ENOENT");
	expect_ok(c, "link-add",
		WORK ",\"peer\":\"" PEER2 "\",\"allowed_ips\":[\"10.0.0.0/8\"],"
		     "\"link_name\":\"home\"");
	expect_error(c, "link-remove", WORK ",\"link\":\"nobody\"", "ENOENT");
	expect_ok(c, "link-remove", WORK ",\"link\":\"" PEER1 "\"");
	expect_ok(c, "link-remove", WORK ",\"link\":\"home\"");
	assert_false(on_disk(b, "work", "[Peer]"));
	assert_null(core_find(b->f->core, "work")->links);
	cli_close(c);
}

static void test_own_key_is_no_peer(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char members[256], key[KEY_STRLEN];

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	key_format(&core_find(b->f->core, "work")->public_key, key);
	snprintf(members, sizeof(members), WORK ",\"peer\":\"%s\",\"allowed_ips\":[]", key);
	expect_error(c, "link-add", members, "EINVAL");
	cli_close(c);
}

static void test_secrets_never_come_back(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char private_key[KEY_STRLEN];
	static const char *const ops[][2] = {{"show", WORK}, {"status", ""}, {"status", WORK},
		{"list", ""}, {"link-list", WORK}};

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	expect_ok(c, "link-add",
		WORK ",\"peer\":\"" PEER1 "\",\"allowed_ips\":[],\"preshared_key\":\"" PEER2 "\"");
	key_format(core_find(b->f->core, "work")->private_key, private_key);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		json_t *reply = ask(c, ops[i][0], ops[i][1]);
		size_t len;
		char *text;

		assert_ok_reply(reply);
		text = jsonio_format(reply, CLI_MAX, &len);
		assert_non_null(text);
		assert_non_null(memmem(text, len, PEER1, strlen(PEER1)));
		assert_null(memmem(text, len, PEER2, strlen(PEER2)));
		assert_null(memmem(text, len, private_key, strlen(private_key)));
		jsonio_free_text(text, len);
		json_decref(reply);
	}
	cli_close(c);
}

static void test_import_warns_and_never_runs_hooks(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply = ask(c, "import",
		WORK ",\"text\":\"[Interface]\\nPrivateKey = "
		     "aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvaGU=\\nAddress = 10.1.1.1/24\\n"
		     "PostUp = touch /tmp/persona-hook-ran\\n[Peer]\\nPublicKey = " PEER1
		     "\\nAllowedIPs = 0.0.0.0/0\\n\"");

	assert_ok_reply(reply);
	assert_int_equal(json_array_size(json_object_get(reply, "warnings")), 1);
	json_decref(reply);
	assert_int_equal(access("/tmp/persona-hook-ran", F_OK), -1);
	assert_string_equal(core_find(b->f->core, "work")->links->name, "link1");
	assert_true(on_disk(b, "work", "Link = " PEER1 " link1"));
	cli_close(c);
}

/* --- other processes --- */

enum child_flags { CHILD_NO_NEW_PRIVS = 1 };

/* In a child: asks once for each line and writes the replies to the pipe. */
static void child_asks(const struct bench *b, unsigned flags, const char *const *lines, int out)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char buf[65536];
	ssize_t n;

	if (flags & CHILD_NO_NEW_PRIVS)
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
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
static struct cli *child_open(
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
static void child_expects(struct bench *b, unsigned flags, const char *const *lines,
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

static void test_no_new_privs_manages_nothing(void **state)
{
	static const char *const lines[] = {"\"op\":\"ping\"",
		"\"op\":\"create\",\"name\":\"a\",\"addresses\":[\"10.0.0.1\"]", "\"op\":\"list\"",
		"\"op\":\"status\"", "\"op\":\"enter\",\"new\":true,\"seal\":\"shim\"", NULL};
	static const char *const sealed[] = {NULL, "EPERM", "EPERM", "EPERM", "EPERM"};
	static const char *const all_sealed[] = {NULL, NULL, NULL, NULL, NULL};
	struct bench *b = *state;

	child_expects(b, CHILD_NO_NEW_PRIVS, lines, sealed, 5);
	assert_int_equal(core_count(b->f->core), 0);
	b->ops.no_new_privs = true; /* a broker that was sealed itself can serve nobody else */
	child_expects(b, CHILD_NO_NEW_PRIVS, lines, all_sealed, 5);
}

static void test_member_looks_at_its_own_only(void **state)
{
	static const char *const lines[] = {"\"op\":\"enter\",\"seal\":\"shim\"," WORK,
		"\"op\":\"ping\"", "\"op\":\"show\"," WORK, "\"op\":\"status\"",
		"\"op\":\"link-list\"," WORK, "\"op\":\"show\",\"name\":\"other\"",
		"\"op\":\"status\",\"name\":\"other\"", "\"op\":\"list\"",
		"\"op\":\"destroy\"," WORK,
		"\"op\":\"create\",\"name\":\"a\",\"addresses\":[\"10.0.0.1\"]",
		"\"op\":\"link-remove\",\"link\":\"x\"," WORK,
		"\"op\":\"enter\",\"new\":true,\"seal\":\"shim\"", NULL};
	static const char *const codes[] = {NULL, NULL, NULL, NULL, NULL, "EPERM", "EPERM", "EPERM",
		"EPERM", "EPERM", "EPERM", "EPERM"};
	struct bench *b = *state;

	make_portspace(b->f, "work", "10.0.0.1");
	make_portspace(b->f, "other", "10.0.0.1");
	child_expects(b, 0, lines, codes, 12);
	child_expects(b, CHILD_NO_NEW_PRIVS, lines + 3, codes + 5, 1); /* a stranger, sealed */
	assert_int_equal(b->f->core->ninits, 0);		       /* its connection ended */
}

static void test_unnamed_portspace_ends_with_the_connection(void **state)
{
	static const char *const lines[] = {
		"\"op\":\"enter\",\"new\":true,\"seal\":\"sealed\",\"command\":[\"a\",\"b\"]",
		"\"op\":\"status\"", NULL};
	struct bench *b = *state;
	pid_t pid;
	struct cli *c = child_open(b, 0, lines, &pid);
	json_t *reply = cli_reply(c), *ps, *init;
	const char *dir;

	assert_ok_reply(reply);
	dir = json_string_value(json_object_get(reply, "dir"));
	assert_true(strncmp(dir, b->f->rt, strlen(b->f->rt)) == 0);
	assert_true(
		json_is_true(json_object_get(json_object_get(reply, "portspace"), "ephemeral")));
	json_decref(reply);
	reply = cli_reply(c);
	assert_ok_reply(reply);
	assert_int_equal(json_array_size(json_object_get(reply, "portspaces")), 1);
	ps = json_array_get(json_object_get(reply, "portspaces"), 0);
	init = json_array_get(json_object_get(ps, "inits"), 0);
	assert_int_equal(json_integer_value(json_object_get(init, "pid")), pid);
	assert_string_equal(json_string_value(json_object_get(init, "seal")), "sealed");
	assert_int_equal(json_array_size(json_object_get(init, "command")), 2);
	json_decref(reply);
	assert_null(cli_reply(c));
	assert_int_equal(core_count(b->f->core), 0);
	cli_close(c);
	reap(pid);
}

static void test_destroy_needs_force_while_in_use(void **state)
{
	struct bench *b = *state;
	struct cli *admin = cli_open(b), *init = cli_open(b);
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&sun, len);
		_exit(0);
	}
	fd = accept(listener, NULL, NULL);
	assert_int_equal(peer_get(fd, &peer), 0);
	expect_ok(admin, "create", WORK ",\"addresses\":[\"10.77.0.1\"]");
	assert_int_equal(portspace_enter(core_find(b->f->core, "work"), &peer, "shim", NULL), 0);
	expect_error(admin, "destroy", WORK, "EBUSY");
	expect_error(admin, "destroy", WORK ",\"force\":1", "EINVAL");
	expect_ok(admin, "destroy", WORK ",\"force\":true");
	assert_false(on_disk(b, "work", "["));
	assert_int_equal(b->f->core->ninits, 0);
	/* The init's connection is closed: the test process itself is one now. */
	expect_ok(admin, "create", WORK ",\"addresses\":[\"10.77.0.1\"]");
	expect_ok(init, "enter", WORK ",\"seal\":\"shim\"");
	portspace_remove(b->f->core, core_find(b->f->core, "work"));
	assert_null(cli_reply(init));
	cli_close(init);
	cli_close(admin);
	close(fd);
	close(listener);
	peer_close(&peer);
	reap(pid);
}

static void test_init_that_dies_leaves_though_its_connection_lives(void **state)
{
	struct bench *b = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int pair[2], kept[2];
	char c;
	pid_t pid;

	make_portspace(b->f, "work", "10.0.0.1");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(kept), 0);
	pid = fork();
	if (pid == 0) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		close(pair[0]);
		close(kept[1]);
		strcpy(sun.sun_path, b->path);
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
			_exit(1);
		dprintf(fd, "{\"version\":1,\"op\":\"enter\",\"seal\":\"shim\"," WORK "}\n");
		if (read(fd, &c, 1) != 1 || write(pair[1], "x", 1) != 1)
			_exit(1);
		if (fork() == 0) { /* holds the connection */
			close(pair[1]);
			_exit(read(kept[0], &c, 1) == 0 ? 0 : 1);
		}
		_exit(0);
	}
	close(pair[1]);
	close(kept[0]);
	run_until_readable(b, pair[0]);
	assert_int_equal(read(pair[0], &c, 1), 1);
	assert_int_equal(b->f->core->ninits, 1);
	reap(pid);
	core_collect(b->f->core);
	assert_int_equal(b->f->core->ninits, 0);
	close(kept[1]);
	close(pair[0]);
}

static void test_connections_of_a_process_are_bounded(void **state)
{
	struct bench *b = *state;
	struct cli *c[CONTROL_PID_MAX], *more;
	json_t *reply;

	for (int i = 0; i < CONTROL_PID_MAX; i++) {
		c[i] = cli_open(b);
		expect_ok(c[i], "ping", "");
	}
	more = cli_open(b);
	reply = cli_reply(more);
	check_refusal(reply, "EAGAIN");
	json_decref(reply);
	assert_null(cli_reply(more));
	cli_close(more);
	for (int i = 0; i < CONTROL_PID_MAX; i++)
		cli_close(c[i]);
	more = cli_open(b);
	expect_ok(more, "ping", "");
	cli_close(more);
}

static void test_writers_take_turns_and_may_vanish(void **state)
{
	struct bench *b = *state;
	struct cli *c[8], *last;
	json_t *reply;

	for (int i = 0; i < 8; i++) {
		char line[160];
		int n = snprintf(line, sizeof(line),
			"{\"version\":1,\"op\":\"create\",\"name\":\"ps%d\","
			"\"addresses\":[\"10.0.0.1\"]}\n",
			i);

		c[i] = cli_open(b);
		cli_send(c[i], line, (size_t)n);
	}
	for (int i = 0; i < 8; i += 2) {
		reply = cli_reply(c[i]);
		assert_ok_reply(reply);
		json_decref(reply);
		cli_close(c[i]);
		cli_close(c[i + 1]); /* perhaps before its turn, perhaps after */
	}
	last = cli_open(b);
	expect_ok(last, "create", "\"name\":\"last\",\"addresses\":[\"10.0.0.1\"]");
	for (struct portspace_priv *p = b->f->core->by_name; p; p = p->hh.next)
		assert_true(on_disk(b, p->ps->info.name, "PrivateKey"));
	assert_true(core_count(b->f->core) >= 5);
	cli_close(last);
}

static void test_stalled_clients_are_dropped(void **state)
{
	struct bench *b = *state;
	struct cli *silent = cli_open(b), *half = cli_open(b), *served = cli_open(b);
	uint64_t start = uv_hrtime();

	expect_ok(served, "ping", "");
	cli_send(half, "{\"version\":1,", 13);
	assert_null(cli_reply(silent));
	assert_null(cli_reply(half));
	assert_true(uv_hrtime() - start >= (CONTROL_STALL_MS - 100) * 1000000ULL);
	expect_ok(served, "ping", ""); /* an idle one has more time */
	cli_close(silent);
	cli_close(half);
	cli_close(served);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_ping),
		T(test_garbage_costs_an_error_each),
		T(test_endless_line_ends_the_connection),
		T(test_replies_come_in_order_also_after_half_close),
		T(test_reader_that_lags_gets_every_reply),
		T(test_create_is_on_disk_before_the_reply),
		T(test_file_that_was_not_loaded_is_not_overwritten),
		T(test_full_disk_changes_nothing),
		T(test_links),
		T(test_own_key_is_no_peer),
		T(test_secrets_never_come_back),
		T(test_import_warns_and_never_runs_hooks),
		T(test_no_new_privs_manages_nothing),
		T(test_member_looks_at_its_own_only),
		T(test_unnamed_portspace_ends_with_the_connection),
		T(test_destroy_needs_force_while_in_use),
		T(test_init_that_dies_leaves_though_its_connection_lives),
		T(test_connections_of_a_process_are_bounded),
		T(test_writers_take_turns_and_may_vanish),
		T(test_stalled_clients_are_dropped),
	};

	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}

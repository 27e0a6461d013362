/* SPDX-License-Identifier: MIT */
/* control: lines, limits and clients that lie, stall, lag or vanish. */
#include "control_fixture.h"
#include "skip.h"

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

enum { CROWD_PROCESSES = 5, CROWD_EACH = 60 };
_Static_assert((int)CROWD_PROCESSES *CROWD_EACH > (int)CONTROL_CLIENTS_MAX, "fills every place");
_Static_assert((int)CROWD_EACH < (int)CONTROL_PID_MAX, "no process is turned away");

static int visit(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	strcpy(sun.sun_path, path);
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) < 0)
		_exit(1);
	return fd;
}

/* Silent connections, then one that asks; the answer says that the broker has seen them all. Then
 * the same by the next process: at the same time, they would crowd out each other's questions. */
static _Noreturn void crowd_in(const char *path, int told)
{
	int left = CROWD_PROCESSES, fd = -1;
	char c;

	do {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; i < CROWD_EACH; i++)
			fd = visit(path);
		dprintf(fd, "{\"version\":1,\"op\":\"ping\"}\n");
		if (read(fd, &c, 1) != 1)
			_exit(1);
	} while (--left > 0 && fork() == 0);
	if (left == 0 && write(told, "x", 1) != 1)
		_exit(1);
	close(told);
	for (;;)
		pause();
}

/* A member of "work", and its descendants. */
static pid_t crowd_start(struct bench *b, int *toldp)
{
	int told[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd = visit(b->path);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dprintf(fd, "{\"version\":1,\"op\":\"enter\",\"seal\":\"shim\"," WORK "}\n");
		if (read(fd, &c, 1) != 1)
			_exit(1);
		if (fork() == 0)
			crowd_in(b->path, told[1]);
		close(told[1]);
		for (;;)
			pause();
	}
	close(told[1]);
	*toldp = told[0];
	return pid;
}

static void test_members_do_not_crowd_others_out(void **state)
{
	struct bench *b = *state;
	struct cli *early = cli_open(b);
	int told;
	pid_t pid;
	char c;

	make_portspace(b->f, "work", "10.0.0.1");
	expect_ok(early, "ping", "");
	pid = crowd_start(b, &told);
	run_until_readable(b, told);
	assert_int_equal(read(told, &c, 1), 1);
	assert_int_equal(b->f->core->ninits, 1);
	expect_ok(early, "ping", "");
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(told);
	cli_close(early);
}

/* A descriptor whose last close would block must not become the broker's. */
static void test_descriptors_are_refused(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(char[]){"x"}, 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	struct cli *c = cli_open(*state);
	int on;
	socklen_t len = sizeof(on);

	memcpy(CMSG_DATA(&control.align), &c->fd, sizeof(int));
	if (getsockopt(c->fd, SOL_SOCKET, 83 /* SO_PASSRIGHTS */, &on, &len) < 0) {
		cli_close(c);
		skip_test("this kernel has no SO_PASSRIGHTS");
	}
	assert_int_equal(sendmsg(c->fd, &msg, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPERM);
	expect_ok(c, "ping", "");
	cli_close(c);
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
		T(test_init_that_dies_leaves_though_its_connection_lives),
		T(test_connections_of_a_process_are_bounded),
		T(test_members_do_not_crowd_others_out),
		T(test_descriptors_are_refused),
		T(test_writers_take_turns_and_may_vanish),
		T(test_stalled_clients_are_dropped),
	};

	return skip_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Questions that are answered later (ask_server.h), over the socket. */
#include "dns_world.h"
#include "server_world.h"

#include "ask_server.h"
#include "fdmsg.h"

struct bench {
	struct dns_world *w;
	struct names *names;
	struct ask_server *server;
	char path[64];
};

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	b->w = world_new("10.77.0.2");
	snprintf(b->path, sizeof(b->path), "%s/ask", b->w->f->rt);
	assert_int_equal(names_new(&b->w->loop, b->w->f->core, &b->w->ops, &b->names), 0);
	assert_int_equal(ask_server_new(&b->w->loop, b->w->f->core, b->path, &b->server), 0);
	ask_server_set_names(b->server, b->names);
	enter_self(b->w->ps);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	ask_server_close(b->server);
	names_close(b->names);
	world_free(b->w);
	free(b);
	return 0;
}

static int send_question(struct bench *b, const struct ask_request *req)
{
	uint8_t out[ASK_MAX];
	int n = ask_encode_request(req, out, sizeof(out)), fd;

	assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET, &fd), 0);
	assert_int_equal(fdmsg_send(fd, out, (size_t)n, -1), n);
	return fd;
}

static int name_question(struct bench *b, const char *name)
{
	struct ask_request req = {.op = ASK_NAME, .flags = ASK_NAME_V4};

	snprintf(req.name, sizeof(req.name), "%s", name);
	return send_question(b, &req);
}

/* The answer on this connection; *rep points into the returned memory, which the caller frees. */
static uint8_t *answer_on(struct bench *b, int fd, struct ask_reply *rep)
{
	uint8_t *in = malloc(ASK_DNS_HEAD + ASK_DNS_MAX);
	ssize_t n;
	int passed;

	run_until(&b->w->loop, fd, POLLIN);
	n = fdmsg_recv(fd, in, ASK_DNS_HEAD + ASK_DNS_MAX, &passed);
	assert_true(n > 0);
	assert_int_equal(ask_decode_reply(in, (size_t)n, rep), 0);
	close(fd);
	return in;
}

static void test_the_answer_comes_when_the_server_has_spoken(void **state)
{
	struct bench *b = *state;
	struct ask_reply rep;

	free(answer_on(b, name_question(b, "a.test"), &rep));
	assert_int_equal(rep.err, 0);
	assert_int_equal(rep.naddr, 1);
	free(answer_on(b, name_question(b, "nowhere.test"), &rep));
	assert_int_equal(rep.err, ENOENT);
	free(answer_on(b, name_question(b, "srv"), &rep));
	assert_int_equal(rep.naddr, 1);
}

static void test_a_connection_may_speak_late(void **state)
{
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_NAME, .flags = ASK_NAME_V4, .name = "a.test"};
	uint8_t out[ASK_MAX];
	int n = ask_encode_request(&req, out, sizeof(out)), fd;
	struct ask_reply rep;

	assert_int_equal(fdmsg_connect(b->path, SOCK_SEQPACKET, &fd), 0);
	uv_run(&b->w->loop, UV_RUN_NOWAIT);
	uv_run(&b->w->loop, UV_RUN_NOWAIT);
	assert_int_equal(fdmsg_send(fd, out, (size_t)n, -1), n);
	free(answer_on(b, fd, &rep));
	assert_int_equal(rep.naddr, 1);
}

static void test_a_large_message_passes(void **state)
{
	static const uint8_t query[] = {9, 8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'c', 'u', 't', 4,
		't', 'e', 's', 't', 0, 0, 1, 0, 1};
	struct bench *b = *state;
	struct ask_request req = {.op = ASK_DNS, .nquery = sizeof(query)};
	struct ask_reply rep;
	uint8_t *in;

	memcpy(req.query, query, sizeof(query));
	in = answer_on(b, send_question(b, &req), &rep);
	assert_int_equal(rep.err, 0);
	assert_int_equal(rep.nanswer, sizeof(query) + 16 * WORLD_ADDRS);
	assert_memory_equal(rep.answer, query, 2);
	free(in);
}

static void test_an_asker_that_goes_costs_nothing(void **state)
{
	struct bench *b = *state;
	struct ask_reply rep;
	int fd[8];

	for (int round = 0; round < ASK_SERVER_LATER_MAX / 8 + 2; round++) {
		for (int i = 0; i < 8; i++)
			fd[i] = name_question(b, "late.test");
		uv_run(&b->w->loop, UV_RUN_NOWAIT);
		for (int i = 0; i < 8; i++)
			close(fd[i]);
		uv_run(&b->w->loop, UV_RUN_NOWAIT);
		uv_run(&b->w->loop, UV_RUN_NOWAIT);
	}
	/* all the places are free again */
	free(answer_on(b, name_question(b, "a.test"), &rep));
	assert_int_equal(rep.naddr, 1);
}

static void test_one_process_has_its_share(void **state)
{
	struct bench *b = *state;
	int fd[ASK_SERVER_LATER_MAX];
	struct ask_reply rep;

	for (int i = 0; i < ASK_SERVER_LATER_MAX; i++) {
		fd[i] = name_question(b, "late.test");
		uv_run(&b->w->loop, UV_RUN_NOWAIT);
	}
	free(answer_on(b, name_question(b, "a.test"), &rep));
	assert_int_equal(rep.err, EAGAIN);
	/* what is known at once is still answered */
	free(answer_on(b, name_question(b, "srv"), &rep));
	assert_int_equal(rep.err, 0);
	for (int i = 0; i < ASK_SERVER_LATER_MAX; i++)
		close(fd[i]);
}

static void test_the_end_of_the_broker_is_an_answer(void **state)
{
	struct bench *b = *state;
	int fd = name_question(b, "late.test");
	char c;

	uv_run(&b->w->loop, UV_RUN_NOWAIT);
	uv_run(&b->w->loop, UV_RUN_NOWAIT);
	ask_server_close(b->server);
	b->server = NULL;
	run_until(&b->w->loop, fd, POLLIN);
	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_the_answer_comes_when_the_server_has_spoken),
		T(test_a_connection_may_speak_late),
		T(test_a_large_message_passes),
		T(test_an_asker_that_goes_costs_nothing),
		T(test_one_process_has_its_share),
		T(test_the_end_of_the_broker_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* The client against answers of any kind, given by a process on a socket pair; and what `enter`
 * makes of them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "client.h"
#include "enter.h"

/* The other side: sends answers[i] after the i-th line it reads, then closes. NULL: closes. */
static pid_t answer_with(const char *const *answers, struct client *client)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char c;

		close(pair[0]);
		for (; *answers; answers++) {
			do
				if (read(pair[1], &c, 1) != 1)
					_exit(1);
			while (c != '\n');
			for (const char *p = *answers; *p;) {
				ssize_t n = send(pair[1], p, strlen(p), MSG_NOSIGNAL);

				if (n <= 0)
					_exit(2);
				p += n;
			}
		}
		_exit(0);
	}
	close(pair[1]);
	client_adopt(pair[0], client);
	return pid;
}

static int finish(pid_t pid, struct client *client)
{
	int status;

	client_close(client);
	client_close(client);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* One call with this one answer. */
static int call(const char *text, json_t **replyp, struct fail *failp)
{
	const char *const answers[] = {text, NULL};
	struct client client;
	pid_t pid = answer_with(answers, &client);
	int r = client_call(&client, json_pack("{s:s}", "op", "ping"), replyp, failp);

	finish(pid, &client);
	return r;
}

static void a_good_reply_is_given_back_without_ok(void **state)
{
	struct fail f;
	json_t *reply;

	(void)state;
	assert_int_equal(call("{\"version\":1,\"ok\":true,\"x\":\"y\"}\n", &reply, &f), 0);
	assert_string_equal(client_str(reply, "x"), "y");
	assert_string_equal(client_str(reply, "z"), "");
	assert_string_equal(client_str(NULL, "z"), "");
	assert_null(json_object_get(reply, "ok"));
	assert_int_equal(json_integer_value(json_object_get(reply, "version")), 1);
	json_decref(reply);
}

static void a_refusal_has_code_message_and_hint(void **state)
{
	struct fail f;
	json_t *reply;

	(void)state;
	assert_int_equal(call("{\"version\":1,\"ok\":false,\"error\":{\"code\":\"EEXIST\","
			      "\"message\":\"m\",\"hint\":\"h\"}}\n",
				 &reply, &f),
		-EREMOTEIO);
	assert_string_equal(f.code, "EEXIST");
	assert_string_equal(f.message, "m");
	assert_string_equal(f.hint, "h");
	assert_int_equal(
		call("{\"version\":1,\"ok\":false,\"error\":{\"message\":\"m\"}}\n", &reply, &f),
		-EREMOTEIO);
	assert_string_equal(f.hint, "");
}

static void nonsense_is_eproto(void **state)
{
	static const char *const wrong[] = {"\n", "x\n", "[]\n", "{}\n", "{\"version\":1}\n",
		"{\"version\":2,\"ok\":true}\n", "{\"version\":1,\"ok\":1}\n",
		"{\"version\":1,\"ok\":false}\n", "{\"version\":1,\"ok\":false,\"error\":7}\n",
		"{\"version\":1,\"ok\":true,\"ok\":true}\n", "{\"version\":1,\"ok\":true} {}\n",
		"{\"version\":1,\"ok\":true}\n{\"version\":1,\"ok\":true}\n",
		"{\"version\":1,\"ok\":true,\"s\":\"\xff\"}\n"};
	struct fail f;
	json_t *reply;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		f.message[0] = '\0';
		assert_int_equal(call(wrong[i], &reply, &f), -EPROTO);
		assert_true(f.message[0]);
	}
}

static void deep_nesting_is_eproto(void **state)
{
	char *deep = malloc(200001);
	struct fail f;
	json_t *reply;

	(void)state;
	memset(deep, '[', 199999);
	strcpy(deep + 199999, "\n");
	assert_int_equal(call(deep, &reply, &f), -EPROTO);
	free(deep);
}

static void an_early_end_is_epipe(void **state)
{
	struct fail f;
	json_t *reply;

	(void)state;
	assert_int_equal(call("", &reply, &f), -EPIPE);
	assert_int_equal(call("{\"version\":1,", &reply, &f), -EPIPE);
}

static void an_endless_reply_is_eproto(void **state)
{
	char *big = malloc(CLIENT_REPLY_MAX + 2);
	struct fail f;
	json_t *reply;

	(void)state;
	memset(big, ' ', CLIENT_REPLY_MAX + 1);
	big[CLIENT_REPLY_MAX + 1] = '\0';
	assert_int_equal(call(big, &reply, &f), -EPROTO);
	free(big);
}

static void a_request_over_the_limit_is_not_sent(void **state)
{
	const char *const none[] = {"{\"version\":1,\"ok\":true}\n", NULL};
	char *big = calloc(1, CLIENT_LINE_MAX + 1);
	struct client client;
	struct fail f;
	json_t *reply;
	pid_t pid;

	(void)state;
	memset(big, 'a', CLIENT_LINE_MAX);
	pid = answer_with(none, &client);
	assert_int_equal(
		client_call(&client, json_pack("{s:s}", "op", big), &reply, &f), -EMSGSIZE);
	assert_int_equal(client_call(&client, NULL, &reply, &f), -ENOMEM);
	assert_int_equal(client_call(&client, json_pack("{s:s}", "op", "x"), &reply, &f), 0);
	json_decref(reply);
	assert_int_equal(finish(pid, &client), 0);
	free(big);
}

#define ENTERED                                                                                \
	"{\"version\":1,\"ok\":true,\"dir\":\"/run/p/ps/3\",\"portspace\":{\"name\":\"work\"," \
	"\"addresses\":[\"10.77.0.1/24\"]}}\n"
#define EXISTS "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"EEXIST\",\"message\":\"m\"}}\n"
#define ABSENT "{\"version\":1,\"ok\":false,\"error\":{\"code\":\"ENOENT\",\"message\":\"m\"}}\n"

static int enter(const char *const *answers, struct run_args *args, struct enter *enterp)
{
	struct client client;
	struct fail f;
	pid_t pid = answer_with(answers, &client);
	int r = enter_first(&client, args, enterp, &f);

	finish(pid, &client);
	return r;
}

static void entering_gives_name_and_directory(void **state)
{
	const char *const answers[] = {ENTERED, NULL};
	char *command[] = {(char[]){"caf\xe9"}, NULL};
	struct run_args args = {.name = "work", .command = command};
	struct enter e;

	(void)state;
	assert_int_equal(enter(answers, &args, &e), 0);
	assert_string_equal(e.name, "work");
	assert_string_equal(e.dir, "/run/p/ps/3");
}

static void a_strange_answer_to_enter_is_eproto(void **state)
{
	static const char *const wrong[] = {"{\"version\":1,\"ok\":true}\n",
		"{\"version\":1,\"ok\":true,\"dir\":\"rel\",\"portspace\":{\"name\":\"a\"}}\n",
		"{\"version\":1,\"ok\":true,\"dir\":\"/d\",\"portspace\":{\"name\":\"\"}}\n",
		"{\"version\":1,\"ok\":true,\"dir\":\"/d\",\"portspace\":7}\n"};
	char *command[] = {(char[]){"x"}, NULL};
	struct run_args args = {.name = "work", .command = command};
	struct enter e;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		const char *const answers[] = {wrong[i], NULL};

		assert_int_equal(enter(answers, &args, &e), -EPROTO);
	}
}

static void an_address_with_a_name_makes_the_portspace(void **state)
{
	const char *const made[] = {"{\"version\":1,\"ok\":true}\n", ENTERED, NULL};
	const char *const there[] = {EXISTS, ENTERED, NULL};
	const char *const refused[] = {ABSENT, NULL};
	char *command[] = {(char[]){"x"}, NULL};
	struct run_args args = {
		.name = "work", .command = command, .address = {"10.77.0.1"}, .naddress = 1};
	struct enter e;

	(void)state;
	assert_int_equal(enter(made, &args, &e), 0);
	assert_int_equal(enter(there, &args, &e), 0);
	assert_int_equal(enter(refused, &args, &e), -EREMOTEIO);
	args.address[0] = "10.77.0.2";
	assert_int_equal(enter(there, &args, &e), -EEXIST);
	args.address[0] = "10.77.0.2,";
	assert_int_equal(enter(there, &args, &e), -EINVAL);
}

static void entering_again_tells_a_lost_portspace(void **state)
{
	const char *const same[] = {ENTERED, NULL}, *const gone[] = {ABSENT, NULL},
			  *const busy[] = {EXISTS, NULL}, *const dead[] = {NULL};
	static const struct {
		const char *dir;
		int result;
	} want[] = {{"/run/p/ps/3", 0}, {"/run/p/ps/3", -ESTALE}, {"/run/p/ps/3", -EREMOTEIO},
		{"/run/p/ps/3", -EPIPE}, {"/run/p/ps/4", -ESTALE}};
	const char *const *answers[] = {same, gone, busy, dead, same};
	char *command[] = {(char[]){"x"}, NULL};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct enter e = {.name = "work", .command = command};
		struct client client;
		struct fail f;
		pid_t pid = answer_with(answers[i], &client);

		strcpy(e.dir, want[i].dir);
		assert_int_equal(enter_again(&client, &e, &f), want[i].result);
		finish(pid, &client);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_good_reply_is_given_back_without_ok),
		cmocka_unit_test(a_refusal_has_code_message_and_hint),
		cmocka_unit_test(nonsense_is_eproto), cmocka_unit_test(deep_nesting_is_eproto),
		cmocka_unit_test(an_early_end_is_epipe),
		cmocka_unit_test(an_endless_reply_is_eproto),
		cmocka_unit_test(a_request_over_the_limit_is_not_sent),
		cmocka_unit_test(entering_gives_name_and_directory),
		cmocka_unit_test(a_strange_answer_to_enter_is_eproto),
		cmocka_unit_test(an_address_with_a_name_makes_the_portspace),
		cmocka_unit_test(entering_again_tells_a_lost_portspace)};

	client_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

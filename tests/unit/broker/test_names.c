/* SPDX-License-Identifier: MIT */
/* Names of a portspace: its own, search domains, what is remembered, cancelled and ended. */
#include "dns_world.h"

#include "names.h"
#include "names_cache.h"
#include "names_search.h"

struct result {
	unsigned calls;
	struct ask_reply rep;
};

static struct dns_world *w;
static struct names *names;
static struct result result;

static int setup_with(const char *dns)
{
	w = world_new(dns);
	memset(&result, 0, sizeof(result));
	return names_new(&w->loop, w->f->core, &w->ops, &names);
}

static int setup(void **state)
{
	(void)state;
	return setup_with("10.77.0.2 corp.test");
}

static int setup_without(void **state)
{
	(void)state;
	return setup_with("");
}

static int teardown(void **state)
{
	(void)state;
	names_close(names);
	world_free(w);
	return 0;
}

static void answered(const struct ask_reply *rep, void *arg)
{
	struct result *r = arg;

	r->calls++;
	r->rep = *rep;
}

/* True when the answer was known at once. */
static bool ask(const struct ask_request *req)
{
	memset(&result, 0, sizeof(result));
	result.rep.op = req->op;
	if (names_try(names, w->ps, req, &result.rep))
		return true;
	names_start(names, w->ps, req, answered, &result);
	while (result.calls == 0)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_int_equal(result.calls, 1);
	assert_int_equal(result.rep.op, req->op);
	return false;
}

static bool ask_name(const char *name, uint8_t families)
{
	struct ask_request req = {.op = ASK_NAME, .flags = families};

	snprintf(req.name, sizeof(req.name), "%s", name);
	return ask(&req);
}

static void test_own_names_go_nowhere(void **state)
{
	(void)state;
	assert_true(ask_name("srv", ASK_NAME_V4));
	assert_int_equal(result.rep.err, 0);
	assert_int_equal(result.rep.naddr, 1);
	assert_true(ask_name("srv.", ASK_NAME_V6)); /* it has none, and nobody else is asked */
	assert_true(ask_name("localhost", ASK_NAME_V4));
	assert_true(ask_name("work", ASK_NAME_V4));
	assert_int_equal(w->queries, 0);
}

static void test_without_servers_there_are_own_names_only(void **state)
{
	struct ask_request addr = {.op = ASK_ADDR, .local.addr = address("10.1.2.3")};
	struct ask_request dns = {.op = ASK_DNS};

	(void)state;
	assert_true(ask_name("srv", ASK_NAME_V4));
	assert_int_equal(result.rep.err, 0);
	assert_true(ask_name("a.test", ASK_NAME_V4));
	assert_int_equal(result.rep.err, ENOENT);
	assert_true(ask(&addr));
	assert_int_equal(result.rep.err, ENOENT);
	assert_true(ask(&dns));
	assert_int_equal(result.rep.err, EAGAIN);
	assert_int_equal(w->nudp, 0);
}

static void test_servers_are_asked_for_the_rest(void **state)
{
	struct ask_request req = {.op = ASK_ADDR, .local.addr = address("10.1.2.3")};

	(void)state;
	assert_false(ask_name("www.test", ASK_NAME_V4 | ASK_NAME_V6));
	assert_int_equal(result.rep.naddr, 2);
	assert_string_equal(result.rep.name, "both.test");
	assert_false(ask(&req));
	assert_string_equal(result.rep.name, "a.test");
	req.local.addr = address("10.77.0.9");
	assert_true(ask(&req));
	assert_string_equal(result.rep.name, "srv");
}

static void test_search_domains_come_first_for_short_names(void **state)
{
	(void)state;
	assert_false(ask_name("host", ASK_NAME_V4));
	assert_int_equal(result.rep.err, 0);
	assert_string_equal(result.rep.name, "host.corp.test");
	assert_int_equal(w->queries, 1);
	assert_false(ask_name("host.", ASK_NAME_V4));
	assert_int_equal(result.rep.err, ENOENT);
	assert_int_equal(w->queries, 2);
	assert_false(ask_name("x.y", ASK_NAME_V4));
	assert_int_equal(result.rep.err, ENOENT);
	assert_int_equal(w->queries, 4);
}

static void test_errors_are_those_of_the_name_as_it_is(void **state)
{
	(void)state;
	assert_false(ask_name("only.test", ASK_NAME_V4));
	assert_int_equal(result.rep.err, ENODATA);
	assert_false(ask_name("fail.test", ASK_NAME_V4));
	assert_int_equal(result.rep.err, EAGAIN);
}

static void test_answers_are_remembered_by_family(void **state)
{
	(void)state;
	assert_false(ask_name("a.test", ASK_NAME_V4));
	assert_true(ask_name("A.TEST", ASK_NAME_V4));
	assert_int_equal(result.rep.naddr, 1);
	assert_string_equal(result.rep.name, "a.test");
	assert_false(ask_name("a.test", ASK_NAME_V6));
	assert_int_equal(result.rep.err, ENODATA);
	assert_false(ask_name("zero.test", ASK_NAME_V4));
	assert_false(ask_name("zero.test", ASK_NAME_V4)); /* TTL 0 */
}

static void test_another_server_forgets_what_the_old_one_said(void **state)
{
	struct config *config;

	(void)state;
	assert_false(ask_name("a.test", ASK_NAME_V4));
	config = portspace_config(w->ps);
	assert_non_null(config);
	strcpy(config->dns[0], "10.77.0.3");
	portspace_set_config(w->ps, config);
	assert_false(ask_name("a.test", ASK_NAME_V4));
	assert_int_equal(w->nudp, 2);
}

static void test_a_cancelled_query_says_nothing(void **state)
{
	struct ask_request req = {.op = ASK_NAME, .flags = ASK_NAME_V4, .name = "both.test"};
	struct names_query *q;
	struct ask_reply rep = {.op = ASK_NAME};

	(void)state;
	assert_false(names_try(names, w->ps, &req, &rep));
	q = names_start(names, w->ps, &req, answered, &result);
	assert_non_null(q);
	names_cancel(q);
	while (w->queries == 0)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_false(ask_name("a.test", ASK_NAME_V4)); /* meanwhile the answer came */
	names_cancel(NULL);
}

static void test_queries_end_with_the_portspace(void **state)
{
	struct ask_request req = {.op = ASK_NAME, .flags = ASK_NAME_V4, .name = "late.test"};
	struct ask_reply rep = {.op = ASK_NAME};

	(void)state;
	assert_false(names_try(names, w->ps, &req, &rep));
	for (int i = 0; i < 3; i++)
		assert_non_null(names_start(names, w->ps, &req, answered, &result));
	names_portspace_gone(names, w->ps);
	assert_int_equal(result.calls, 3);
	assert_int_equal(result.rep.err, EAGAIN);
	names_portspace_gone(names, w->ps);
}

/* --- search, alone --- */

/* The candidates for a name, one after the other. */
static const char *candidates(const char *name, const char *dns)
{
	static char text[1024];
	struct config *config = config_new();
	char list[256], *save = NULL, next[ASK_NAME_MAX];
	struct names_search s;

	snprintf(list, sizeof(list), "%s", dns);
	for (char *d = strtok_r(list, " ", &save); d; d = strtok_r(NULL, " ", &save))
		snprintf(config->dns[config->ndns++], HOSTS_NAME_MAX, "%s", d);
	text[0] = '\0';
	names_search_init(&s, name);
	while (names_search_next(&s, config, next)) {
		strcat(text, next);
		strcat(text, " ");
	}
	config_free(config);
	return text;
}

static void test_candidates(void **state)
{
	char longest[ASK_NAME_MAX], expected[ASK_NAME_MAX + 1];

	(void)state;
	assert_string_equal(candidates("a", "10.0.0.1 x.test y.test"), "a.x.test a.y.test a ");
	assert_string_equal(candidates("a.b", "x.test fd00::1"), "a.b a.b.x.test ");
	assert_string_equal(candidates("a.", "x.test"), "a ");
	assert_string_equal(candidates("a.b.", "x.test"), "a.b ");
	assert_string_equal(candidates("a", "10.0.0.1"), "a ");
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	snprintf(expected, sizeof(expected), "%s ", longest);
	assert_string_equal(candidates(longest, "x.test"), expected); /* no room for a domain */
}

static int verdict(const char *name, int first, int second)
{
	struct config *config = config_new();
	char next[ASK_NAME_MAX];
	struct names_search s;
	int err = first;

	strcpy(config->dns[config->ndns++], "x.test");
	names_search_init(&s, name);
	assert_true(names_search_next(&s, config, next));
	if (names_search_failed(&s, first)) {
		assert_true(names_search_next(&s, config, next));
		err = second;
		names_search_failed(&s, second);
		assert_false(names_search_next(&s, config, next));
	}
	config_free(config);
	return names_search_verdict(&s, err);
}

static void test_verdicts(void **state)
{
	(void)state;
	assert_int_equal(verdict("a.b", -ENOENT, -ENODATA), -ENOENT);
	assert_int_equal(verdict("a.b", -EAGAIN, -ENOENT), -EAGAIN);
	assert_int_equal(verdict("a", -ENODATA, -ENOENT), -ENODATA);
	assert_int_equal(verdict("a", -EAGAIN, -ENOENT), -EAGAIN);
	assert_int_equal(verdict("a", -ENOENT, -ENOENT), -ENOENT);
	assert_int_equal(verdict("a", -ETIMEDOUT, 0), -ETIMEDOUT);
	assert_int_equal(verdict("a.b", -EIO, 0), -EIO);
}

/* --- the cache, alone --- */

static void test_the_cache_is_bounded_and_forgets(void **state)
{
	struct dns_addrs addrs = {.name = "canon", .ttl_s = 10, .n = 1};
	struct names_cache *cache;
	char name[16];

	(void)state;
	assert_int_equal(names_cache_new(4, &cache), 0);
	for (int i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		names_cache_put(cache, name, ASK_NAME_V4, &addrs, 60, 1000);
	}
	assert_non_null(names_cache_get(cache, "n0", ASK_NAME_V4, 2000));
	assert_null(names_cache_get(cache, "n0", ASK_NAME_V6, 2000));
	names_cache_put(cache, "n4", ASK_NAME_V4, &addrs, 60, 1000);
	assert_int_equal(names_cache_count(cache), 4);
	assert_null(names_cache_get(cache, "n1", ASK_NAME_V4, 2000)); /* used longest ago */
	assert_non_null(names_cache_get(cache, "N0", ASK_NAME_V4, 10999));
	assert_null(names_cache_get(cache, "n0", ASK_NAME_V4, 11000));
	addrs.ttl_s = 100000;
	names_cache_put(cache, "n2", ASK_NAME_V4, &addrs, 60, 1000);
	assert_int_equal(names_cache_count(cache), 3);
	assert_non_null(names_cache_get(cache, "n2", ASK_NAME_V4, 60999));
	assert_null(names_cache_get(cache, "n2", ASK_NAME_V4, 61000));
	addrs.ttl_s = 0;
	names_cache_put(cache, "n9", ASK_NAME_V4, &addrs, 60, 1000);
	assert_null(names_cache_get(cache, "n9", ASK_NAME_V4, 1000));
	names_cache_free(cache);
	names_cache_free(NULL);
}

/* --- files --- */

static void test_the_portspaces_files_say_the_same(void **state)
{
	char path[128], text[512];
	FILE *file;
	size_t n;

	(void)state;
	snprintf(path, sizeof(path), "%s/resolv.conf", w->ps->dir);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	assert_non_null(strstr(text, "\nnameserver 10.77.0.2\nsearch corp.test\n"));
	snprintf(path, sizeof(path), "%s/hosts", w->ps->dir);
	file = fopen(path, "r");
	assert_non_null(file);
	n = fread(text, 1, sizeof(text) - 1, file);
	text[n] = '\0';
	fclose(file);
	assert_non_null(strstr(text, "127.0.0.1 localhost\n"));
	assert_non_null(strstr(text, "\n10.77.0.9 srv\n"));
	assert_non_null(strstr(text, "\n10.77.0.1 work\n"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_own_names_go_nowhere),
		cmocka_unit_test_setup_teardown(
			test_without_servers_there_are_own_names_only, setup_without, teardown),
		T(test_servers_are_asked_for_the_rest),
		T(test_search_domains_come_first_for_short_names),
		T(test_errors_are_those_of_the_name_as_it_is),
		T(test_answers_are_remembered_by_family),
		T(test_another_server_forgets_what_the_old_one_said),
		T(test_a_cancelled_query_says_nothing),
		T(test_queries_end_with_the_portspace),
		cmocka_unit_test(test_candidates),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_the_cache_is_bounded_and_forgets),
		T(test_the_portspaces_files_say_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

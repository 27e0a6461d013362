/* SPDX-License-Identifier: MIT */
/* A resolver whose sockets lead to name servers in this process (dns_world.h). */
#include "dns_world.h"

struct result {
	unsigned calls;
	int err;
	struct dns_addrs addrs;
	char name[ASK_NAME_MAX];
	uint8_t raw[WORLD_MESSAGE];
	size_t len;
};

static struct dns_world *w;
static struct dns *dns;
static struct result result;

static int setup_with(const char *a, const char *b)
{
	struct addr servers[2];
	size_t n = 0;

	w = world_new("");
	servers[n++] = address(a);
	if (b)
		servers[n++] = address(b);
	memset(&result, 0, sizeof(result));
	return dns_new(&w->loop, &w->ops, w->ps, servers, n, &dns);
}

static int setup(void **state)
{
	(void)state;
	return setup_with("10.77.0.2", NULL);
}

static int setup_two(void **state)
{
	(void)state;
	return setup_with("fd00::53", "10.77.0.3");
}

static int teardown(void **state)
{
	(void)state;
	dns_close(dns);
	world_free(w);
	return 0;
}

static void got_addrs(int err, const struct dns_addrs *addrs, void *arg)
{
	struct result *r = arg;

	r->calls++;
	r->err = err;
	r->addrs = *addrs;
}

static void got_name(int err, const char *name, void *arg)
{
	struct result *r = arg;

	r->calls++;
	r->err = err;
	snprintf(r->name, sizeof(r->name), "%s", name);
}

static void got_raw(int err, const uint8_t *answer, size_t len, void *arg)
{
	struct result *r = arg;

	r->calls++;
	r->err = err;
	r->len = len;
	if (len)
		memcpy(r->raw, answer, len);
}

static void run(void)
{
	while (result.calls == 0)
		uv_run(&w->loop, UV_RUN_ONCE);
	assert_int_equal(result.calls, 1);
}

static int look_up(const char *name, int family)
{
	memset(&result, 0, sizeof(result));
	dns_query_addrs(dns, name, family, got_addrs, &result);
	run();
	return result.err;
}

static void has(size_t i, const char *text)
{
	struct addr a = address(text);

	assert_true(i < result.addrs.n);
	assert_true(addr_equal(&result.addrs.addr[i], &a));
}

static void test_addresses_of_the_family_that_is_wanted(void **state)
{
	(void)state;
	assert_int_equal(look_up("a.test", AF_INET), 0);
	assert_int_equal(result.addrs.n, 1);
	has(0, "10.1.2.3");
	assert_int_equal(result.addrs.ttl_s, 60);
	assert_string_equal(result.addrs.name, "a.test");
	assert_int_equal(w->queries, 1);
	assert_int_equal(look_up("both.test", AF_UNSPEC), 0);
	assert_int_equal(result.addrs.n, 2);
	assert_int_equal(look_up("both.test", AF_INET6), 0);
	assert_int_equal(result.addrs.n, 1);
	has(0, "fd00::6");
	assert_int_equal(look_up("a.test", AF_UNSPEC), 0);
	assert_int_equal(result.addrs.n, 1);
}

static void test_an_alias_gives_the_canonical_name_and_the_shortest_ttl(void **state)
{
	(void)state;
	assert_int_equal(look_up("www.test", AF_INET), 0);
	assert_string_equal(result.addrs.name, "both.test");
	assert_int_equal(result.addrs.ttl_s, 30);
}

static void test_failures_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(look_up("nowhere.test", AF_INET), -ENOENT);
	assert_int_equal(look_up("only.test", AF_UNSPEC), -ENODATA);
	assert_int_equal(look_up("six.test", AF_INET), -ENODATA);
	assert_int_equal(look_up("fail.test", AF_INET), -EAGAIN);
	assert_int_equal(look_up("refused.test", AF_INET), -EAGAIN);
	assert_int_equal(look_up("a..test", AF_INET), -ENOENT);
}

static void test_a_cut_answer_is_asked_for_by_tcp(void **state)
{
	(void)state;
	assert_int_equal(look_up("cut.test", AF_INET), 0);
	assert_int_equal(result.addrs.n, WORLD_ADDRS);
	assert_int_equal(w->ntcp, 1);
}

static void test_an_icmp_error_ends_the_wait(void **state)
{
	uint64_t start = uv_hrtime();

	(void)state;
	assert_int_equal(look_up("icmp.test", AF_INET), -EAGAIN);
	assert_true(uv_hrtime() - start < DNS_TIMEOUT_MS * 1000000ULL);
}

static void test_a_socket_that_cannot_be_made_is_an_error(void **state)
{
	uint64_t start = uv_hrtime();

	(void)state;
	w->fail_udp = ENETUNREACH;
	look_up("a.test", AF_INET);
	assert_true(uv_hrtime() - start < DNS_TIMEOUT_MS * 1000000ULL);
	assert_int_equal(look_up("a.test", AF_INET), 0);
}

static void test_the_second_server_answers_when_the_first_cannot_be_reached(void **state)
{
	(void)state;
	w->fail_udp = EHOSTUNREACH;
	assert_int_equal(look_up("a.test", AF_INET), 0);
	assert_int_equal(w->nudp, 2);
}

static void test_silence_is_a_timeout(void **state)
{
	uint64_t start = uv_hrtime();

	(void)state;
	assert_int_equal(look_up("late.test", AF_INET), -ETIMEDOUT);
	assert_int_equal(w->queries, DNS_TRIES);
	assert_true(uv_hrtime() - start >= DNS_TIMEOUT_MS * 1000000ULL);
}

static void test_answers_to_another_question_are_not_believed(void **state)
{
	(void)state;
	assert_int_equal(look_up("false.test", AF_INET), 0);
	has(0, "10.1.2.3");
	assert_int_equal(w->queries, 1);
}

static void test_an_address_has_a_name(void **state)
{
	struct addr a = address("10.1.2.3");

	(void)state;
	dns_query_name(dns, &a, got_name, &result);
	run();
	assert_int_equal(result.err, 0);
	assert_string_equal(result.name, "a.test");
	memset(&result, 0, sizeof(result));
	a = address("fd00::99");
	dns_query_name(dns, &a, got_name, &result);
	run();
	assert_int_equal(result.err, -ENOENT);
}

static const uint8_t query[] = {
	0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 'a', 4, 't', 'e', 's', 't', 0, 0, 1, 0, 1};

static void test_a_message_passes_as_it_is_but_for_its_identifier(void **state)
{
	unsigned different = 0;

	(void)state;
	for (int i = 0; i < 4; i++) {
		memset(&result, 0, sizeof(result));
		dns_query_raw(dns, query, sizeof(query), got_raw, &result);
		run();
		assert_int_equal(result.err, 0);
		assert_memory_equal(result.raw, query, 2);
		assert_memory_equal(result.raw + 12, query + 12, sizeof(query) - 12);
		assert_int_equal(result.raw[7], 1);
		different += w->last_id != 0x1234;
	}
	assert_true(different >= 3); /* the network saw another one */
}

static void test_a_message_of_no_length_or_too_much_is_refused(void **state)
{
	static const uint8_t large[DNS_QUERY_MAX + 1];

	(void)state;
	for (size_t len = 0; len < 12; len++) {
		memset(&result, 0, sizeof(result));
		dns_query_raw(dns, query, len, got_raw, &result);
		run();
		assert_int_equal(result.err, -EIO);
	}
	memset(&result, 0, sizeof(result));
	dns_query_raw(dns, large, sizeof(large), got_raw, &result);
	run();
	assert_int_equal(result.err, -EIO);
	assert_int_equal(w->queries, 0);
}

static void test_queries_are_bounded_and_end_with_the_resolver(void **state)
{
	(void)state;
	for (int i = 0; i < DNS_PENDING_MAX; i++)
		dns_query_addrs(dns, "late.test", AF_INET, got_addrs, &result);
	assert_int_equal(result.calls, 0);
	assert_int_equal(dns_pending(dns), DNS_PENDING_MAX);
	dns_query_addrs(dns, "late.test", AF_INET, got_addrs, &result);
	assert_int_equal(result.calls, 1);
	assert_int_equal(result.err, -EAGAIN);
	dns_close(dns);
	assert_int_equal(result.calls, 1 + DNS_PENDING_MAX);
	assert_int_equal(result.err, -ECANCELED);
	dns = NULL;
}

static void test_there_must_be_servers_and_not_too_many(void **state)
{
	struct addr servers[DNS_SERVERS_MAX + 1] = {0};
	struct dns *other = NULL;

	(void)state;
	assert_int_equal(dns_new(&w->loop, &w->ops, w->ps, servers, 0, &other), -EINVAL);
	assert_int_equal(
		dns_new(&w->loop, &w->ops, w->ps, servers, DNS_SERVERS_MAX + 1, &other), -EINVAL);
	assert_null(other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(test_addresses_of_the_family_that_is_wanted),
		T(test_an_alias_gives_the_canonical_name_and_the_shortest_ttl),
		T(test_failures_are_told_apart),
		T(test_a_cut_answer_is_asked_for_by_tcp),
		T(test_an_icmp_error_ends_the_wait),
		T(test_a_socket_that_cannot_be_made_is_an_error),
		cmocka_unit_test_setup_teardown(
			test_the_second_server_answers_when_the_first_cannot_be_reached, setup_two,
			teardown),
		T(test_silence_is_a_timeout),
		T(test_answers_to_another_question_are_not_believed),
		T(test_an_address_has_a_name),
		T(test_a_message_passes_as_it_is_but_for_its_identifier),
		T(test_a_message_of_no_length_or_too_much_is_refused),
		T(test_queries_are_bounded_and_end_with_the_resolver),
		T(test_there_must_be_servers_and_not_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Token buckets on a virtual clock. */
#include "vectors.h"

#include <stdbool.h>

#include "ratelimit.h"

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

static struct ratelimit *make(uint32_t per_source_s, uint32_t burst, uint32_t total_s)
{
	struct ratelimit_config config = {
		.per_source_s = per_source_s, .burst = burst, .total_s = total_s};
	struct ratelimit *r = NULL;

	assert_int_equal(ratelimit_new(&config, &r), 0);
	return r;
}

static struct addr source(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

/* Takes until refused, at most `max` times. */
static unsigned drain(struct ratelimit *r, const char *text, uint64_t now_ms, unsigned max)
{
	struct addr a = source(text);
	unsigned n = 0;

	while (n < max && ratelimit_take(r, &a, now_ms))
		n++;
	return n;
}

static void burst_then_rate(void **state)
{
	struct ratelimit *r = make(10, 5, 1000);

	(void)state;
	assert_int_equal(drain(r, "192.0.2.1", 1000, 100), 5);
	assert_int_equal(drain(r, "192.0.2.1", 1099, 100), 0);
	assert_int_equal(drain(r, "192.0.2.1", 1100, 100), 1); /* one token every 100 ms */
	assert_int_equal(drain(r, "192.0.2.1", 1350, 100), 2);
	assert_int_equal(drain(r, "192.0.2.1", 1400, 100), 1); /* the rest of 50 ms was kept */
	assert_int_equal(drain(r, "192.0.2.1", 999999, 100), 5);
	ratelimit_free(r);
}

static void clock_zero_starts_full(void **state)
{
	struct ratelimit *r = make(10, 5, 1000);

	(void)state;
	assert_int_equal(drain(r, "192.0.2.1", 0, 100), 5);
	ratelimit_free(r);
}

static void clock_that_goes_back_adds_nothing(void **state)
{
	struct ratelimit *r = make(10, 5, 1000);

	(void)state;
	assert_int_equal(drain(r, "192.0.2.1", 5000, 100), 5);
	assert_int_equal(drain(r, "192.0.2.1", 0, 100), 0);
	assert_int_equal(drain(r, "192.0.2.1", 5000, 100), 0);
	assert_int_equal(drain(r, "192.0.2.1", 5100, 100), 1);
	ratelimit_free(r);
}

static void end_of_time_does_not_overflow(void **state)
{
	struct ratelimit *r = make(UINT32_MAX, UINT32_MAX, UINT32_MAX);

	(void)state;
	assert_int_equal(drain(r, "192.0.2.1", 1, 1000), 1000);
	assert_int_equal(drain(r, "192.0.2.1", UINT64_MAX, 1000), 1000);
	ratelimit_free(r);
}

static void sources_do_not_share(void **state)
{
	struct ratelimit *r = make(10, 5, 1000);
	unsigned full = 0;

	(void)state;
	assert_int_equal(drain(r, "192.0.2.1", 1000, 100), 5);
	for (unsigned i = 2; i < 12; i++) {
		char text[16];

		snprintf(text, sizeof(text), "192.0.2.%u", i);
		full += drain(r, text, 1000, 100) == 5;
	}
	/* Ten sources in thousands of buckets: two collisions are already very unlikely. */
	assert_true(full >= 8);
	ratelimit_free(r);
}

static void one_ipv6_network_is_one_source(void **state)
{
	struct ratelimit *r = make(10, 5, 1000);

	(void)state;
	assert_int_equal(drain(r, "2001:db8:0:1::1", 1000, 3), 3);
	assert_int_equal(drain(r, "2001:db8:0:1:ffff::2", 1000, 100), 2);
	assert_int_equal(drain(r, "2001:db8:0:1::3", 1000, 100), 0);
	ratelimit_free(r);
}

static void all_together_are_bounded(void **state)
{
	struct ratelimit *r = make(10, 5, 20);
	unsigned taken = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		char text[16];

		snprintf(text, sizeof(text), "198.51.100.%u", i);
		taken += drain(r, text, 1000, 100);
	}
	assert_int_equal(taken, 20);
	assert_int_equal(drain(r, "203.0.113.9", 1000, 100), 0);
	/* In 100 ms every source gained a token, but all together only two. */
	taken = drain(r, "203.0.113.9", 1100, 100) + drain(r, "203.0.113.10", 1100, 100) +
		drain(r, "203.0.113.11", 1100, 100);
	assert_int_equal(taken, 2);
	ratelimit_free(r);
}

/* A source beyond its own rate takes nothing from the others. */
static void one_source_cannot_use_up_the_total(void **state)
{
	struct ratelimit *r = make(10, 5, 20);

	(void)state;
	for (unsigned i = 0; i < 1000; i++)
		drain(r, "192.0.2.1", 1000, 1);
	/* Three others, because one of them may share the first one's bucket. */
	assert_true(drain(r, "198.51.100.1", 1000, 100) + drain(r, "198.51.100.2", 1000, 100) +
			    drain(r, "198.51.100.3", 1000, 100) >=
		    10);
	ratelimit_free(r);
}

static void zero_rates_never_refill(void **state)
{
	struct ratelimit *r = make(0, 2, 100);

	(void)state;
	assert_int_equal(drain(r, "192.0.2.1", 1000, 100), 2);
	assert_int_equal(drain(r, "192.0.2.1", UINT64_MAX, 100), 0);
	ratelimit_free(r);
	r = make(10, 5, 0);
	assert_int_equal(drain(r, "192.0.2.1", 1000, 100), 0);
	ratelimit_free(r);
	ratelimit_free(NULL);
}

static void refund_gives_one_token_back_and_not_more_than_the_burst(void **state)
{
	static const struct ratelimit_config config = {
		.per_source_s = 1, .burst = 2, .total_s = 10};
	struct ratelimit *r;
	struct addr a;

	(void)state;
	assert_int_equal(ratelimit_new(&config, &r), 0);
	assert_int_equal(addr_parse("192.0.2.1", &a), 0);
	ratelimit_refund(r, &a); /* full already */
	assert_true(ratelimit_take(r, &a, 1));
	assert_true(ratelimit_take(r, &a, 1));
	assert_false(ratelimit_take(r, &a, 1));
	ratelimit_refund(r, &a);
	assert_true(ratelimit_take(r, &a, 1));
	assert_false(ratelimit_take(r, &a, 1));
	ratelimit_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refund_gives_one_token_back_and_not_more_than_the_burst),
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(clock_zero_starts_full),
		cmocka_unit_test(clock_that_goes_back_adds_nothing),
		cmocka_unit_test(end_of_time_does_not_overflow),
		cmocka_unit_test(sources_do_not_share),
		cmocka_unit_test(one_ipv6_network_is_one_source),
		cmocka_unit_test(all_together_are_bounded),
		cmocka_unit_test(one_source_cannot_use_up_the_total),
		cmocka_unit_test(zero_rates_never_refill),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

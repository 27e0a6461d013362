/* SPDX-License-Identifier: MIT */
/* route: longest-prefix match, compared with a plain list on random prefixes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "route.h"

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return p;
}

static int add(struct route *route, const char *text, void *value)
{
	const struct prefix p = prefix(text);

	return route_add(route, &p, value);
}

static int del(struct route *route, const char *text)
{
	const struct prefix p = prefix(text);

	return route_remove(route, &p);
}

static void *find(struct route *route, const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return route_lookup(route, &a);
}

static int setup(void **state)
{
	return route_new((struct route **)state);
}

static int teardown(void **state)
{
	route_free(*state);
	return 0;
}

static char v[8]; /* addresses to use as values */

static void test_empty(void **state)
{
	assert_null(find(*state, "10.0.0.1"));
	assert_null(find(*state, "::"));
	assert_int_equal(route_count(*state), 0);
	assert_int_equal(del(*state, "10.0.0.0/8"), -ENOENT);
}

static void test_longest_match(void **state)
{
	struct route *r = *state;

	assert_int_equal(add(r, "10.0.0.0/8", &v[0]), 0);
	assert_int_equal(add(r, "10.77.0.0/16", &v[1]), 0);
	assert_int_equal(add(r, "10.77.0.2/32", &v[2]), 0);
	assert_int_equal(add(r, "0.0.0.0/0", &v[3]), 0);
	assert_ptr_equal(find(r, "10.77.0.2"), &v[2]);
	assert_ptr_equal(find(r, "10.77.0.3"), &v[1]);
	assert_ptr_equal(find(r, "10.78.0.3"), &v[0]);
	assert_ptr_equal(find(r, "11.0.0.1"), &v[3]);
	assert_ptr_equal(find(r, "255.255.255.255"), &v[3]);
	assert_null(find(r, "fd00::1"));
	assert_int_equal(route_count(r), 4);
}

static void test_families_do_not_mix(void **state)
{
	struct route *r = *state;

	assert_int_equal(add(r, "::/0", &v[0]), 0);
	assert_ptr_equal(find(r, "fd00::1"), &v[0]);
	assert_ptr_equal(find(r, "::"), &v[0]);
	assert_null(find(r, "10.0.0.1"));
	assert_int_equal(add(r, "0.0.0.0/0", &v[1]), 0);
	assert_ptr_equal(find(r, "10.0.0.1"), &v[1]);
	assert_ptr_equal(find(r, "fd00::1"), &v[0]);
}

static void test_host_bits_are_ignored(void **state)
{
	const struct prefix p = prefix("10.77.1.2/16");

	assert_int_equal(add(*state, "10.77.5.5/16", &v[0]), 0);
	assert_ptr_equal(find(*state, "10.77.9.9"), &v[0]);
	assert_ptr_equal(route_get(*state, &p), &v[0]);
	assert_int_equal(add(*state, "10.77.0.0/16", &v[1]), -EEXIST);
	assert_int_equal(del(*state, "10.77.255.255/16"), 0);
	assert_null(find(*state, "10.77.9.9"));
}

static void test_same_prefix(void **state)
{
	assert_int_equal(add(*state, "fd00::/64", &v[0]), 0);
	assert_int_equal(add(*state, "fd00::/64", &v[0]), 0);
	assert_int_equal(add(*state, "fd00::/64", &v[1]), -EEXIST);
	assert_int_equal(route_count(*state), 1);
	assert_ptr_equal(find(*state, "fd00::5"), &v[0]);
}

static void test_invalid(void **state)
{
	struct prefix p = prefix("10.0.0.0/8");

	assert_int_equal(route_add(*state, &p, NULL), -EINVAL);
	p.len = 129;
	assert_int_equal(route_add(*state, &p, &v[0]), -EINVAL);
	assert_int_equal(route_remove(*state, &p), -ENOENT);
	assert_null(route_get(*state, &p));
}

static void test_get_is_exact(void **state)
{
	const struct prefix p8 = prefix("10.0.0.0/8"), p9 = prefix("10.0.0.0/9"),
			    fork = prefix("10.0.0.0/7");

	assert_int_equal(add(*state, "10.0.0.0/8", &v[0]), 0);
	assert_int_equal(add(*state, "11.0.0.0/8", &v[1]), 0); /* the fork is 10.0.0.0/7 */
	assert_ptr_equal(route_get(*state, &p8), &v[0]);
	assert_null(route_get(*state, &p9));
	assert_null(route_get(*state, &fork));
	assert_int_equal(route_remove(*state, &fork), -ENOENT);
	assert_int_equal(route_add(*state, &fork, &v[2]), 0);
	assert_ptr_equal(route_get(*state, &fork), &v[2]);
	assert_int_equal(route_count(*state), 3);
	assert_int_equal(route_remove(*state, &fork), 0);
	assert_ptr_equal(find(*state, "11.1.1.1"), &v[1]);
}

static void test_remove_value(void **state)
{
	struct route *r = *state;

	assert_int_equal(add(r, "10.0.0.0/8", &v[0]), 0);
	assert_int_equal(add(r, "10.1.0.0/16", &v[1]), 0);
	assert_int_equal(add(r, "10.1.1.0/24", &v[0]), 0);
	assert_int_equal(add(r, "fd00::/8", &v[0]), 0);
	assert_int_equal(route_remove_value(r, &v[2]), 0);
	assert_int_equal(route_remove_value(r, NULL), 0);
	assert_int_equal(route_remove_value(r, &v[0]), 3);
	assert_int_equal(route_count(r), 1);
	assert_ptr_equal(find(r, "10.1.1.1"), &v[1]);
	assert_null(find(r, "10.2.1.1"));
	assert_null(find(r, "fd00::1"));
	assert_int_equal(route_remove_value(r, &v[1]), 1);
	assert_null(find(r, "10.1.1.1"));
}

struct list {
	char text[512];
	int stop_after;
};

static int append(const struct prefix *p, void *value, void *arg)
{
	struct list *list = arg;
	char text[PREFIX_STRLEN];
	size_t n = strlen(list->text);

	snprintf(list->text + n, sizeof(list->text) - n, "%s=%d;", prefix_format(p, text),
		(int)((char *)value - v));
	return --list->stop_after ? 0 : 7;
}

static void test_each_is_sorted(void **state)
{
	struct list list = {.stop_after = -1}, one = {.stop_after = 1};

	assert_int_equal(add(*state, "192.168.0.0/24", &v[3]), 0);
	assert_int_equal(add(*state, "fd00::1/128", &v[4]), 0);
	assert_int_equal(add(*state, "10.77.0.0/16", &v[2]), 0);
	assert_int_equal(add(*state, "10.0.0.0/8", &v[1]), 0);
	assert_int_equal(add(*state, "::/0", &v[0]), 0);
	assert_int_equal(route_each(*state, append, &list), 0);
	assert_string_equal(
		list.text, "::/0=0;10.0.0.0/8=1;10.77.0.0/16=2;192.168.0.0/24=3;fd00::1/128=4;");
	assert_int_equal(route_each(*state, append, &one), 7);
	assert_string_equal(one.text, "::/0=0;");
}

/* --- against a plain list --- */

enum { RANDOM_PREFIXES = 400, RANDOM_STEPS = 20000 };

struct model {
	struct prefix prefix;
	void *value;
};

/* Few distinct bits, so that prefixes nest and collide. */
static struct addr random_addr(void)
{
	struct addr a = rand() % 3 ? addr_any4 : addr_any6;

	for (int i = addr_is_v4(&a) ? 12 : 0; i < 16; i++)
		a.b[i] = (uint8_t)(rand() % 4 ? 0 : 1 << rand() % 8);
	return a;
}

static struct prefix random_prefix(void)
{
	struct prefix p = {.addr = random_addr()};
	const int least = addr_is_v4(&p.addr) ? 96 : 0;

	p.len = (uint8_t)(least + rand() % (129 - least));
	return p;
}

static struct model *model_find(struct model *model, size_t n, const struct prefix *p)
{
	struct prefix masked = *p;

	prefix_mask(&masked);
	for (size_t i = 0; i < n; i++) {
		if (model[i].value && model[i].prefix.len == masked.len &&
			addr_equal(&model[i].prefix.addr, &masked.addr))
			return &model[i];
	}
	return NULL;
}

static void *model_lookup(const struct model *model, size_t n, const struct addr *a)
{
	const struct model *best = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct prefix *p = &model[i].prefix;

		if (!model[i].value || !prefix_contains(p, a))
			continue;
		if (addr_is_v4(a) && p->len < 96)
			continue;
		if (!best || p->len > best->prefix.len)
			best = &model[i];
	}
	return best ? best->value : NULL;
}

static void model_add(struct route *route, struct model *model, const struct prefix *p, void *value)
{
	struct model *have = model_find(model, RANDOM_PREFIXES, p);
	const int r = route_add(route, p, value);

	if (have) {
		assert_int_equal(r, have->value == value ? 0 : -EEXIST);
		return;
	}
	assert_int_equal(r, 0);
	for (size_t i = 0; i < RANDOM_PREFIXES; i++) {
		if (!model[i].value) {
			model[i] = (struct model){*p, value};
			prefix_mask(&model[i].prefix);
			return;
		}
	}
	assert_int_equal(route_remove(route, p), 0);
}

static void model_step(struct route *route, struct model *model)
{
	const struct prefix p = random_prefix();
	const struct addr a = random_addr();
	struct model *have = model_find(model, RANDOM_PREFIXES, &p);
	void *value = &v[rand() % 8];
	size_t n = 0, removed = 0;

	switch (rand() % 200 ? rand() % 3 : 3) {
	case 0:
		model_add(route, model, &p, value);
		break;
	case 1:
		assert_int_equal(route_remove(route, &p), have ? 0 : -ENOENT);
		if (have)
			have->value = NULL;
		break;
	case 2:
		assert_ptr_equal(route_get(route, &p), have ? have->value : NULL);
		break;
	case 3:
		for (size_t i = 0; i < RANDOM_PREFIXES; i++) {
			if (model[i].value == value) {
				model[i].value = NULL;
				removed++;
			}
		}
		assert_int_equal(route_remove_value(route, value), removed);
		break;
	}
	assert_ptr_equal(route_lookup(route, &a), model_lookup(model, RANDOM_PREFIXES, &a));
	for (size_t i = 0; i < RANDOM_PREFIXES; i++)
		n += model[i].value != NULL;
	assert_int_equal(route_count(route), n);
}

static void test_random_against_list(void **state)
{
	static struct model model[RANDOM_PREFIXES];

	srand(1);
	memset(model, 0, sizeof(model));
	for (int i = 0; i < RANDOM_STEPS; i++)
		model_step(*state, model);
}

static int check_order(const struct prefix *p, void *value, void *arg)
{
	struct prefix *last = arg;
	const int order = memcmp(&last->addr, &p->addr, sizeof(p->addr));

	(void)value;
	assert_true(order < 0 || (order == 0 && last->len < p->len) || last->len == UINT8_MAX);
	*last = *p;
	return 0;
}

/* Many prefixes, and the deepest path: every length of one address. */
static void test_large_table(void **state)
{
	struct prefix p = prefix("10.0.0.0/32"), last = {.len = UINT8_MAX};
	struct addr a = p.addr;

	for (unsigned i = 0; i < 100000; i++) {
		p.addr.b[13] = (uint8_t)(i >> 16);
		p.addr.b[14] = (uint8_t)(i >> 8);
		p.addr.b[15] = (uint8_t)i;
		assert_int_equal(route_add(*state, &p, &v[i % 7]), 0);
	}
	p.addr = (struct addr){.b = {[0] = 0xfd}};
	for (unsigned len = 0; len <= 128; len++) {
		p.len = (uint8_t)len;
		assert_int_equal(route_add(*state, &p, &v[7]), 0);
	}
	assert_int_equal(route_count(*state), 100000 + 129);
	for (unsigned i = 0; i < 100000; i += 77) {
		a.b[13] = (uint8_t)(i >> 16);
		a.b[14] = (uint8_t)(i >> 8);
		a.b[15] = (uint8_t)i;
		assert_ptr_equal(route_lookup(*state, &a), &v[i % 7]);
	}
	assert_int_equal(route_each(*state, check_order, &last), 0);
	assert_int_equal(route_remove_value(*state, &v[7]), 129);
}

static void test_free_null(void **state)
{
	(void)state;
	route_free(NULL);
}

#define with_route(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_route(test_empty),
		with_route(test_longest_match),
		with_route(test_families_do_not_mix),
		with_route(test_host_bits_are_ignored),
		with_route(test_same_prefix),
		with_route(test_invalid),
		with_route(test_get_is_exact),
		with_route(test_remove_value),
		with_route(test_each_is_sorted),
		with_route(test_random_against_list),
		with_route(test_large_table),
		cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

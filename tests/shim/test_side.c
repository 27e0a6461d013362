/* SPDX-License-Identifier: MIT */
#include "side.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int sock(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_true(fd >= 0);
	return fd;
}

static void values_belong_to_one_socket(void **state)
{
	int a = sock(), b = sock(), v = -1;

	(void)state;
	assert_false(side_get(a, SIDE_TTL, &v));
	assert_int_equal(side_set(a, SIDE_TTL, 7), 0);
	assert_true(side_get(a, SIDE_TTL, &v));
	assert_int_equal(v, 7);
	assert_false(side_get(b, SIDE_TTL, &v));
	assert_false(side_get(a, SIDE_TOS, &v));
	side_forget(a, SIDE_TTL);
	assert_false(side_get(a, SIDE_TTL, &v));
	close(a);
	close(b);
}

static void a_duplicate_is_the_same_socket_and_a_new_one_is_not(void **state)
{
	int a = sock(), d, v = -1;

	(void)state;
	side_set(a, SIDE_TTL, 9);
	d = dup(a);
	close(a);
	assert_true(side_get(d, SIDE_TTL, &v));
	close(d);
	a = sock(); /* the same number */
	assert_false(side_get(a, SIDE_TTL, &v));
	close(a);
}

static void a_copy_has_all_values(void **state)
{
	int a = sock(), b = sock(), v = -1;

	(void)state;
	side_set(a, SIDE_TTL, 1);
	side_set(a, SIDE_TOS, 2);
	side_set(a, SIDE_INHERIT, 3);
	assert_true(side_copy(a, b));
	assert_true(side_get(b, SIDE_TTL, &v) && v == 1);
	assert_true(side_get(b, SIDE_TOS, &v) && v == 2);
	assert_false(side_get(b, SIDE_INHERIT, &v)); /* of the listener alone */
	side_forget(b, SIDE_TTL);
	side_forget(b, SIDE_TOS);
	assert_false(side_copy(b, a));
	close(a);
	close(b);
}

static void all_values_come_at_once(void **state)
{
	int a = sock(), value[SIDE_KEYS];
	uint64_t have;

	(void)state;
	assert_int_equal(side_get_all(a, value), 0);
	side_set(a, SIDE_TTL, 5);
	side_set(a, SIDE_V6_UNICAST_IF, 6);
	side_set(a, SIDE_TOS, 7);
	side_forget(a, SIDE_TOS);
	have = side_get_all(a, value);
	assert_int_equal(have, 1ULL << SIDE_TTL | 1ULL << SIDE_V6_UNICAST_IF);
	assert_int_equal(value[SIDE_TTL], 5);
	assert_int_equal(value[SIDE_V6_UNICAST_IF], 6);
	close(a);
}

static void old_sockets_give_way_and_new_ones_always_find_room(void **state)
{
	int first = sock(), v;

	(void)state;
	side_set(first, SIDE_TTL, 1);
	for (int i = 0; i < 40000; i++) {
		int fd = sock();

		assert_int_equal(side_set(fd, SIDE_TTL, i), 0);
		assert_true(side_get(fd, SIDE_TTL, &v));
		assert_int_equal(v, i);
		close(fd);
	}
	assert_false(side_get(first, SIDE_TTL, &v));
	close(first);
}

static void *hammer(void *arg)
{
	for (int i = 0; i < 5000; i++) {
		int fd = sock(), v = -1;

		/* a racing claim of the same entry may lose: then nothing is remembered */
		if (side_set(fd, SIDE_TTL, i) == 0 && side_get(fd, SIDE_TTL, &v))
			assert_int_equal(v, i);
		close(fd);
	}
	return arg;
}

static void threads_never_see_each_others_values(void **state)
{
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hammer, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void descriptors_that_are_no_sockets_are_refused(void **state)
{
	int v;

	(void)state;
	assert_true(side_set(-1, SIDE_TTL, 1) < 0);
	assert_false(side_get(-1, SIDE_TTL, &v));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_belong_to_one_socket),
		cmocka_unit_test(a_duplicate_is_the_same_socket_and_a_new_one_is_not),
		cmocka_unit_test(a_copy_has_all_values),
		cmocka_unit_test(all_values_come_at_once),
		cmocka_unit_test(old_sockets_give_way_and_new_ones_always_find_room),
		cmocka_unit_test(threads_never_see_each_others_values),
		cmocka_unit_test(descriptors_that_are_no_sockets_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

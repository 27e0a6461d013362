/* SPDX-License-Identifier: MIT */
/* The tag: its 64 bits, and the kernel's copy of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tag.h"

static void assert_same(const struct tag *a, const struct tag *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_int_equal(a->phase, b->phase);
	assert_int_equal(a->class, b->class);
	assert_int_equal(a->v6, b->v6);
	assert_int_equal(a->v6only, b->v6only);
	assert_int_equal(a->reuseport, b->reuseport);
	assert_int_equal(a->nodelay, b->nodelay);
	assert_int_equal(a->value, b->value);
	assert_int_equal(a->port, b->port);
}

static void every_field_round_trips(void **state)
{
	static const uint32_t values[] = {0, 1, 0x800000, 0xffffff};
	struct tag t, got;

	(void)state;
	for (int kind = TAG_TCP; kind <= TAG_NETLINK; kind++) {
		for (int phase = TAG_FRESH; phase <= TAG_FAILED; phase++) {
			for (unsigned i = 0; i < 3 * 16 * 4; i++) {
				t = (struct tag){.kind = kind,
					.phase = phase,
					.class = i / 64,
					.v6 = i & 1,
					.v6only = i & 2,
					.reuseport = i & 4,
					.nodelay = i & 8,
					.value = values[i / 16 % 4],
					.port = (uint16_t)(i * 347)};
				assert_true(tag_decode(tag_encode(&t), &got));
				assert_same(&t, &got);
			}
		}
	}
}

static void fields_do_not_overlap(void **state)
{
	struct tag zero = {.kind = TAG_TCP}, t;
	uint64_t base = tag_encode(&zero);

	(void)state;
	t = zero;
	t.port = 0xffff;
	assert_true((tag_encode(&t) ^ base) == 0xffff);
	t = zero;
	t.value = 0xffffff;
	assert_true((tag_encode(&t) ^ base) == 0xffffffULL << 16);
	t.value = 0xff000000; /* out of range: cut, never spilled */
	assert_true(tag_encode(&t) == base);
	t = zero;
	t.v6 = true;
	assert_true((tag_encode(&t) ^ base) == 1ULL << 52);
}

static void foreign_values_are_no_tags(void **state)
{
	struct tag t = {.kind = TAG_UDP, .port = 7};
	uint64_t good = tag_encode(&t);

	(void)state;
	assert_false(tag_decode(UINT64_MAX, &t)); /* the kernel's default */
	assert_false(tag_decode(0, &t));
	assert_false(tag_decode(1000000, &t)); /* a true pacing rate */
	for (unsigned bit = 56; bit < 64; bit++)
		assert_false(tag_decode(good ^ 1ULL << bit, &t));
	assert_false(tag_decode(good & ~(7ULL << 53), &t)); /* kind 0 */
	assert_false(tag_decode(good | 7ULL << 53, &t));    /* kind 7 */
	assert_false(tag_decode(good | 15ULL << 44, &t));   /* phase 15 */
	assert_false(tag_decode(good | (TAG_FAILED + 1ULL) << 44, &t));
	assert_false(tag_decode(good | 3ULL << 40, &t)); /* class 3 */
	assert_int_equal(t.kind, TAG_UDP);
	assert_int_equal(t.port, 7); /* untouched */
}

/* Whatever decodes encodes to a value that decodes to the same. */
static void random_values_are_stable(void **state)
{
	uint64_t x = 88172645463325252ULL;
	struct tag t, again;
	unsigned tags = 0;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t v;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		v = i % 2 ? x : (x & 0x00ffffffffffffff) | 0xa7ULL << 56;
		if (!tag_decode(v, &t))
			continue;
		tags++;
		assert_true(tag_decode(tag_encode(&t), &again));
		assert_same(&t, &again);
	}
	assert_true(tags > 1000);
}

static void the_kernel_keeps_the_tag(void **state)
{
	struct tag t = {.kind = TAG_TCP,
			   .phase = TAG_BOUND,
			   .class = TAG_ADDR_OWN,
			   .v6 = true,
			   .value = 3,
			   .port = 443},
		   got;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), copy, status;

	(void)state;
	assert_true(fd >= 0);
	errno = 77;
	assert_int_equal(tag_get(fd, &got), -ENOENT);
	assert_int_equal(tag_set(fd, &t), 0);
	copy = dup(fd);
	assert_int_equal(close(fd), 0);
	assert_int_equal(tag_get(copy, &got), 0);
	assert_same(&t, &got);
	assert_int_equal(errno, 77);
	/* A child sees it and its change is seen here: one open file. */
	t.phase = TAG_LISTENING;
	if (fork() == 0)
		_exit(tag_get(copy, &got) == 0 && got.port == 443 ? -tag_set(copy, &t) : 1);
	assert_true(wait(&status) > 0 && status == 0);
	assert_int_equal(tag_get(copy, &got), 0);
	assert_int_equal(got.phase, TAG_LISTENING);
	close(copy);
}

static void descriptors_that_are_no_sockets(void **state)
{
	struct tag t = {.kind = TAG_TCP};
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	errno = 77;
	assert_int_equal(tag_get(fd, &t), -ENOTSOCK);
	assert_int_equal(tag_set(fd, &t), -ENOTSOCK);
	close(fd);
	assert_int_equal(tag_get(fd, &t), -EBADF);
	assert_int_equal(tag_set(fd, &t), -EBADF);
	assert_int_equal(tag_get(-1, &t), -EBADF);
	assert_int_equal(errno, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_round_trips),
		cmocka_unit_test(fields_do_not_overlap),
		cmocka_unit_test(foreign_values_are_no_tags),
		cmocka_unit_test(random_values_are_stable),
		cmocka_unit_test(the_kernel_keeps_the_tag),
		cmocka_unit_test(descriptors_that_are_no_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

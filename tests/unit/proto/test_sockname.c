/* SPDX-License-Identifier: MIT */
/* Names of sockets: the abstract name with its MAC, and the file names of servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rundir.h"
#include "sockname.h"

static const uint8_t secret[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static struct sockname name(enum sockname_kind kind)
{
	struct sockname n = {.kind = kind, .portspace = 0x01020304, .origin = 0x0506};

	assert_int_equal(endpoint_parse("10.77.0.1:40000", &n.src), 0);
	assert_int_equal(endpoint_parse("[2001:db8::2]:80", &n.dst), 0);
	return n;
}

static void abstract_names_round_trip(void **state)
{
	static const enum sockname_kind kinds[] = {SOCKNAME_LOCAL, SOCKNAME_CLIENT, SOCKNAME_RELAY};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct sockname n = name(kinds[i]), got;
		struct sockaddr_un sun;
		socklen_t len = sockname_encode(&n, secret, &sun);

		assert_int_equal(len, sizeof(sa_family_t) + SOCKNAME_LEN);
		assert_int_equal(sun.sun_family, AF_UNIX);
		assert_int_equal(sun.sun_path[0], 0);
		assert_true(sockname_decode(&sun, len, n.portspace, secret, &got));
		assert_int_equal(got.kind, n.kind);
		assert_int_equal(got.portspace, n.portspace);
		assert_int_equal(got.origin, n.origin);
		assert_true(endpoint_equal(&got.src, &n.src) && endpoint_equal(&got.dst, &n.dst));
	}
}

static void every_flipped_bit_is_refused(void **state)
{
	struct sockname n = name(SOCKNAME_LOCAL), got = {.portspace = 77};
	struct sockaddr_un sun;
	socklen_t len = sockname_encode(&n, secret, &sun);

	(void)state;
	for (size_t bit = 0; bit < 8 * (size_t)len; bit++) {
		((uint8_t *)&sun)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_false(sockname_decode(&sun, len, n.portspace, secret, &got));
		((uint8_t *)&sun)[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(got.portspace, 77); /* untouched */
	assert_true(sockname_decode(&sun, len, n.portspace, secret, &got));
}

static void other_lengths_are_refused(void **state)
{
	struct sockname n = name(SOCKNAME_LOCAL), got;
	struct sockaddr_un sun;
	socklen_t len = sockname_encode(&n, secret, &sun);

	(void)state;
	for (socklen_t l = 0; l <= sizeof(sun); l++)
		assert_int_equal(sockname_decode(&sun, l, n.portspace, secret, &got), l == len);
}

static void other_portspace_or_secret_is_refused(void **state)
{
	struct sockname n = name(SOCKNAME_CLIENT), got;
	uint8_t other[16];
	struct sockaddr_un sun;
	socklen_t len = sockname_encode(&n, secret, &sun);

	(void)state;
	assert_false(sockname_decode(&sun, len, n.portspace + 1, secret, &got));
	for (size_t i = 0; i < 16; i++) {
		memcpy(other, secret, 16);
		other[i] ^= 1;
		assert_false(sockname_decode(&sun, len, n.portspace, other, &got));
	}
	/* A kind nobody defined, with a correct MAC. */
	n.kind = 'X';
	len = sockname_encode(&n, secret, &sun);
	assert_false(sockname_decode(&sun, len, n.portspace, secret, &got));
}

/* The kernel takes the name whole, and refuses it to a second socket: no 4-tuple twice. */
static void the_kernel_keeps_names_unique(void **state)
{
	struct sockname n = name(SOCKNAME_LOCAL), got;
	struct sockaddr_un sun, back;
	socklen_t len, back_len = sizeof(back);
	int a = socket(AF_UNIX, SOCK_STREAM, 0), b = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	n.portspace = (uint32_t)getpid();
	len = sockname_encode(&n, secret, &sun);
	assert_int_equal(bind(a, (struct sockaddr *)&sun, len), 0);
	assert_int_equal(getsockname(a, (struct sockaddr *)&back, &back_len), 0);
	assert_true(sockname_decode(&back, back_len, n.portspace, secret, &got));
	assert_int_equal(bind(b, (struct sockaddr *)&sun, len), -1);
	assert_int_equal(errno, EADDRINUSE);
	close(a);
	close(b);
}

static void files_have_the_documented_names(void **state)
{
	static const struct {
		const char *local, *file;
		bool v6only;
		int member;
	} t[] = {{"10.77.0.1:80", "tcp.0a4d0001.80", false, -1},
		{"0.0.0.0:80", "tcp.00000000.80", false, -1}, {"[::]:80", "tcp.any.80", false, -1},
		{"[::]:80", "tcp.any6.80", true, -1},
		{"[2001:db8::1]:443", "tcp.20010db8000000000000000000000001.443", false, -1},
		{"[::]:80", "tcp.any.80.3", false, 3},
		{"[::1]:65535", "tcp.00000000000000000000000000000001.65535.65535", false, 65535},
		{"1.2.3.4:0", "tcp.01020304.0.0", false, 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct sockname_listen l = {.v6only = t[i].v6only, .member = t[i].member}, got;
		char file[SOCKNAME_FILE_MAX];

		assert_int_equal(endpoint_parse(t[i].local, &l.local), 0);
		assert_string_equal(sockname_file(&l, file), t[i].file);
		assert_int_equal(sockname_parse_file(file, &got), 0);
		assert_true(endpoint_equal(&got.local, &l.local));
		assert_int_equal(got.v6only, l.v6only);
		assert_int_equal(got.member, l.member);
	}
}

static void other_file_names_are_refused(void **state)
{
	static const char *const files[] = {"", "tcp", "tcp.", "tcp..80", "udp.any.80",
		"TCP.any.80", "tcp.any", "tcp.any.", "tcp.any.-1", "tcp.any.+1", "tcp.any. 1",
		"tcp.any.65536", "tcp.any.080", "tcp.any.80x", "tcp.any.80.", "tcp.any.80.x",
		"tcp.any.80.-1", "tcp.any.80.65536", "tcp.any.80.01", "tcp.any.80.1.1",
		"tcp.any7.80", "tcp.ANY.80", "tcp.0a4d000.80", "tcp.0a4d00011.80",
		"tcp.0A4D0001.80", "tcp.0a4d000g.80",
		"tcp.00000000000000000000000000000000.80", /* that is any */
		"tcp.00000000000000000000ffff0a4d0001.80", /* that is the short form */
		"tcp.any.80\n", "info", ".", "..", "tcp.any.99999999999999999999",
		"tcp.0000000000000000000000000000000000000000000000000000000000000000.80"};
	struct sockname_listen l = {.member = 77};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (sockname_parse_file(files[i], &l) != -EINVAL)
			fail_msg("accepted: %s", files[i]);
		assert_int_equal(l.member, 77); /* untouched */
	}
}

/* The longest runtime directory, the greatest id and the longest name together. */
static void the_longest_path_fits_sun_path(void **state)
{
	struct sockname_listen l = {
		.local = {.addr = addr_loopback6, .port = 65535}, .member = 65535};
	char file[SOCKNAME_FILE_MAX];
	struct sockaddr_un sun;

	(void)state;
	assert_true(
		RUNDIR_RUNTIME_MAX - 1 + strlen("/ps/65535/") + strlen(sockname_file(&l, file)) <
		sizeof(sun.sun_path));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(abstract_names_round_trip),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(other_lengths_are_refused),
		cmocka_unit_test(other_portspace_or_secret_is_refused),
		cmocka_unit_test(the_kernel_keeps_names_unique),
		cmocka_unit_test(files_have_the_documented_names),
		cmocka_unit_test(other_file_names_are_refused),
		cmocka_unit_test(the_longest_path_fits_sun_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

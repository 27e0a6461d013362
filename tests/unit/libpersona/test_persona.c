/* SPDX-License-Identifier: MIT */
/* The public API, through the shared library as a program uses it. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "ask.h"
#include "persona.h"

static char dir[64];

static void write_info(const void *bytes, size_t len)
{
	char path[80];
	int fd;

	snprintf(path, sizeof(path), "%s/info", dir);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static size_t make_info(uint8_t *buf)
{
	struct info info = {.portspace = 7, .nworkers = 1, .mtu = 1380, .naddr = 2};
	int n;

	memset(info.secret, 0x5a, sizeof(info.secret));
	strcpy(info.name, "work");
	strcpy(info.hostname, "work-host");
	assert_int_equal(prefix_parse("10.77.0.1/24", &info.addr[0]), 0);
	assert_int_equal(prefix_parse("fd00:77::1/64", &info.addr[1]), 0);
	n = info_encode(&info, buf, INFO_MAX);
	assert_true(n > 0);
	return (size_t)n;
}

static int setup(void **state)
{
	uint8_t buf[INFO_MAX];

	(void)state;
	strcpy(dir, "/tmp/persona-api-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	write_info(buf, make_info(buf));
	return setenv("PERSONA_PORTSPACE_DIR", dir, 1);
}

static int teardown(void **state)
{
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/info", dir);
	unlink(path);
	return rmdir(dir);
}

static void tells_all_about_the_portspace(void **state)
{
	struct persona_self *self;

	(void)state;
	errno = 123;
	assert_int_equal(persona_self(&self), 0);
	assert_int_equal(errno, 123);
	assert_string_equal(persona_self_name(self), "work");
	assert_string_equal(persona_self_hostname(self), "work-host");
	assert_string_equal(persona_self_dir(self), dir);
	assert_int_equal(persona_self_id(self), 7);
	assert_int_equal(persona_self_mtu(self), 1380);
	assert_int_equal(persona_self_address_count(self), 2);
	persona_self_free(self);
	persona_self_free(NULL);
}

static void gives_addresses_of_both_families(void **state)
{
	struct sockaddr_storage ss;
	const struct sockaddr_in *sin = (const void *)&ss;
	const struct sockaddr_in6 *sin6 = (const void *)&ss;
	struct persona_self *self;
	unsigned prefix;
	socklen_t len;

	(void)state;
	assert_int_equal(persona_self(&self), 0);
	assert_int_equal(persona_self_address(self, 0, &ss, &len, &prefix), 0);
	assert_int_equal(ss.ss_family, AF_INET);
	assert_int_equal(len, sizeof(*sin));
	assert_int_equal(ntohl(sin->sin_addr.s_addr), 0x0a4d0001);
	assert_int_equal(sin->sin_port, 0);
	assert_int_equal(prefix, 24);
	assert_int_equal(persona_self_address(self, 1, &ss, &len, &prefix), 0);
	assert_int_equal(ss.ss_family, AF_INET6);
	assert_int_equal(len, sizeof(*sin6));
	assert_int_equal(sin6->sin6_addr.s6_addr[1], 0);
	assert_int_equal(sin6->sin6_addr.s6_addr[15], 1);
	assert_int_equal(prefix, 64);
	assert_int_equal(persona_self_address(self, 1, NULL, NULL, NULL), 0);
	persona_self_free(self);
}

static void refuses_an_index_out_of_range(void **state)
{
	struct persona_self *self;
	unsigned prefix = 99;

	(void)state;
	assert_int_equal(persona_self(&self), 0);
	assert_int_equal(persona_self_address(self, 2, NULL, NULL, &prefix), -ERANGE);
	assert_int_equal(persona_self_address(self, SIZE_MAX, NULL, NULL, &prefix), -ERANGE);
	assert_int_equal(prefix, 99);
	persona_self_free(self);
}

static void outside_is_enoent(void **state)
{
	struct persona_self *self = (void *)&dir;

	(void)state;
	unsetenv("PERSONA_PORTSPACE_DIR");
	assert_int_equal(persona_self(&self), -ENOENT);
	assert_ptr_equal(self, &dir);
	setenv("PERSONA_PORTSPACE_DIR", "", 1);
	assert_int_equal(persona_self(&self), -ENOENT);
	setenv("PERSONA_PORTSPACE_DIR", "/nonexistent/persona", 1);
	assert_int_equal(persona_self(&self), -ENOENT);
}

static void a_relative_or_long_directory_is_eproto(void **state)
{
	struct persona_self *self;
	char path[256];

	(void)state;
	setenv("PERSONA_PORTSPACE_DIR", "tmp", 1);
	assert_int_equal(persona_self(&self), -EPROTO);
	memset(path, '/', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	setenv("PERSONA_PORTSPACE_DIR", path, 1);
	assert_int_equal(persona_self(&self), -EPROTO);
}

static void a_damaged_file_is_eproto(void **state)
{
	uint8_t buf[INFO_MAX];
	size_t len = make_info(buf);
	struct persona_self *self;

	(void)state;
	for (size_t cut = 0; cut < len; cut++) {
		write_info(buf, cut);
		assert_int_equal(persona_self(&self), -EPROTO);
	}
}

static void a_symbolic_link_is_not_followed(void **state)
{
	struct persona_self *self;
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s/info", dir);
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_int_equal(persona_self(&self), -ELOOP);
}

static void a_process_outside_is_not_sealed(void **state)
{
	(void)state;
	errno = 123;
	assert_int_equal(persona_seal(), PERSONA_SEAL_NONE);
	assert_int_equal(errno, 123);
	assert_string_equal(persona_version(), PERSONA_VERSION);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(tells_all_about_the_portspace),
		T(gives_addresses_of_both_families), T(refuses_an_index_out_of_range),
		T(outside_is_enoent), T(a_relative_or_long_directory_is_eproto),
		T(a_damaged_file_is_eproto), T(a_symbolic_link_is_not_followed),
		T(a_process_outside_is_not_sealed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What the tests of configuration files share. */
#ifndef PERSONA_TEST_CONFIG_TEXT_H
#define PERSONA_TEST_CONFIG_TEXT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PEER1	"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define PEER2	"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define PSK	"gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
#define BASE	"[Interface]\nPrivateKey = " PRIVATE "\nAddress = 10.77.0.1/24\n" /* 3 lines */

#define PEER BASE "[Peer]\nPublicKey = " PEER1 "\n" /* 5 lines */

static inline struct config *parse(const char *text)
{
	struct config *config = NULL;
	struct config_error error = {0};

	if (config_parse(text, strlen(text), &config, &error))
		fail_msg("line %u: %s", error.line, error.message);
	return config;
}

/* The text must be refused at this line, with this in the message. */
static inline void refuse(const char *text, unsigned line, const char *message)
{
	struct config *config = NULL;
	struct config_error error = {.line = 999};

	assert_int_equal(config_parse(text, strlen(text), &config, &error), -EINVAL);
	assert_null(config);
	if (error.line != line || !strstr(error.message, message))
		fail_msg("line %u: %s", error.line, error.message);
	assert_null(strstr(error.message, "yAnz5TF"));
	assert_null(strstr(error.message, "gN65BkI"));
	assert_int_equal(config_parse(text, strlen(text), &config, NULL), -EINVAL);
}

static inline void assert_prefix(const struct prefix *prefix, const char *text)
{
	char buf[PREFIX_STRLEN];

	assert_string_equal(prefix_format(prefix, buf), text);
}

static inline int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

#endif

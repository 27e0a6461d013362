/* SPDX-License-Identifier: MIT */
/* Test vectors: hexadecimal text, and the JSON files below tests/vectors. */
#ifndef PERSONA_TEST_VECTORS_H
#define PERSONA_TEST_VECTORS_H

#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* Decodes hexadecimal text; the test fails when it is malformed or longer than cap. */
static inline size_t vector_hex(const char *text, void *out, size_t cap)
{
	size_t len = 0;

	assert_non_null(text);
	assert_int_equal(sodium_hex2bin(out, cap, text, strlen(text), NULL, &len, NULL), 0);
	assert_int_equal(len * 2, strlen(text));
	return len;
}

/* The same for a member of a JSON object. */
static inline size_t vector_member(const json_t *object, const char *name, void *out, size_t cap)
{
	return vector_hex(json_string_value(json_object_get(object, name)), out, cap);
}

/* Exactly len bytes. */
static inline void vector_exact(const json_t *object, const char *name, void *out, size_t len)
{
	assert_int_equal(vector_member(object, name, out, len), len);
}

static inline json_t *vector_load(const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, 0, &error);

	if (!root)
		fail_msg("%s: %s (line %d)", path, error.text, error.line);
	return root;
}

#endif

/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fail.h"
#include "out.h"
#include "text.h"

static void lists_are_split_at_commas(void **state)
{
	json_t *array = json_array();

	(void)state;
	assert_int_equal(text_split_list("10.0.0.1", array), 0);
	assert_int_equal(text_split_list("a,bc", array), 0);
	assert_int_equal(json_array_size(array), 3);
	assert_string_equal(json_string_value(json_array_get(array, 1)), "a");
	assert_string_equal(json_string_value(json_array_get(array, 2)), "bc");
	json_decref(array);
}

static void empty_parts_and_bad_utf8_are_refused(void **state)
{
	static const char *const wrong[] = {"", ",", "a,", ",a", "a,,b", "\xff"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		json_t *array = json_array();

		assert_int_equal(text_split_list(wrong[i], array), -EINVAL);
		json_decref(array);
	}
}

static void numbers_have_bounds(void **state)
{
	json_int_t n = -5;

	(void)state;
	assert_int_equal(text_parse_number("0", 0, 10, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(text_parse_number("10", 0, 10, &n), 0);
	assert_int_equal(n, 10);
	n = 77;
	assert_int_equal(text_parse_number("11", 0, 10, &n), -EINVAL);
	assert_int_equal(text_parse_number("-1", 0, 10, &n), -EINVAL);
	assert_int_equal(text_parse_number("", 0, 10, &n), -EINVAL);
	assert_int_equal(text_parse_number("1x", 0, 10, &n), -EINVAL);
	assert_int_equal(text_parse_number(" 1", 0, 10, &n), -EINVAL);
	assert_int_equal(text_parse_number("0x1", 0, 10, &n), -EINVAL);
	assert_int_equal(text_parse_number("99999999999999999999", 0, 10, &n), -EINVAL);
	assert_int_equal(n, 77);
}

/* The table as text; the caller frees. */
static char *print(struct out_table *t, int indent)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(out_table_print(t, indent, f), 0);
	fclose(f);
	return text;
}

static void tables_are_aligned_by_characters(void **state)
{
	static const char *const head[] = {"A", "LONG", "C", NULL};
	struct out_table *t = out_table_new(head, 0);
	char *text;

	(void)state;
	out_cell(t, OUT_PLAIN, "\xc3\xa4\xc3\xb6");
	out_cell(t, OUT_GOOD, "x");
	out_cell(t, OUT_PLAIN, "end");
	text = print(t, 2);
	assert_string_equal(text, "  A   LONG  C\n  \xc3\xa4\xc3\xb6  x     end\n");
	free(text);
}

static void control_characters_are_not_shown(void **state)
{
	static const char *const head[] = {"A", NULL};
	struct out_table *t = out_table_new(head, 0);
	char *text;

	(void)state;
	out_cell(t, OUT_PLAIN, "a\033[31mb\nc\x7f");
	out_cell(t, OUT_PLAIN, NULL);
	text = print(t, 0);
	assert_string_equal(text, "A\na?[31mb?c?\n-\n");
	free(text);
	assert_int_equal(out_table_print(NULL, 0, stderr), -ENOMEM);
}

static void amounts_have_units(void **state)
{
	char buf[OUT_NUMBER_LEN];

	(void)state;
	assert_string_equal(out_bytes(0, buf), "0 B");
	assert_string_equal(out_bytes(1023, buf), "1023 B");
	assert_string_equal(out_bytes(1536, buf), "1.5 KiB");
	assert_string_equal(out_bytes(INT64_MAX, buf), "8.0 EiB");
	assert_string_equal(out_duration(-1, buf), "0 s");
	assert_string_equal(out_duration(59, buf), "59 s");
	assert_string_equal(out_duration(61, buf), "1 min");
	assert_string_equal(out_duration(3660, buf), "1 h 1 min");
	assert_string_equal(out_duration(90000, buf), "1 d 1 h");
}

static void arrays_are_joined(void **state)
{
	json_t *array = json_pack("[s,s,i]", "a", "b", 1);
	char *text = out_join(array);

	(void)state;
	assert_string_equal(text, "a, b, ?");
	free(text);
	json_decref(array);
	text = out_join(NULL);
	assert_string_equal(text, "-");
	free(text);
}

static void failures_are_cut_and_complete(void **state)
{
	char longer[2000];
	struct fail f;

	(void)state;
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	memset(&f, 'y', sizeof(f));
	assert_int_equal(fail_set(&f, -EPERM, longer, "%s", longer), -EPERM);
	assert_int_equal(strlen(f.message), sizeof(f.message) - 1);
	assert_int_equal(strlen(f.hint), sizeof(f.hint) - 1);
	assert_string_equal(f.code, "");
	fail_set(&f, -EPERM, NULL, "short");
	assert_string_equal(f.hint, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lists_are_split_at_commas),
		cmocka_unit_test(empty_parts_and_bad_utf8_are_refused),
		cmocka_unit_test(numbers_have_bounds),
		cmocka_unit_test(tables_are_aligned_by_characters),
		cmocka_unit_test(control_characters_are_not_shown),
		cmocka_unit_test(amounts_have_units), cmocka_unit_test(arrays_are_joined),
		cmocka_unit_test(failures_are_cut_and_complete)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

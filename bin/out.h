/* SPDX-License-Identifier: MIT */
/* Text for people: aligned tables, colours on a terminal only.
 *
 * Colours are used when standard output is a terminal, TERM is not "dumb" and NO_COLOR is not set
 * (no-color.org). Text that comes from elsewhere is shown with control characters replaced. */
#ifndef PERSONA_BIN_OUT_H
#define PERSONA_BIN_OUT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum out_style { OUT_PLAIN, OUT_BOLD, OUT_DIM, OUT_GOOD, OUT_BAD };

enum { OUT_COLUMNS_MAX = 10, OUT_NUMBER_LEN = 32 };

struct out_table;

/* Columns are named by `headings`, NULL-terminated, at most OUT_COLUMNS_MAX; a NULL instead of
 * headings makes a table of `ncolumns` without a head line. NULL when out of memory. */
struct out_table *out_table_new(const char *const *headings, size_t ncolumns);
/* Cells fill the rows from left to right; text is copied. Out of memory is remembered. */
void out_cell(struct out_table *t, enum out_style style, const char *text);
/* Prints with `indent` spaces before each row and frees. 0 or -ENOMEM. NULL is -ENOMEM. */
int out_table_print(struct out_table *t, int indent, FILE *f);

bool out_colour(void);
/* Writes text in the style, cleaned. */
void out_text(FILE *f, enum out_style style, const char *text);

/* "1.5 MiB", "3 h 5 min": both write into buf[OUT_NUMBER_LEN] and return it. */
char *out_bytes(json_int_t n, char *buf);
char *out_duration(json_int_t seconds, char *buf);
/* Joins the strings of a JSON array with ", "; the caller frees. "-" when empty, NULL when out of
 * memory. */
char *out_join(const json_t *array);

#endif

/* SPDX-License-Identifier: MIT */
/* Small pieces of command-line text. */
#ifndef PERSONA_BIN_TEXT_H
#define PERSONA_BIN_TEXT_H

#include <jansson.h>

/* Appends the parts of a comma list to the array. 0, or -EINVAL for an empty part or bytes that
 * are not UTF-8. */
int text_split_list(const char *list, json_t *array);
/* A decimal number in [min, max]: digits only, with a sign if need be. 0 or -EINVAL. */
int text_parse_number(const char *s, long min, long max, json_int_t *np);

#endif

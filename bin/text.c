/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int text_split_list(const char *list, json_t *array)
{
	for (;;) {
		size_t len = strcspn(list, ",");

		if (len == 0 || json_array_append_new(array, json_stringn(list, len)) < 0)
			return -EINVAL;
		if (!list[len])
			return 0;
		list += len + 1;
	}
}

int text_parse_number(const char *s, long min, long max, json_int_t *np)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(s, &end, 10);
	if (errno || end == s || *end || isspace((unsigned char)*s) || n < min || n > max)
		return -EINVAL;
	*np = n;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* See config_word.h. */
#include "config_word.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
const char config_space[] = " \t\r\v\f";

char *config_next_item(char **sp, const char *delims)
{
	char *item = strsep(sp, delims);
	size_t len;

	if (!item)
		return NULL;
	item += strspn(item, config_space);
	len = strlen(item);
	while (len && strchr(config_space, item[len - 1]))
		item[--len] = '\0';
	return item;
}

const char *config_show(const char *text)
{
	for (const char *at = text; *at; at++) {
		const size_t run = strspn(at, base64);

		if (run >= KEY_STRLEN - 5)
			return "(a key?)";
		if (!run)
			continue;
		at += run - 1;
	}
	return text;
}

int config_parse_number(const char *s, unsigned long max, unsigned long *np)
{
	const size_t len = strlen(s);
	unsigned long n;

	if (!len || len > 9 || strspn(s, "0123456789") != len)
		return -EINVAL;
	n = strtoul(s, NULL, 10);
	if (n > max)
		return -EINVAL;
	*np = n;
	return 0;
}

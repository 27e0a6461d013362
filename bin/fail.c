/* SPDX-License-Identifier: MIT */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int fail_set(struct fail *f, int err, const char *hint, const char *fmt, ...)
{
	va_list ap;

	f->code[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	snprintf(f->hint, sizeof(f->hint), "%s", hint ? hint : "");
	return err;
}

static void put_line(const char *head, const char *sep, const char *text)
{
	char line[600];

	snprintf(line, sizeof(line), "%s%s%s", head, sep, text);
	for (char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = ' ';
	fprintf(stderr, "%s\n", line);
}

void fail_print(const char *program, const struct fail *f)
{
	put_line(program, ": ", f->message);
	if (f->hint[0])
		put_line("  hint", ": ", f->hint);
}

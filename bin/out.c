/* SPDX-License-Identifier: MIT */
#include "out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cell {
	enum out_style style;
	char *text;
};

struct out_table {
	size_t ncolumns;
	size_t n, cap; /* cells */
	struct cell *cell;
	bool oom;
};

bool out_colour(void)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(no && *no) && term && strcmp(term, "dumb") != 0 && isatty(STDOUT_FILENO);
}

void out_text(FILE *f, enum out_style style, const char *text)
{
	static const char *const code[] = {"", "\033[1m", "\033[2m", "\033[32m", "\033[31m"};
	bool colour = style != OUT_PLAIN && out_colour();

	if (colour)
		fputs(code[style], f);
	for (const char *p = text; *p; p++)
		fputc((unsigned char)*p < 0x20 || *p == 0x7f ? '?' : *p, f);
	if (colour)
		fputs("\033[0m", f);
}

struct out_table *out_table_new(const char *const *headings, size_t ncolumns)
{
	struct out_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	for (size_t i = 0; headings && headings[i]; i++)
		t->ncolumns++;
	if (!headings)
		t->ncolumns = ncolumns;
	for (size_t i = 0; headings && headings[i]; i++)
		out_cell(t, OUT_BOLD, headings[i]);
	return t;
}

void out_cell(struct out_table *t, enum out_style style, const char *text)
{
	if (!t || t->oom)
		return;
	if (t->n == t->cap) {
		size_t cap = t->cap ? 2 * t->cap : 32;
		struct cell *more = reallocarray(t->cell, cap, sizeof(*more));

		if (!more) {
			t->oom = true;
			return;
		}
		t->cell = more;
		t->cap = cap;
	}
	t->cell[t->n].style = style;
	t->cell[t->n].text = strdup(text ? text : "-");
	if (!t->cell[t->n].text)
		t->oom = true;
	else
		t->n++;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no column. */
static size_t width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void print_row(const struct out_table *t, size_t first, const size_t *widths, FILE *f)
{
	for (size_t c = 0; c < t->ncolumns && first + c < t->n; c++) {
		const struct cell *cell = &t->cell[first + c];
		bool last = c + 1 == t->ncolumns || first + c + 1 == t->n;

		out_text(f, cell->style, cell->text);
		if (!last)
			fprintf(f, "%*s", (int)(widths[c] - width(cell->text) + 2), "");
	}
	fputc('\n', f);
}

int out_table_print(struct out_table *t, int indent, FILE *f)
{
	size_t widths[OUT_COLUMNS_MAX] = {0};
	int r = 0;

	if (!t)
		return -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		if (width(t->cell[i].text) > widths[i % t->ncolumns])
			widths[i % t->ncolumns] = width(t->cell[i].text);
	for (size_t i = 0; i < t->n; i += t->ncolumns) {
		fprintf(f, "%*s", indent, "");
		print_row(t, i, widths, f);
	}
	if (t->oom)
		r = -ENOMEM;
	for (size_t i = 0; i < t->n; i++)
		free(t->cell[i].text);
	free(t->cell);
	free(t);
	return r;
}

char *out_bytes(json_int_t n, char *buf)
{
	static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)n;
	size_t u = 0;

	while (v >= 1024 && u + 1 < sizeof(unit) / sizeof(unit[0])) {
		v /= 1024;
		u++;
	}
	snprintf(buf, OUT_NUMBER_LEN, u ? "%.1f %s" : "%.0f %s", v, unit[u]);
	return buf;
}

char *out_duration(json_int_t seconds, char *buf)
{
	long long s = seconds < 0 ? 0 : seconds;

	if (s < 60)
		snprintf(buf, OUT_NUMBER_LEN, "%lld s", s);
	else if (s < 3600)
		snprintf(buf, OUT_NUMBER_LEN, "%lld min", s / 60);
	else if (s < 86400)
		snprintf(buf, OUT_NUMBER_LEN, "%lld h %lld min", s / 3600, s % 3600 / 60);
	else
		snprintf(buf, OUT_NUMBER_LEN, "%lld d %lld h", s / 86400, s % 86400 / 3600);
	return buf;
}

char *out_join(const json_t *array)
{
	char *text = NULL;
	size_t len, i;
	json_t *item;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return NULL;
	json_array_foreach(array, i, item)
	{
		const char *s = json_string_value(item);

		fprintf(f, "%s%s", i ? ", " : "", s ? s : "?");
	}
	if (json_array_size(array) == 0)
		fputc('-', f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

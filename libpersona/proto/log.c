/* SPDX-License-Identifier: MIT */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RULES_MAX = 32 };

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static struct {
	const char *program;
	enum log_level fallback;
	size_t n;
	struct {
		char module[24];
		enum log_level level;
	} rule[RULES_MAX];
} state = {.program = "persona", .fallback = LOG_INFO};

static int parse_level(const char *s, size_t len)
{
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++)
		if (strlen(level_names[i]) == len && memcmp(level_names[i], s, len) == 0)
			return i;
	return -1;
}

static void add_rule(const char *s, size_t len)
{
	const char *colon = memchr(s, ':', len);
	size_t head = colon ? (size_t)(colon - s) : 0;
	int level = parse_level(colon ? colon + 1 : s, colon ? len - head - 1 : len);

	if (level < 0)
		return;
	if (!colon) {
		state.fallback = (enum log_level)level;
	} else if (state.n < RULES_MAX && head < sizeof(state.rule[0].module)) {
		memcpy(state.rule[state.n].module, s, head);
		state.rule[state.n].module[head] = '\0';
		state.rule[state.n++].level = (enum log_level)level;
	}
}

void log_init(const char *program)
{
	const char *s = getenv("PERSONA_DEBUG");

	state.program = program;
	state.fallback = LOG_INFO;
	state.n = 0;
	while (s && *s) {
		size_t len = strcspn(s, ",");

		add_rule(s, len);
		s += len + (s[len] == ',');
	}
}

static enum log_level level_of(const char *module)
{
	for (size_t i = 0; i < state.n; i++)
		if (strcmp(state.rule[i].module, module) == 0)
			return state.rule[i].level;
	return state.fallback;
}

void log_line(enum log_level level, const char *module, const char *fmt, ...)
{
	int saved = errno;
	char line[1024];
	va_list ap;
	int n;

	if (level > level_of(module))
		return;
	n = snprintf(line, sizeof(line), "%s: %s: %s: ", state.program, level_names[level], module);
	if (n >= 0 && n < (int)sizeof(line)) {
		int more;

		va_start(ap, fmt);
		more = vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
		va_end(ap);
		n += more > 0 ? more : 0;
	}
	if (n < 0 || n > (int)sizeof(line) - 2)
		n = n < 0 ? 0 : (int)sizeof(line) - 2;
	for (int i = 0; i < n; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?'; /* foreign text must not forge lines or drive a terminal */
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		errno = saved; /* nowhere left to report to */
	errno = saved;
}

/* SPDX-License-Identifier: MIT */
#include "jsonio.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void wipe_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void jsonio_init(void)
{
	json_set_alloc_funcs(malloc, wipe_free);
}

int jsonio_fail(struct jsonio_error *errp, int code, const char *hint, const char *fmt, ...)
{
	va_list ap;

	errp->code = code;
	va_start(ap, fmt);
	vsnprintf(errp->message, sizeof(errp->message), fmt, ap);
	va_end(ap);
	snprintf(errp->hint, sizeof(errp->hint), "%s", hint ? hint : "");
	return -code;
}

json_t *jsonio_parse(const char *line, size_t len, struct jsonio_error *errp)
{
	json_error_t error;
	json_t *root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &error);

	if (!root) {
		jsonio_fail(errp, EINVAL, "send one JSON object on one line",
			"the request is not JSON: %s (byte %d)", error.text, error.position);
		return NULL;
	}
	if (!json_is_object(root)) {
		json_decref(root);
		jsonio_fail(errp, EINVAL, "send one JSON object on one line",
			"the request is JSON but not an object");
		return NULL;
	}
	return root;
}

int jsonio_unpack(json_t *root, struct jsonio_error *errp, const char *fmt, ...)
{
	json_error_t error;
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = json_vunpack_ex(root, &error, JSON_STRICT, fmt, ap);
	va_end(ap);
	if (r == 0)
		return 0;
	return jsonio_fail(errp, EINVAL, "docs/PROTOCOL.md, section 2, lists the members",
		"the request does not fit the protocol: %s", error.text);
}

json_t *jsonio_ok(void)
{
	return json_pack("{s:i, s:b}", "version", JSONIO_VERSION, "ok", 1);
}

json_t *jsonio_refusal(const struct jsonio_error *err)
{
	const char *code = strerrorname_np(err->code);
	json_t *o = json_object();

	/* The message may quote foreign bytes; jansson refuses what is not UTF-8. */
	if (json_object_set_new(o, "code", json_string(code ? code : "EIO")) < 0 ||
		(json_object_set_new(o, "message", json_string(err->message)) < 0 &&
			json_object_set_new(o, "message", json_string("bad request")) < 0) ||
		(err->hint[0] && json_object_set_new(o, "hint", json_string(err->hint)) < 0)) {
		json_decref(o);
		return NULL;
	}
	return json_pack("{s:i, s:b, s:o}", "version", JSONIO_VERSION, "ok", 0, "error", o);
}

struct sink {
	char *p;
	size_t len, cap, max;
};

static int sink_write(const char *buffer, size_t size, void *arg)
{
	struct sink *s = arg;

	if (size > s->max - s->len)
		return -1;
	if (size > s->cap - s->len) {
		size_t cap = s->cap ? s->cap : 1024;
		char *p;

		while (cap < s->len + size)
			cap *= 2;
		p = malloc(cap);
		if (!p)
			return -1;
		if (s->len)
			memcpy(p, s->p, s->len);
		jsonio_free_text(s->p, s->len);
		s->p = p;
		s->cap = cap;
	}
	memcpy(s->p + s->len, buffer, size);
	s->len += size;
	return 0;
}

char *jsonio_format(const json_t *root, size_t max, size_t *lenp)
{
	struct sink s = {.max = max};

	if (!root || json_dump_callback(root, sink_write, &s, JSON_COMPACT) < 0 ||
		sink_write("\n", 1, &s) < 0) {
		jsonio_free_text(s.p, s.len);
		return NULL;
	}
	*lenp = s.len;
	return s.p;
}

void jsonio_free_text(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

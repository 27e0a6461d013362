/* SPDX-License-Identifier: MIT */
/* JSON lines of the control protocol: text in, jansson values out, and back.
 *
 * Requests may carry private keys, so jansson's memory is wiped before it is freed. No I/O. */
#ifndef PERSONA_BROKER_JSONIO_H
#define PERSONA_BROKER_JSONIO_H

#include <stddef.h>

#include <jansson.h>

enum { JSONIO_VERSION = 1 };

/* What went wrong: `code` becomes the errno's name, `message` the cause, `hint` the next step. */
struct jsonio_error {
	int code; /* positive errno */
	char message[384];
	char hint[256]; /* "" when there is nothing to add */
};

/* Makes jansson wipe what it frees. Call once, before any other use of jansson. */
void jsonio_init(void);

/* Fills *errp and returns -code. */
int jsonio_fail(struct jsonio_error *errp, int code, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* One line (without its newline) that must hold one object. New reference, or NULL with *errp. */
json_t *jsonio_parse(const char *line, size_t len, struct jsonio_error *errp);
/* As json_unpack(3), but a member that `fmt` does not name is an error too. 0 or -EINVAL. */
int jsonio_unpack(json_t *root, struct jsonio_error *errp, const char *fmt, ...);

/* {"version":1,"ok":true}; new reference, NULL when out of memory. */
json_t *jsonio_ok(void);
/* The error reply; new reference, NULL when out of memory. */
json_t *jsonio_refusal(const struct jsonio_error *err);
/* The object as one line with its newline; the caller frees it with jsonio_free_text(). NULL when
 * out of memory or longer than `max` bytes. */
char *jsonio_format(const json_t *root, size_t max, size_t *lenp);
void jsonio_free_text(char *text, size_t len); /* wipes; NULL is allowed */

#endif

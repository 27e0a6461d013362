/* SPDX-License-Identifier: MIT */
/* What went wrong, as a person reads it: the cause and the next step.
 *
 * Functions of bin/ that may fail for many reasons take a `struct fail *` and fill it when they
 * return a negative errno. Strings are cut to size, never allocated. */
#ifndef PERSONA_BIN_FAIL_H
#define PERSONA_BIN_FAIL_H

struct fail {
	char code[32];	   /* errno name from the broker, "" when the tool itself found the error */
	char message[512]; /* the cause; never empty */
	char hint[512];	   /* the next step, or "" */
};

/* Fills *f and returns err, so that `return fail_set(...)` reads well. hint may be NULL. */
int fail_set(struct fail *f, int err, const char *hint, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* Prints "PROGRAM: message" and "  hint: ..." on standard error. Control characters, which may
 * come from the broker's data, are replaced. */
void fail_print(const char *program, const struct fail *f);

#endif

/* SPDX-License-Identifier: MIT */
/* Reading what the user names on the command line: key files and configuration files. */
#ifndef PERSONA_BIN_KEYFILE_H
#define PERSONA_BIN_KEYFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "key.h"

enum { KEYFILE_TEXT_MAX = 512 * 1024 /* a configuration; its request must fit one line */ };

/* Reads the key in the file, or on standard input for "-". White space around it is skipped. A
 * regular file that others may read is refused. 0; -EPERM (others may read it); -EINVAL (no key);
 * or another negative errno. */
int keyfile_read(const char *path, struct key *keyp);

/* Reads a whole text file, or standard input for "-". *textp must be wiped and freed by the caller
 * with keyfile_free(). *openp tells whether others may read the file. 0; -EFBIG (longer than
 * KEYFILE_TEXT_MAX); -EILSEQ (it holds a NUL); or another negative errno. */
int keyfile_read_text(const char *path, char **textp, bool *openp);
void keyfile_free(char *text); /* NULL is allowed */

#endif

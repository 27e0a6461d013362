/* SPDX-License-Identifier: MIT */
/* Where the other parts of Persona are, seen from the running tool.
 *
 * The tool's own executable decides (/proc/self/exe), so a build tree, a DESTDIR and an
 * installation each find their own parts and never mix. PATH is the last resort for the broker and
 * is never asked for the preload library. */
#ifndef PERSONA_BIN_LOCATE_H
#define PERSONA_BIN_LOCATE_H

#include <stddef.h>

/* Each writes an absolute path. 0, -ENOENT (nowhere) or -ENAMETOOLONG.
 * Must be called before the process makes itself non-dumpable. */
int locate_broker(char *buf, size_t cap);
int locate_preload(char *buf, size_t cap);

/* The same from a given directory of executables and value of PATH (NULL: none); for tests. */
int locate_broker_from(const char *bindir, const char *path, char *buf, size_t cap);
int locate_preload_from(const char *bindir, char *buf, size_t cap);

#endif

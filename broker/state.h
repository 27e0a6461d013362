/* SPDX-License-Identifier: MIT */
/* Configuration files on disk: DIR/NAME.conf, read safely and replaced atomically.
 *
 * Reading: the file must be a regular file, no symbolic link, owned by the caller's uid, and not
 * accessible to group or others; it may have CONFIG_TEXT_MAX bytes. Writing: a temporary file in
 * the same directory (".NAME.conf.XXXXXX", mode 0600), fsync, rename, fsync of the directory, so a
 * crash at any moment leaves the old or the new text, never less. Left-over temporary files are
 * removed by state_clean(). Contents come in sodium_malloc() memory. Blocking I/O: control loop and
 * tools only. sodium_init() must have been called.
 *
 * `name` must pass config_name_valid() (-EINVAL), so no name leaves the directory. errp may be
 * NULL; on failure its message says cause and next step, its line is 0. */
#ifndef PERSONA_BROKER_STATE_H
#define PERSONA_BROKER_STATE_H

#include <stddef.h>

#include "config.h"

/* 0: *textp (terminated, free with sodium_free()) and its length. -ENOENT; -EPERM (owner, mode);
 * -ELOOP (symbolic link); -EINVAL (not a regular file, or name); -EFBIG; -EBUSY (it
 * changed meanwhile); other errno of open(2) and
 * read(2). */
int state_read(
	const char *dir, const char *name, char **textp, size_t *lenp, struct config_error *errp);
/* The same for any path. */
int state_read_file(const char *path, char **textp, size_t *lenp, struct config_error *errp);

/* Replaces or makes the file; durable when it returns 0. On failure the old file is untouched,
 * unless only the last step failed, the fsync of the directory: then -EIO, the new file is there,
 * and the message says so. -EFBIG over CONFIG_TEXT_MAX; errno of open(2), write(2), fsync(2),
 * rename(2). */
int state_write(
	const char *dir, const char *name, const char *text, size_t len, struct config_error *errp);

/* Removes the file; durable when it returns 0. -ENOENT when there was none. */
int state_remove(const char *dir, const char *name, struct config_error *errp);

/* The names with a .conf file in the directory, sorted; what is not a valid name is left out.
 * *namesp is an array of *np strings, free with state_names_free(). 0 (also for a directory that
 * does not exist: no names), or negative errno. */
int state_list(const char *dir, char ***namesp, size_t *np, struct config_error *errp);
void state_names_free(char **names, size_t n);

/* Removes temporary files that a killed writer left. Call at start, when nobody writes. 0 or
 * negative errno. */
int state_clean(const char *dir);

#endif

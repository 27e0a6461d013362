/* SPDX-License-Identifier: MIT */
/* Where a broker's files are (XDG Base Directory Specification), and the paths inside.
 *
 * runtime: $PERSONA_RUNTIME_DIR, else $XDG_RUNTIME_DIR/persona, else /tmp/persona-UID
 * state:   $PERSONA_STATE_DIR, else $XDG_STATE_HOME/persona, else ~/.local/state/persona
 * config:  $PERSONA_CONFIG_DIR, else $XDG_CONFIG_HOME/persona, else ~/.config/persona
 *
 * Below runtime: control, ask, stream.N, and ps/ID/ for each portspace with its info file and its
 * servers' sockets. All of it must fit sun_path, so the runtime directory may have at most
 * RUNDIR_RUNTIME_MAX - 1 bytes. */
#ifndef PERSONA_PROTO_RUNDIR_H
#define PERSONA_PROTO_RUNDIR_H

#include <stddef.h>
#include <stdint.h>

enum {
	RUNDIR_PATH_MAX = 4096,
	RUNDIR_RUNTIME_MAX =
		48 /* 107 - strlen("/ps/65535/") - SOCKNAME_FILE_MAX + room, with NUL */
};

/* Each writes an absolute path without a trailing slash. 0; -EINVAL when the environment gives a
 * relative path; -ENOENT when neither the variable nor HOME is set; -ENAMETOOLONG. */
int rundir_runtime(char *buf, size_t cap);
int rundir_state(char *buf, size_t cap);
int rundir_config(char *buf, size_t cap);

/* Creates the directory (and its parents) with mode 0700 where absent. 0; -EPERM when it exists
 * but belongs to another user or others may write to it; or another negative errno. */
int rundir_make(const char *path);

#endif

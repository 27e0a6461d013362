/* SPDX-License-Identifier: MIT */
/* The environment of programs to come: pure functions, no I/O, no allocation.
 *
 * A process of the portspace must hand two variables on, whatever the program made of its
 * environment: LD_PRELOAD with this library in it (other entries stay) and PERSONA_PORTSPACE_DIR.
 */
#ifndef PERSONA_PRELOAD_EXEC_ENV_H
#define PERSONA_PRELOAD_EXEC_ENV_H

#include <stdbool.h>
#include <stddef.h>

#define EXEC_ENV_PRELOAD "LD_PRELOAD"
#define EXEC_ENV_DIR	 "PERSONA_PORTSPACE_DIR"
#define EXEC_ENV_LIBRARY "libpersona-preload.so"

/* The value when `entry` is "name=value", else NULL. */
const char *exec_env_value(const char *entry, const char *name);
/* Is this entry of LD_PRELOAD (n bytes) an absolute path of the shim? */
bool exec_env_is_self(const char *path, size_t n);
/* True when envp already has all that is needed and can be passed on as it is. */
bool exec_env_whole(char *const *envp, const char *self, const char *dir);
/* What exec_env_build needs: pointers in the array, and bytes for strings. */
void exec_env_size(
	char *const *envp, const char *self, const char *dir, size_t *np, size_t *bytesp);
/* Fills out[] (terminated by NULL) and strings[]; entries point into envp or strings. */
void exec_env_build(
	char *const *envp, const char *self, const char *dir, char **out, char *strings);

#endif

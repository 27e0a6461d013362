/* SPDX-License-Identifier: MIT */
#include "rundir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int put(char *buf, size_t cap, const char *head, const char *tail)
{
	int n;

	if (head[0] != '/')
		return -EINVAL;
	n = snprintf(buf, cap, "%s%s", head, tail);
	if (n < 0 || (size_t)n >= cap)
		return -ENAMETOOLONG;
	while (n > 1 && buf[n - 1] == '/')
		buf[--n] = '\0';
	return 0;
}

static const char *env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

static int home_dir(const char *own, const char *xdg, const char *below, char *buf, size_t cap)
{
	char tail[64];

	if (env(own))
		return put(buf, cap, env(own), "");
	if (env(xdg))
		return put(buf, cap, env(xdg), "/persona");
	if (!env("HOME"))
		return -ENOENT;
	snprintf(tail, sizeof(tail), "/%s/persona", below);
	return put(buf, cap, env("HOME"), tail);
}

int rundir_runtime(char *buf, size_t cap)
{
	char tmp[48];

	if (cap > RUNDIR_RUNTIME_MAX)
		cap = RUNDIR_RUNTIME_MAX;
	if (env("PERSONA_RUNTIME_DIR"))
		return put(buf, cap, env("PERSONA_RUNTIME_DIR"), "");
	if (env("XDG_RUNTIME_DIR"))
		return put(buf, cap, env("XDG_RUNTIME_DIR"), "/persona");
	snprintf(tmp, sizeof(tmp), "/tmp/persona-%u", (unsigned)getuid());
	return put(buf, cap, tmp, "");
}

int rundir_state(char *buf, size_t cap)
{
	return home_dir("PERSONA_STATE_DIR", "XDG_STATE_HOME", ".local/state", buf, cap);
}

int rundir_config(char *buf, size_t cap)
{
	return home_dir("PERSONA_CONFIG_DIR", "XDG_CONFIG_HOME", ".config", buf, cap);
}

int rundir_make(const char *path)
{
	char part[RUNDIR_PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(part))
		return -ENAMETOOLONG;
	for (size_t i = 1; path[0] && path[i]; i++) {
		if (path[i] != '/')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
			return -errno;
	}
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	return st.st_uid != getuid() || (st.st_mode & 022) ? -EPERM : 0;
}

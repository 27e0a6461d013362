/* SPDX-License-Identifier: MIT */
#include "locate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PRELOAD "libpersona-preload.so"
#define BROKER	"persona-broker"

/* Writes the resolved path of dir/rest when that file is accessible. */
static int try_file(
	const char *dir, size_t dirlen, const char *rest, int mode, char *buf, size_t cap)
{
	char path[PATH_MAX], real[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%.*s/%s", (int)dirlen, dir, rest);

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	if (access(path, mode) < 0 || !realpath(path, real))
		return -ENOENT;
	if (strlen(real) >= cap)
		return -ENAMETOOLONG;
	memcpy(buf, real, strlen(real) + 1);
	return 0;
}

static int self_dir(char *buf, size_t cap)
{
	ssize_t n = readlink("/proc/self/exe", buf, cap);
	char *slash;

	if (n < 0)
		return -ENOENT;
	if ((size_t)n >= cap)
		return -ENAMETOOLONG;
	buf[n] = '\0';
	slash = strrchr(buf, '/');
	if (!slash)
		return -ENOENT;
	*slash = '\0';
	return 0;
}

int locate_broker_from(const char *bindir, const char *path, char *buf, size_t cap)
{
	size_t len = strlen(bindir);
	int r = try_file(bindir, len, BROKER, X_OK, buf, cap);

	if (r == -ENOENT)
		r = try_file(bindir, len, "../broker/" BROKER, X_OK, buf, cap);
	while (r == -ENOENT && path && *path) {
		len = strcspn(path, ":");
		if (path[0] == '/')
			r = try_file(path, len, BROKER, X_OK, buf, cap);
		path += len + (path[len] == ':');
	}
	return r;
}

int locate_preload_from(const char *bindir, char *buf, size_t cap)
{
	size_t len = strlen(bindir);
	int r = try_file(bindir, len, "../libpersona/preload/" PRELOAD, R_OK, buf, cap);

	if (r == -ENOENT)
		r = try_file(bindir, len, PERSONA_LIBDIR_FROM_BIN "/" PRELOAD, R_OK, buf, cap);
	if (r == -ENOENT)
		r = try_file(PERSONA_LIBDIR, strlen(PERSONA_LIBDIR), PRELOAD, R_OK, buf, cap);
	return r;
}

int locate_broker(char *buf, size_t cap)
{
	char dir[PATH_MAX];
	int r = self_dir(dir, sizeof(dir));

	return r < 0 ? r : locate_broker_from(dir, getenv("PATH"), buf, cap);
}

int locate_preload(char *buf, size_t cap)
{
	char dir[PATH_MAX];
	int r = self_dir(dir, sizeof(dir));

	return r < 0 ? r : locate_preload_from(dir, buf, cap);
}

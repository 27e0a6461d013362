/* SPDX-License-Identifier: MIT */
#include "exec_env.h"

#include <string.h>

const char *exec_env_value(const char *entry, const char *name)
{
	size_t n = strlen(name);

	return strncmp(entry, name, n) == 0 && entry[n] == '=' ? entry + n + 1 : NULL;
}

bool exec_env_is_self(const char *path, size_t n)
{
	static const char suffix[] = "/" EXEC_ENV_LIBRARY;
	size_t len = sizeof(suffix) - 1;

	return n >= len && path[0] == '/' && memcmp(path + n - len, suffix, len) == 0;
}

static bool list_has(const char *list, const char *self)
{
	size_t len = strlen(self);

	while (*list) {
		size_t n = strcspn(list, ": ");

		if (n == len && memcmp(list, self, n) == 0)
			return true;
		list += n;
		list += strspn(list, ": ");
	}
	return false;
}

bool exec_env_whole(char *const *envp, const char *self, const char *dir)
{
	bool have_preload = !self[0], have_dir = !dir[0];

	for (; envp && *envp; envp++) {
		const char *preload = exec_env_value(*envp, EXEC_ENV_PRELOAD);
		const char *d = exec_env_value(*envp, EXEC_ENV_DIR);

		/* The first of several entries of one name is what the loader takes. */
		if (preload && !have_preload) {
			if (!list_has(preload, self))
				return false;
			have_preload = true;
		}
		if (d && !have_dir) {
			if (strcmp(d, dir) != 0)
				return false;
			have_dir = true;
		}
	}
	return have_preload && have_dir;
}

static const char *find(char *const *envp, const char *name)
{
	for (; envp && *envp; envp++) {
		const char *v = exec_env_value(*envp, name);

		if (v)
			return v;
	}
	return NULL;
}

void exec_env_size(char *const *envp, const char *self, const char *dir, size_t *np, size_t *bytesp)
{
	const char *old = find(envp, EXEC_ENV_PRELOAD);
	size_t n = 0;

	while (envp && envp[n])
		n++;
	*np = n + 3;
	*bytesp = sizeof(EXEC_ENV_PRELOAD "=") + strlen(self) + 1 + (old ? strlen(old) : 0) +
		  sizeof(EXEC_ENV_DIR "=") + strlen(dir);
}

static char *append(char *p, const char *s)
{
	size_t n = strlen(s);

	memcpy(p, s, n + 1);
	return p + n;
}

void exec_env_build(char *const *envp, const char *self, const char *dir, char **out, char *strings)
{
	const char *old = find(envp, EXEC_ENV_PRELOAD);
	char *p = strings;

	for (; envp && *envp; envp++) {
		if (self[0] && exec_env_value(*envp, EXEC_ENV_PRELOAD))
			continue;
		if (dir[0] && exec_env_value(*envp, EXEC_ENV_DIR))
			continue;
		*out++ = *envp;
	}
	if (self[0]) {
		*out++ = p;
		p = append(p, EXEC_ENV_PRELOAD "=");
		if (!old || !list_has(old, self)) {
			p = append(p, self);
			if (old && *old)
				p = append(p, ":");
		}
		if (old)
			p = append(p, old);
		p++;
	}
	if (dir[0]) {
		*out++ = p;
		p = append(p, EXEC_ENV_DIR "=");
		append(p, dir);
	}
	*out = NULL;
}

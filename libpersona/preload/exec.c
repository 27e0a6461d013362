/* SPDX-License-Identifier: MIT */
/* The exec and spawn family: the new program stays in the portspace, whatever its environment.
 *
 * The environment is rebuilt only when something is missing (`env -i`, a scrubbed environment), on
 * the stack: between vfork and exec memory is the parent's, so nothing is allocated or changed.
 * system, popen and wordexp run their program inside libc; there the process's own environment is
 * mended first. Set-user-ID programs ignore LD_PRELOAD; under the seal there are none. */
#include <alloca.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "exec_env.h"
#include "preload.h"
#include "real.h"

extern char **environ;

enum { ENV_ENTRIES_MAX = 65536, ENV_BYTES_MAX = 131072 };

/* A whole environment from envp, in the caller's stack frame; NULL when it is too large. */
#define HEALED(envp)                                                                           \
	__extension__({                                                                        \
		const struct env *he_env = env_get();                                          \
		char *const *he_in = (envp);                                                   \
		char **he_out = NULL;                                                          \
		size_t he_n = 0, he_bytes = 0;                                                 \
		if (exec_env_whole(he_in, he_env->self, he_env->dir)) {                        \
			he_out = (char **)(uintptr_t)he_in;                                    \
		} else {                                                                       \
			exec_env_size(he_in, he_env->self, he_env->dir, &he_n, &he_bytes);     \
			if (he_n <= ENV_ENTRIES_MAX && he_bytes <= ENV_BYTES_MAX) {            \
				char *he_strings = alloca(he_bytes);                           \
				he_out = alloca(he_n * sizeof(*he_out));                       \
				exec_env_build(                                                \
					he_in, he_env->self, he_env->dir, he_out, he_strings); \
			}                                                                      \
		}                                                                              \
		he_out;                                                                        \
	})

static char *no_environment[] = {NULL};

/* The kernel takes a NULL environment as an empty one. */
static char *const *or_empty(char *const *envp)
{
	return envp ? envp : no_environment;
}

HOOK int execve(const char *path, char *const argv[], char *const envp[])
{
	char **env = HEALED(or_empty(envp));

	return env ? ret(SYS(SYS_execve, path, argv, env)) : ret(-E2BIG);
}

HOOK int execv(const char *path, char *const argv[])
{
	return execve(path, argv, environ);
}

HOOK int execveat(int dir, const char *path, char *const argv[], char *const envp[], int flags)
{
	char **env = HEALED(or_empty(envp));

	return env ? ret(SYS(SYS_execveat, dir, path, argv, env, flags)) : ret(-E2BIG);
}

HOOK int fexecve(int fd, char *const argv[], char *const envp[])
{
	if (fd < 0)
		return ret(-EINVAL);
	return execveat(fd, "", argv, envp, AT_EMPTY_PATH);
}

HOOK int execvpe(const char *file, char *const argv[], char *const envp[])
{
	char **env = HEALED(or_empty(envp));

	return env ? real(execvpe)(file, argv, env) : ret(-E2BIG);
}

HOOK int execvp(const char *file, char *const argv[])
{
	return execvpe(file, argv, environ);
}

/* Collects the arguments of the l forms into argv on the stack. */
#define COLLECT(argv, arg, ap)                              \
	do {                                                \
		va_list count_ap;                           \
		size_t argc = 1;                            \
		va_copy(count_ap, ap);                      \
		while (va_arg(count_ap, const char *))      \
			argc++;                             \
		va_end(count_ap);                           \
		argv = alloca((argc + 1) * sizeof(char *)); \
		argv[0] = (char *)(uintptr_t)arg;           \
		for (size_t i = 1; i <= argc; i++)          \
			argv[i] = va_arg(ap, char *);       \
	} while (0)

HOOK int execl(const char *path, const char *arg, ...)
{
	char **argv;
	va_list ap;

	va_start(ap, arg);
	COLLECT(argv, arg, ap);
	va_end(ap);
	return execve(path, argv, environ);
}

HOOK int execlp(const char *file, const char *arg, ...)
{
	char **argv;
	va_list ap;

	va_start(ap, arg);
	COLLECT(argv, arg, ap);
	va_end(ap);
	return execvpe(file, argv, environ);
}

HOOK int execle(const char *path, const char *arg, ...)
{
	char **argv, **envp;
	va_list ap;

	va_start(ap, arg);
	COLLECT(argv, arg, ap);
	envp = va_arg(ap, char **);
	va_end(ap);
	return execve(path, argv, envp);
}

HOOK int posix_spawn(pid_t *restrict pid, const char *restrict path,
	const posix_spawn_file_actions_t *restrict actions, const posix_spawnattr_t *restrict attr,
	char *const argv[restrict], char *const envp[restrict])
{
	char **env = HEALED(or_empty(envp));

	return env ? real(posix_spawn)(pid, path, actions, attr, argv, env) : E2BIG;
}

HOOK int posix_spawnp(pid_t *restrict pid, const char *restrict file,
	const posix_spawn_file_actions_t *restrict actions, const posix_spawnattr_t *restrict attr,
	char *const argv[restrict], char *const envp[restrict])
{
	char **env = HEALED(or_empty(envp));

	return env ? real(posix_spawnp)(pid, file, actions, attr, argv, env) : E2BIG;
}

/* Mends this process's own environment for programs that libc starts by itself. */
static void mend_environment(void)
{
	const struct env *env = env_get();
	int saved = errno;
	const char *old;
	char *list;

	if (exec_env_whole(environ, env->self, env->dir))
		return;
	old = getenv(EXEC_ENV_PRELOAD);
	if (env->self[0] && (!old || !strstr(old, env->self))) {
		list = malloc(strlen(env->self) + 2 + (old ? strlen(old) : 0));
		if (list) {
			strcpy(list, env->self);
			if (old && *old)
				strcat(strcat(list, ":"), old);
			setenv(EXEC_ENV_PRELOAD, list, 1);
			free(list);
		}
	}
	if (env->dir[0])
		setenv(EXEC_ENV_DIR, env->dir, 1);
	errno = saved;
}

HOOK int system(const char *command)
{
	mend_environment();
	return real(system)(command);
}

HOOK FILE *popen(const char *command, const char *mode)
{
	mend_environment();
	return real(popen)(command, mode);
}

HOOK int wordexp(const char *restrict words, wordexp_t *restrict we, int flags)
{
	mend_environment();
	return real(wordexp)(words, we, flags);
}

/* SPDX-License-Identifier: MIT */
/* From init's child to the program: descriptors, environment, seal, exec. */
#include "run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "seal.h"

static _Noreturn void fail(int status, const char *what, int err)
{
	fprintf(stderr, "persona-run: %s: %s\n", what, strerror(err));
	_exit(status);
}

/* LD_PRELOAD with ours in front of what the user has there. */
static int set_preload(const char *preload)
{
	const char *old = getenv("LD_PRELOAD");
	char *both;
	int r;

	if (!old || !*old)
		return setenv("LD_PRELOAD", preload, 1);
	if (asprintf(&both, "%s:%s", preload, old) < 0)
		return -1;
	r = setenv("LD_PRELOAD", both, 1);
	free(both);
	return r;
}

_Noreturn void run_program(const struct run_env *env, const char *dir, pid_t init)
{
	char **command = env->args->command;
	int r;

	/* Back into the terminal's view: init leads another group. When the frontend is gone there
	 * is no such group any more, and no need. */
	setpgid(0, env->group);
	if (setenv("PERSONA_PORTSPACE_DIR", dir, 1) < 0 || set_preload(env->preload) < 0)
		fail(RUN_EXIT_OWN, "cannot set the environment", errno);
	if (env->args->seal == RUN_SEAL_SEALED) {
		r = seal_apply(init);
		if (r < 0)
			fail(RUN_EXIT_OWN, "cannot apply the seal", -r);
	}
	sigprocmask(SIG_SETMASK, &env->mask, NULL);
	execvp(command[0], command);
	r = errno;
	fail(r == ENOENT || r == ENOTDIR ? RUN_EXIT_NOT_FOUND : RUN_EXIT_CANNOT, command[0], r);
}

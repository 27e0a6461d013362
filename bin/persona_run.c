/* SPDX-License-Identifier: MIT */
/* persona-run: runs a program inside a portspace. run.h has the model of its processes.
 *
 * This file: arguments, what must be in order before anything is started, help. */
#include <stdio.h>
#include <string.h>
#include <limits.h>

#include "fail.h"
#include "inherited.h"
#include "locate.h"
#include "run.h"
#include "run_args.h"

static const char help[] =
	"Usage: persona-run [--seal=sealed|shim] [--address LIST] NAME [--] PROGRAM [ARGUMENT...]\n"
	"       persona-run --new [--seal=sealed|shim] [--address LIST] [--] PROGRAM "
	"[ARGUMENT...]\n"
	"\n"
	"Runs PROGRAM inside the portspace NAME: it has the portspace's addresses, ports and "
	"names,\n"
	"and no way to the host's own network. Starts the broker when none runs.\n"
	"\n"
	"  --new            an unnamed portspace that vanishes with its last process\n"
	"  --address LIST   with --new: its addresses; with NAME: make NAME when there is none\n"
	"  --seal=sealed    the kernel refuses the base network (default)\n"
	"  --seal=shim      the preload library alone; a static or hostile program can get around "
	"it\n"
	"\n"
	"Examples:\n"
	"  persona-run work -- curl http://10.77.0.2/\n"
	"  persona-run work bash\n"
	"  persona-run work -- nginx -g 'daemon off;'\n"
	"  persona-run --new --address 10.1.1.1 -- make check\n"
	"\n"
	"The exit status is the program's; 125: persona-run failed, 126: the program cannot be\n"
	"executed, 127: it was not found.\n";

/* LD_PRELOAD has no quoting: a path with these characters would silently not be loaded. */
static bool preload_is_safe(const char *path)
{
	return path[strcspn(path, " :\t\n$")] == '\0';
}

static int run(const struct run_args *args)
{
	char preload[PATH_MAX];
	struct run_env env = {.args = args, .preload = preload};
	int r = locate_preload(preload, sizeof(preload));

	if (r < 0) {
		fputs("persona-run: cannot find libpersona-preload.so; is the installation "
		      "complete?\n",
			stderr);
		return RUN_EXIT_OWN;
	}
	if (!preload_is_safe(preload)) {
		fprintf(stderr,
			"persona-run: LD_PRELOAD cannot hold this path, install elsewhere: %s\n",
			preload);
		return RUN_EXIT_OWN;
	}
	r = inherited_close_foreign("persona-run");
	if (r < 0) {
		fprintf(stderr, "persona-run: cannot look at its descriptors: %s\n", strerror(-r));
		return RUN_EXIT_OWN;
	}
	if (args->seal == RUN_SEAL_SHIM)
		fputs("persona-run: warning: not sealed: a program can get around the shim to the "
		      "host's network\n",
			stderr);
	return run_front(&env);
}

int main(int argc, char **argv)
{
	struct run_args args;
	struct fail fail;

	if (run_args_parse(argc, argv, &args, &fail) < 0) {
		fail_print("persona-run", &fail);
		return RUN_EXIT_OWN;
	}
	switch (args.what) {
	case RUN_HELP:
		fputs(help, stdout);
		break;
	case RUN_VERSION:
		puts("persona-run " PERSONA_VERSION);
		break;
	case RUN_PROGRAM:
		return run(&args);
	}
	return fflush(stdout) == 0 ? 0 : RUN_EXIT_OWN;
}

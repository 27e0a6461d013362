/* SPDX-License-Identifier: MIT */
/* The command line of persona-run. */
#ifndef PERSONA_BIN_RUN_ARGS_H
#define PERSONA_BIN_RUN_ARGS_H

#include <stdbool.h>
#include <stddef.h>

#include "fail.h"

enum run_seal { RUN_SEAL_SHIM, RUN_SEAL_SEALED };

enum { RUN_ADDRESSES_MAX = 16 };

enum run_what { RUN_PROGRAM, RUN_HELP, RUN_VERSION };

struct run_args {
	enum run_what what;
	enum run_seal seal;
	const char *name; /* NULL: --new */
	/* --address, one entry for each use, each perhaps a comma list; point into argv */
	const char *address[RUN_ADDRESSES_MAX];
	size_t naddress;
	char **command; /* NULL-terminated, points into argv */
};

/* 0, or -EINVAL with *failp filled. Uses getopt's global state; call once in a process, or set
 * optind to 0 before. */
int run_args_parse(int argc, char **argv, struct run_args *argsp, struct fail *failp);

const char *run_seal_name(enum run_seal seal);

#endif

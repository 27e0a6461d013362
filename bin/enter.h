/* SPDX-License-Identifier: MIT */
/* The `enter` request: how init becomes an init of a portspace. */
#ifndef PERSONA_BIN_ENTER_H
#define PERSONA_BIN_ENTER_H

#include "client.h"
#include "run_args.h"

enum { ENTER_DIR_MAX = 108, ENTER_NAME_MAX = 64, ENTER_COMMAND_MAX = 32, ENTER_WORD_MAX = 256 };

struct enter {
	char name[ENTER_NAME_MAX]; /* as the broker gave it */
	char dir[ENTER_DIR_MAX];   /* the portspace's runtime directory, absolute */
	enum run_seal seal;
	char **command; /* borrowed from the arguments */
};

/* Enters args->name, or a new unnamed portspace. With a name and addresses, the portspace is made
 * when there is none; -EEXIST when there is one that lacks an address. 0 or a negative errno with
 * *failp filled. */
int enter_first(
	struct client *c, const struct run_args *args, struct enter *enterp, struct fail *failp);

/* Enters the same portspace of a new broker. 0; -ESTALE when there is none any more, or one with
 * another directory, which the members would not know; or another negative errno. */
int enter_again(struct client *c, const struct enter *enter, struct fail *failp);

#endif

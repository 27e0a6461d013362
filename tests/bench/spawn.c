/* SPDX-License-Identifier: MIT */
/* What does it cost to start a program and wait for its end?
 *
 *     spawn ROUNDS COMMAND... [// COMMAND...]...
 *
 * Each round starts each command once, in turn, so that a change in the machine's speed hits all
 * alike. A command is [VARIABLE=VALUE]... PROGRAM [ARGUMENT]..., PROGRAM being found by PATH.
 * Prints one JSON array with one array of nanoseconds for each command. A command that does not
 * exit with status 0 ends the run. */
#include "net.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

enum { COMMANDS_MAX = 8, VARIABLES_MAX = 8 };

struct command {
	char **argv; /* ends with NULL */
	char **envp;
	uint64_t *ns; /* one for each round */
};

/* Takes the leading VARIABLE=VALUE words off: they come first in the environment, where getenv and
 * the loader find them before an older value. */
static void set_environment(struct command *cmd)
{
	size_t n = 0;
	size_t old = 0;

	while (environ[old])
		old++;
	cmd->envp = calloc(old + VARIABLES_MAX + 1, sizeof(*cmd->envp));
	if (!cmd->envp)
		net_die("calloc");
	while (cmd->argv[0] && strchr(cmd->argv[0], '=') && n < VARIABLES_MAX)
		cmd->envp[n++] = *cmd->argv++;
	memcpy(cmd->envp + n, environ, old * sizeof(*environ));
	if (!cmd->argv[0]) {
		fprintf(stderr, "spawn: an empty command\n");
		exit(2);
	}
}

static uint64_t run(const struct command *cmd)
{
	uint64_t start = net_now_ns();
	pid_t pid;
	int status;

	errno = posix_spawnp(&pid, cmd->argv[0], NULL, NULL, cmd->argv, cmd->envp);
	if (errno || waitpid(pid, &status, 0) != pid)
		net_die(cmd->argv[0]);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "spawn: %s failed (wait status %d)\n", cmd->argv[0], status);
		exit(1);
	}
	return net_now_ns() - start;
}

static void print(const struct command *cmds, size_t ncmds, size_t rounds)
{
	for (size_t i = 0; i < ncmds; i++) {
		printf("%s[", i ? ",\n " : "[");
		for (size_t r = 0; r < rounds; r++)
			printf("%s%lu", r ? "," : "", cmds[i].ns[r]);
		printf("]");
	}
	printf("]\n");
}

int main(int argc, char **argv)
{
	struct command cmds[COMMANDS_MAX];
	size_t ncmds = 0;
	size_t rounds;
	int i = 2;

	if (argc < 3) {
		fprintf(stderr, "usage: spawn ROUNDS COMMAND... [// COMMAND...]...\n");
		return 2;
	}
	rounds = net_number(argv[1], 100000);
	while (i < argc && ncmds < COMMANDS_MAX) {
		struct command *cmd = &cmds[ncmds++];

		cmd->argv = argv + i;
		while (i < argc && strcmp(argv[i], "//"))
			i++;
		if (i < argc)
			argv[i++] = NULL;
		set_environment(cmd);
		cmd->ns = calloc(rounds, sizeof(*cmd->ns));
		if (!cmd->ns)
			net_die("calloc");
	}
	for (size_t c = 0; c < ncmds; c++)
		run(&cmds[c]); /* file cache */
	for (size_t r = 0; r < rounds; r++) {
		for (size_t c = 0; c < ncmds; c++)
			cmds[c].ns[r] = run(&cmds[c]);
	}
	print(cmds, ncmds, rounds);
	return 0;
}

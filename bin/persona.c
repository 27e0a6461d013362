/* SPDX-License-Identifier: MIT */
/* persona: manages portspaces. The table of subcommands and nothing else; cmd.h has their model.
 *
 * Exit status: 0, 1 (it failed, the message says why), 2 (wrong usage). */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cmd.h"

static const struct cmd *const commands[] = {&cmd_create, &cmd_destroy, &cmd_list, &cmd_show,
	&cmd_status, &cmd_pubkey, &cmd_link, &cmd_route, &cmd_ports, &cmd_hide, &cmd_unhide,
	&cmd_import, &cmd_genkey, &cmd_version};

enum { NCOMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void help(FILE *f)
{
	fputs("Usage: persona [--json] COMMAND ...\n"
	      "\n"
	      "Manages portspaces: virtual hosts for your programs, each on one encrypted "
	      "network.\n"
	      "\n",
		f);
	for (size_t i = 0; i < NCOMMANDS; i++)
		fprintf(f, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n"
	      "'persona COMMAND --help' tells more. Programs are started with persona-run.\n"
	      "\n"
	      "Examples, two hosts that meet in the network 10.77.0.0/24:\n"
	      "  a$ persona create work --address 10.77.0.1\n"
	      "  b$ persona create work --address 10.77.0.2\n"
	      "  a$ persona link add work \"$KEY_OF_B\" --endpoint 192.0.2.2:51821 "
	      "--allowed-ips 10.77.0.2\n"
	      "  b$ persona link add work \"$KEY_OF_A\" --endpoint 192.0.2.1:51821 "
	      "--allowed-ips 10.77.0.1\n"
	      "  b$ persona-run work -- python3 -m http.server 80\n"
	      "  a$ persona-run work -- curl http://10.77.0.2/\n",
		f);
}

static const struct cmd *find(const char *name)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		CMD_COMMON_OPTIONS, {"version", no_argument, NULL, 'V'}, {0}};
	struct cmd_ctx ctx = {0};
	char name[64];
	int c;

	client_init();
	if (sodium_init() < 0) {
		fputs("persona: libsodium does not start\n", stderr);
		return CMD_FAIL;
	}
	while ((c = getopt_long(argc, argv, "+hjV", options, NULL)) != -1) {
		if (c == 'j') {
			ctx.json = true;
		} else if (c == 'h') {
			help(stdout);
			return fflush(stdout) == 0 ? CMD_OK : CMD_FAIL;
		} else if (c == 'V') {
			puts("persona " PERSONA_VERSION);
			return fflush(stdout) == 0 ? CMD_OK : CMD_FAIL;
		} else {
			fputs("Try 'persona --help'.\n", stderr);
			return CMD_USAGE;
		}
	}
	if (optind == argc) {
		help(stderr);
		return CMD_USAGE;
	}
	if (strcmp(argv[optind], "help") == 0) {
		help(stdout);
		return fflush(stdout) == 0 ? CMD_OK : CMD_FAIL;
	}
	ctx.cmd = find(argv[optind]);
	if (!ctx.cmd) {
		fprintf(stderr, "persona: there is no command '%s'\nTry 'persona --help'.\n",
			argv[optind]);
		return CMD_USAGE;
	}
	argc -= optind;
	argv += optind;
	snprintf(name, sizeof(name), "persona %s", ctx.cmd->name);
	argv[0] = name;
	optind = 0; /* glibc: start anew */
	return ctx.cmd->run(&ctx, argc, argv);
}

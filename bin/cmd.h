/* SPDX-License-Identifier: MIT */
/* The subcommands of persona: one table (persona.c), one cmd_*.c each.
 *
 * A command parses its own options with getopt_long(3), makes one request and shows the reply:
 * with --json the broker's own objects plus "version":1 on one line, else text for people. It
 * returns the exit code. Messages go to standard error. */
#ifndef PERSONA_BIN_CMD_H
#define PERSONA_BIN_CMD_H

#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>

enum cmd_exit { CMD_OK = 0, CMD_FAIL = 1, CMD_USAGE = 2 };

struct cmd;

struct cmd_ctx {
	const struct cmd *cmd;
	bool json; /* --json was given, before or behind the command's name */
};

struct cmd {
	const char *name;
	const char *summary; /* half a line for `persona --help` */
	const char *help;    /* the whole text of `persona NAME --help` */
	/* argv[0] is "persona NAME"; optind is reset. */
	int (*run)(struct cmd_ctx *ctx, int argc, char **argv);
};

extern const struct cmd cmd_create, cmd_destroy, cmd_list, cmd_show, cmd_status, cmd_pubkey,
	cmd_link, cmd_import, cmd_genkey, cmd_version, cmd_hide, cmd_unhide, cmd_ports, cmd_route;

/* The options that each command has. */
#define CMD_COMMON_OPTIONS                     \
	{"json", no_argument, NULL, 'j'},      \
	{                                      \
		"help", no_argument, NULL, 'h' \
	}

/* For the default case of an option loop: takes --json (returns -1: go on), --help (prints) and
 * wrong options. Other values are the exit code. */
int cmd_common_option(struct cmd_ctx *ctx, int c);
/* The loop for a command with the common options only. -1: go on with argv[optind]. */
int cmd_parse_common(struct cmd_ctx *ctx, int argc, char **argv);

/* Prints "persona NAME: text" and where help is; returns CMD_USAGE. */
int cmd_usage(const struct cmd_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Prints "persona NAME: text"; returns CMD_FAIL. */
int cmd_error(const struct cmd_ctx *ctx, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One request over a connection of its own (starts the broker). The reference to `request` is
 * taken. CMD_OK: *replyp is the caller's; else the failure was printed. */
int cmd_call(const struct cmd_ctx *ctx, json_t *request, json_t **replyp);
/* With --json prints the reply and returns true. */
bool cmd_show_json(const struct cmd_ctx *ctx, const json_t *reply);
/* Flushes standard output: CMD_OK, or CMD_FAIL with a message when that failed (disk full). */
int cmd_finish(const struct cmd_ctx *ctx);

/* Reads the key in the file (- for standard input) into request[member]. A failure is printed. */
int cmd_add_key(const struct cmd_ctx *ctx, const char *path, json_t *request, const char *member);

#endif

/* SPDX-License-Identifier: MIT */
#include "cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "fail.h"
#include "keyfile.h"

int cmd_common_option(struct cmd_ctx *ctx, int c)
{
	switch (c) {
	case 'j':
		ctx->json = true;
		return -1;
	case 'h':
		fputs(ctx->cmd->help, stdout);
		return cmd_finish(ctx);
	default: /* getopt_long has printed what is wrong */
		fprintf(stderr, "Try 'persona %s --help'.\n", ctx->cmd->name);
		return CMD_USAGE;
	}
}

int cmd_parse_common(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {CMD_COMMON_OPTIONS, {0}};
	int c, r;

	while ((c = getopt_long(argc, argv, "hj", options, NULL)) != -1) {
		r = cmd_common_option(ctx, c);
		if (r >= 0)
			return r;
	}
	return -1;
}

static void put(const struct cmd_ctx *ctx, const char *fmt, va_list ap)
{
	fprintf(stderr, "persona %s: ", ctx->cmd->name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int cmd_usage(const struct cmd_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(ctx, fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try 'persona %s --help'.\n", ctx->cmd->name);
	return CMD_USAGE;
}

int cmd_error(const struct cmd_ctx *ctx, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put(ctx, fmt, ap);
	va_end(ap);
	return CMD_FAIL;
}

int cmd_call(const struct cmd_ctx *ctx, json_t *request, json_t **replyp)
{
	struct client client;
	struct fail fail;
	char program[64];
	int r = client_open(true, &client, &fail);

	if (r < 0)
		json_decref(request);
	else
		r = client_call(&client, request, replyp, &fail);
	client_close(&client);
	if (r == 0)
		return CMD_OK;
	snprintf(program, sizeof(program), "persona %s", ctx->cmd->name);
	fail_print(program, &fail);
	return CMD_FAIL;
}

bool cmd_show_json(const struct cmd_ctx *ctx, const json_t *reply)
{
	if (!ctx->json)
		return false;
	json_dumpf(reply, stdout, JSON_COMPACT | JSON_SORT_KEYS);
	putchar('\n');
	return true;
}

int cmd_finish(const struct cmd_ctx *ctx)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CMD_OK;
	return cmd_error(ctx, "cannot write to standard output: %m");
}

int cmd_add_key(const struct cmd_ctx *ctx, const char *path, json_t *request, const char *member)
{
	struct key *key = key_new();
	char text[KEY_STRLEN];
	int r = key ? keyfile_read(path, key) : -ENOMEM;

	if (r == 0) {
		json_object_set_new(request, member, json_string(key_format(key, text)));
		explicit_bzero(text, sizeof(text));
	}
	key_free(key);
	if (r == 0)
		return CMD_OK;
	if (r == -EPERM)
		return cmd_error(ctx, "%s: other users may read this key; chmod 600 it", path);
	if (r == -EINVAL)
		return cmd_error(ctx, "%s: not a key (44 characters of base64)", path);
	return cmd_error(ctx, "%s: %s", path, strerror(-r));
}

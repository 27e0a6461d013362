/* SPDX-License-Identifier: MIT */
/* persona list: the portspaces of this user on this host. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"
#include "view.h"

static const char help[] =
	"Usage: persona list [--names] [--json]\n"
	"\n"
	"Lists the portspaces.\n"
	"\n"
	"  --names   names only, one on a line; silent when no broker runs (for completion)\n"
	"\n"
	"Examples:\n"
	"  persona list\n"
	"  persona list --json | jq -r '.portspaces[].public_key'\n";

/* Never starts a broker: pressing the tab key must not. */
static int print_names(struct cmd_ctx *ctx)
{
	struct client client;
	struct fail fail;
	json_t *reply, *ps;
	size_t i;

	if (client_open(false, &client, &fail) < 0)
		return CMD_OK;
	if (client_call(&client, json_pack("{s:s}", "op", "list"), &reply, &fail) == 0) {
		json_array_foreach(json_object_get(reply, "portspaces"), i, ps)
		{
			puts(client_str(ps, "name"));
		}
		json_decref(reply);
	}
	client_close(&client);
	return cmd_finish(ctx);
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {
		{"names", no_argument, NULL, 'n'}, CMD_COMMON_OPTIONS, {0}};
	bool names = false;
	json_t *reply;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'n') {
			names = true;
			continue;
		}
		r = cmd_common_option(ctx, c);
		if (r >= 0)
			return r;
	}
	if (argc != optind)
		return cmd_usage(ctx, "no arguments are expected");
	if (names)
		return print_names(ctx);
	r = cmd_call(ctx, json_pack("{s:s}", "op", "list"), &reply);
	if (r != CMD_OK)
		return r;
	if (!cmd_show_json(ctx, reply))
		view_portspaces(json_object_get(reply, "portspaces"));
	json_decref(reply);
	return cmd_finish(ctx);
}

const struct cmd cmd_list = {"list", "list the portspaces", help, run};

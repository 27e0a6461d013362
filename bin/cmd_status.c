/* SPDX-License-Identifier: MIT */
/* persona status: what runs, under which seal, and what flows. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"
#include "view.h"

static const char help[] =
	"Usage: persona status [--json] [NAME]\n"
	"\n"
	"Shows the broker, and for each portspace (or for NAME) its links with their counters, "
	"the\n"
	"programs inside with their seal, and the ports in use.\n"
	"\n"
	"Seals: shim (the preload library alone: a static or hostile program can walk around it),\n"
	"sealed (the kernel refuses every socket but the broker's).\n"
	"\n"
	"Examples:\n"
	"  persona status\n"
	"  persona status work --json\n";

static void show(const json_t *reply)
{
	json_t *ps;
	size_t i;

	view_broker(json_object_get(reply, "broker"));
	json_array_foreach(json_object_get(reply, "portspaces"), i, ps)
	{
		putchar('\n');
		view_status(ps);
	}
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);
	json_t *request, *reply;

	if (r >= 0)
		return r;
	if (argc - optind > 1)
		return cmd_usage(ctx, "one NAME at most");
	if (optind < argc)
		request = json_pack("{s:s, s:s}", "op", "status", "name", argv[optind]);
	else
		request = json_pack("{s:s}", "op", "status");
	r = cmd_call(ctx, request, &reply);
	if (r != CMD_OK)
		return r;
	if (!cmd_show_json(ctx, reply))
		show(reply);
	json_decref(reply);
	return cmd_finish(ctx);
}

const struct cmd cmd_status = {"status", "show what runs and what flows", help, run};

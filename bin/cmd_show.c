/* SPDX-License-Identifier: MIT */
/* persona show: one portspace as it is configured. */
#include "client.h"
#include "cmd.h"
#include "view.h"

static const char help[] =
	"Usage: persona show [--json] NAME\n"
	"\n"
	"Shows the portspace NAME: addresses, public key, hosts, links. Never a private key.\n"
	"\n"
	"Example:\n"
	"  persona show work\n";

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);
	json_t *reply;

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return cmd_usage(ctx, "one NAME, please");
	r = cmd_call(ctx, json_pack("{s:s, s:s}", "op", "show", "name", argv[optind]), &reply);
	if (r != CMD_OK)
		return r;
	if (!cmd_show_json(ctx, reply))
		view_portspace(json_object_get(reply, "portspace"));
	json_decref(reply);
	return cmd_finish(ctx);
}

const struct cmd cmd_show = {"show", "show one portspace", help, run};

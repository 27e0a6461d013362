/* SPDX-License-Identifier: MIT */
/* persona ports: who answers each port of a portspace. */
#include "client.h"
#include "cmd.h"
#include "view.h"

static const char help[] =
	"Usage: persona ports [--json] NAME\n"
	"\n"
	"Lists the servers of the portspace NAME and those it could inherit, each with the reason\n"
	"why it answers or not:\n"
	"\n"
	"  own                  a program in NAME\n"
	"  inherited            a program in a super-portspace, or of the host (root)\n"
	"  overridden by WHO    the port has a server further down\n"
	"  hidden at WHO        'persona hide' was said of that portspace\n"
	"\n"
	"  --json   print the rows as JSON\n"
	"\n"
	"Examples:\n"
	"  persona ports child\n"
	"  persona ports child --json | jq -r '.ports[] | select(.why == \"inherited\") | .port'\n";

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	json_t *reply;
	int r = cmd_parse_common(ctx, argc, argv);

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return cmd_usage(ctx, "one NAME, please");
	r = cmd_call(ctx, json_pack("{s:s, s:s}", "op", "ports", "name", argv[optind]), &reply);
	if (r != CMD_OK)
		return r;
	if (!cmd_show_json(ctx, reply) && view_services(json_object_get(reply, "ports")) < 0)
		r = cmd_error(ctx, "out of memory");
	json_decref(reply);
	return r == CMD_OK ? cmd_finish(ctx) : r;
}

const struct cmd cmd_ports = {"ports", "who answers each port", help, run};

/* SPDX-License-Identifier: MIT */
/* persona hide and persona unhide: which inherited ports do not answer. */
#include <stdio.h>
#include <stdlib.h>

#include "client.h"
#include "cmd.h"
#include "out.h"
#include "text.h"

static const char hide_help[] =
	"Usage: persona hide [--json] NAME PORTS...\n"
	"\n"
	"Services of the super-portspace at these ports do not answer in NAME any more, nor in "
	"the\n"
	"portspaces below it. Servers of NAME itself do. Established streams go on.\n"
	"\n"
	"  PORTS    tcp/22, udp/5000-5010; several, or a list with commas\n"
	"  --json   print what is hidden as JSON\n"
	"\n"
	"Examples:\n"
	"  persona hide child tcp/22 udp/5000-5010\n"
	"  persona ports child\n";

static const char unhide_help[] =
	"Usage: persona unhide [--json] NAME PORTS...\n"
	"\n"
	"Takes back 'persona hide': services of the super-portspace answer at these ports again.\n"
	"\n"
	"  PORTS    tcp/22, udp/5000-5010; also a part of a hidden range\n"
	"  --json   print what is still hidden as JSON\n"
	"\n"
	"Example:\n"
	"  persona unhide child udp/5005\n";

static int change(struct cmd_ctx *ctx, int argc, char **argv)
{
	json_t *request, *ports, *reply;
	int r = cmd_parse_common(ctx, argc, argv);
	char *text;

	if (r >= 0)
		return r;
	if (argc - optind < 2)
		return cmd_usage(ctx, "a NAME and PORTS, please");
	request = json_pack("{s:s, s:[]}", "op", ctx->cmd->name, "ports");
	ports = json_object_get(request, "ports");
	for (int i = optind + 1; i < argc; i++)
		if (text_split_list(argv[i], ports) < 0) {
			json_decref(request);
			return cmd_usage(ctx, "'%s' is no list of ports", argv[i]);
		}
	if (json_object_set_new(request, "name", json_string(argv[optind])) < 0) {
		json_decref(request);
		return cmd_usage(ctx, "the name is not valid UTF-8");
	}
	r = cmd_call(ctx, request, &reply);
	if (r != CMD_OK)
		return r;
	if (!cmd_show_json(ctx, reply)) {
		text = out_join(json_object_get(reply, "hide"));
		printf("hidden: ");
		out_text(stdout, OUT_PLAIN, text ? text : "?");
		putchar('\n');
		free(text);
	}
	json_decref(reply);
	return cmd_finish(ctx);
}

const struct cmd cmd_hide = {"hide", "hide inherited ports", hide_help, change};
const struct cmd cmd_unhide = {"unhide", "show hidden ports again", unhide_help, change};

/* SPDX-License-Identifier: MIT */
/* persona destroy: remove a portspace with its keys. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"

static const char help[] =
	"Usage: persona destroy [--force] [--json] NAME\n"
	"\n"
	"Removes the portspace NAME with its keys, links and configuration.\n"
	"\n"
	"  --force   also when processes are inside; they lose their network at once\n"
	"\n"
	"Example:\n"
	"  persona destroy work\n";

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {
		{"force", no_argument, NULL, 'f'}, CMD_COMMON_OPTIONS, {0}};
	bool force = false;
	json_t *request, *reply;
	int c, r;

	while ((c = getopt_long(argc, argv, "hf", options, NULL)) != -1) {
		if (c == 'f') {
			force = true;
			continue;
		}
		r = cmd_common_option(ctx, c);
		if (r >= 0)
			return r;
	}
	if (argc - optind != 1)
		return cmd_usage(ctx, "one NAME, please");
	request = json_pack("{s:s, s:s}", "op", "destroy", "name", argv[optind]);
	if (force)
		json_object_set_new(request, "force", json_true());
	r = cmd_call(ctx, request, &reply);
	if (r != CMD_OK)
		return r;
	cmd_show_json(ctx, reply);
	json_decref(reply);
	return cmd_finish(ctx);
}

const struct cmd cmd_destroy = {"destroy", "remove a portspace", help, run};

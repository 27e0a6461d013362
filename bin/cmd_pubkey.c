/* SPDX-License-Identifier: MIT */
/* persona pubkey: what the other end needs for its link. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"

static const char help[] = "Usage: persona pubkey [--json] NAME\n"
			   "\n"
			   "Prints the public key of the portspace NAME, in WireGuard's form.\n"
			   "\n"
			   "Example:\n"
			   "  persona pubkey work\n";

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);
	json_t *reply, *key;

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return cmd_usage(ctx, "one NAME, please");
	r = cmd_call(ctx, json_pack("{s:s, s:s}", "op", "show", "name", argv[optind]), &reply);
	if (r != CMD_OK)
		return r;
	key = json_pack("{s:i, s:s}", "version", 1, "public_key",
		client_str(json_object_get(reply, "portspace"), "public_key"));
	if (!cmd_show_json(ctx, key))
		puts(client_str(key, "public_key"));
	json_decref(key);
	json_decref(reply);
	return cmd_finish(ctx);
}

const struct cmd cmd_pubkey = {"pubkey", "print a portspace's public key", help, run};

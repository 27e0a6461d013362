/* SPDX-License-Identifier: MIT */
/* persona version: of the tool, and of the broker when one runs. Starts none. */
#include <stdio.h>

#include "client.h"
#include "cmd.h"

static const char help[] = "Usage: persona version [--json]\n"
			   "\n"
			   "Prints the version of this program, and of the broker if one runs.\n";

/* The running broker's version, or NULL. The caller drops the reference. */
static json_t *broker_version(void)
{
	struct client client;
	struct fail fail;
	json_t *reply, *version = NULL;

	if (client_open(false, &client, &fail) < 0)
		return NULL;
	if (client_call(&client, json_pack("{s:s}", "op", "ping"), &reply, &fail) == 0) {
		version = json_object_get(json_object_get(reply, "broker"), "version");
		json_incref(version);
		json_decref(reply);
	}
	client_close(&client);
	return version;
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);
	json_t *broker, *all;

	if (r >= 0)
		return r;
	if (argc != optind)
		return cmd_usage(ctx, "no arguments are expected");
	broker = broker_version();
	all = json_pack("{s:i, s:s, s:o?}", "version", 1, "persona", PERSONA_VERSION, "broker",
		json_incref(broker));
	if (!cmd_show_json(ctx, all)) {
		puts("persona " PERSONA_VERSION);
		if (json_is_string(broker))
			printf("persona-broker %s (running)\n", json_string_value(broker));
	}
	json_decref(all);
	json_decref(broker);
	return cmd_finish(ctx);
}

const struct cmd cmd_version = {"version", "print the version", help, run};

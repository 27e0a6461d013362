/* SPDX-License-Identifier: MIT */
/* persona import: a portspace from a wg-quick file. */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "keyfile.h"
#include "out.h"
#include "view.h"

static const char help[] = "Usage: persona import FILE [--name NAME] [--json]\n"
			   "\n"
			   "Makes a portspace from a wg-quick configuration (- for standard "
			   "input). Hooks such as PostUp\n"
			   "are never run; a warning says what was left out. Without --name the "
			   "portspace is named after\n"
			   "the file: wg0.conf becomes wg0.\n"
			   "\n"
			   "Example:\n"
			   "  persona import /etc/wireguard/wg0.conf --name work\n";

/* The file's name without directory and ".conf"; NULL for standard input. The caller frees. */
static char *default_name(const char *file)
{
	char *copy = strcmp(file, "-") == 0 ? NULL : strdup(file), *name;
	size_t len;

	if (!copy)
		return NULL;
	name = strdup(basename(copy));
	free(copy);
	len = name ? strlen(name) : 0;
	if (len > 5 && strcmp(name + len - 5, ".conf") == 0)
		name[len - 5] = '\0';
	return name;
}

static void print_warnings(const json_t *reply)
{
	json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
	{
		fputs("persona import: warning: ", stderr);
		out_text(stderr, OUT_PLAIN, json_string_value(warning) ?: "?");
		fputc('\n', stderr);
	}
}

static int import(struct cmd_ctx *ctx, const char *file, const char *name)
{
	json_t *request, *reply;
	bool others;
	char *text;
	int e;
	int r = keyfile_read_text(file, &text, &others);

	if (r < 0)
		return cmd_error(
			ctx, "%s: %s", file, r == -EILSEQ ? "not a text file" : strerror(-r));
	if (others)
		fprintf(stderr, "persona import: warning: other users may read %s\n", file);
	request = json_pack("{s:s, s:s, s:s}", "op", "import", "name", name, "text", text);
	keyfile_free(text);
	if (!request)
		return cmd_error(ctx, "%s: not valid UTF-8", file);
	e = cmd_call(ctx, request, &reply);
	if (e != CMD_OK)
		return e;
	print_warnings(reply);
	if (!cmd_show_json(ctx, reply))
		view_portspace(json_object_get(reply, "portspace"));
	json_decref(reply);
	return cmd_finish(ctx);
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'}, CMD_COMMON_OPTIONS, {0}};
	const char *name = NULL;
	char *own = NULL;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'n') {
			name = optarg;
			continue;
		}
		r = cmd_common_option(ctx, c);
		if (r >= 0)
			return r;
	}
	if (argc - optind != 1)
		return cmd_usage(ctx, "one FILE, please");
	if (!name)
		name = own = default_name(argv[optind]);
	if (!name)
		return cmd_usage(ctx, "standard input needs --name");
	r = import(ctx, argv[optind], name);
	free(own);
	return r;
}

const struct cmd cmd_import = {"import", "make a portspace from a wg-quick file", help, run};

/* SPDX-License-Identifier: MIT */
/* persona route show | add | del: the routing table of a portspace. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "out.h"

static const char help[] =
	"Usage: persona route show [--json] NAME\n"
	"       persona route add [--json] NAME PREFIX via ADDR|dev LINK [metric N]\n"
	"       persona route del [--json] NAME PREFIX [via ADDR|dev LINK]\n"
	"\n"
	"The routing table of the portspace NAME: prefixes of its links, static routes, what RIP\n"
	"learned, and what a gateway takes out of the network. Of several routes to a prefix the\n"
	"gateway's is used first, then static ones, links, RIP; then the one with the lowest\n"
	"metric.\n"
	"\n"
	"  PREFIX     where to, such as 10.9.0.0/16 or fd00:9::/32\n"
	"  via ADDR   over the link that leads to this address\n"
	"  dev LINK   over this link\n"
	"  metric N   1 to 15, 1 when not given\n"
	"  --json     print JSON\n"
	"\n"
	"Examples:\n"
	"  persona route show work\n"
	"  persona route add work 10.9.0.0/16 via 10.77.0.2 metric 2\n"
	"  persona route add work fd00:9::/32 dev link1\n"
	"  persona route del work 10.9.0.0/16\n";

/* The whole table, however many replies it takes. NULL: *codep is the exit code. */
static json_t *read_table(struct cmd_ctx *ctx, const char *name, int *codep)
{
	json_t *whole = NULL, *reply, *request, *last, *routes;

	for (;;) {
		request = json_pack("{s:s, s:s}", "op", "route-list", "name", name);
		routes = json_object_get(whole, "routes");
		last = json_array_get(routes, json_array_size(routes) - 1);
		if (last)
			json_object_set(request, "after", json_object_get(last, "prefix"));
		*codep = cmd_call(ctx, request, &reply);
		if (*codep != CMD_OK) {
			json_decref(whole);
			return NULL;
		}
		if (whole) {
			json_array_extend(routes, json_object_get(reply, "routes"));
			json_object_set(whole, "more", json_object_get(reply, "more"));
			json_decref(reply);
		} else {
			whole = reply;
		}
		if (!json_is_true(json_object_get(whole, "more"))) {
			json_object_del(whole, "more");
			return whole;
		}
	}
}

static const char *text_of(const json_t *route, const char *key)
{
	const char *text = json_string_value(json_object_get(route, key));

	return text ? text : "-";
}

static const char *state_of(const json_t *route)
{
	if (!json_is_true(json_object_get(route, "active")))
		return "no link leads there";
	if (json_is_true(json_object_get(route, "silent")))
		return "neighbour is silent";
	return json_is_true(json_object_get(route, "used")) ? "used" : "spare";
}

static int view(const json_t *routes)
{
	static const char *const headings[] = {
		"PREFIX", "SOURCE", "LINK", "NEXT HOP", "METRIC", "AGE", "STATE", NULL};
	struct out_table *t;
	char buf[OUT_NUMBER_LEN];
	const json_t *age, *route;
	size_t i;

	if (json_array_size(routes) == 0)
		return 0;
	t = out_table_new(headings, 0);
	json_array_foreach(routes, i, route)
	{
		const char *state = state_of(route);

		age = json_object_get(route, "age_s");
		out_cell(t, OUT_PLAIN, text_of(route, "prefix"));
		out_cell(t, OUT_PLAIN, text_of(route, "source"));
		out_cell(t, OUT_PLAIN, text_of(route, "link"));
		out_cell(t, OUT_PLAIN, text_of(route, "next_hop"));
		snprintf(buf, sizeof(buf), "%" JSON_INTEGER_FORMAT,
			json_integer_value(json_object_get(route, "metric")));
		out_cell(t, OUT_PLAIN, buf);
		out_cell(t, OUT_PLAIN,
			json_is_integer(age) ? out_duration(json_integer_value(age), buf) : "-");
		out_cell(t, strcmp(state, "used") == 0 ? OUT_GOOD : OUT_DIM, state);
	}
	return out_table_print(t, 0, stdout);
}

static int run_show(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);
	json_t *table;

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return cmd_usage(ctx, "one NAME, please");
	table = read_table(ctx, argv[optind], &r);
	if (!table)
		return r;
	if (!cmd_show_json(ctx, table) && view(json_object_get(table, "routes")) < 0) {
		json_decref(table);
		return cmd_error(ctx, "out of memory");
	}
	json_decref(table);
	return cmd_finish(ctx);
}

/* The words of the command line as one text; the caller frees. */
static char *join(int n, char **words)
{
	size_t len = 1;
	char *text;

	for (int i = 0; i < n; i++)
		len += strlen(words[i]) + 1;
	text = calloc(1, len);
	for (int i = 0; text && i < n; i++) {
		strcat(text, words[i]);
		if (i + 1 < n)
			strcat(text, " ");
	}
	return text;
}

static int run_change(struct cmd_ctx *ctx, int argc, char **argv, const char *op, int least)
{
	int r = cmd_parse_common(ctx, argc, argv);
	json_t *request, *reply;
	char *text;

	if (r >= 0)
		return r;
	if (argc - optind < least)
		return cmd_usage(ctx, "a NAME and a route, please");
	text = join(argc - optind - 1, argv + optind + 1);
	request = json_pack(
		"{s:s, s:s, s:s}", "op", op, "name", argv[optind], "route", text ? text : "");
	free(text);
	if (!request)
		return cmd_usage(ctx, "the name or the route is not valid UTF-8");
	r = cmd_call(ctx, request, &reply);
	if (r != CMD_OK)
		return r;
	cmd_show_json(ctx, reply);
	json_decref(reply);
	return cmd_finish(ctx);
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc > 1)
		argv[1] = argv[0]; /* getopt_long names it in its messages */
	if (strcmp(what, "show") == 0)
		return run_show(ctx, argc - 1, argv + 1);
	if (strcmp(what, "add") == 0)
		return run_change(ctx, argc - 1, argv + 1, "route-add", 4);
	if (strcmp(what, "del") == 0)
		return run_change(ctx, argc - 1, argv + 1, "route-del", 2);
	if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0)
		return cmd_common_option(ctx, 'h');
	return cmd_usage(ctx, "show, add or del, please");
}

const struct cmd cmd_route = {"route", "show or change the routing table", help, run};

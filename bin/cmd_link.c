/* SPDX-License-Identifier: MIT */
/* persona link add | list | remove: the VPN connections of a portspace. */
#include <stdio.h>
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "text.h"
#include "view.h"

static const char help[] =
	"Usage: persona link add NAME PUBKEY --allowed-ips LIST [options]\n"
	"       persona link list [--json] NAME\n"
	"       persona link remove [--json] NAME LINK|PUBKEY\n"
	"\n"
	"A link connects the portspace NAME to another portspace, known by its public key.\n"
	"\n"
	"  --allowed-ips LIST       addresses behind the link: traffic to them goes there, and "
	"only\n"
	"                           they may come from there\n"
	"  --endpoint HOST:PORT     where the other broker listens; without it only the other "
	"side\n"
	"                           can open the connection\n"
	"  --preshared-key FILE     a second, symmetric secret (- for standard input)\n"
	"  --name IFNAME            the link's name inside, as an interface (15 characters)\n"
	"  --keepalive S            probe the connection every S seconds (0 to 65535)\n"
	"  --json                   print JSON\n"
	"\n"
	"Examples:\n"
	"  persona link add work \"$KEY_OF_B\" --endpoint 192.0.2.2:51821 --allowed-ips "
	"10.77.0.2/32\n"
	"  persona link list work\n"
	"  persona link remove work \"$KEY_OF_B\"\n";

static int add_option(struct cmd_ctx *ctx, int c, json_t *request)
{
	json_int_t seconds;

	switch (c) {
	case 'a':
		if (text_split_list(optarg, json_object_get(request, "allowed_ips")) < 0)
			return cmd_usage(ctx, "'%s' is no list of addresses", optarg);
		return -1;
	case 'e':
		json_object_set_new(request, "endpoint", json_string(optarg));
		return -1;
	case 'p':
		return cmd_add_key(ctx, optarg, request, "preshared_key") ?: -1;
	case 'n':
		json_object_set_new(request, "link_name", json_string(optarg));
		return -1;
	case 'k':
		if (text_parse_number(optarg, 0, 65535, &seconds) < 0)
			return cmd_usage(ctx, "--keepalive wants seconds from 0 to 65535");
		json_object_set_new(request, "keepalive", json_integer(seconds));
		return -1;
	default:
		return cmd_common_option(ctx, c);
	}
}

static int show(struct cmd_ctx *ctx, json_t *request, const char *member)
{
	json_t *reply, *links;
	int r = cmd_call(ctx, request, &reply);

	if (r != CMD_OK)
		return r;
	if (!cmd_show_json(ctx, reply) && member) {
		links = json_object_get(reply, member);
		links = json_is_array(links) ? json_incref(links) : json_pack("[O]", links);
		view_links(links, 0);
		json_decref(links);
	}
	json_decref(reply);
	return cmd_finish(ctx);
}

static int run_add(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {{"allowed-ips", required_argument, NULL, 'a'},
		{"endpoint", required_argument, NULL, 'e'},
		{"preshared-key", required_argument, NULL, 'p'},
		{"name", required_argument, NULL, 'n'}, {"keepalive", required_argument, NULL, 'k'},
		CMD_COMMON_OPTIONS, {0}};
	json_t *request = json_pack("{s:s, s:[]}", "op", "link-add", "allowed_ips");
	int c, r = -1;

	while (r < 0 && (c = getopt_long(argc, argv, "h", options, NULL)) != -1)
		r = add_option(ctx, c, request);
	if (r < 0 && argc - optind != 2)
		r = cmd_usage(ctx, "NAME and PUBKEY, please");
	if (r < 0 && json_array_size(json_object_get(request, "allowed_ips")) == 0)
		r = cmd_usage(ctx, "--allowed-ips is missing");
	if (r >= 0) {
		json_decref(request);
		return r;
	}
	json_object_set_new(request, "name", json_string(argv[optind]));
	json_object_set_new(request, "peer", json_string(argv[optind + 1]));
	return show(ctx, request, "link");
}

static int run_list(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);

	if (r >= 0)
		return r;
	if (argc - optind != 1)
		return cmd_usage(ctx, "one NAME, please");
	return show(ctx, json_pack("{s:s, s:s}", "op", "link-list", "name", argv[optind]), "links");
}

static int run_remove(struct cmd_ctx *ctx, int argc, char **argv)
{
	int r = cmd_parse_common(ctx, argc, argv);

	if (r >= 0)
		return r;
	if (argc - optind != 2)
		return cmd_usage(ctx, "NAME and LINK, please");
	return show(ctx,
		json_pack("{s:s, s:s, s:s}", "op", "link-remove", "name", argv[optind], "link",
			argv[optind + 1]),
		NULL);
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc > 1)
		argv[1] = argv[0]; /* getopt_long names it in its messages */
	if (strcmp(what, "add") == 0)
		return run_add(ctx, argc - 1, argv + 1);
	if (strcmp(what, "list") == 0)
		return run_list(ctx, argc - 1, argv + 1);
	if (strcmp(what, "remove") == 0)
		return run_remove(ctx, argc - 1, argv + 1);
	if (strcmp(what, "--help") == 0 || strcmp(what, "-h") == 0)
		return cmd_common_option(ctx, 'h');
	return cmd_usage(ctx, "add, list or remove, please");
}

const struct cmd cmd_link = {"link", "add, list or remove links", help, run};

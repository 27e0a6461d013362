/* SPDX-License-Identifier: MIT */
/* persona create: a portspace with its own key and addresses. */
#include <string.h>

#include "client.h"
#include "cmd.h"
#include "text.h"
#include "view.h"

static const char help[] =
	"Usage: persona create NAME --address ADDR[/LEN][,ADDR[/LEN]...] [options]\n"
	"\n"
	"Makes the portspace NAME: a virtual host of its own on one personal network.\n"
	"\n"
	"  --address LIST       its addresses; /LEN is the size of its network (host: /32, /128)\n"
	"  --mtu N              576 to 65535; 1420 when not given\n"
	"  --hostname H         what gethostname(2) answers inside; NAME when not given\n"
	"  --private-key FILE   use this key (- for standard input) instead of a new one\n"
	"  --host NAME=ADDR     a name that programs inside can resolve; may be repeated\n"
	"  --json               print the portspace as JSON\n"
	"\n"
	"Examples:\n"
	"  persona create work --address 10.77.0.1\n"
	"  persona create work --address 10.77.0.1/24,fd00:77::1/64 --host db=10.77.0.2\n"
	"  persona genkey | persona create lab --address 10.9.0.1 --private-key -\n";

static int add_host(struct cmd_ctx *ctx, const char *text, json_t *request)
{
	json_t *hosts = json_object_get(request, "hosts");
	const char *eq = strchr(text, '=');
	char name[256];

	if (!eq || eq == text || !eq[1] || (size_t)(eq - text) >= sizeof(name))
		return cmd_usage(ctx, "--host wants NAME=ADDR, not '%s'", text);
	memcpy(name, text, (size_t)(eq - text));
	name[eq - text] = '\0';
	if (!hosts) {
		hosts = json_object();
		json_object_set_new(request, "hosts", hosts);
	}
	if (json_object_get(hosts, name))
		return cmd_usage(ctx, "--host %s is given twice", name);
	json_object_set_new(hosts, name, json_string(eq + 1));
	return CMD_OK;
}

static int add_option(struct cmd_ctx *ctx, int c, json_t *request)
{
	json_int_t mtu;

	switch (c) {
	case 'a':
		if (text_split_list(optarg, json_object_get(request, "addresses")) < 0)
			return cmd_usage(ctx, "'%s' is no list of addresses", optarg);
		return -1;
	case 'm':
		if (text_parse_number(optarg, 576, 65535, &mtu) < 0)
			return cmd_usage(ctx, "--mtu wants a number from 576 to 65535");
		json_object_set_new(request, "mtu", json_integer(mtu));
		return -1;
	case 'H':
		json_object_set_new(request, "hostname", json_string(optarg));
		return -1;
	case 'k':
		return cmd_add_key(ctx, optarg, request, "private_key") ?: -1;
	case 'o':
		return add_host(ctx, optarg, request) ?: -1;
	default:
		return cmd_common_option(ctx, c);
	}
}

static int show(struct cmd_ctx *ctx, const json_t *reply)
{
	if (!cmd_show_json(ctx, reply) && view_portspace(json_object_get(reply, "portspace")) < 0)
		return cmd_error(ctx, "out of memory");
	return cmd_finish(ctx);
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {{"address", required_argument, NULL, 'a'},
		{"mtu", required_argument, NULL, 'm'}, {"hostname", required_argument, NULL, 'H'},
		{"private-key", required_argument, NULL, 'k'},
		{"host", required_argument, NULL, 'o'}, CMD_COMMON_OPTIONS, {0}};
	json_t *request = json_pack("{s:s, s:[]}", "op", "create", "addresses"), *reply;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		r = add_option(ctx, c, request);
		if (r >= 0)
			goto fail;
	}
	if (argc - optind != 1)
		r = cmd_usage(ctx, "one NAME, please");
	else if (json_array_size(json_object_get(request, "addresses")) == 0)
		r = cmd_usage(ctx, "--address is missing");
	else if (json_object_set_new(request, "name", json_string(argv[optind])) < 0)
		r = cmd_usage(ctx, "the name is not valid UTF-8");
	else
		goto call;
fail:
	json_decref(request);
	return r;
call:
	r = cmd_call(ctx, request, &reply);
	if (r != CMD_OK)
		return r;
	r = show(ctx, reply);
	json_decref(reply);
	return r;
}

const struct cmd cmd_create = {"create", "make a portspace", help, run};

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
	"  --dns LIST           DNS servers in its network, and search domains\n"
	"\n"
	"Hierarchy:\n"
	"  --inherit NAME       services of the portspace NAME, or of the host (root), answer "
	"here\n"
	"                       too; its links run inside the network of NAME\n"
	"  --super NAME         only the latter: nothing is inherited\n"
	"  --hide LIST          ports that are not inherited: tcp/22,udp/5000-5010\n"
	"  --proxy-protocol LIST  services of the host that are told the real peer by PROXY\n"
	"                       protocol version 2: tcp/80\n"
	"  --listen-port N      UDP and TCP port of its links in the network of NAME; 51821\n"
	"\n"
	"Routing:\n"
	"  --gateway LIST       forward to these networks outside: 192.0.2.0/24\n"
	"  --rip                learn and announce routes by RIPv2 and RIPng\n"
	"  --rip-update N       seconds between updates; 30\n"
	"  --network LIST       what RIP may teach and announce; the networks of --address\n"
	"  --route ROUTE        \"PREFIX via ADDR\" or \"PREFIX dev LINK\"; may be repeated\n"
	"\n"
	"  --json               print the portspace as JSON\n"
	"\n"
	"Examples:\n"
	"  persona create work --address 10.77.0.1\n"
	"  persona create work --address 10.77.0.1/24,fd00:77::1/64 --host db=10.77.0.2\n"
	"  persona create dev --address 10.77.1.1 --inherit work --hide tcp/22\n"
	"  persona create gw --address 10.77.0.9/24 --gateway 192.0.2.0/24 --rip\n"
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

/* Options that are settings of the portspace's network: the broker reads their text. */
struct setting {
	int c;
	const char *key;
	const char *value; /* of an option without argument */
};

static const struct setting settings[] = {{'I', "Super", NULL}, {'S', "Super", NULL},
	{'D', "Hide", NULL}, {'P', "ProxyProtocol", NULL}, {'G', "Gateway", NULL},
	{'r', "Routing", "rip"}, {'u', "RipUpdate", NULL}, {'N', "Network", NULL},
	{'R', "Route", NULL}};

/* -1 when it is none of them. */
static int add_setting(struct cmd_ctx *ctx, int c, json_t *request)
{
	json_t *object = json_object_get(request, "settings"), *values;

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		const struct setting *s = &settings[i];

		if (s->c != c)
			continue;
		if (!object) {
			object = json_object();
			json_object_set_new(request, "settings", object);
		}
		values = json_object_get(object, s->key);
		if (!values) {
			values = json_array();
			json_object_set_new(object, s->key, values);
		}
		if (json_array_append_new(values, json_string(s->value ? s->value : optarg)) < 0)
			return cmd_usage(ctx, "'%s' is not valid UTF-8", optarg);
		if (c == 'I')
			json_object_set_new(object, "Inherit", json_string("yes"));
		return CMD_OK;
	}
	return -1;
}

static int add_port(struct cmd_ctx *ctx, json_t *request)
{
	json_int_t port;

	if (text_parse_number(optarg, 1, 65535, &port) < 0)
		return cmd_usage(ctx, "--listen-port wants a number from 1 to 65535");
	json_object_set_new(request, "listen_port", json_integer(port));
	return CMD_OK;
}

static int add_dns(struct cmd_ctx *ctx, json_t *request)
{
	json_t *list = json_object_get(request, "dns");

	if (!list) {
		list = json_array();
		json_object_set_new(request, "dns", list);
	}
	if (text_split_list(optarg, list) < 0)
		return cmd_usage(ctx, "'%s' is no list of servers and domains", optarg);
	return CMD_OK;
}

static int add_option(struct cmd_ctx *ctx, int c, json_t *request)
{
	json_int_t mtu;
	int r = add_setting(ctx, c, request);

	if (r >= 0)
		return r ?: -1;
	switch (c) {
	case 'd':
		return add_dns(ctx, request) ?: -1;
	case 'p':
		return add_port(ctx, request) ?: -1;
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
		{"host", required_argument, NULL, 'o'}, {"dns", required_argument, NULL, 'd'},
		{"inherit", required_argument, NULL, 'I'}, {"super", required_argument, NULL, 'S'},
		{"hide", required_argument, NULL, 'D'},
		{"proxy-protocol", required_argument, NULL, 'P'},
		{"listen-port", required_argument, NULL, 'p'},
		{"gateway", required_argument, NULL, 'G'}, {"rip", no_argument, NULL, 'r'},
		{"rip-update", required_argument, NULL, 'u'},
		{"network", required_argument, NULL, 'N'}, {"route", required_argument, NULL, 'R'},
		CMD_COMMON_OPTIONS, {0}};
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

/* SPDX-License-Identifier: MIT */
/* Operations that make a portspace (ops.h): create, import, and unnamed ones for `enter`. */
#include "ops.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config_net.h"
#include "inherit.h"
#include "state.h"

/* What an unnamed portspace is called from when nobody gives an address. Portspaces may have equal
 * addresses, so one will do. */
#define UNNAMED_ADDRESS "10.0.0.1/32"

static int no_memory(struct jsonio_error *err)
{
	return jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory");
}

static int add_address(const char *s, void *arg, struct jsonio_error *err)
{
	struct config *config = arg;

	if (config->naddresses == INFO_ADDRS_MAX)
		return jsonio_fail(
			err, EINVAL, NULL, "a portspace has at most %d addresses", INFO_ADDRS_MAX);
	if (prefix_parse(s, &config->addresses[config->naddresses]) < 0)
		return jsonio_fail(err, EINVAL, "write it as 10.77.0.1/24 or fd00::1/64",
			"\"%.64s\" is not an address", s);
	config->naddresses++;
	return 0;
}

struct host_of {
	struct config *config;
	const char *name;
};

static int add_host(const char *s, void *arg, struct jsonio_error *err)
{
	struct host_of *h = arg;
	struct addr a;
	int r;

	if (addr_parse(s, &a) < 0)
		return jsonio_fail(err, EINVAL, "write it as 10.77.0.2 or fd00::2",
			"\"%.64s\", the address of host \"%.64s\", is not an address", s, h->name);
	r = config_add_host(h->config, &a, h->name);
	if (r == -ENOSPC)
		return jsonio_fail(
			err, EINVAL, NULL, "a portspace has at most %d hosts", CONFIG_HOSTS_MAX);
	if (r < 0)
		return jsonio_fail(err, -r, NULL, "\"%.64s\" is not a host name", h->name);
	return 0;
}

static int add_hosts(struct config *config, json_t *hosts, struct jsonio_error *err)
{
	struct host_of h = {.config = config};
	json_t *value;

	json_object_foreach(hosts, h.name, value)
	{
		int r = json_is_string(value) ? add_host(json_string_value(value), &h, err)
					      : ops_each_string(value, "hosts", add_host, &h, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The settings of config_net.c, each a string or an array of strings. */
struct setting_of {
	struct config *config;
	const char *key;
};

static int add_setting(const char *s, void *arg, struct jsonio_error *err)
{
	struct config_error error = {0};
	struct setting_of *of = arg;
	int r = config_net_set(of->config, of->key, s, &error);

	if (r == -ENOENT)
		return jsonio_fail(err, EINVAL, NULL, "\"%.64s\" is no setting", of->key);
	return r < 0 ? jsonio_fail(err, -r, NULL, "%s", error.message) : 0;
}

static int add_settings(struct config *config, json_t *settings, struct jsonio_error *err)
{
	struct setting_of of = {.config = config};
	json_t *value;

	if (!json_is_object(settings))
		return jsonio_fail(err, EINVAL, NULL, "\"settings\" is not an object");
	json_object_foreach(settings, of.key, value)
	{
		int r = json_is_string(value)
				? add_setting(json_string_value(value), &of, err)
				: ops_each_string(value, "settings", add_setting, &of, err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_dns(const char *s, void *arg, struct jsonio_error *err)
{
	struct config *config = arg;

	if (config->ndns == CONFIG_DNS_MAX)
		return jsonio_fail(err, EINVAL, NULL, "a portspace has at most %d DNS entries",
			CONFIG_DNS_MAX);
	if (strlen(s) >= sizeof(config->dns[0]))
		return jsonio_fail(err, EINVAL, NULL, "\"%.64s\" is too long for a domain", s);
	snprintf(config->dns[config->ndns++], sizeof(config->dns[0]), "%s", s);
	return 0;
}

/* What is not the identity: names, hierarchy, routing. */
static int add_network(struct config *config, json_t *root, struct jsonio_error *err)
{
	json_t *hosts = json_object_get(root, "hosts"), *dns = json_object_get(root, "dns"),
	       *settings = json_object_get(root, "settings");
	json_int_t port = json_integer_value(json_object_get(root, "listen_port"));
	int r = 0;

	if (json_object_get(root, "listen_port") && (port < 1 || port > UINT16_MAX))
		return jsonio_fail(err, EINVAL, NULL, "\"listen_port\" is not in 1 to 65535");
	config->listen_port = (uint16_t)port;
	if (hosts && !json_is_object(hosts))
		return jsonio_fail(err, EINVAL, NULL, "\"hosts\" is not an object");
	if (hosts)
		r = add_hosts(config, hosts, err);
	if (r == 0 && dns)
		r = ops_each_string(dns, "dns", add_dns, config, err);
	if (r == 0 && settings)
		r = add_settings(config, settings, err);
	return r;
}

static int set_key(struct config *config, const char *text, struct jsonio_error *err)
{
	struct key unused;

	config->private_key = key_new();
	if (!config->private_key)
		return no_memory(err);
	if (!text)
		key_generate_private(config->private_key);
	else if (key_parse(text, config->private_key) < 0 ||
		 key_public(config->private_key, &unused) < 0)
		return jsonio_fail(err, EINVAL, "\"wg genkey\" makes one",
			"the private key is not 32 bytes in base64, or is not usable");
	return 0;
}

/* The name is free and nothing of that name is on the disk that could be overwritten. */
static int check_new_name(struct ops *ops, const char *name, struct jsonio_error *err)
{
	char path[RUNDIR_PATH_MAX + PORTSPACE_NAME_MAX + 8];

	if (!config_name_valid(name))
		return jsonio_fail(err, EINVAL,
			"use 1 to 63 of a-z, 0-9, '.', '_', '-', a letter or digit first",
			"\"%.64s\" cannot be a portspace's name", name);
	if (core_find(ops->core, name))
		return jsonio_fail(err, EEXIST, "choose another name, or destroy that one first",
			"there is a portspace \"%s\" already", name);
	snprintf(path, sizeof(path), "%s/%s.conf", ops->core->config_dir, name);
	if (access(path, F_OK) == 0)
		return jsonio_fail(err, EEXIST,
			"repair the file and restart the broker, or move it away",
			"%.300s is there, but the broker did not load it", path);
	return 0;
}

int ops_create(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	const char *name, *hostname = NULL, *private_key = NULL;
	json_t *addresses, *unused;
	json_int_t mtu = 0;
	int r;

	(void)caller;
	(void)reply;
	r = jsonio_unpack(rq->root, err, "{s:s, s:o, s?I, s?s, s?s, s?o, s?o, s?o, s?o}", "name",
		&name, "addresses", &addresses, "mtu", &mtu, "hostname", &hostname, "private_key",
		&private_key, "hosts", &unused, "dns", &unused, "settings", &unused, "listen_port",
		&unused);
	if (r == 0)
		r = check_new_name(ops, name, err);
	if (r < 0)
		return r;
	if (json_object_get(rq->root, "mtu") && (mtu < CONFIG_MTU_MIN || mtu > CONFIG_MTU_MAX))
		return jsonio_fail(err, EINVAL, NULL, "the MTU is not in %d to %d", CONFIG_MTU_MIN,
			CONFIG_MTU_MAX);
	rq->config = config_new();
	if (!rq->config)
		return no_memory(err);
	rq->config->mtu = (uint16_t)mtu;
	if (hostname && strlen(hostname) >= sizeof(rq->config->hostname))
		return jsonio_fail(err, EINVAL, NULL, "the hostname is longer than %d bytes",
			CONFIG_HOSTNAME_MAX - 1);
	if (hostname)
		snprintf(rq->config->hostname, sizeof(rq->config->hostname), "%s", hostname);
	r = set_key(rq->config, private_key, err);
	if (r == 0)
		r = ops_each_string(addresses, "addresses", add_address, rq->config, err);
	if (r == 0)
		r = add_network(rq->config, rq->root, err);
	if (r == 0)
		r = ops_check_super(ops, rq->config, name, err);
	return r < 0 ? r : ops_prepare(ops, rq, name, true, err);
}

static int keep_warnings(struct ops_request *rq, struct jsonio_error *err)
{
	const struct config *config = rq->config;
	char more[64];

	rq->warnings = json_array();
	for (size_t i = 0; i < config->nwarnings; i++)
		if (json_array_append_new(rq->warnings, json_string(config->warnings[i])) < 0 &&
			json_array_append_new(rq->warnings, json_string("a line was ignored")) < 0)
			return no_memory(err);
	if (config->nwarnings_lost == 0)
		return 0;
	snprintf(more, sizeof(more), "and %zu more lines were ignored", config->nwarnings_lost);
	return json_array_append_new(rq->warnings, json_string(more)) < 0 ? no_memory(err) : 0;
}

int ops_import(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct config_error error = {0};
	const char *name, *text;
	int r;

	(void)caller;
	(void)reply;
	r = jsonio_unpack(rq->root, err, "{s:s, s:s}", "name", &name, "text", &text);
	if (r == 0)
		r = check_new_name(ops, name, err);
	if (r < 0)
		return r;
	r = config_parse(text, strlen(text), &rq->config, &error);
	if (r < 0 && error.line)
		return jsonio_fail(
			err, -r, "nothing was imported", "line %u: %s", error.line, error.message);
	if (r < 0)
		return jsonio_fail(err, -r, "nothing was imported", "%s", error.message);
	r = keep_warnings(rq, err);
	if (r == 0)
		r = ops_check_super(ops, rq->config, name, err);
	return r < 0 ? r : ops_prepare(ops, rq, name, true, err);
}

int ops_create_finish(
	struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err)
{
	struct portspace *ps;
	int r = portspace_add(ops->core, rq->name, rq->config, false, NULL, &ps);

	rq->config = NULL;
	if (r < 0) {
		state_remove(ops->core->config_dir, rq->name, NULL);
		return jsonio_fail(err, -r, "see that the runtime directory can be written",
			"portspace \"%s\" cannot be made: %s", rq->name, strerror(-r));
	}
	inherit_attach_all(ops->core, false); /* somebody may have waited for this name */
	if (rq->warnings) {
		r = ops_put(reply, "warnings", json_incref(rq->warnings), err);
		if (r < 0)
			return r;
	}
	return ops_put(reply, "portspace", status_portspace(ps, false), err);
}

int ops_make_unnamed(
	struct ops *ops, json_t *addresses, struct portspace **psp, struct jsonio_error *err)
{
	struct config *config = config_new();
	struct config_error error = {0};
	char name[32];
	int r;

	if (!config)
		return no_memory(err);
	r = set_key(config, NULL, err);
	if (r == 0)
		r = addresses ? ops_each_string(addresses, "addresses", add_address, config, err)
			      : add_address(UNNAMED_ADDRESS, config, err);
	if (r == 0) {
		r = config_check(config, &error);
		if (r < 0)
			jsonio_fail(err, -r, NULL, "%s", error.message);
	}
	if (r < 0) {
		config_free(config);
		return r;
	}
	snprintf(
		name, sizeof(name), "unnamed-%08x%08x", randombytes_random(), randombytes_random());
	r = portspace_add(ops->core, name, config, true, NULL, psp);
	if (r < 0)
		return jsonio_fail(err, -r, "see that the runtime directory can be written",
			"an unnamed portspace cannot be made: %s", strerror(-r));
	return 0;
}

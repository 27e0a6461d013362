/* SPDX-License-Identifier: MIT */
/* Operations on portspaces (ops.h). */
#include "ops.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "state.h"

enum { COMMAND_MAX = 4096 /* bytes of an init's command kept for status */ };

/* What an unnamed portspace is called from when nobody gives an address. Portspaces may have equal
 * addresses, so one will do. */
#define UNNAMED_ADDRESS "10.0.0.1/32"

static int no_memory(struct jsonio_error *err)
{
	return jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory");
}

/* --- looking --- */

int ops_ping(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	(void)caller;
	if (jsonio_unpack(rq->root, err, "{}") < 0)
		return -EINVAL;
	return ops_put(reply, "broker", status_broker(ops->core, ops->broker), err);
}

static json_t *all(struct core *core, bool detail)
{
	json_t *a = json_array();

	for (struct portspace_priv *p = core->by_name; p; p = p->hh.next)
		if (json_array_append_new(a, status_portspace(p->ps, detail)) < 0) {
			json_decref(a);
			return NULL;
		}
	return a;
}

int ops_list(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	(void)caller;
	if (jsonio_unpack(rq->root, err, "{}") < 0)
		return -EINVAL;
	return ops_put(reply, "portspaces", all(ops->core, false), err);
}

int ops_show(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct portspace *ps;
	const char *name;

	(void)caller;
	if (jsonio_unpack(rq->root, err, "{s:s}", "name", &name) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	return ps ? ops_put(reply, "portspace", status_portspace(ps, false), err) : -ENOENT;
}

int ops_status(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	const char *name = NULL;
	struct portspace *ps;
	json_t *a;
	int r;

	if (jsonio_unpack(rq->root, err, "{s?s}", "name", &name) < 0)
		return -EINVAL;
	if (!name && caller->member)
		name = caller->member->info.name; /* a member sees its own one only */
	if (name) {
		ps = ops_find(ops, name, err);
		if (!ps)
			return -ENOENT;
		a = json_pack("[o]", status_portspace(ps, true));
	} else {
		a = all(ops->core, true);
	}
	r = ops_put(reply, "portspaces", a, err);
	if (r < 0)
		return r;
	return ops_put(reply, "broker", status_broker(ops->core, ops->broker), err);
}

/* --- create and import --- */

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
	json_t *addresses, *hosts = NULL;
	json_int_t mtu = 0;
	int r;

	(void)caller;
	(void)reply;
	r = jsonio_unpack(rq->root, err, "{s:s, s:o, s?I, s?s, s?s, s?o}", "name", &name,
		"addresses", &addresses, "mtu", &mtu, "hostname", &hostname, "private_key",
		&private_key, "hosts", &hosts);
	if (r == 0)
		r = check_new_name(ops, name, err);
	if (r < 0)
		return r;
	if (hosts && !json_is_object(hosts))
		return jsonio_fail(err, EINVAL, NULL, "\"hosts\" is not an object");
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
	if (r == 0 && hosts)
		r = add_hosts(rq->config, hosts, err);
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
	if (rq->warnings) {
		r = ops_put(reply, "warnings", json_incref(rq->warnings), err);
		if (r < 0)
			return r;
	}
	return ops_put(reply, "portspace", status_portspace(ps, false), err);
}

/* --- destroy --- */

int ops_destroy(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct portspace *ps;
	const char *name;
	int force = 0;

	(void)caller;
	(void)reply;
	if (jsonio_unpack(rq->root, err, "{s:s, s?b}", "name", &name, "force", &force) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	if (!ps)
		return -ENOENT;
	if (ps->priv->inits && !force)
		return jsonio_fail(err, EBUSY,
			"end its programs first, or use --force to cut them off",
			"programs are running in portspace \"%s\" (process %d)", name,
			(int)ps->priv->inits->pid);
	rq->ps = portspace_ref(ps);
	ps->priv->leaving = true;
	rq->dir = ops->core->config_dir;
	snprintf(rq->name, sizeof(rq->name), "%s", name);
	rq->file = ps->ephemeral ? OPS_NO_FILE : OPS_REMOVE;
	return 0;
}

int ops_destroy_finish(
	struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err)
{
	(void)reply;
	(void)err;
	if (rq->ps->priv)
		portspace_remove(ops->core, rq->ps);
	return 0;
}

/* --- enter --- */

struct command {
	json_t *kept;
	size_t len;
};

static int keep_word(const char *s, void *arg, struct jsonio_error *err)
{
	struct command *c = arg;

	c->len += strlen(s) + 1;
	if (c->len > COMMAND_MAX)
		return 0;
	return json_array_append_new(c->kept, json_string(s)) < 0 ? no_memory(err) : 0;
}

/* An unnamed portspace, with a random name that no restart confuses with another one's. */
static int make_unnamed(
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

static int enter_failed(int r, const char *name, struct jsonio_error *err)
{
	switch (r) {
	case -EEXIST:
		return jsonio_fail(err, EPERM, "start it outside of any portspace",
			"this process is inside a portspace already");
	case -EBUSY:
		return jsonio_fail(err, EBUSY, "try again",
			"an ended process had the same pid and is not forgotten yet");
	case -ENOSPC:
		return jsonio_fail(err, ENOSPC, "end some of them",
			"%d programs are running in portspaces", CORE_INITS_MAX);
	default:
		return jsonio_fail(err, -r, NULL, "portspace \"%s\" cannot be entered: %s", name,
			strerror(-r));
	}
}

static int check_enter(struct ops *ops, const char *name, int new, const char *seal,
	const json_t *addresses, struct portspace **psp, struct jsonio_error *err)
{
	*psp = NULL;
	if (strcmp(seal, "shim") != 0 && strcmp(seal, "sealed") != 0)
		return jsonio_fail(err, EINVAL, NULL, "\"seal\" is neither shim nor sealed");
	if ((name != NULL) == (new != 0))
		return jsonio_fail(err, EINVAL, NULL, "give either \"name\" or \"new\": true");
	if (addresses && !new)
		return jsonio_fail(
			err, EINVAL, NULL, "\"addresses\" belongs to \"new\" portspaces only");
	if (new)
		return 0;
	*psp = ops_find(ops, name, err);
	if (!*psp)
		return -ENOENT;
	if ((*psp)->priv->leaving)
		return jsonio_fail(err, EBUSY, NULL, "portspace \"%s\" is being destroyed", name);
	return 0;
}

int ops_enter(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	json_t *addresses = NULL, *command = NULL;
	struct command words = {0};
	const char *name = NULL, *seal;
	struct portspace *ps;
	int new = 0, r;

	r = jsonio_unpack(rq->root, err, "{s?s, s?b, s:s, s?o, s?o}", "name", &name, "new", &new,
		"seal", &seal, "addresses", &addresses, "command", &command);
	core_collect(ops->core); /* so that a reused pid is no obstacle */
	if (r == 0)
		r = check_enter(ops, name, new, seal, addresses, &ps, err);
	if (r < 0)
		return r;
	words.kept = json_array();
	if (command)
		r = ops_each_string(command, "command", keep_word, &words, err);
	if (r == 0 && new)
		r = make_unnamed(ops, addresses, &ps, err);
	if (r < 0)
		goto out;
	r = portspace_enter(ps, caller->peer, seal, words.kept);
	if (r < 0) {
		enter_failed(r, ps->info.name, err);
		r = -err->code;
		if (new)
			portspace_remove(ops->core, ps);
		goto out;
	}
	caller->entered = portspace_ref(ps);
	r = ops_put(reply, "portspace", status_portspace(ps, false), err);
	if (r == 0)
		r = ops_put(reply, "dir", json_string(ps->dir), err);
out:
	json_decref(words.kept);
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "ops.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state.h"

static const struct ops_entry entries[] = {
	{"ping", OPS_ANYBODY, ops_ping, NULL},
	{"create", OPS_WRITES, ops_create, ops_create_finish},
	{"destroy", OPS_WRITES, ops_destroy, ops_destroy_finish},
	{"list", 0, ops_list, NULL},
	{"show", OPS_MEMBER, ops_show, NULL},
	{"status", OPS_MEMBER, ops_status, NULL},
	{"link-add", OPS_WRITES, ops_link_add, ops_link_add_finish},
	{"link-remove", OPS_WRITES, ops_link_remove, ops_link_remove_finish},
	{"link-list", OPS_MEMBER, ops_link_list, NULL},
	{"route-list", OPS_MEMBER, ops_route_list, NULL},
	{"route-add", OPS_WRITES, ops_route_add, ops_route_finish},
	{"route-del", OPS_WRITES, ops_route_del, ops_route_finish},
	{"hide", OPS_WRITES, ops_hide, ops_hide_finish},
	{"unhide", OPS_WRITES, ops_unhide, ops_hide_finish},
	{"ports", 0, ops_ports, NULL},
	{"import", OPS_WRITES, ops_import, ops_create_finish},
	{"enter", 0, ops_enter, NULL},
};

static const struct ops_entry *find_entry(const char *name)
{
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		if (strcmp(entries[i].name, name) == 0)
			return &entries[i];
	return NULL;
}

struct ops_request *ops_parse(const char *line, size_t len, struct jsonio_error *errp)
{
	json_t *root = jsonio_parse(line, len, errp), *version;
	const struct ops_entry *entry = NULL;
	struct ops_request *rq;
	const char *op;

	if (!root)
		return NULL;
	version = json_object_get(root, "version");
	op = json_string_value(json_object_get(root, "op"));
	if (!json_is_integer(version) || json_integer_value(version) != JSONIO_VERSION)
		jsonio_fail(errp, EINVAL, "use a tool of the same release as the broker",
			"the request's \"version\" is not %d", JSONIO_VERSION);
	else if (!op)
		jsonio_fail(errp, EINVAL, "name an operation in \"op\"",
			"the request has no \"op\", or it is not a string");
	else if (!(entry = find_entry(op)))
		jsonio_fail(errp, EINVAL, "docs/PROTOCOL.md, section 2, lists the operations",
			"there is no operation \"%.32s\"", op);
	rq = entry ? calloc(1, sizeof(*rq)) : NULL;
	if (entry && !rq)
		jsonio_fail(errp, ENOMEM, NULL, "the broker is out of memory");
	if (!rq) {
		json_decref(root);
		return NULL;
	}
	json_object_del(root, "version");
	json_object_del(root, "op");
	rq->root = root;
	rq->entry = entry;
	return rq;
}

void ops_request_free(struct ops_request *rq)
{
	if (!rq)
		return;
	json_decref(rq->root);
	json_decref(rq->warnings);
	sodium_free(rq->text);
	config_free(rq->config);
	portspace_unref(rq->ps);
	free(rq);
}

bool ops_writes(const struct ops_request *rq)
{
	return rq->entry->flags & OPS_WRITES;
}

bool ops_pending(const struct ops_request *rq)
{
	return rq->file != OPS_NO_FILE;
}

/* Does a member of a portspace ask for its own one, by name or by naming none? */
static bool own_name(const struct ops_request *rq, const struct portspace *member)
{
	const json_t *value = json_object_get(rq->root, "name");
	const char *name = json_string_value(value);

	return !value || (name && strcmp(name, member->info.name) == 0);
}

/* Where everything has no_new_privs, the seal's filter still tells a sealed process. */
bool ops_believes(const struct ops *ops, const struct ops_caller *caller)
{
	if (!caller->no_new_privs)
		return true;
	return ops->no_new_privs && caller->filters <= ops->filters;
}

static int permit(const struct ops *ops, const struct ops_request *rq,
	const struct ops_caller *caller, struct jsonio_error *err)
{
	unsigned flags = rq->entry->flags;

	if (flags & OPS_ANYBODY)
		return 0;
	if (caller->member) {
		if ((flags & OPS_MEMBER) && own_name(rq, caller->member))
			return 0;
		return jsonio_fail(err, EPERM, "run the command outside of any portspace",
			"this process is inside portspace \"%s\", which may only look at itself",
			caller->member->info.name);
	}
	if (!ops_believes(ops, caller))
		return jsonio_fail(err, EPERM, "run the command from an ordinary shell",
			"this process has no_new_privs set: it may be a sealed process whose "
			"portspace ended, so it cannot manage portspaces");
	return 0;
}

static json_t *refuse(const struct jsonio_error *err)
{
	return jsonio_refusal(err);
}

static json_t *conclude(int r, json_t *reply, const struct jsonio_error *err)
{
	if (r == 0)
		return reply;
	json_decref(reply);
	return refuse(err);
}

json_t *ops_start(struct ops *ops, struct ops_request *rq, struct ops_caller *caller)
{
	struct jsonio_error err = {.code = EIO, .message = "internal error"};
	json_t *reply = jsonio_ok();
	int r;

	if (!reply)
		return NULL;
	r = permit(ops, rq, caller, &err);
	if (r == 0)
		r = rq->entry->start(ops, rq, caller, reply, &err);
	if (r == 0 && ops_pending(rq)) {
		json_decref(reply);
		return NULL;
	}
	if (r == 0 && rq->entry->finish)
		r = rq->entry->finish(ops, rq, reply, &err);
	rq->file = OPS_NO_FILE;
	return conclude(r, reply, &err);
}

void ops_file(struct ops_request *rq)
{
	if (rq->file == OPS_WRITE)
		rq->file_result =
			state_write(rq->dir, rq->name, rq->text, rq->text_len, &rq->file_error);
	else if (rq->file == OPS_REMOVE)
		rq->file_result = state_remove(rq->dir, rq->name, &rq->file_error);
	if (rq->file == OPS_REMOVE && rq->file_result == -ENOENT)
		rq->file_result = 0; /* somebody removed it by hand */
}

json_t *ops_finish(struct ops *ops, struct ops_request *rq)
{
	struct jsonio_error err = {.code = EIO, .message = "internal error"};
	json_t *reply = jsonio_ok();
	int r;

	if (rq->file_result < 0 && rq->ps && rq->ps->priv)
		rq->ps->priv->leaving = false;
	if (rq->file_result < 0)
		r = jsonio_fail(&err, -rq->file_result,
			"nothing was changed; see that the directory can be written",
			"the configuration in %s cannot be stored: %s", rq->dir,
			rq->file_error.message);
	else if (!reply)
		r = jsonio_fail(&err, ENOMEM, NULL, "the broker is out of memory");
	else
		r = rq->entry->finish(ops, rq, reply, &err);
	return conclude(r, reply, &err);
}

int ops_put(json_t *reply, const char *name, json_t *value, struct jsonio_error *err)
{
	if (value && json_object_set_new(reply, name, value) == 0)
		return 0;
	return jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory");
}

struct portspace *ops_find(struct ops *ops, const char *name, struct jsonio_error *err)
{
	struct portspace *ps = core_find(ops->core, name);

	if (!ps)
		jsonio_fail(err, ENOENT,
			"\"persona list\" shows them; \"persona create NAME\" makes one",
			"there is no portspace \"%.63s\"", name);
	return ps;
}

int ops_prepare(struct ops *ops, struct ops_request *rq, const char *name, bool file,
	struct jsonio_error *err)
{
	struct config_error error = {0};
	int r;

	if (link_name_peers(rq->config) < 0)
		return jsonio_fail(err, ENOSPC, "remove links that are not used",
			"the portspace has too many links");
	r = config_check(rq->config, &error);
	if (r < 0)
		return jsonio_fail(err, -r, NULL, "%s", error.message);
	r = config_format(rq->config, &rq->text, &rq->text_len);
	if (r < 0)
		return jsonio_fail(err, -r, "use fewer links or hosts",
			"the configuration of \"%s\" is too large", name);
	rq->dir = ops->core->config_dir;
	snprintf(rq->name, sizeof(rq->name), "%s", name);
	rq->file = file ? OPS_WRITE : OPS_NO_FILE;
	return 0;
}

int ops_each_string(json_t *array, const char *member,
	int (*fn)(const char *s, void *arg, struct jsonio_error *err), void *arg,
	struct jsonio_error *err)
{
	json_t *value;
	size_t i;
	int r = 0;

	if (!json_is_array(array))
		return jsonio_fail(err, EINVAL, NULL, "\"%s\" is not an array of strings", member);
	json_array_foreach(array, i, value)
	{
		if (!json_is_string(value))
			r = jsonio_fail(
				err, EINVAL, NULL, "\"%s\" is not an array of strings", member);
		else
			r = fn(json_string_value(value), arg, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int ops_save_unnamed(struct portspace *ps, struct jsonio_error *err)
{
	int r = ps->ephemeral ? portspace_save_runtime(ps) : 0;

	if (r < 0)
		jsonio_fail(err, -r, "see that the runtime directory can be written",
			"the change is made, but a restart of the broker would lose it: %s",
			strerror(-r));
	return r;
}

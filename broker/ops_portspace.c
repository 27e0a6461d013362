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
	if (ops_check_subs(ops, ps, err) < 0)
		return -EBUSY;
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
		r = ops_make_unnamed(ops, addresses, &ps, err);
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

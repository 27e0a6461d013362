/* SPDX-License-Identifier: MIT */
/* Operations on what a portspace inherits (ops.h, inherit.h): hide, unhide; and what creating and
 * destroying has to ask about the hierarchy. */
#include "ops.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config_net.h"
#include "inherit.h"

/* --- hide and unhide --- */

json_t *ops_hidden(const struct portspace *ps)
{
	const struct config_port_list *hide = &ps->priv->config->hide;
	char text[CONFIG_PORTS_STRLEN];
	json_t *a = json_array();

	for (size_t i = 0; i < hide->n && a; i++)
		if (json_array_append_new(
			    a, json_string(config_ports_format(&hide->ports[i], text))) < 0) {
			json_decref(a);
			a = NULL;
		}
	return a;
}

static int parse_ports(const char *s, struct config_ports *portsp, struct jsonio_error *err)
{
	if (config_ports_parse(s, portsp) < 0)
		return jsonio_fail(err, EINVAL, "write it as tcp/22 or udp/5000-5010",
			"\"%.64s\" is no port or range of ports", s);
	return 0;
}

static int hide_one(const char *s, void *arg, struct jsonio_error *err)
{
	struct config *config = arg;
	struct config_ports ports;
	int r = parse_ports(s, &ports, err);

	if (r < 0)
		return r;
	r = config_ports_add(&config->hide, &ports);
	if (r == -ENOSPC)
		return jsonio_fail(err, ENOSPC, "hide larger ranges instead",
			"a portspace hides at most %d ranges", CONFIG_PORTS_MAX);
	return r < 0 ? jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory") : 0;
}

static int unhide_one(const char *s, void *arg, struct jsonio_error *err)
{
	struct config *config = arg;
	struct config_ports ports;
	int r = parse_ports(s, &ports, err);

	if (r < 0)
		return r;
	r = config_ports_remove(&config->hide, &ports);
	if (r == -ENOENT)
		return jsonio_fail(err, ENOENT, "\"persona ports\" shows what is hidden",
			"%.64s is not hidden", s);
	if (r == -ENOSPC)
		return jsonio_fail(err, ENOSPC, "unhide whole ranges",
			"a portspace hides at most %d ranges", CONFIG_PORTS_MAX);
	return r < 0 ? jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory") : 0;
}

static int change_hidden(struct ops *ops, struct ops_request *rq,
	int (*fn)(const char *s, void *arg, struct jsonio_error *err), struct jsonio_error *err)
{
	const char *name;
	struct portspace *ps;
	json_t *ports;
	int r;

	if (jsonio_unpack(rq->root, err, "{s:s, s:o}", "name", &name, "ports", &ports) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	if (!ps)
		return -ENOENT;
	rq->config = portspace_config(ps);
	if (!rq->config)
		return jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory");
	r = ops_each_string(ports, "ports", fn, rq->config, err);
	if (r < 0)
		return r;
	rq->ps = portspace_ref(ps);
	return ops_prepare(ops, rq, ps->info.name, !ps->ephemeral, err);
}

int ops_hide(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	(void)caller;
	(void)reply;
	return change_hidden(ops, rq, hide_one, err);
}

int ops_unhide(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	(void)caller;
	(void)reply;
	return change_hidden(ops, rq, unhide_one, err);
}

int ops_hide_finish(
	struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err)
{
	int r = 0;

	(void)ops;
	portspace_set_config(rq->ps, rq->config);
	rq->config = NULL;
	if (rq->ps->ephemeral)
		r = portspace_save_runtime(rq->ps);
	if (r < 0)
		return jsonio_fail(err, -r, "see that the runtime directory can be written",
			"the change is made, but a restart of the broker would lose it: %s",
			strerror(-r));
	return ops_put(reply, "hide", ops_hidden(rq->ps), err);
}

/* --- a place in the hierarchy --- */

/* Would the new portspace `name` be below itself? One that waits for its super-portspace may wait
 * for this name. */
static bool is_below(const struct portspace *super, const char *name)
{
	for (; super; super = atomic_load(&super->super))
		if (super->below && !atomic_load(&super->super))
			return strcmp(super->priv->config->super, name) == 0;
	return false;
}

static bool port_taken(struct core *core, struct portspace *super, uint16_t port)
{
	const struct endpoint any = {.addr = addr_any6, .port = port};
	struct porttab_entry entry;
	int r;

	pthread_mutex_lock(&core->lock);
	r = porttab_lookup(super->porttab, IPPROTO_TCP, &any, &entry);
	if (r == 0 && porttab_verify(super->porttab, entry.file))
		r = -ECONNREFUSED;
	pthread_mutex_unlock(&core->lock);
	return r == 0 && entry.pid != getpid();
}

int ops_check_super(
	struct ops *ops, const struct config *config, const char *name, struct jsonio_error *err)
{
	uint16_t port = config->listen_port ? config->listen_port : CONFIG_LISTEN_PORT;
	struct portspace *super;
	int depth = 0;

	if (!config->super[0])
		return 0;
	super = ops_find(ops, config->super, err);
	if (!super)
		return -ENOENT;
	if (super->ephemeral)
		return jsonio_fail(err, EINVAL, "name one that \"persona create\" made",
			"\"%s\" goes with its last program, so nothing can be below it",
			config->super);
	if (strcmp(config->super, name) == 0 || is_below(super, name))
		return jsonio_fail(err, ELOOP, "choose another super-portspace",
			"\"%s\" waits for \"%s\" as its own super-portspace", config->super, name);
	for (struct portspace *up = super; up; up = atomic_load(&up->super))
		depth++;
	if (depth > INHERIT_DEPTH_MAX)
		return jsonio_fail(err, EMLINK, NULL, "\"%s\" would be more than %d levels deep",
			name, INHERIT_DEPTH_MAX);
	if (!config->mtu && inherit_mtu(super) < CONFIG_MTU_MIN)
		return jsonio_fail(err, EMSGSIZE, "give the portspaces above a larger MTU",
			"the MTU of \"%s\" is %u, too small to carry another network",
			config->super, super->info.mtu);
	if (port_taken(ops->core, super, port))
		return jsonio_fail(err, EADDRINUSE, "choose another with --listen-port",
			"a program in \"%s\" listens on port %u already", config->super, port);
	return 0;
}

int ops_check_subs(struct ops *ops, const struct portspace *ps, struct jsonio_error *err)
{
	const struct portspace *sub = inherit_first_sub(ops->core, ps);

	if (!sub)
		return 0;
	return jsonio_fail(err, EBUSY, "destroy that one first",
		"\"%s\" is the super-portspace of \"%s\", whose links run in its network",
		ps->info.name, sub->info.name);
}

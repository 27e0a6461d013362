/* SPDX-License-Identifier: MIT */
/* Operations on routes (ops.h): what the table has, and static routes. */
#include "ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config_net.h"

enum {
	ROUTES_AT_ONCE = 64,	/* read under the mutex */
	ROUTES_PER_REPLY = 8192 /* the caller asks again for more */
};

static const char route_hint[] =
	"write it as 10.9.0.0/16 via 10.77.0.2, or 10.9.0.0/16 dev link1, then metric 1 to 15";

static int no_memory(struct jsonio_error *err)
{
	return jsonio_fail(err, ENOMEM, NULL, "the broker is out of memory");
}

/* --- list --- */

static json_t *optional(const char *text)
{
	return text[0] ? json_string(text) : json_null();
}

static json_t *route_json(const struct core_route_info *route, uint64_t now_ms)
{
	static const char *const sources[] = {[RIB_GATEWAY] = "gateway",
		[RIB_STATIC] = "static",
		[RIB_LINK] = "link",
		[RIB_RIP] = "rip"};
	char prefix[PREFIX_STRLEN], hop[ADDR_STRLEN] = "";

	if (!addr_is_any(&route->next_hop))
		addr_format(&route->next_hop, hop);
	return json_pack("{s:s, s:s, s:o, s:o, s:i, s:I, s:b, s:b, s:b}", "prefix",
		prefix_format(&route->prefix, prefix), "source", sources[route->source], "link",
		optional(route->link), "next_hop", optional(hop), "metric", route->metric, "age_s",
		(json_int_t)(now_ms > route->since_ms ? (now_ms - route->since_ms) / 1000 : 0),
		"used", route->best, "silent", route->silent, "active", 1);
}

/* Static routes that lead over no link now. */
static int append_inactive(struct portspace *ps, json_t *routes)
{
	const struct config *config = ps->priv->config;
	int r = 0;

	for (size_t i = 0; i < config->nroutes && r == 0; i++) {
		const struct config_route *given = &config->routes[i];
		char prefix[PREFIX_STRLEN], hop[ADDR_STRLEN] = "";
		bool active;

		pthread_mutex_lock(&ps->priv->core->lock);
		active = portspace_route_via(ps, given) != NULL;
		pthread_mutex_unlock(&ps->priv->core->lock);
		if (active)
			continue;
		if (!given->link[0])
			addr_format(&given->via, hop);
		r = json_array_append_new(routes,
			json_pack("{s:s, s:s, s:o, s:o, s:i, s:n, s:b, s:b, s:b}", "prefix",
				prefix_format(&given->prefix, prefix), "source", "static", "link",
				optional(given->link), "next_hop", optional(hop), "metric",
				given->metric, "age_s", "used", 0, "silent", 0, "active", 0));
	}
	return r < 0 ? -ENOMEM : 0;
}

/* Appends what comes behind *afterp (NULL: the start). 0 at the end, 1 when there is more, -ENOMEM.
 */
static int append_routes(
	struct ops *ops, struct portspace *ps, const struct prefix *after, json_t *routes)
{
	struct core_route_info some[ROUTES_AT_ONCE];
	const uint64_t now = core_now_ms();
	struct prefix last;
	size_t n;

	do {
		if (json_array_size(routes) >= ROUTES_PER_REPLY)
			return 1;
		n = core_routes(ops->core, ps, after, some, ROUTES_AT_ONCE);
		for (size_t i = 0; i < n; i++)
			if (json_array_append_new(routes, route_json(&some[i], now)) < 0)
				return -ENOMEM;
		if (n)
			last = some[n - 1].prefix;
		after = &last;
	} while (n);
	return append_inactive(ps, routes);
}

int ops_route_list(struct ops *ops, struct ops_request *rq, struct ops_caller *caller,
	json_t *reply, struct jsonio_error *err)
{
	const char *name, *text = NULL;
	struct portspace *ps;
	struct prefix after;
	json_t *routes;
	int r;

	(void)caller;
	if (jsonio_unpack(rq->root, err, "{s:s, s?s}", "name", &name, "after", &text) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	if (!ps)
		return -ENOENT;
	if (text && prefix_parse(text, &after) < 0)
		return jsonio_fail(err, EINVAL, "give the prefix of the last route that was read",
			"\"after\" is no prefix");
	routes = json_array();
	r = routes ? append_routes(ops, ps, text ? &after : NULL, routes) : -ENOMEM;
	if (r < 0) {
		json_decref(routes);
		return no_memory(err);
	}
	if (json_object_set_new(reply, "more", json_boolean(r)) < 0) {
		json_decref(routes);
		return no_memory(err);
	}
	return ops_put(reply, "routes", routes, err);
}

/* --- add and del --- */

/* Finds the portspace and copies its configuration into the request. */
static int prepare(struct ops *ops, struct ops_request *rq, const char **textp,
	struct portspace **psp, struct jsonio_error *err)
{
	const char *name;

	if (jsonio_unpack(rq->root, err, "{s:s, s:s}", "name", &name, "route", textp) < 0)
		return -EINVAL;
	*psp = ops_find(ops, name, err);
	if (!*psp)
		return -ENOENT;
	rq->config = portspace_config(*psp);
	return rq->config ? 0 : no_memory(err);
}

static int refuse(const char *text, struct jsonio_error *err)
{
	return jsonio_fail(err, EINVAL, route_hint, "\"%.100s\" is no route", text);
}

int ops_route_add(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct config_route route;
	struct portspace *ps;
	const char *text;
	int r = prepare(ops, rq, &text, &ps, err);

	(void)caller;
	(void)reply;
	if (r < 0)
		return r;
	if (config_route_parse(text, &route) < 0)
		return refuse(text, err);
	if (route.link[0] && !link_find(ps, route.link))
		return jsonio_fail(err, ENOENT, "\"persona link list\" shows them",
			"portspace \"%s\" has no link \"%s\"", ps->info.name, route.link);
	r = config_route_add(rq->config, &route);
	if (r == -EEXIST)
		return jsonio_fail(err, EEXIST, "\"persona route del\" removes it",
			"portspace \"%s\" has this route already", ps->info.name);
	if (r == -ENOSPC)
		return jsonio_fail(err, ENOSPC, "remove routes that are not used",
			"portspace \"%s\" has %d static routes", ps->info.name, CONFIG_ROUTES_MAX);
	if (r < 0)
		return no_memory(err);
	rq->ps = portspace_ref(ps);
	return ops_prepare(ops, rq, ps->info.name, !ps->ephemeral, err);
}

int ops_route_del(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct config_route route = {.metric = 1};
	struct portspace *ps;
	const char *text;
	bool any_hop;
	int r = prepare(ops, rq, &text, &ps, err);

	(void)caller;
	(void)reply;
	if (r < 0)
		return r;
	any_hop = prefix_parse(text, &route.prefix) == 0;
	if (any_hop)
		prefix_mask(&route.prefix);
	else if (config_route_parse(text, &route) < 0)
		return refuse(text, err);
	if (config_route_remove(rq->config, &route, any_hop) < 0)
		return jsonio_fail(err, ENOENT, "\"persona route show\" shows them",
			"portspace \"%s\" has no such static route", ps->info.name);
	rq->ps = portspace_ref(ps);
	return ops_prepare(ops, rq, ps->info.name, !ps->ephemeral, err);
}

int ops_route_finish(
	struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err)
{
	(void)ops;
	(void)reply;
	portspace_set_config(rq->ps, rq->config);
	rq->config = NULL;
	return ops_save_unnamed(rq->ps, err);
}

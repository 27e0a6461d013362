/* SPDX-License-Identifier: MIT */
/* The operation `ports` (ops.h): who answers each port of a portspace, and why.
 *
 * Model: every server of the portspace and of those above it is one row. Rows are made from the
 * portspace upwards, so when a row is made, those that may override it are there. */
#include "ops.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_net.h"
#include "hostports.h"
#include "inherit.h"

enum { ROWS_MAX = 65536 };

enum why { OWN, INHERITED, OVERRIDDEN, HIDDEN };

struct row {
	uint8_t proto;
	struct endpoint local;
	pid_t pid;
	const char *server; /* a portspace's name; "root" */
	enum why why;
	const char *by; /* OVERRIDDEN, HIDDEN: who does it */
};

/* A hide entry below the level that is looked at. */
struct hider {
	const struct config_port_list *hide;
	const char *name;
};

struct view {
	struct row *rows;
	size_t n, cap;
	const char *server; /* the level that is looked at */
	size_t lower;	    /* rows of the levels below it */
	struct hider hiders[INHERIT_DEPTH_MAX + 1];
	size_t nhiders;
	int error;
};

static bool same_row(const struct row *a, const struct row *b)
{
	return a->proto == b->proto && a->server == b->server && a->pid == b->pid &&
	       endpoint_equal(&a->local, &b->local);
}

/* Loopback belongs to one portspace, so it neither is inherited nor overrides. */
static void judge(const struct view *v, struct row *row)
{
	row->why = v->lower == 0 && v->nhiders == 0 ? OWN : INHERITED;
	for (size_t i = 0; i < v->nhiders; i++)
		if (config_ports_contain(v->hiders[i].hide, row->proto, row->local.port)) {
			row->why = HIDDEN;
			row->by = v->hiders[i].name;
			return;
		}
	for (size_t i = 0; i < v->lower; i++) {
		const struct row *r = &v->rows[i];

		if (r->proto != row->proto || r->local.port != row->local.port ||
			addr_is_loopback(&r->local.addr) || (r->why != OWN && r->why != INHERITED))
			continue;
		row->why = OVERRIDDEN;
		row->by = r->server;
		return;
	}
}

static int add_row(struct view *v, struct row *row)
{
	row->server = v->server;
	judge(v, row);
	if (row->why != OWN && addr_is_loopback(&row->local.addr))
		return 0;
	for (size_t i = v->lower; i < v->n; i++)
		if (same_row(&v->rows[i], row))
			return 0; /* SO_REUSEPORT */
	if (v->n == v->cap) {
		size_t cap = v->cap ? 2 * v->cap : 64;
		struct row *rows = cap <= ROWS_MAX ? realloc(v->rows, cap * sizeof(*rows)) : NULL;

		if (!rows) {
			v->error = -ENOMEM;
			return -1;
		}
		v->rows = rows;
		v->cap = cap;
	}
	v->rows[v->n++] = *row;
	return 0;
}

static int add_entry(const struct porttab_entry *entry, void *arg)
{
	struct row row = {.proto = entry->proto, .local = entry->local, .pid = entry->pid};

	if ((entry->proto == IPPROTO_TCP && !entry->listening) || entry->pid == getpid())
		return 0;
	return add_row(arg, &row);
}

static int add_host(const struct hostport *port, void *arg)
{
	struct row row = {.proto = port->proto, .local = port->local};

	return add_row(arg, &row);
}

/* Fills the view. 0 or negative errno. */
static int collect(struct core *core, struct portspace *ps, struct view *v)
{
	bool to_root = false;
	int r;

	pthread_mutex_lock(&core->lock);
	for (const struct portspace *level = ps; level && v->error == 0;) {
		v->server = level->info.name;
		v->lower = v->n;
		porttab_each(level->porttab, add_entry, v);
		if (!level->rules->inherit || v->nhiders > INHERIT_DEPTH_MAX)
			break;
		v->hiders[v->nhiders++] =
			(struct hider){.hide = &level->rules->hide, .name = level->info.name};
		to_root = !level->below;
		level = atomic_load(&level->super);
	}
	pthread_mutex_unlock(&core->lock);
	if (v->error < 0 || !to_root)
		return v->error;
	/* Only the control loop changes rules, so they hold without the mutex. */
	v->server = "root";
	v->lower = v->n;
	r = hostports_each(add_host, v);
	return v->error < 0 ? v->error : r;
}

static int by_port(const void *pa, const void *pb)
{
	const struct row *a = pa, *b = pb;

	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	if (a->local.port != b->local.port)
		return a->local.port < b->local.port ? -1 : 1;
	return a->why < b->why ? -1 : a->why > b->why;
}

static json_t *row_json(const struct row *row)
{
	static const char *const why[] = {"own", "inherited", "overridden", "hidden"};
	char text[ADDR_STRLEN];

	return json_pack("{s:s, s:i, s:s, s:s, s:s, s:s?, s:i}", "proto",
		row->proto == IPPROTO_UDP ? "udp" : "tcp", "port", (int)row->local.port, "address",
		addr_format(&row->local.addr, text), "server", row->server, "why", why[row->why],
		"by", row->by, "pid", (int)row->pid);
}

int ops_ports(struct ops *ops, struct ops_request *rq, struct ops_caller *caller, json_t *reply,
	struct jsonio_error *err)
{
	struct view v = {0};
	struct portspace *ps;
	const char *name;
	json_t *a;
	int r;

	(void)caller;
	if (jsonio_unpack(rq->root, err, "{s:s}", "name", &name) < 0)
		return -EINVAL;
	ps = ops_find(ops, name, err);
	if (!ps)
		return -ENOENT;
	r = collect(ops->core, ps, &v);
	if (r < 0) {
		free(v.rows);
		return jsonio_fail(err, -r, NULL, "the ports of \"%s\" cannot be listed: %s", name,
			strerror(-r));
	}
	if (v.n)
		qsort(v.rows, v.n, sizeof(v.rows[0]), by_port);
	a = json_array();
	for (size_t i = 0; i < v.n && a; i++)
		if (json_array_append_new(a, row_json(&v.rows[i])) < 0) {
			json_decref(a);
			a = NULL;
		}
	free(v.rows);
	r = ops_put(reply, "ports", a, err);
	if (r == 0)
		r = ops_put(reply, "hide", ops_hidden(ps), err);
	return r;
}

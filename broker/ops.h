/* SPDX-License-Identifier: MIT */
/* The operations of the control protocol (docs/PROTOCOL.md, section 2), without sockets.
 *
 * Model: ops_parse() turns a line into a request, ops_start() checks who asks and runs it. What
 * changes a stored configuration is done in three steps, so that the disk never blocks the control
 * loop: ops_start() validates and prepares the new text and changes nothing; ops_file() writes it
 * and may run in another thread; ops_finish() applies it. Callers run one such request at a time
 * (ops_writes() tells which they are), so what was checked in the first step still holds in the
 * third. A portspace that exists in memory is therefore always on the disk already. */
#ifndef PERSONA_BROKER_OPS_H
#define PERSONA_BROKER_OPS_H

#include <stdbool.h>

#include <jansson.h>

#include "core_priv.h"
#include "jsonio.h"
#include "status.h"

struct ops {
	struct core *core;
	const struct status_broker *broker;
	bool no_new_privs; /* the broker itself started with no_new_privs */
	int filters;	   /* seccomp filters the broker itself started under */
};

/* Who asks; filled by the caller for each request. */
struct ops_caller {
	const struct peer *peer;
	struct portspace *member;  /* the portspace the process is a member of, or NULL */
	bool no_new_privs;	   /* of the asking process */
	int filters;		   /* seccomp filters the asking process is under */
	struct portspace *entered; /* reference; set by `enter` */
};

struct ops_entry;

enum ops_file { OPS_NO_FILE, OPS_WRITE, OPS_REMOVE };

struct ops_request {
	json_t *root;
	const struct ops_entry *entry;
	/* for ops_file() */
	enum ops_file file;
	const char *dir;
	char name[PORTSPACE_NAME_MAX];
	char *text; /* sodium_malloc() */
	size_t text_len;
	int file_result;
	struct config_error file_error;
	/* for ops_finish() */
	struct config *config;
	struct portspace *ps; /* reference */
	struct key peer;
	json_t *warnings;
};

/* NULL with *errp when the line is no request. */
struct ops_request *ops_parse(const char *line, size_t len, struct jsonio_error *errp);
void ops_request_free(struct ops_request *rq); /* wipes; NULL is allowed */
/* May this process, which is no member, be one that manages? */
bool ops_believes(const struct ops *ops, const struct ops_caller *caller);
bool ops_writes(const struct ops_request *rq);
/* The reply (new reference), or NULL: the caller runs ops_file() and then ops_finish(). Never NULL
 * when ops_writes() is false, except when out of memory. */
json_t *ops_start(struct ops *ops, struct ops_request *rq, struct ops_caller *caller);
/* True when ops_start() left work for ops_file(). */
bool ops_pending(const struct ops_request *rq);
void ops_file(struct ops_request *rq);
json_t *ops_finish(struct ops *ops, struct ops_request *rq);

/* --- between the ops_*.c files --- */

enum ops_flags {
	OPS_ANYBODY = 1, /* members too, whatever they name */
	OPS_MEMBER = 2,	 /* members too, for their own portspace */
	OPS_WRITES = 4
};

/* start: 0 with members added to `reply`, negative errno with *err filled. finish the same. */
struct ops_entry {
	const char *name;
	unsigned flags;
	int (*start)(struct ops *ops, struct ops_request *rq, struct ops_caller *caller,
		json_t *reply, struct jsonio_error *err);
	int (*finish)(
		struct ops *ops, struct ops_request *rq, json_t *reply, struct jsonio_error *err);
};

typedef int ops_start_fn(
	struct ops *, struct ops_request *, struct ops_caller *, json_t *, struct jsonio_error *);
typedef int ops_finish_fn(struct ops *, struct ops_request *, json_t *, struct jsonio_error *);
ops_start_fn ops_ping, ops_list, ops_show, ops_status;
ops_start_fn ops_create, ops_import, ops_destroy, ops_enter;
ops_finish_fn ops_create_finish, ops_destroy_finish;
ops_start_fn ops_link_add, ops_link_remove, ops_link_list;
ops_finish_fn ops_link_add_finish, ops_link_remove_finish;
ops_start_fn ops_route_list, ops_route_add, ops_route_del;
ops_finish_fn ops_route_finish;
ops_start_fn ops_hide, ops_unhide, ops_ports;
ops_finish_fn ops_hide_finish;

/* Adds a member to a reply; takes the value, which may be NULL (-ENOMEM then). */
int ops_put(json_t *reply, const char *name, json_t *value, struct jsonio_error *err);
/* An unnamed portspace, with a random name that no restart confuses with another one's. addresses:
 * an array of strings, or NULL. */
int ops_make_unnamed(
	struct ops *ops, json_t *addresses, struct portspace **psp, struct jsonio_error *err);
/* By name; NULL with *err (ENOENT). */
struct portspace *ops_find(struct ops *ops, const char *name, struct jsonio_error *err);
/* May a new portspace of this name have the super-portspace that the configuration names? 0, or
 * negative errno with *err. */
int ops_check_super(
	struct ops *ops, const struct config *config, const char *name, struct jsonio_error *err);
/* -EBUSY with *err while others are directly below it. */
int ops_check_subs(struct ops *ops, const struct portspace *ps, struct jsonio_error *err);
/* The hidden ports as texts; new reference, NULL when out of memory. */
json_t *ops_hidden(const struct portspace *ps);
/* Checks rq->config and prepares its text: for ops_file() when `file`, else only checked. */
int ops_prepare(struct ops *ops, struct ops_request *rq, const char *name, bool file,
	struct jsonio_error *err);
/* After a change of an unnamed portspace: writes what a restarted broker would find. Others are on
 * the disk already. */
int ops_save_unnamed(struct portspace *ps, struct jsonio_error *err);
/* Every element of a JSON array of strings goes to fn. *err is filled when one is no string. */
int ops_each_string(json_t *array, const char *member,
	int (*fn)(const char *s, void *arg, struct jsonio_error *err), void *arg,
	struct jsonio_error *err);

#endif

/* SPDX-License-Identifier: MIT */
/* The control loop's side of the core: what changes portspaces and links.
 *
 * Model: everything here is called by the control loop only (except portspace_ref/unref and
 * link_ref/unref in core.h). A portspace's truth is its `struct config`; the rest of `struct
 * portspace` is derived from it. Its private key is taken out of the config and lives once, in
 * ps->private_key, because locked memory is scarce.
 *
 * Persistence is not done here but by the callers (ops, recover): a named portspace's file is
 * written before portspace_add() or portspace_set_config() is called. Only what is below the
 * runtime directory is written here: it dies with the machine, so it needs no fsync. */
#ifndef PERSONA_BROKER_CORE_PRIV_H
#define PERSONA_BROKER_CORE_PRIV_H

#include <pthread.h>
#include <stdint.h>

#include <jansson.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV
#include <uthash.h>

#include "config.h"
#include "core.h"
#include "hosts.h"
#include "member.h"
#include "porttab.h"
#include "rundir.h"

enum {
	CORE_STREAMS_MAX = 65536, /* streams of a portspace where its config does not say */
	CORE_INITS_MAX = 4096,	  /* inits of one broker */
	CORE_ROUTES_AT_ONCE = 32  /* routes changed before others may have the mutex */
};

/* Whom the core tells of changes; called by the control loop. Each may be NULL. */
struct core_hooks {
	/* Added, got another endpoint, or removed (link->removed). */
	void (*link_changed)(struct link *link, void *arg);
	void (*process_gone)(pid_t pid, void *arg);
	void (*portspace_gone)(struct portspace *ps, void *arg);
	/* It is new, or its configuration changed. */
	void (*portspace_changed)(struct portspace *ps, void *arg);
	/* Its super-portspace is known now (ps->super). */
	void (*portspace_attached)(struct portspace *ps, void *arg);
	void *arg;
};

struct core_config {
	const char *runtime_dir;
	const char *config_dir;
	unsigned nworkers; /* goes into info files */
	struct core_hooks hooks;
};

/* Portspaces at one moment, for core_by_mac1() to search without the lock. */
struct core_snapshot {
	atomic_uint refs;
	size_t n;
	struct portspace *ps[];
};

struct core {
	pthread_mutex_t lock;
	struct members *members;
	struct portspace_priv *by_name; /* guarded by the lock, changed by the control loop */
	struct portspace_priv *by_id;
	struct core_snapshot *snapshot; /* NULL: to be built */
	unsigned nworkers;
	unsigned ninits;
	struct key *no_psk; /* all zero; shared by links without a pre-shared key */
	struct core_hooks hooks;
	char runtime_dir[RUNDIR_RUNTIME_MAX];
	char config_dir[RUNDIR_PATH_MAX];
};

/* A process that said `enter`. */
struct init {
	pid_t pid;
	char seal[12];
	json_t *command;    /* array of strings, NULL when not given */
	uint64_t started_s; /* Unix time */
	struct init *next;
};

struct portspace_priv {
	struct portspace *ps; /* reference */
	struct core *core;
	struct config *config; /* without the private key */
	struct init *inits;
	uint32_t next_ifindex;
	struct portspace_route *routes; /* what portspace_build_routes() set */
	size_t nroutes;
	uint16_t route_number;
	bool leaving;	   /* its file is being removed: nobody may enter */
	bool waiting;	   /* unnamed, recovered: its init has not come back yet */
	UT_hash_handle hh; /* by name */
	UT_hash_handle hh_id;
};

/* What a restart must keep of a portspace. */
struct portspace_identity {
	uint32_t id; /* 0: the smallest free */
	bool has_secret;
	uint8_t secret[16]; /* random when !has_secret */
};

/* 0, -ENOMEM, -EMFILE, -ENAMETOOLONG. */
int core_new(const struct core_config *config, struct core **corep);
/* Frees everything. The runtime directory of a portspace with inits stays, so that its programs go
 * on when the broker is back. NULL is allowed. No worker may run any more. */
void core_free(struct core *core);
/* By name; no reference is taken. NULL when there is none. */
struct portspace *core_find(struct core *core, const char *name);
size_t core_count(const struct core *core);
/* Collects ended member processes: frees leases, tells the hooks, ends inits. */
void core_collect(struct core *core);
/* To be called when portspaces come or go: core_by_mac1() must not use an old snapshot. */
void core_portspaces_changed(struct core *core);
uint64_t core_now_ms(void); /* CLOCK_MONOTONIC */
/* The link that has exactly this prefix in its AllowedIPs, or NULL. */
struct link *core_link_of_prefix(struct portspace *ps, const struct prefix *prefix);
/* An own address of the portspace, or its link-local one? Loopback is not. Any thread. */
bool portspace_owns(const struct portspace *ps, const struct addr *a);

/* Makes a portspace of a checked config, which it takes over in any case; its directory and info
 * file too. Where its super-portspace is not there, it waits for it (inherit_attach_all()). 0 and
 * *psp (no reference); -EEXIST (name), -ENOSPC (no id), -ENOMEM, or what mkdir(2) and write(2) say.
 */
int portspace_add(struct core *core, const char *name, struct config *config, bool ephemeral,
	const struct portspace_identity *identity, struct portspace **psp);
/* Ends it: links removed, members forgotten, directory removed. */
void portspace_remove(struct core *core, struct portspace *ps);
/* The same, but its directory stays for the next start. */
void portspace_forget(struct core *core, struct portspace *ps);
/* A copy of the configuration, private key included; the caller frees it. NULL: out of memory. */
struct config *portspace_config(const struct portspace *ps);
/* The configuration's text with all keys, from sodium_malloc(). As config_format(). */
int portspace_text(const struct portspace *ps, char **textp, size_t *lenp);
/* For an unnamed one: writes its configuration into the runtime directory, for recovery. */
int portspace_save_runtime(struct portspace *ps);
/* Takes over a changed configuration with the same key and addresses; names are derived anew. Links
 * are the caller's to add and remove. */
void portspace_set_config(struct portspace *ps, struct config *config);

/* Its super-portspace was found: what follows from that, and the hooks. */
void portspace_attached(struct portspace *ps);

/* The peer becomes an init. command may be NULL (a reference is taken). 0, -EEXIST, -ESRCH,
 * -EBUSY, -ENOSPC (CORE_INITS_MAX), -ENOMEM. */
int portspace_enter(
	struct portspace *ps, const struct peer *peer, const char *seal, json_t *command);
/* The init is gone; an unnamed portspace goes with its last one. No effect when it is none. */
void portspace_leave(struct core *core, struct portspace *ps, pid_t pid);

/* Sets the routes that the configuration gives, and the settings of RIP, anew: after a change of
 * the configuration or of the links. What cannot be set is logged. */
void portspace_build_routes(struct portspace *ps);
/* What a static route leads over now; NULL: no link leads to its next hop. */
struct rib_via *portspace_route_via(struct portspace *ps, const struct config_route *route);

/* Gives every peer without a name one: link1, link2, ... 0 or -ENOSPC. */
int link_name_peers(struct config *config);
/* Adds the link of a peer that is already in the portspace's config. 0; -EEXIST: a prefix is
 * another link's; -ENOMEM. */
int link_add(struct portspace *ps, const struct config_peer *peer, struct link **linkp);
/* Marks it removed, takes it out and tells the hooks. */
void link_remove(struct link *link);
/* By its name or the peer's public key in text; no reference. NULL when there is none. */
struct link *link_find(struct portspace *ps, const char *text);
/* A (new) address for its endpoint; tells the hooks when it changed. */
void link_set_endpoint(struct link *link, const struct endpoint *ep);
uint32_t link_ifindex(const struct link *link);
/* State of resolve.c, zero at first. */
struct link_resolve {
	bool running;
	unsigned attempts;
	uint64_t next_ms;
};
struct link_resolve *link_resolve_state(struct link *link);

/* Builds the name table anew: the config's hosts, then the hostname, then links' names. */
void portspace_build_hosts(struct portspace *ps);
/* Writes DIR/NAME atomically with this mode. 0 or negative errno. */
int portspace_write_file(
	const char *dir, const char *name, mode_t mode, const void *data, size_t len);
/* Removes a portspace's runtime directory with everything in it. */
void portspace_remove_dir(const char *dir);

#endif

/* SPDX-License-Identifier: MIT */
/* The questions the data path asks (core.h). */
#include "core_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handshake.h"

static void snapshot_unref(struct core_snapshot *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->n; i++)
		portspace_unref(s->ps[i]);
	free(s);
}

int core_new(const struct core_config *config, struct core **corep)
{
	struct core *core = calloc(1, sizeof(*core));
	int r;

	if (!core)
		return -ENOMEM;
	pthread_mutex_init(&core->lock, NULL);
	core->nworkers = config->nworkers;
	core->hooks = config->hooks;
	r = -ENAMETOOLONG;
	if (snprintf(core->runtime_dir, sizeof(core->runtime_dir), "%s", config->runtime_dir) >=
			(int)sizeof(core->runtime_dir) ||
		snprintf(core->config_dir, sizeof(core->config_dir), "%s", config->config_dir) >=
			(int)sizeof(core->config_dir))
		goto fail;
	r = -ENOMEM;
	core->no_psk = key_new();
	if (!core->no_psk)
		goto fail;
	r = members_new(&core->members);
	if (r < 0)
		goto fail;
	*corep = core;
	return 0;
fail:
	key_free(core->no_psk);
	pthread_mutex_destroy(&core->lock);
	free(core);
	return r;
}

struct portspace *core_find(struct core *core, const char *name)
{
	struct portspace_priv *priv;

	HASH_FIND_STR(core->by_name, name, priv);
	return priv ? priv->ps : NULL;
}

size_t core_count(const struct core *core)
{
	return HASH_COUNT(core->by_name);
}

void core_collect(struct core *core)
{
	struct portspace *ps;
	pid_t pid;

	while (members_next_gone(core->members, &pid, &ps)) {
		pthread_mutex_lock(&core->lock);
		if (!ps->removed)
			porttab_pid_gone(ps->porttab, pid);
		pthread_mutex_unlock(&core->lock);
		if (core->hooks.process_gone)
			core->hooks.process_gone(pid, core->hooks.arg);
		portspace_leave(core, ps, pid);
		portspace_unref(ps);
	}
}

struct portspace *core_member_since(struct core *core, int sock, uint64_t since_ms, pid_t *pidp)
{
	struct portspace *ps = NULL;
	struct peer peer;

	if (peer_get_pid(sock, &peer) < 0 || peer.uid != geteuid())
		return NULL;
	if (since_ms)
		ps = members_of_pid(core->members, peer.pid, since_ms);
	if (!ps && peer_get(sock, &peer) == 0) {
		ps = members_of_peer(core->members, &peer);
		peer_close(&peer);
	}
	if (ps && ps->removed) {
		portspace_unref(ps);
		ps = NULL;
	}
	if (ps)
		*pidp = peer.pid;
	return ps;
}

struct portspace *core_member(struct core *core, int sock, pid_t *pidp)
{
	return core_member_since(core, sock, 0, pidp);
}

/* A reference to the current snapshot, which is built when there is none. NULL: out of memory. */
static struct core_snapshot *snapshot_get(struct core *core)
{
	struct core_snapshot *s;

	pthread_mutex_lock(&core->lock);
	s = core->snapshot;
	if (!s) {
		size_t n = HASH_COUNT(core->by_name);

		s = malloc(sizeof(*s) + n * sizeof(s->ps[0]));
		if (s) {
			atomic_init(&s->refs, 1);
			s->n = 0;
			for (struct portspace_priv *p = core->by_name; p; p = p->hh.next)
				s->ps[s->n++] = portspace_ref(p->ps);
			core->snapshot = s;
		}
	}
	if (s)
		atomic_fetch_add(&s->refs, 1);
	pthread_mutex_unlock(&core->lock);
	return s;
}

struct portspace *core_by_mac1(struct core *core, const uint8_t *msg, size_t len)
{
	struct core_snapshot *s = snapshot_get(core);
	struct portspace *ps = NULL;

	for (size_t i = 0; s && !ps && i < s->n; i++)
		if (!s->ps[i]->removed && handshake_check_mac1(s->ps[i]->mac1_key, msg, len))
			ps = portspace_ref(s->ps[i]);
	snapshot_unref(s);
	return ps;
}

struct link *core_link_by_key(struct core *core, struct portspace *ps, const struct key *peer)
{
	struct link *link;

	pthread_mutex_lock(&core->lock);
	for (link = ps->links; link; link = link->next)
		if (key_equal(&link->peer, peer))
			break;
	if (link)
		link_ref(link);
	pthread_mutex_unlock(&core->lock);
	return link;
}

bool core_link_endpoint(struct core *core, struct link *link, struct endpoint *ep)
{
	bool has;

	pthread_mutex_lock(&core->lock);
	has = link->has_endpoint;
	if (has)
		*ep = link->endpoint;
	pthread_mutex_unlock(&core->lock);
	return has;
}

bool core_link_fresh(struct core *core, struct link *link, const uint8_t *timestamp)
{
	bool fresh;

	pthread_mutex_lock(&core->lock);
	fresh = handshake_replay_check(&link->replay, timestamp);
	pthread_mutex_unlock(&core->lock);
	return fresh;
}

void core_each_link(struct core *core, void (*fn)(struct link *link, void *arg), void *arg)
{
	pthread_mutex_lock(&core->lock);
	for (struct portspace_priv *p = core->by_name; p; p = p->hh.next)
		for (struct link *link = p->ps->links; link; link = link->next)
			fn(link, arg);
	pthread_mutex_unlock(&core->lock);
}

bool core_stale(struct core *core, struct portspace *ps, const char *path)
{
	size_t n = strlen(ps->dir);
	bool dropped;

	if (strncmp(path, ps->dir, n) != 0 || path[n] != '/')
		return false;
	pthread_mutex_lock(&core->lock);
	dropped = !ps->removed && porttab_verify(ps->porttab, path + n + 1);
	pthread_mutex_unlock(&core->lock);
	return dropped;
}

void core_free(struct core *core)
{
	struct portspace_priv *p, *next;

	if (!core)
		return;
	snapshot_unref(core->snapshot);
	core->snapshot = NULL;
	members_free(core->members);
	core->members = NULL;
	HASH_ITER(hh, core->by_name, p, next)
	{
		if (p->inits || p->waiting)
			portspace_forget(core, p->ps); /* its programs find it again */
		else
			portspace_remove(core, p->ps);
	}
	key_free(core->no_psk);
	pthread_mutex_destroy(&core->lock);
	free(core);
}

void core_portspaces_changed(struct core *core)
{
	struct core_snapshot *s;

	pthread_mutex_lock(&core->lock);
	s = core->snapshot;
	core->snapshot = NULL;
	pthread_mutex_unlock(&core->lock);
	snapshot_unref(s);
}

/* SPDX-License-Identifier: MIT */
/* Portspaces: making, ending, their inits and their runtime directories (core_priv.h). */
#define LOG_MODULE "portspace"
#include "core_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "etc.h"
#include "handshake.h"
#include "inherit.h"
#include "linklocal.h"
#include "log.h"
#include "probe.h"

struct portspace *portspace_ref(struct portspace *ps)
{
	atomic_fetch_add_explicit(&ps->refs, 1, memory_order_relaxed);
	return ps;
}

void portspace_unref(struct portspace *ps)
{
	if (!ps || atomic_fetch_sub_explicit(&ps->refs, 1, memory_order_acq_rel) != 1)
		return;
	portspace_unref(atomic_load(&ps->super));
	inherit_free(ps->rules);
	porttab_free(ps->porttab);
	rib_free(ps->rib);
	free(ps->rip.networks);
	hosts_free(ps->hosts);
	key_free(ps->private_key);
	sodium_memzero(&ps->info, sizeof(ps->info));
	free(ps->dir);
	free(ps);
}

/* --- what the port table asks --- */

static bool socket_alive(uint64_t inode, void *arg)
{
	(void)arg;
	return probe_inode_alive(inode) != 0; /* unsure counts as alive */
}

static bool pid_alive(pid_t pid, void *arg)
{
	(void)arg;
	return kill(pid, 0) == 0 || errno != ESRCH;
}

static void file_dropped(const char *file, void *arg)
{
	const struct portspace *ps = arg;
	char path[RUNDIR_PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", ps->dir, file);
	unlink(path);
}

/* --- runtime directory --- */

int portspace_write_file(
	const char *dir, const char *name, mode_t mode, const void *data, size_t len)
{
	char path[RUNDIR_PATH_MAX], tmp[RUNDIR_PATH_MAX];
	ssize_t n;
	int fd, r = 0;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= (int)sizeof(path) ||
		snprintf(tmp, sizeof(tmp), "%s/.%s.new", dir, name) >= (int)sizeof(tmp))
		return -ENAMETOOLONG;
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < len && r == 0; done += (size_t)n) {
		n = write(fd, (const char *)data + done, len - done);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n < 0)
			r = -errno;
	}
	if (close(fd) < 0 && r == 0)
		r = -errno;
	if (r == 0 && rename(tmp, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(tmp);
	return r;
}

void portspace_remove_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	if (rmdir(dir) < 0 && errno != ENOENT)
		log_warning("cannot remove %s: %s", dir, strerror(errno));
}

static int write_info(const struct portspace *ps)
{
	uint8_t buf[INFO_MAX];
	int n = info_encode(&ps->info, buf, sizeof(buf));
	int r = n < 0 ? n : portspace_write_file(ps->dir, "info", 0400, buf, (size_t)n);

	sodium_memzero(buf, sizeof(buf));
	return r;
}

int portspace_save_runtime(struct portspace *ps)
{
	char *text;
	size_t len;
	int r = portspace_text(ps, &text, &len);

	if (r < 0)
		return r;
	r = portspace_write_file(ps->dir, "conf", 0600, text, len);
	sodium_free(text);
	return r;
}

/* --- configuration --- */

int portspace_text(const struct portspace *ps, char **textp, size_t *lenp)
{
	struct config *config = ps->priv->config;
	int r;

	config->private_key = ps->private_key; /* lent for the moment */
	r = config_format(config, textp, lenp);
	config->private_key = NULL;
	return r;
}

struct config *portspace_config(const struct portspace *ps)
{
	struct config *config = NULL;
	char *text;
	size_t len;

	if (portspace_text(ps, &text, &len) < 0)
		return NULL;
	if (config_parse(text, len, &config, NULL) < 0)
		config = NULL;
	sodium_free(text);
	return config;
}

static bool name_taken(const struct hosts *hosts, const char *name)
{
	struct addr a;

	return hosts_lookup(hosts, name, &a, 1, NULL) > 0;
}

/* The first address that this link's prefixes name in full. */
static bool link_host(const struct link *link, struct addr *ap)
{
	for (size_t i = 0; i < link->nallowed; i++)
		if (link->allowed[i].len == 128) {
			*ap = link->allowed[i].addr;
			return true;
		}
	return false;
}

void portspace_build_hosts(struct portspace *ps)
{
	const struct config *config = ps->priv->config;
	struct hosts *hosts, *old;
	struct addr a;

	if (hosts_new(&hosts) < 0)
		return; /* the old table stays: names are a convenience, memory is not */
	for (size_t i = 0; i < config->nhosts; i++)
		(void)hosts_add(hosts, config->hosts[i].name, &config->hosts[i].addr);
	if (!name_taken(hosts, ps->info.hostname))
		for (unsigned i = 0; i < ps->info.naddr; i++)
			(void)hosts_add(hosts, ps->info.hostname, &ps->info.addr[i].addr);
	for (const struct link *link = ps->links; link; link = link->next)
		if (link_host(link, &a) && !name_taken(hosts, link->name))
			(void)hosts_add(hosts, link->name, &a);
	pthread_mutex_lock(&ps->priv->core->lock);
	old = ps->hosts;
	ps->hosts = hosts;
	pthread_mutex_unlock(&ps->priv->core->lock);
	hosts_free(old);
	etc_write(ps);
}

static void set_rules(struct portspace *ps, const struct config *config)
{
	struct inherit *rules, *old = ps->rules;

	if (inherit_new(config, &rules) < 0) {
		log_error("%s: out of memory; its new rules hold after a restart", ps->info.name);
		return;
	}
	pthread_mutex_lock(&ps->priv->core->lock);
	ps->rules = rules;
	pthread_mutex_unlock(&ps->priv->core->lock);
	inherit_free(old);
}

void portspace_set_config(struct portspace *ps, struct config *config)
{
	struct config *old = ps->priv->config;

	set_rules(ps, config);
	key_free(config->private_key);
	config->private_key = NULL;
	ps->priv->config = config;
	config_free(old);
	portspace_build_routes(ps);
	portspace_build_hosts(ps);
	if (ps->priv->core->hooks.portspace_changed)
		ps->priv->core->hooks.portspace_changed(ps, ps->priv->core->hooks.arg);
}

/* --- making and ending --- */

/* Below a super-portspace there is room for less, unless the configuration decides. */
static uint16_t mtu_of(const struct portspace *ps, const struct config *config)
{
	const struct portspace *super = atomic_load(&ps->super);

	if (config->mtu)
		return config->mtu;
	return super ? (uint16_t)inherit_mtu(super) : CONFIG_MTU_DEFAULT;
}

static void fill_info(struct portspace *ps, const char *name, const struct config *config,
	const struct portspace_identity *identity, unsigned nworkers)
{
	struct info *info = &ps->info;

	info->portspace = ps->id;
	info->nworkers = (uint8_t)nworkers;
	info->mtu = mtu_of(ps, config);
	snprintf(info->name, sizeof(info->name), "%s", name);
	snprintf(info->hostname, sizeof(info->hostname), "%s",
		config->hostname[0] ? config->hostname : name);
	info->naddr = (uint8_t)config->naddresses;
	memcpy(info->addr, config->addresses, config->naddresses * sizeof(info->addr[0]));
	if (identity && identity->has_secret)
		memcpy(info->secret, identity->secret, sizeof(info->secret));
	else
		randombytes_buf(info->secret, sizeof(info->secret));
}

static uint32_t free_id(struct core *core)
{
	struct portspace_priv *p;

	for (uint32_t id = 1; id <= PORTSPACE_ID_MAX; id++) {
		HASH_FIND(hh_id, core->by_id, &id, sizeof(id), p);
		if (!p)
			return id;
	}
	return 0;
}

static int make_dir(struct core *core, struct portspace *ps)
{
	int r;

	if (asprintf(&ps->dir, "%s/ps/%u", core->runtime_dir, (unsigned)ps->id) < 0) {
		ps->dir = NULL;
		return -ENOMEM;
	}
	r = rundir_make(ps->dir);
	return r < 0 ? r : write_info(ps);
}

static int make_tables(struct portspace *ps)
{
	struct porttab_ops ops = {
		.alive = socket_alive, .pid_alive = pid_alive, .dropped = file_dropped, .arg = ps};
	int r = porttab_new(&ops, NULL, &ps->porttab);

	if (r == 0)
		r = rib_new(&ps->rib);
	if (r == 0)
		r = hosts_new(&ps->hosts);
	return r;
}

/* Everything but the links and the entry in the core's tables. */
static int make(struct core *core, const char *name, struct config *config,
	const struct portspace_identity *identity, struct portspace **psp)
{
	struct portspace *ps = calloc(1, sizeof(*ps));
	int r = -ENOMEM;

	if (!ps)
		return -ENOMEM;
	atomic_init(&ps->refs, 1);
	*psp = ps;
	ps->priv = calloc(1, sizeof(*ps->priv));
	if (!ps->priv)
		return -ENOMEM;
	ps->priv->ps = ps;
	ps->priv->core = core;
	ps->priv->next_ifindex = 2; /* lo is 1 */
	ps->id = identity && identity->id ? identity->id : free_id(core);
	if (ps->id == 0)
		return -ENOSPC;
	r = key_public(config->private_key, &ps->public_key);
	if (r < 0)
		return r;
	handshake_mac1_key(&ps->public_key, ps->mac1_key);
	addr_link_local(&ps->public_key, &ps->link_local);
	ps->streams_max = config->streams_max ? config->streams_max : CORE_STREAMS_MAX;
	ps->listen_port = config->listen_port ? config->listen_port : CONFIG_LISTEN_PORT;
	(void)inherit_attach(core, ps, config); /* it waits for one that is not there */
	r = inherit_new(config, &ps->rules);
	if (r < 0)
		return r;
	fill_info(ps, name, config, identity, core->nworkers);
	r = make_tables(ps);
	return r < 0 ? r : make_dir(core, ps);
}

static int enlist(struct core *core, struct portspace *ps)
{
	struct portspace_priv *p = ps->priv;
	int r = 0;

	pthread_mutex_lock(&core->lock);
	HASH_ADD_KEYPTR(hh, core->by_name, ps->info.name, strlen(ps->info.name), p);
	if (!p->hh.tbl) {
		r = -ENOMEM;
	} else {
		HASH_ADD_KEYPTR(hh_id, core->by_id, &ps->id, sizeof(ps->id), p);
		if (!p->hh_id.tbl) {
			HASH_DEL(core->by_name, p);
			r = -ENOMEM;
		}
	}
	pthread_mutex_unlock(&core->lock);
	return r;
}

/* Undoes a portspace that never got into the tables. */
static void drop_made(struct portspace *ps, bool new_dir)
{
	if (!ps)
		return;
	while (ps->links)
		link_remove(ps->links);
	if (ps->dir && new_dir)
		portspace_remove_dir(ps->dir);
	ps->removed = true;
	if (ps->priv)
		config_free(ps->priv->config);
	free(ps->priv);
	ps->priv = NULL;
	portspace_unref(ps);
}

int portspace_add(struct core *core, const char *name, struct config *config, bool ephemeral,
	const struct portspace_identity *identity, struct portspace **psp)
{
	struct portspace *ps = NULL;
	int r = -EEXIST;

	if (!core_find(core, name))
		r = make(core, name, config, identity, &ps);
	if (r < 0) {
		config_free(config);
		drop_made(ps, !identity || !identity->id);
		return r;
	}
	ps->ephemeral = ephemeral;
	ps->private_key = config->private_key;
	config->private_key = NULL;
	ps->priv->config = config;
	for (size_t i = 0; i < config->npeers && r == 0; i++)
		r = link_add(ps, &config->peers[i], NULL);
	if (r == 0 && ephemeral)
		r = portspace_save_runtime(ps);
	if (r == 0)
		r = enlist(core, ps);
	if (r < 0) {
		drop_made(ps, !identity || !identity->id);
		return r;
	}
	portspace_build_routes(ps);
	portspace_build_hosts(ps);
	core_portspaces_changed(core);
	if (core->hooks.portspace_changed)
		core->hooks.portspace_changed(ps, core->hooks.arg);
	if (atomic_load(&ps->super) && core->hooks.portspace_attached)
		core->hooks.portspace_attached(ps, core->hooks.arg);
	*psp = ps;
	return 0;
}

void portspace_attached(struct portspace *ps)
{
	struct core *core = ps->priv->core;
	uint16_t mtu = mtu_of(ps, ps->priv->config);
	int r = 0;

	if (ps->info.mtu != mtu) {
		ps->info.mtu = mtu;
		r = write_info(ps);
	}
	if (r < 0)
		log_warning("%s: cannot write its info file: %s", ps->info.name, strerror(-r));
	if (core->hooks.portspace_attached)
		core->hooks.portspace_attached(ps, core->hooks.arg);
	for (struct link *link = ps->links; link && core->hooks.link_changed; link = link->next)
		core->hooks.link_changed(link, core->hooks.arg);
}

static void free_init(struct core *core, struct init *init)
{
	json_decref(init->command);
	free(init);
	core->ninits--;
}

void portspace_forget(struct core *core, struct portspace *ps)
{
	struct portspace_priv *priv = ps->priv;

	portspace_ref(ps); /* until the end of this function */
	pthread_mutex_lock(&core->lock);
	ps->removed = true;
	HASH_DEL(core->by_name, priv);
	HASH_DELETE(hh_id, core->by_id, priv);
	pthread_mutex_unlock(&core->lock);
	core_portspaces_changed(core);
	if (core->members)
		members_drop(core->members, ps);
	while (ps->links)
		link_remove(ps->links);
	while (priv->inits) {
		struct init *init = priv->inits;

		priv->inits = init->next;
		free_init(core, init);
	}
	if (core->hooks.portspace_gone)
		core->hooks.portspace_gone(ps, core->hooks.arg);
	config_free(priv->config);
	free(priv->routes);
	pthread_mutex_lock(&core->lock);
	ps->priv = NULL;
	pthread_mutex_unlock(&core->lock);
	free(priv);
	portspace_unref(ps); /* the core's */
	portspace_unref(ps);
}

void portspace_remove(struct core *core, struct portspace *ps)
{
	portspace_ref(ps);
	portspace_forget(core, ps);
	portspace_remove_dir(ps->dir);
	portspace_unref(ps);
}

/* --- inits --- */

int portspace_enter(
	struct portspace *ps, const struct peer *peer, const char *seal, json_t *command)
{
	struct core *core = ps->priv->core;
	struct init *init;
	int r;

	if (core->ninits >= CORE_INITS_MAX)
		return -ENOSPC;
	init = calloc(1, sizeof(*init));
	if (!init)
		return -ENOMEM;
	r = members_add_init(core->members, peer, ps);
	if (r < 0) {
		free(init);
		return r;
	}
	init->pid = peer->pid;
	snprintf(init->seal, sizeof(init->seal), "%s", seal);
	init->command = json_incref(command);
	init->started_s = (uint64_t)time(NULL);
	init->next = ps->priv->inits;
	ps->priv->inits = init;
	ps->priv->waiting = false;
	core->ninits++;
	log_debug("%s: process %d entered (%s)", ps->info.name, (int)peer->pid, seal);
	return 0;
}

void portspace_leave(struct core *core, struct portspace *ps, pid_t pid)
{
	struct init **at, *init;

	if (!ps->priv)
		return;
	for (at = &ps->priv->inits; *at && (*at)->pid != pid;)
		at = &(*at)->next;
	init = *at;
	if (!init)
		return;
	*at = init->next;
	free_init(core, init);
	members_remove_init(core->members, pid);
	log_debug("%s: process %d left", ps->info.name, (int)pid);
	if (ps->ephemeral && !ps->priv->inits)
		portspace_remove(core, ps);
}

/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "recover"
#include "recover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "inherit.h"
#include "log.h"
#include "probe.h"
#include "state.h"

/* A directory RUNTIME/ps/ID that an earlier broker left. */
struct found {
	struct info info;
	bool unnamed; /* has a `conf` */
	bool used;
	struct found *next;
};

/* A directory's name that is an id, or 0. */
static uint32_t parse_id(const char *s)
{
	char *end;
	unsigned long id;

	if (*s < '1' || *s > '9')
		return 0;
	errno = 0;
	id = strtoul(s, &end, 10);
	return errno || *end || id > PORTSPACE_ID_MAX ? 0 : (uint32_t)id;
}

static int read_info(const char *dir, struct info *infop)
{
	char path[RUNDIR_PATH_MAX + 1024];
	uint8_t buf[INFO_MAX];
	struct stat st;
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "%s/info", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid())
		n = read(fd, buf, sizeof(buf));
	close(fd);
	return n < 0 ? -EPERM : info_decode(buf, (size_t)n, infop);
}

/* All directories with a readable info file. -ENOMEM, or 0 (also when there is nothing). */
static int scan(const char *runtime_dir, struct found **listp)
{
	char dir[RUNDIR_PATH_MAX], path[RUNDIR_PATH_MAX + 512];
	struct dirent *e;
	int r = 0;
	DIR *d;

	*listp = NULL;
	snprintf(dir, sizeof(dir), "%s/ps", runtime_dir);
	d = opendir(dir);
	while (d && r == 0 && (e = readdir(d))) {
		uint32_t id = parse_id(e->d_name);
		struct found *f;

		if (id == 0)
			continue;
		f = calloc(1, sizeof(*f));
		if (!f) {
			r = -ENOMEM;
			break;
		}
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (read_info(path, &f->info) < 0 || f->info.portspace != id ||
			!config_name_valid(f->info.name)) {
			log_info("%s has no usable info file and is removed", path);
			portspace_remove_dir(path);
			free(f);
			continue;
		}
		strcat(path, "/conf");
		f->unnamed = access(path, F_OK) == 0;
		f->next = *listp;
		*listp = f;
	}
	if (d)
		closedir(d);
	return r;
}

static void free_found(struct found *list)
{
	while (list) {
		struct found *next = list->next;

		sodium_memzero(list, sizeof(*list));
		free(list);
		list = next;
	}
}

unsigned recover_workers(const char *runtime_dir)
{
	struct found *list;
	unsigned n = 0;

	(void)scan(runtime_dir, &list);
	for (struct found *f = list; f; f = f->next)
		if (f->info.nworkers > n)
			n = f->info.nworkers;
	free_found(list);
	return n;
}

/* Loads one configuration text into the core. */
static int load(struct core *core, const char *name, const char *where, char *text, size_t len,
	bool ephemeral, struct found *f, struct portspace **psp)
{
	struct portspace_identity identity = {0};
	struct config_error error = {0};
	struct config *config = NULL;
	int r = config_parse(text, len, &config, &error);

	if (r == 0 && (link_name_peers(config) < 0 || config_check(config, &error) < 0)) {
		config_free(config);
		r = -EINVAL;
	}
	if (r < 0) {
		log_error("%s: line %u: %s; portspace %s is not available", where, error.line,
			error.message, name);
		return r;
	}
	if (f) {
		identity.id = f->info.portspace;
		identity.has_secret = true;
		memcpy(identity.secret, f->info.secret, sizeof(identity.secret));
		f->used = true;
	}
	r = portspace_add(core, name, config, ephemeral, &identity, psp);
	sodium_memzero(&identity, sizeof(identity));
	if (r < 0)
		log_error("%s: portspace %s is not available: %s", where, name, strerror(-r));
	return r;
}

static struct found *find(struct found *list, const char *name)
{
	for (; list; list = list->next)
		if (!list->used && strcmp(list->info.name, name) == 0)
			return list;
	return NULL;
}

static void load_named(
	struct core *core, const char *name, struct found *f, struct recover_report *report)
{
	char where[RUNDIR_PATH_MAX + PORTSPACE_NAME_MAX + 8];
	struct config_error error = {0};
	struct portspace *ps;
	char *text;
	size_t len;
	int r = state_read(core->config_dir, name, &text, &len, &error);

	snprintf(where, sizeof(where), "%s/%s.conf", core->config_dir, name);
	if (r < 0) {
		log_error("%s; portspace %s is not available", error.message, name);
	} else {
		r = load(core, name, where, text, len, false, f, &ps);
		sodium_free(text);
	}
	if (r < 0)
		report->failed++;
	else
		report->named++;
}

static void load_unnamed(struct core *core, struct found *f, struct recover_report *report)
{
	char where[RUNDIR_PATH_MAX];
	struct config_error error = {0};
	struct portspace *ps;
	char *text;
	size_t len;
	int r;

	snprintf(where, sizeof(where), "%s/ps/%u/conf", core->runtime_dir,
		(unsigned)f->info.portspace);
	r = state_read_file(where, &text, &len, &error);
	if (r < 0) {
		log_error("%s; portspace %s is gone", error.message, f->info.name);
	} else {
		r = load(core, f->info.name, where, text, len, true, f, &ps);
		sodium_free(text);
	}
	if (r < 0) {
		report->failed++;
		f->used = false; /* its directory goes */
	} else {
		report->unnamed++;
		ps->priv->waiting = true;
	}
}

struct adopting {
	struct core *core;
	struct recover_report *report;
	char prefix[RUNDIR_PATH_MAX];
};

static int adopt(const char *path, uint64_t inode, void *arg)
{
	struct adopting *a = arg;
	size_t n = strlen(a->prefix);
	struct portspace_priv *p;
	char id_text[8];
	const char *slash;
	struct stat st;
	uint32_t id;

	if (strncmp(path, a->prefix, n) != 0)
		return 0;
	/* A name without a file was another portspace's, whose directory is gone and whose id may
	 * have a new owner. */
	if (lstat(path, &st) < 0 || !S_ISSOCK(st.st_mode))
		return 0;
	slash = strchr(path + n, '/');
	if (!slash || (size_t)(slash - path) - n >= sizeof(id_text))
		return 0;
	memcpy(id_text, path + n, (size_t)(slash - path) - n);
	id_text[(size_t)(slash - path) - n] = '\0';
	id = parse_id(id_text);
	HASH_FIND(hh_id, a->core->by_id, &id, sizeof(id), p);
	if (p && porttab_adopt(p->ps->porttab, slash + 1, inode, 0) == 0)
		a->report->listeners++;
	return 0;
}

static void adopt_listeners(struct core *core, struct recover_report *report)
{
	struct adopting a = {.core = core, .report = report};
	int r;

	snprintf(a.prefix, sizeof(a.prefix), "%s/ps/", core->runtime_dir);
	r = probe_listeners(a.prefix, adopt, &a);
	if (r < 0)
		log_warning("cannot ask the kernel for listening sockets: %s", strerror(-r));
}

static void remove_unused(struct core *core, const struct found *list)
{
	char path[RUNDIR_PATH_MAX];

	for (const struct found *f = list; f; f = f->next) {
		if (f->used)
			continue;
		snprintf(path, sizeof(path), "%s/ps/%u", core->runtime_dir,
			(unsigned)f->info.portspace);
		portspace_remove_dir(path);
	}
}

int recover_run(struct core *core, struct recover_report *reportp)
{
	struct config_error error = {0};
	struct recover_report report = {0};
	struct found *list;
	char **names = NULL;
	size_t n = 0;
	int r;

	r = scan(core->runtime_dir, &list);
	if (r == 0)
		r = state_clean(core->config_dir);
	if (r == -ENOENT)
		r = 0;
	if (r == 0)
		r = state_list(core->config_dir, &names, &n, &error);
	if (r < 0) {
		log_error("cannot read %s: %s", core->config_dir,
			error.message[0] ? error.message : strerror(-r));
		free_found(list);
		return r;
	}
	/* Those with an id first: the others take what is free afterwards. */
	for (size_t i = 0; i < n; i++) {
		struct found *f = find(list, names[i]);

		if (f)
			load_named(core, names[i], f, &report);
	}
	for (struct found *f = list; f; f = f->next)
		if (!f->used && f->unnamed && !core_find(core, f->info.name))
			load_unnamed(core, f, &report);
	remove_unused(core, list);
	for (size_t i = 0; i < n; i++)
		if (!core_find(core, names[i]) && !find(list, names[i]))
			load_named(core, names[i], NULL, &report);
	inherit_attach_all(core, true);
	adopt_listeners(core, &report);
	state_names_free(names, n);
	free_found(list);
	*reportp = report;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* What the broker answers to each kind of question (ask_server.h). */
#include "ask_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core_priv.h"
#include "fdmsg.h"
#include "inherit.h"
#include "netlink_view.h"

enum { STALE_TRIES = 64 };

static int full_path(const struct portspace *ps, const char *file, char path[ASK_PATH_MAX])
{
	return snprintf(path, ASK_PATH_MAX, "%s/%s", ps->dir, file) >= ASK_PATH_MAX ? -ENAMETOOLONG
										    : 0;
}

/* Can a socket of this portspace have the address? */
static bool bindable(const struct portspace *ps, const struct addr *a)
{
	return addr_is_any(a) || addr_is_loopback(a) || portspace_owns(ps, a);
}

static int check_bind(const struct portspace *ps, pid_t pid, const struct ask_request *req,
	struct porttab_request *rp)
{
	if (req->proto !=
		IPPROTO_TCP) /* datagram sockets ask the plane, which knows whose they are */
		return -EPROTONOSUPPORT;
	if (!bindable(ps, &req->local.addr))
		return -EADDRNOTAVAIL;
	*rp = (struct porttab_request){.proto = req->proto,
		.flags = req->flags,
		.local = req->local,
		.inode = req->inode,
		.pid = pid};
	return 0;
}

static int answer_bind(struct core *core, struct portspace *ps, pid_t pid,
	const struct ask_request *req, struct ask_reply *rep)
{
	struct porttab_request r;
	int err = check_bind(ps, pid, req, &r);

	if (err < 0)
		return err;
	pthread_mutex_lock(&core->lock);
	err = porttab_bind(ps->porttab, &r, &rep->port);
	pthread_mutex_unlock(&core->lock);
	return err;
}

/* The port table says that this name is free for the asking socket. A file there was left by an
 * earlier owner, unless somebody does listen on it: then bind(2) will say so. */
static void clear_path(const char *path)
{
	int fd, r;

	if (access(path, F_OK) < 0)
		return;
	r = fdmsg_connect(path, SOCK_STREAM | SOCK_NONBLOCK, &fd);
	if (r == 0)
		close(fd);
	else if (r == -ECONNREFUSED)
		unlink(path);
}

static int answer_listen(struct core *core, struct portspace *ps, pid_t pid,
	const struct ask_request *req, struct ask_reply *rep)
{
	char file[SOCKNAME_FILE_MAX];
	struct porttab_request r;
	int err = check_bind(ps, pid, req, &r), listen;

	if (err < 0)
		return err;
	pthread_mutex_lock(&core->lock);
	listen = porttab_listen(ps->porttab, &r, &rep->port, file);
	pthread_mutex_unlock(&core->lock);
	if (listen < 0)
		return listen;
	err = full_path(ps, file, rep->path);
	/* Processes that share a socket may listen at the same time: the second one's question must
	 * not take away what the first one has bound and not yet made listen. */
	if (err == 0 && listen == 0)
		clear_path(rep->path);
	return err;
}

static int answer_lease(struct core *core, struct portspace *ps, pid_t pid,
	const struct ask_request *req, struct ask_reply *rep)
{
	int err;

	if (req->proto != IPPROTO_TCP)
		return -EPROTONOSUPPORT;
	pthread_mutex_lock(&core->lock);
	err = porttab_lease(ps->porttab, req->proto, pid, &rep->port, &rep->count);
	pthread_mutex_unlock(&core->lock);
	return err;
}

/* The shim asks when the path it guessed did not answer, so what is found here is proved alive. */
static int answer_local(struct core *core, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	struct endpoint dst = req->local;
	struct inherit_found inherited;
	struct porttab_entry entry;
	int err = -ECONNREFUSED;

	if (!bindable(ps, &dst.addr))
		return -EADDRNOTAVAIL;
	if (addr_is_any(&dst.addr)) /* Linux connects to its own host */
		dst.addr = addr_is_v4(&dst.addr) ? addr_loopback4 : addr_loopback6;
	pthread_mutex_lock(&core->lock);
	for (int i = 0; i < STALE_TRIES; i++) {
		err = porttab_lookup(ps->porttab, req->proto, &dst, &entry);
		if (err < 0 || !porttab_verify(ps->porttab, entry.file))
			break;
		err = -ECONNREFUSED;
	}
	/* An inherited server is not at a path that the shim may use: the broker connects to it. */
	if (err < 0 && inherit_lookup(ps, req->proto, &dst, &inherited) == 0)
		err = -EREMOTE;
	pthread_mutex_unlock(&core->lock);
	return err < 0 ? err : full_path(ps, entry.file, rep->path);
}

static int answer_name(struct core *core, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	const char *canon = NULL;

	pthread_mutex_lock(&core->lock);
	rep->naddr = (uint16_t)hosts_lookup(ps->hosts, req->name, rep->addr, ASK_ADDRS_MAX, &canon);
	snprintf(rep->name, sizeof(rep->name), "%s", canon ? canon : req->name);
	pthread_mutex_unlock(&core->lock);
	return rep->naddr ? 0 : -ENOENT;
}

static int answer_addr(struct core *core, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	const char *name;

	pthread_mutex_lock(&core->lock);
	name = hosts_reverse(ps->hosts, &req->local.addr);
	snprintf(rep->name, sizeof(rep->name), "%s", name ? name : "");
	pthread_mutex_unlock(&core->lock);
	return name ? 0 : -ENOENT;
}

static int answer_ifs(struct core *core, struct portspace *ps, const struct ask_request *req,
	struct ask_reply *rep)
{
	struct netlink_portspace v;
	int r = netlink_view_fill(core, ps, NULL, &v);

	if (r < 0)
		return r;
	rep->count = (uint16_t)v.view.nif;
	for (size_t i = req->first; i < v.view.nif && rep->nif < ASK_IFS_MAX; i++) {
		struct ask_if *to = &rep->ifs[rep->nif++];

		*to = (struct ask_if){
			.index = v.ifs[i].index, .flags = v.ifs[i].flags, .mtu = v.ifs[i].mtu};
		memcpy(to->name, v.ifs[i].name, sizeof(to->name));
	}
	netlink_view_clear(&v);
	return 0;
}

void ask_answer(struct core *core, struct portspace *ps, pid_t pid, const struct ask_request *req,
	struct ask_reply *rep)
{
	int r = -EPROTO;

	memset(rep, 0, sizeof(*rep));
	rep->op = req->op;
	if (ps->removed) {
		rep->err = ENETDOWN;
		return;
	}
	switch (req->op) {
	case ASK_BIND:
		r = answer_bind(core, ps, pid, req, rep);
		break;
	case ASK_LISTEN:
		r = answer_listen(core, ps, pid, req, rep);
		break;
	case ASK_LEASE:
		r = answer_lease(core, ps, pid, req, rep);
		break;
	case ASK_LOCAL:
		r = answer_local(core, ps, req, rep);
		break;
	case ASK_NAME:
		r = answer_name(core, ps, req, rep);
		break;
	case ASK_ADDR:
		r = answer_addr(core, ps, req, rep);
		break;
	case ASK_IFS:
		r = answer_ifs(core, ps, req, rep);
		break;
	case ASK_DNS: /* no server */
		r = -EAGAIN;
		break;
	case ASK_DGRAM_BIND: /* the packet plane answers these, on RUNTIME/dgram */
	case ASK_DGRAM_CONNECT:
	case ASK_DGRAM_NAME:
	case ASK_DGRAM_OPTION:
		break;
	}
	rep->err = r < 0 ? -r : 0;
}

/* SPDX-License-Identifier: MIT */
/* Asks the kernel which AF_UNIX sockets exist. See probe.h.
 *
 * sock_diag(7): a request with udiag_ino and no NLM_F_DUMP names one socket (the cookie -1,-1 means
 * any), the answer is one message or an error; with NLM_F_DUMP it lists those in the wanted
 * states. It needs no privilege. Kernels without CONFIG_UNIX_DIAG (and sandboxes such as gVisor)
 * answer with an error; then /proc/net/unix has the same, at the price of reading it all. */
#include "probe.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	PROC_LISTENING = 0x10000, /* __SO_ACCEPTCON, in the Flags column of /proc/net/unix */
	DIAG_BUF = 32768,	  /* the kernel makes dump messages of at most 32 KiB */
	DIAG_TIMEOUT_S = 5	  /* the kernel answers at once; bounds a lost answer */
};

struct diag_request {
	struct nlmsghdr nlh;
	struct unix_diag_req req;
};

/* Opens a sock_diag socket and sends one request. The descriptor, or negative errno. */
static int diag_ask(const struct diag_request *ask)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	const struct timeval timeout = {.tv_sec = DIAG_TIMEOUT_S};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t n;
	int err;

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		goto fail;
	n = sendto(fd, ask, sizeof(*ask), 0, (const struct sockaddr *)&kernel, sizeof(kernel));
	if (n < 0)
		goto fail;
	return fd;
fail:
	err = -errno;
	close(fd);
	return err;
}

static ssize_t diag_recv(int fd, void *buf, size_t cap)
{
	ssize_t n;

	do {
		n = recv(fd, buf, cap, MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n > cap ? -EMSGSIZE : n;
}

/* The errno (negative, or 0) that an NLMSG_ERROR or NLMSG_DONE message carries. */
static int diag_errno(const struct nlmsghdr *nlh)
{
	int err = 0;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(err)))
		return nlh->nlmsg_type == NLMSG_DONE ? 0 : -EPROTO;
	memcpy(&err, NLMSG_DATA(nlh), sizeof(err));
	return err;
}

/* The peer's inode that an answer names, or 0. */
static uint64_t diag_peer(const struct nlmsghdr *nlh)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(nlh);
	const struct rtattr *attr = (const struct rtattr *)(msg + 1);
	int left = (int)nlh->nlmsg_len - (int)NLMSG_LENGTH(sizeof(*msg));
	uint32_t peer = 0;

	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left))
		if (attr->rta_type == UNIX_DIAG_PEER && RTA_PAYLOAD(attr) >= sizeof(peer))
			memcpy(&peer, RTA_DATA(attr), sizeof(peer));
	return peer;
}

/* 1 found, 0 the kernel says ENOENT, or negative errno. *peerp (when not NULL) is its peer's inode,
 * 0 for none. */
static int diag_query(uint32_t inode, uint64_t *peerp)
{
	const struct diag_request ask = {
		.nlh = {.nlmsg_len = sizeof(ask),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST},
		.req = {.sdiag_family = AF_UNIX,
			.udiag_states = UINT32_MAX,
			.udiag_ino = inode,
			.udiag_show = peerp ? UDIAG_SHOW_PEER : 0,
			.udiag_cookie = {UINT32_MAX, UINT32_MAX}},
	};
	_Alignas(struct nlmsghdr) char buf[4096];
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
	ssize_t n;
	int fd, err;

	fd = diag_ask(&ask);
	if (fd < 0)
		return fd;
	n = diag_recv(fd, buf, sizeof(buf));
	close(fd);
	if (n < 0)
		return (int)n;
	if (!NLMSG_OK(nlh, (size_t)n))
		return -EPROTO;
	if (nlh->nlmsg_type == SOCK_DIAG_BY_FAMILY) {
		if (peerp)
			*peerp = diag_peer(nlh);
		return 1;
	}
	if (nlh->nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	err = diag_errno(nlh);
	if (err == -ENOENT)
		return 0;
	return err < 0 ? err : -EPROTO;
}

/* A kernel without unix_diag says ENOENT too (no handler for the family). So "not found" counts
 * only when a socket that surely exists is found. */
static int diag_self_check(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;
	struct stat st;

	if (fd < 0)
		return -errno;
	r = fstat(fd, &st) < 0 ? -errno : diag_query((uint32_t)st.st_ino, NULL);
	close(fd);
	return r == 0 ? -EOPNOTSUPP : r < 0 ? r : 0;
}

/* The kernel numbers sockets with 32 bits, from 1. */
static bool inode_possible(uint64_t inode)
{
	return inode > 0 && inode <= UINT32_MAX;
}

int probe_diag_alive(uint64_t inode)
{
	int r;

	if (!inode_possible(inode))
		return 0;
	r = diag_query((uint32_t)inode, NULL);
	return r ? r : diag_self_check();
}

int probe_peer_inode(uint64_t inode, uint64_t *peerp)
{
	uint64_t peer;
	int r;

	if (!inode_possible(inode))
		return -ENOENT;
	r = diag_query((uint32_t)inode, &peer);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (!peer)
		return -ENOENT;
	*peerp = peer;
	return 0;
}

/* Which paths are wanted, and who gets them. */
struct listing {
	const char *dir;
	size_t dir_len; /* without trailing slashes */
	probe_listener_fn fn;
	void *arg;
};

static int listing_init(struct listing *ls, const char *dir, probe_listener_fn fn, void *arg)
{
	size_t len = strlen(dir);

	while (len && dir[len - 1] == '/')
		len--;
	if (dir[0] != '/')
		return -EINVAL;
	*ls = (struct listing){.dir = dir, .dir_len = len, .fn = fn, .arg = arg};
	return 0;
}

/* Calls fn when the name (not terminated) is a path below the directory. */
static int listing_name(const struct listing *ls, const char *name, size_t len, uint64_t inode)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];

	len = strnlen(name, len);
	if (len >= sizeof(path) || len < ls->dir_len + 2)
		return 0;
	if (memcmp(name, ls->dir, ls->dir_len) || name[ls->dir_len] != '/')
		return 0;
	memcpy(path, name, len);
	path[len] = '\0';
	return ls->fn(path, inode, ls->arg);
}

/* One socket of a dump. */
static int diag_socket(const struct listing *ls, const struct nlmsghdr *nlh)
{
	const struct unix_diag_msg *msg = NLMSG_DATA(nlh);
	const struct rtattr *attr = (const struct rtattr *)(msg + 1);
	int left;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*msg)))
		return -EPROTO;
	if (msg->udiag_state != TCP_LISTEN)
		return 0;
	left = (int)(nlh->nlmsg_len - NLMSG_LENGTH(sizeof(*msg)));
	for (; RTA_OK(attr, left); attr = RTA_NEXT(attr, left)) {
		if (attr->rta_type == UNIX_DIAG_NAME)
			return listing_name(ls, RTA_DATA(attr), RTA_PAYLOAD(attr), msg->udiag_ino);
	}
	return 0;
}

/* Reads messages of a dump until its end. */
static int diag_read_dump(int fd, const struct listing *ls, char *buf)
{
	for (;;) {
		ssize_t n = diag_recv(fd, buf, DIAG_BUF);
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
		size_t left = (size_t)n;
		int r;

		if (n <= 0)
			return n < 0 ? (int)n : -EPROTO;
		for (; NLMSG_OK(nlh, left); nlh = NLMSG_NEXT(nlh, left)) {
			if (nlh->nlmsg_type == NLMSG_DONE || nlh->nlmsg_type == NLMSG_ERROR)
				return diag_errno(nlh);
			if (nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY)
				continue;
			r = diag_socket(ls, nlh);
			if (r)
				return r;
		}
	}
}

int probe_diag_listeners(const char *dir, probe_listener_fn fn, void *arg)
{
	const struct diag_request ask = {
		.nlh = {.nlmsg_len = sizeof(ask),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
		.req = {.sdiag_family = AF_UNIX,
			.udiag_states = 1U << TCP_LISTEN,
			.udiag_show = UDIAG_SHOW_NAME},
	};
	struct listing ls;
	char *buf;
	int fd, r;

	r = listing_init(&ls, dir, fn, arg);
	if (r)
		return r;
	buf = malloc(DIAG_BUF);
	if (!buf)
		return -ENOMEM;
	fd = diag_ask(&ask);
	if (fd < 0) {
		free(buf);
		return fd;
	}
	r = diag_read_dump(fd, &ls, buf);
	close(fd);
	free(buf);
	return r;
}

/* A line of /proc/net/unix: "Num: RefCount Protocol Flags Type St Inode Path". *namep is "" for a
 * socket without a name. A name may hold anything but NUL, also a newline, and so make up a line:
 * it can fake a socket, not hide one. */
static bool proc_line(char *line, unsigned *flagsp, uint64_t *inodep, const char **namep)
{
	unsigned flags;
	unsigned long long inode;
	int end = 0;

	if (sscanf(line, "%*[^:]: %*x %*x %x %*x %*x %llu%n", &flags, &inode, &end) != 2 || !end)
		return false;
	line[strcspn(line, "\n")] = '\0';
	*flagsp = flags;
	*inodep = inode;
	*namep = line[end] == ' ' ? line + end + 1 : "";
	return true;
}

int probe_proc_alive(uint64_t inode)
{
	FILE *f;
	char *line = NULL;
	size_t cap = 0;
	int found = 0;

	if (!inode_possible(inode))
		return 0;
	f = fopen("/proc/net/unix", "re");
	if (!f)
		return -errno;
	while (!found && getline(&line, &cap, f) > 0) {
		unsigned flags;
		uint64_t ino;
		const char *name;

		found = proc_line(line, &flags, &ino, &name) && ino == inode;
	}
	if (!found && ferror(f))
		found = -EIO;
	free(line);
	fclose(f);
	return found;
}

int probe_proc_listeners(const char *dir, probe_listener_fn fn, void *arg)
{
	struct listing ls;
	FILE *f;
	char *line = NULL;
	size_t cap = 0;
	int r;

	r = listing_init(&ls, dir, fn, arg);
	if (r)
		return r;
	f = fopen("/proc/net/unix", "re");
	if (!f)
		return -errno;
	while (!r && getline(&line, &cap, f) > 0) {
		unsigned flags;
		uint64_t ino;
		const char *name;

		if (proc_line(line, &flags, &ino, &name) && (flags & PROC_LISTENING))
			r = listing_name(&ls, name, strlen(name), ino);
	}
	if (!r && ferror(f))
		r = -EIO;
	free(line);
	fclose(f);
	return r;
}

int probe_inode_alive(uint64_t inode)
{
	int r = probe_diag_alive(inode);

	return r < 0 ? probe_proc_alive(inode) : r;
}

/* The fallback must not list twice what a dump that broke off has listed. */
struct counted {
	probe_listener_fn fn;
	void *arg;
	size_t calls;
};

static int count_listener(const char *path, uint64_t inode, void *arg)
{
	struct counted *counted = arg;

	counted->calls++;
	return counted->fn(path, inode, counted->arg);
}

int probe_listeners(const char *dir, probe_listener_fn fn, void *arg)
{
	struct counted counted = {.fn = fn, .arg = arg};
	int r = probe_diag_listeners(dir, count_listener, &counted);

	return r < 0 && !counted.calls ? probe_proc_listeners(dir, fn, arg) : r;
}

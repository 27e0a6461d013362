/* SPDX-License-Identifier: MIT */
#include "member.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV
#include <uthash.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

enum { WALK_TRIES = 4 };

struct member {
	pid_t pid;
	int pidfd;
	bool init;
	bool valid;		    /* false: an init went, walk again */
	unsigned long long started; /* clock ticks after boot */
	uint64_t known_ms;	    /* CLOCK_MONOTONIC when the entry was made */
	struct portspace *ps;	    /* reference */
	UT_hash_handle hh;
};

struct members {
	pthread_mutex_t lock;
	struct member *by_pid;
	unsigned long generation; /* counts removals of inits; a walk across one does not count */
	int epoll;
};

bool peer_alive(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

int peer_get_pid(int sock, struct peer *peerp)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
		return -errno;
	if (cred.pid <= 0)
		return -ESRCH;
	*peerp = (struct peer){.pid = cred.pid, .uid = cred.uid, .pidfd = -1};
	return 0;
}

int peer_get(int sock, struct peer *peerp)
{
	struct peer peer;
	socklen_t len = sizeof(peer.pidfd);
	int r = peer_get_pid(sock, &peer);

	if (r < 0)
		return r;
	if (getsockopt(sock, SOL_SOCKET, SO_PEERPIDFD, &peer.pidfd, &len) < 0) {
		if (errno != ENOPROTOOPT)
			return errno == EMFILE || errno == ENFILE ? -errno : -ESRCH;
		peer.pidfd = (int)syscall(SYS_pidfd_open, peer.pid, 0);
		if (peer.pidfd < 0)
			return errno == EMFILE || errno == ENFILE ? -errno : -ESRCH;
	}
	*peerp = peer;
	return 0;
}

void peer_close(struct peer *peer)
{
	if (peer->pidfd >= 0)
		close(peer->pidfd);
	peer->pidfd = -1;
}

/* Reads a file of /proc/PID into buf as a string. Returns its length or -ESRCH. */
static ssize_t read_proc(pid_t pid, const char *name, char *buf, size_t cap)
{
	char path[48];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	n = read(fd, buf, cap - 1);
	close(fd);
	if (n <= 0)
		return -ESRCH;
	buf[n] = '\0';
	return n;
}

/* The number in a line of /proc/PID/status; `key` has the newline before and the tab behind. */
static int read_status(pid_t pid, const char *key)
{
	char buf[4096];
	const char *line;

	if (read_proc(pid, "status", buf, sizeof(buf)) < 0)
		return -ESRCH;
	line = strstr(buf, key);
	return line ? atoi(line + strlen(key)) : 0;
}

int peer_no_new_privs(pid_t pid)
{
	return read_status(pid, "\nNoNewPrivs:\t");
}

int peer_seccomp_filters(pid_t pid)
{
	return read_status(pid, "\nSeccomp_filters:\t");
}

static int read_stat(pid_t pid, pid_t *parentp, unsigned long long *startedp)
{
	char buf[1024];
	const char *s;
	int parent;

	if (read_proc(pid, "stat", buf, sizeof(buf)) < 0)
		return -ESRCH;
	s = strrchr(buf, ')'); /* the name in brackets may hold anything */
	if (!s)
		return -ESRCH;
	if (sscanf(s + 1,
		    " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
		    "%llu",
		    &parent, startedp) != 2)
		return -ESRCH;
	*parentp = parent;
	return 0;
}

int members_new(struct members **mp)
{
	struct members *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (m->epoll < 0) {
		int r = -errno;

		free(m);
		return r;
	}
	pthread_mutex_init(&m->lock, NULL);
	*mp = m;
	return 0;
}

static void member_free(struct members *m, struct member *e)
{
	HASH_DEL(m->by_pid, e);
	/* A duplicate may be open elsewhere, so closing would not end the watch. */
	epoll_ctl(m->epoll, EPOLL_CTL_DEL, e->pidfd, NULL);
	close(e->pidfd);
	portspace_unref(e->ps);
	free(e);
}

void members_free(struct members *m)
{
	struct member *e, *next;

	if (!m)
		return;
	HASH_ITER(hh, m->by_pid, e, next)
	{
		member_free(m, e);
	}
	close(m->epoll);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static struct member *find(struct members *m, pid_t pid)
{
	struct member *e;

	HASH_FIND_INT(m->by_pid, &pid, e);
	return e;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Adds an entry under the lock. The pidfd is duplicated. */
static int insert(struct members *m, const struct peer *peer, struct portspace *ps, bool init,
	unsigned long long started)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = peer->pid};
	struct member *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->pid = peer->pid;
	e->init = init;
	e->valid = true;
	e->started = started;
	e->known_ms = now_ms();
	e->pidfd = fcntl(peer->pidfd, F_DUPFD_CLOEXEC, 3);
	if (e->pidfd < 0 || epoll_ctl(m->epoll, EPOLL_CTL_ADD, e->pidfd, &ev) < 0) {
		int r = -errno;

		if (e->pidfd >= 0)
			close(e->pidfd);
		free(e);
		return r;
	}
	HASH_ADD_INT(m->by_pid, pid, e);
	if (!e->hh.tbl) {
		epoll_ctl(m->epoll, EPOLL_CTL_DEL, e->pidfd, NULL);
		close(e->pidfd);
		free(e);
		return -ENOMEM;
	}
	e->ps = portspace_ref(ps);
	return 0;
}

/* What the cache says of a pid: true with a reference in *psp. `youngest` is the latest start time
 * that fits (the child's). */
static bool cached(
	struct members *m, pid_t pid, unsigned long long youngest, struct portspace **psp)
{
	struct member *e;
	bool hit = false;

	pthread_mutex_lock(&m->lock);
	e = find(m, pid);
	if (e && (e->init || e->valid) && e->started <= youngest && peer_alive(e->pidfd)) {
		*psp = portspace_ref(e->ps);
		hit = true;
	}
	pthread_mutex_unlock(&m->lock);
	return hit;
}

struct portspace *members_of_pid(struct members *m, pid_t pid, uint64_t since_ms)
{
	struct portspace *ps = NULL;
	struct member *e;

	pthread_mutex_lock(&m->lock);
	e = find(m, pid);
	/* Both times are rounded down, so only a difference proves the order. */
	if (e && (e->init || e->valid) && e->known_ms < since_ms && peer_alive(e->pidfd))
		ps = portspace_ref(e->ps);
	pthread_mutex_unlock(&m->lock);
	return ps;
}

/* Goes up from `pid`. 0 with a reference and the start time of `pid` itself; -ENOENT: no member;
 * -EAGAIN: the chain changed meanwhile. */
static int walk(struct members *m, pid_t pid, struct portspace **psp, unsigned long long *startedp)
{
	unsigned long long child = ~0ULL, started;
	pid_t parent;

	for (int depth = 0; depth < MEMBER_DEPTH_MAX && pid > 0; depth++) {
		if (depth > 0 && cached(m, pid, child, psp))
			return 0;
		if (read_stat(pid, &parent, &started) < 0)
			return depth > 0 ? -EAGAIN : -ENOENT;
		if (started > child)
			return -EAGAIN;
		if (depth == 0)
			*startedp = started;
		child = started;
		pid = parent;
	}
	return -ENOENT;
}

/* Keeps what a walk found, unless an init went during the walk. */
static int remember(struct members *m, const struct peer *peer, struct portspace *ps,
	unsigned long long started, unsigned long generation)
{
	struct member *e;
	int r = 0;

	pthread_mutex_lock(&m->lock);
	e = find(m, peer->pid);
	if (m->generation != generation)
		r = -EAGAIN;
	else if (!e)
		(void)insert(m, peer, ps, false, started); /* a failure only costs the next walk */
	else if (peer_alive(e->pidfd) && e->ps == ps)
		e->valid = true;
	else if (peer_alive(e->pidfd))
		r = -ENOENT; /* moved to another portspace when its init ended: belongs nowhere */
	/* else: the entry is of an ended process that had the same pid; it is collected soon */
	pthread_mutex_unlock(&m->lock);
	return r;
}

struct portspace *members_of_peer(struct members *m, const struct peer *peer)
{
	struct portspace *ps;

	if (cached(m, peer->pid, ~0ULL, &ps)) {
		if (peer_alive(peer->pidfd))
			return ps;
		portspace_unref(ps);
		return NULL;
	}
	for (int i = 0; i < WALK_TRIES; i++) {
		unsigned long long started;
		unsigned long generation;
		int r;

		pthread_mutex_lock(&m->lock);
		generation = m->generation;
		pthread_mutex_unlock(&m->lock);
		r = walk(m, peer->pid, &ps, &started);
		if (r == 0) {
			/* The walk was about this process only if it is still there. */
			r = peer_alive(peer->pidfd) ? remember(m, peer, ps, started, generation)
						    : -ENOENT;
			if (r == 0)
				return ps;
			portspace_unref(ps);
		}
		if (r != -EAGAIN)
			return NULL;
	}
	return NULL;
}

int members_add_init(struct members *m, const struct peer *peer, struct portspace *ps)
{
	unsigned long long started;
	struct portspace *other = members_of_peer(m, peer), *former = NULL;
	struct member *e;
	pid_t parent;
	int r;

	if (other) {
		portspace_unref(other);
		return -EEXIST;
	}
	if (read_stat(peer->pid, &parent, &started) < 0 || !peer_alive(peer->pidfd))
		return -ESRCH;
	pthread_mutex_lock(&m->lock);
	e = find(m, peer->pid);
	if (!e) {
		r = insert(m, peer, ps, true, started);
	} else if (peer_alive(e->pidfd)) {
		/* It belonged to a portspace before, until its connection or its init ended. */
		former = e->ps;
		e->ps = portspace_ref(ps);
		e->init = e->valid = true;
		r = 0;
	} else {
		r = -EBUSY;
	}
	pthread_mutex_unlock(&m->lock);
	portspace_unref(former);
	return r;
}

void members_remove_init(struct members *m, pid_t pid)
{
	struct member *init, *e;

	pthread_mutex_lock(&m->lock);
	init = find(m, pid);
	if (init && init->init) {
		init->init = false;
		m->generation++;
		for (e = m->by_pid; e; e = e->hh.next)
			if (e->ps == init->ps)
				e->valid = false;
	}
	pthread_mutex_unlock(&m->lock);
}

void members_drop(struct members *m, const struct portspace *ps)
{
	struct member *e, *next;

	pthread_mutex_lock(&m->lock);
	m->generation++;
	HASH_ITER(hh, m->by_pid, e, next)
	{
		if (e->ps == ps)
			member_free(m, e);
	}
	pthread_mutex_unlock(&m->lock);
}

int members_fd(const struct members *m)
{
	return m->epoll;
}

bool members_next_gone(struct members *m, pid_t *pidp, struct portspace **psp)
{
	struct epoll_event ev;
	struct member *e;
	bool found = false;

	while (!found && epoll_wait(m->epoll, &ev, 1, 0) == 1) {
		pthread_mutex_lock(&m->lock);
		e = find(m, ev.data.fd);
		if (e) {
			*pidp = e->pid;
			*psp = portspace_ref(e->ps);
			if (e->init) {
				m->generation++;
				for (struct member *o = m->by_pid; o; o = o->hh.next)
					if (o->ps == e->ps)
						o->valid = false;
			}
			member_free(m, e);
			found = true;
		}
		pthread_mutex_unlock(&m->lock);
	}
	return found;
}

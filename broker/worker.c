/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "worker"
#include "worker.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "fdmsg.h"
#include "log.h"
#include "netspace_ps.h"
#include "pool.h"
#include "stream.h"
#include "worker_priv.h"

enum {
	LOCAL_BACKLOG = 4096,
	ACCEPT_BATCH = 64, /* connections accepted before other events get their turn */
	/* Handshakes a second: one peer that opens hundreds of streams at once passes, a flood does
	 * not take more than a part of a core (a handshake costs about 200 us). */
	RATE_SOURCE_S = 200,
	RATE_BURST = 400,
	RATE_TOTAL_S = 1000
};

struct worker_msg {
	struct worker_msg *next;
	void (*fn)(struct worker *w, void *arg);
	void *arg;
};

/* ---- messages between threads ---- */

static void wake(struct worker *w)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so it is awake. */
	(void)!write(w->wake.fd, &one, sizeof(one));
}

int worker_post(struct worker *w, void (*fn)(struct worker *w, void *arg), void *arg)
{
	struct worker_msg *msg = malloc(sizeof(*msg));

	if (!msg)
		return -ENOMEM;
	msg->fn = fn;
	msg->arg = arg;
	pthread_mutex_lock(&w->inbox_lock);
	msg->next = w->inbox;
	w->inbox = msg;
	pthread_mutex_unlock(&w->inbox_lock);
	wake(w);
	return 0;
}

static void run_inbox(struct worker *w)
{
	struct worker_msg *msg, *ordered = NULL;

	pthread_mutex_lock(&w->inbox_lock);
	msg = w->inbox;
	w->inbox = NULL;
	pthread_mutex_unlock(&w->inbox_lock);
	while (msg) {
		struct worker_msg *next = msg->next;

		msg->next = ordered;
		ordered = msg;
		msg = next;
	}
	while (ordered) {
		msg = ordered;
		ordered = msg->next;
		msg->fn(w, msg->arg);
		free(msg);
	}
}

static void on_wake(struct watch *watch, uint32_t events)
{
	struct worker *w = (struct worker *)((char *)watch - offsetof(struct worker, wake));
	uint64_t count;

	(void)events;
	(void)!read(watch->fd, &count, sizeof(count));
	run_inbox(w);
}

/* ---- carriers before and between streams ---- */

void worker_unauth_remove(struct carrier *c)
{
	if (c->initiator || !c->prev)
		return;
	DL_DELETE(c->worker->unauth, c);
	c->prev = c->next = NULL;
	c->worker->nunauth--;
}

static void drop_moved(struct carrier_moved *moved)
{
	close(moved->fd);
	link_unref(moved->link);
	sodium_memzero(moved, sizeof(*moved));
}

static void adopt(struct worker *w, void *arg)
{
	struct carrier_moved *moved = arg;
	struct carrier *c;

	if (w->stopping)
		drop_moved(moved);
	else if (carrier_adopt(w, moved, &c) == 0)
		pool_keyed(c);
	free(moved);
}

/* A reverse carrier belongs to the worker that asked for it. */
static bool move_home(struct carrier *c)
{
	struct workers *all = c->worker->all;
	struct worker *home = &all->worker[c->reverse_tag % all->n];
	struct carrier_moved *moved;

	if (home == c->worker || !carrier_movable(c))
		return false;
	moved = malloc(sizeof(*moved));
	if (!moved)
		return false;
	carrier_move(c, moved);
	if (worker_post(home, adopt, moved) < 0) {
		drop_moved(moved);
		free(moved);
	}
	return true;
}

void worker_carrier_keyed(struct carrier *c)
{
	worker_unauth_remove(c);
	if (!c->initiator && c->opener && move_home(c))
		return;
	pool_keyed(c);
}

void worker_carrier_want(struct carrier *c, uint16_t tag, uint16_t count)
{
	if (count > 0)
		pool_want(c->worker, c->link, tag, count);
}

void worker_carrier_closing(struct carrier *c)
{
	pool_lost(c, 0);
	carrier_close(c);
}

/* ---- listeners ---- */

/* Without descriptors or memory the connection stays in the backlog, and the listener readable:
 * leave it alone for a while instead of spinning. */
static void listener_failed(struct worker_listener *l, int err)
{
	if (err != EMFILE && err != ENFILE && err != ENOMEM && err != ENOBUFS)
		return;
	(void)watch_set(&l->worker->poller, &l->watch, 0);
}

static void on_local(struct watch *watch, uint32_t events)
{
	struct worker *w = ((struct worker_listener *)watch)->worker;

	(void)events;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		int fd = accept4(w->local.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EAGAIN)
				w->local_empty_ms = worker_now_ms(w);
			listener_failed(&w->local, errno);
			return;
		}
		stream_accept(w, fd);
	}
}

static void on_underlay(struct watch *watch, uint32_t events)
{
	struct worker_listener *listener = (struct worker_listener *)watch;
	struct worker *w = listener->worker;
	const struct netspace *ns = w->netspace;
	struct netspace_ps inside;

	(void)events;
	if (listener->via) {
		netspace_ps_init(&inside, w->core, w, listener->via);
		ns = &inside.ns;
	}
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		struct endpoint peer;
		struct carrier *c;
		int fd, r = ns->ops->accept(ns, listener->fd, &peer, &fd);

		if (r < 0) {
			listener_failed(listener, -r);
			return;
		}
		/* Who floods us with connections only pushes out other unfinished ones. */
		if (w->nunauth >= WORKER_UNAUTH_MAX) {
			c = w->unauth;
			worker_unauth_remove(c);
			carrier_close(c);
		}
		if (carrier_accept(w, fd, &peer, listener->via, &c) < 0)
			continue;
		DL_APPEND(w->unauth, c);
		w->nunauth++;
	}
}

static int listener_start(struct worker *w, struct worker_listener *l, int fd,
	void (*on_ready)(struct watch *watch, uint32_t events))
{
	l->worker = w;
	l->fd = fd;
	watch_init(&l->watch, fd, on_ready);
	return watch_set(&w->poller, &l->watch, EPOLLIN);
}

int worker_listen_underlay(struct worker *w, struct worker_listener *l)
{
	return listener_start(w, l, l->fd, on_underlay);
}

/* ---- timers ---- */

static void on_tick(struct worker *w)
{
	uint64_t now = worker_now_ms(w);

	while (w->unauth && now - w->unauth->born_ms > POOL_DIAL_MS) {
		struct carrier *c = w->unauth;

		worker_unauth_remove(c);
		carrier_close(c);
	}
	while (w->draining && now - w->draining->born_ms > POOL_DRAIN_MS) {
		struct carrier *c = w->draining;

		pool_lost(c, ETIMEDOUT);
		carrier_close(c);
	}
	stream_tick(w);
	pool_tick(w);
	(void)watch_set(&w->poller, &w->local.watch, EPOLLIN); /* where it rested */
	for (size_t i = 0; i < w->nunderlay; i++)
		(void)watch_set(&w->poller, &w->underlay[i].watch, EPOLLIN);
	worker_nest_rearm(w);
}

/* How long may the next turn wait for events? */
static int patience(const struct worker *w)
{
	uint64_t now = worker_now_ms(w);
	uint64_t wait = w->tick_ms > now ? w->tick_ms - now : 0;

	if (w->scheduled)
		return 0;
	if (w->retrying && wait > STREAM_RETRY_MS)
		wait = STREAM_RETRY_MS;
	if (w->holding && wait > 1)
		wait = 1;
	return (int)wait;
}

static void run(struct worker *w)
{
	while (!w->stopping) {
		poller_turn(&w->poller, patience(w));
		if (w->scheduled)
			carrier_run_scheduled(w);
		if (w->holding)
			carrier_run_held(w);
		if (w->retrying)
			stream_retry(w);
		if (worker_now_ms(w) >= w->tick_ms) {
			w->tick_ms = worker_now_ms(w) + WORKER_TICK_MS;
			on_tick(w);
		}
	}
}

/* ---- life ---- */

static void stop_here(struct worker *w, void *arg)
{
	(void)arg;
	w->stopping = true;
}

/* Everything that lives in the loop, in the worker's own thread or before it started. */
static void worker_drain(struct worker *w)
{
	w->stopping = true;
	stream_close_all(w);
	pool_deinit_all(w);
	while (w->unauth) {
		struct carrier *c = w->unauth;

		worker_unauth_remove(c);
		carrier_close(c);
	}
	run_inbox(w);
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%u", w->index);
	(void)pthread_setname_np(pthread_self(), name);
	pool_tick(w);
	run(w);
	worker_drain(w);
	return NULL;
}

static void local_path(const struct workers *all, unsigned index, char path[ASK_PATH_MAX])
{
	snprintf(path, ASK_PATH_MAX, "%s/stream.%u", all->runtime_dir, index);
}

static int worker_listen(struct worker *w, const struct workers_config *config)
{
	char path[ASK_PATH_MAX];
	int fd, r;

	local_path(w->all, w->index, path);
	r = fdmsg_listen(path, SOCK_STREAM, LOCAL_BACKLOG, &fd);
	if (r < 0)
		return r;
	r = listener_start(w, &w->local, fd, on_local);
	if (r < 0)
		return r;
	w->underlay = calloc(config->nlisten ? config->nlisten : 1, sizeof(*w->underlay));
	if (!w->underlay)
		return -ENOMEM;
	for (size_t i = 0; i < config->nlisten; i++) {
		/* Port 0: the first worker chooses for all. */
		const struct endpoint *at =
			w->index == 0 ? &config->listen[i] : &w->all->listening[i];

		r = w->netspace->ops->listen(w->netspace, at, &w->all->listening[i], &fd);
		if (r < 0)
			return r;
		w->nunderlay++;
		r = listener_start(w, &w->underlay[i], fd, on_underlay);
		if (r < 0)
			return r;
	}
	return 0;
}

static int worker_init(struct worker *w, const struct workers_config *config)
{
	static const struct ratelimit_config rate = {
		.per_source_s = RATE_SOURCE_S, .burst = RATE_BURST, .total_s = RATE_TOTAL_S};
	int r;

	w->core = config->core;
	w->netspace = netspace_base();
	w->events = &stream_carrier_events;
	w->local.fd = -1;
	r = aead_new(&w->aead);
	if (r == 0)
		r = ratelimit_new(&rate, &w->ratelimit);
	if (r < 0)
		return r;
	w->tick_ms = worker_now_ms(w) + WORKER_TICK_MS;
	return worker_listen(w, config);
}

/* The loop is drained. */
static void worker_deinit(struct worker *w)
{
	char path[ASK_PATH_MAX];

	if (w->local.fd >= 0) {
		local_path(w->all, w->index, path);
		unlink(path);
		close(w->local.fd);
	}
	for (size_t i = 0; i < w->nunderlay; i++)
		close(w->underlay[i].fd);
	free(w->underlay);
	run_inbox(w);
	worker_nest_deinit(w);
	poller_deinit(&w->poller);
	if (w->wake.fd >= 0)
		close(w->wake.fd);
	aead_free(w->aead);
	ratelimit_free(w->ratelimit);
	chunk_pool_deinit(&w->chunks);
	pthread_mutex_destroy(&w->inbox_lock);
}

static void free_all(struct workers *all)
{
	for (unsigned i = 0; i < all->n; i++)
		worker_deinit(&all->worker[i]);
	workers_nest_free(all);
	free(all->listening);
	free(all->runtime_dir);
	free(all);
}

static void link_changed_here(struct worker *w, void *arg)
{
	struct link *link = arg;

	if (!w->stopping) {
		if (atomic_load(&link->removed))
			stream_link_removed(w, link);
		pool_link_changed(w, link);
	}
	link_unref(link);
}

/* Called under the core's mutex, so the work is left to the worker. */
static void know_link(struct link *link, void *arg)
{
	if (worker_post(arg, link_changed_here, link_ref(link)) < 0)
		link_unref(link);
}

int workers_start(const struct workers_config *config, struct workers **workersp)
{
	struct workers *all;
	unsigned started = 0;
	sigset_t block, old;
	int r = 0;

	if (config->n < 1 || config->n > WORKERS_MAX)
		return -EINVAL;
	all = calloc(1, sizeof(*all) + config->n * sizeof(all->worker[0]));
	if (!all)
		return -ENOMEM;
	all->core = config->core;
	all->runtime_dir = strdup(config->runtime_dir);
	all->nlistening = config->nlisten;
	all->listening = calloc(config->nlisten ? config->nlisten : 1, sizeof(*all->listening));
	for (; all->n < config->n; all->n++) {
		struct worker *w = &all->worker[all->n];

		w->all = all;
		w->index = all->n;
		pthread_mutex_init(&w->inbox_lock, NULL);
		watch_init(&w->wake, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), on_wake);
		r = poller_init(&w->poller);
		if (r == 0 && w->wake.fd < 0)
			r = -EMFILE;
		if (r == 0)
			r = watch_set(&w->poller, &w->wake, EPOLLIN);
		if (r < 0) {
			all->n++; /* it is torn down like the others */
			break;
		}
	}
	if (!all->runtime_dir || !all->listening)
		r = -ENOMEM;
	for (unsigned i = 0; r == 0 && i < all->n; i++)
		r = worker_init(&all->worker[i], config);
	if (r == 0)
		core_each_link(config->core, know_link, &all->worker[0]);
	/* Signals are for the control loop. */
	sigfillset(&block);
	pthread_sigmask(SIG_SETMASK, &block, &old);
	for (; r == 0 && started < all->n; started++)
		r = -pthread_create(
			&all->worker[started].thread, NULL, worker_main, &all->worker[started]);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0) {
		for (unsigned i = 0; i < started; i++) {
			worker_post(&all->worker[i], stop_here, NULL);
			pthread_join(all->worker[i].thread, NULL);
		}
		for (unsigned i = started; i < all->n; i++)
			worker_drain(&all->worker[i]);
		free_all(all);
		return r;
	}
	*workersp = all;
	return 0;
}

void workers_stop(struct workers *all)
{
	if (!all)
		return;
	for (unsigned i = 0; i < all->n; i++)
		while (worker_post(&all->worker[i], stop_here, NULL) < 0)
			sched_yield(); /* out of memory: another worker is about to free some */
	for (unsigned i = 0; i < all->n; i++)
		pthread_join(all->worker[i].thread, NULL);
	free_all(all);
}

const struct endpoint *workers_listening(const struct workers *all)
{
	return all->listening;
}

void workers_link_changed(struct workers *all, struct link *link)
{
	for (unsigned i = 0; i < all->n; i++) {
		/* A new link is dialed by worker 0; the others come when they need it. */
		if (worker_post(&all->worker[i], link_changed_here, link_ref(link)) < 0)
			link_unref(link);
	}
}

static void process_gone_here(struct worker *w, void *arg)
{
	if (!w->stopping)
		stream_process_gone(w, (pid_t)(intptr_t)arg);
}

void workers_process_gone(struct workers *all, pid_t pid)
{
	for (unsigned i = 0; i < all->n; i++)
		(void)worker_post(&all->worker[i], process_gone_here, (void *)(intptr_t)pid);
}

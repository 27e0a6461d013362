/* SPDX-License-Identifier: MIT */
/* The packet plane's thread: turns, inbox, timers, life (plane.h). */
#define LOG_MODULE "plane"
#include "core_priv.h"
#include "plane_priv.h"
#include "plane_rip.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <utlist.h>

#include "dgram_server.h"
#include "flow.h"
#include "log.h"

struct plane_msg {
	struct plane_msg *next;
	void (*fn)(struct plane *plane, void *arg);
	void *arg;
};

/* ---- messages from other threads ---- */

int plane_post(struct plane *plane, void (*fn)(struct plane *plane, void *arg), void *arg)
{
	struct plane_msg *msg = malloc(sizeof(*msg));
	uint64_t one = 1;

	if (!msg)
		return -ENOMEM;
	*msg = (struct plane_msg){.fn = fn, .arg = arg};
	pthread_mutex_lock(&plane->inbox_lock);
	LL_PREPEND(plane->inbox, msg);
	pthread_mutex_unlock(&plane->inbox_lock);
	/* EAGAIN: the counter is full, so it is awake. */
	(void)!write(plane->wake.fd, &one, sizeof(one));
	return 0;
}

static void run_inbox(struct plane *plane)
{
	struct plane_msg *msg, *next, *ordered = NULL;

	pthread_mutex_lock(&plane->inbox_lock);
	msg = plane->inbox;
	plane->inbox = NULL;
	pthread_mutex_unlock(&plane->inbox_lock);
	for (; msg; msg = next) {
		next = msg->next;
		LL_PREPEND(ordered, msg);
	}
	while (ordered) {
		msg = ordered;
		ordered = msg->next;
		msg->fn(plane, msg->arg);
		free(msg);
	}
}

static void on_wake(struct watch *watch, uint32_t events)
{
	struct plane *plane = (struct plane *)((char *)watch - offsetof(struct plane, wake));
	uint64_t count;

	(void)events;
	plane_turn_time(plane);
	(void)!read(watch->fd, &count, sizeof(count));
	run_inbox(plane);
}

/* ---- time ---- */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void read_clocks(struct plane *plane)
{
	plane->now_ns = clock_ns(CLOCK_MONOTONIC);
	plane->wall_offset = (int64_t)(clock_ns(CLOCK_REALTIME) - plane->now_ns);
}

void plane_turn_time(struct plane *plane)
{
	plane->now_ns = plane->poller.event_ns; /* the poller has just looked */
}

void plane_timer_set(struct plane *plane, struct plane_timer *timer, uint64_t at_ns)
{
	const bool was = timer->prev != NULL, want = at_ns != UINT64_MAX;

	if (was && !want) {
		if (plane->timer_next == timer)
			plane->timer_next = timer->next;
		DL_DELETE(plane->timers, timer);
		timer->prev = timer->next = NULL;
	} else if (!was && want) {
		DL_PREPEND(plane->timers, timer); /* not seen by a run_timers() that is under way */
	}
	timer->at_ns = at_ns;
	if (at_ns < plane->timers_ns)
		plane->timers_ns = at_ns;
}

/* Looks at all of them, but only when one is due: that is a few times a minute for each, so the
 * search costs less than keeping an order would. */
static void run_timers(struct plane *plane)
{
	struct plane_timer *timer;

	plane->timers_ns = UINT64_MAX;
	for (timer = plane->timers; timer; timer = plane->timer_next) {
		plane->timer_next = timer->next;
		if (timer->at_ns <= plane->now_ns) {
			DL_DELETE(plane->timers, timer);
			timer->prev = timer->next = NULL;
			timer->fn(timer, plane->now_ns);
		} else if (timer->at_ns < plane->timers_ns) {
			plane->timers_ns = timer->at_ns;
		}
	}
	plane->timer_next = NULL;
}

/* ---- turns ---- */

void plane_flush_later(struct plane *plane, struct underlay *underlay)
{
	if (underlay->flushing)
		return;
	underlay->flushing = true;
	underlay->next_flush = plane->flush;
	plane->flush = underlay;
}

/* Hands over what the turn collected. An underlay that runs inside a portspace may give another one
 * something to flush. */
static void hand_over(struct plane *plane)
{
	dgram_server_flush(plane->dgram);
	while (plane->flush) {
		struct underlay *underlay = plane->flush;

		plane->flush = underlay->next_flush;
		underlay->flushing = false;
		underlay->ops->flush(underlay);
	}
	dgram_server_flush(plane->dgram); /* what came by an underlay inside a portspace */
	plane_links_mirror(plane);
}

/* How long may the next turn wait for events? */
static int patience(const struct plane *plane)
{
	uint64_t at = wg_deadline(plane->wg);
	uint64_t ms;

	if (plane->timers_ns < at)
		at = plane->timers_ns;
	if (at == UINT64_MAX)
		return -1;
	if (at <= plane->now_ns)
		return 0;
	ms = (at - plane->now_ns + 999999) / 1000000;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static void run(struct plane *plane)
{
	while (!plane->stopping) {
		poller_turn(&plane->poller, patience(plane));
		read_clocks(plane);
		if (plane->timers_ns <= plane->now_ns)
			run_timers(plane);
		if (wg_deadline(plane->wg) <= plane->now_ns)
			wg_tick(plane->wg, plane->now_ns, plane_wall_ns(plane));
		hand_over(plane);
	}
}

/* ---- links and portspaces, told by the control loop ---- */

static void link_changed_here(struct plane *plane, void *arg)
{
	struct link *link = arg;

	if (!plane->stopping)
		plane_link_update(plane, link);
	link_unref(link);
}

void plane_link_changed(struct plane *plane, struct link *link)
{
	if (plane_post(plane, link_changed_here, link_ref(link)) < 0)
		link_unref(link);
}

static void portspace_changed_here(struct plane *plane, void *arg)
{
	struct portspace *ps = arg;
	struct plane_ps *pps = plane->stopping ? NULL : plane_ps_get(plane, ps);

	if (pps) {
		plane_ps_underlay(pps);
		plane_rip_update(pps);
		flow_rules_changed(pps);
	}
	portspace_unref(ps);
}

void plane_portspace_changed(struct plane *plane, struct portspace *ps)
{
	if (plane_post(plane, portspace_changed_here, portspace_ref(ps)) < 0)
		portspace_unref(ps);
}

static void portspace_gone_here(struct plane *plane, void *arg)
{
	struct portspace *ps = arg;
	struct plane_ps *pps = plane_ps_find(plane, ps);

	if (pps)
		plane_ps_remove(pps);
	portspace_unref(ps);
}

void plane_portspace_gone(struct plane *plane, struct portspace *ps)
{
	if (plane_post(plane, portspace_gone_here, portspace_ref(ps)) < 0)
		portspace_unref(ps);
}

/* ---- life ---- */

static void stop_here(struct plane *plane, void *arg)
{
	(void)arg;
	plane->stopping = true;
}

/* Everything that lives in the loop, in the thread or when there is none. */
static void drain(struct plane *plane)
{
	plane->stopping = true;
	hand_over(plane);
	while (plane->portspaces)
		plane_ps_remove(plane->portspaces);
	run_inbox(plane);
}

static void *plane_main(void *arg)
{
	struct plane *plane = arg;

	(void)pthread_setname_np(pthread_self(), "plane");
	run(plane);
	drain(plane);
	return NULL;
}

/* Of a plane that is drained, at any stage of the start. */
static void plane_free(struct plane *plane)
{
	dgram_server_free(plane->dgram);
	flow_host_free(plane);
	underlay_base_free(plane->base);
	run_inbox(plane);
	wg_free(plane->wg);
	poller_deinit(&plane->poller);
	if (plane->wake.fd >= 0)
		close(plane->wake.fd);
	pthread_mutex_destroy(&plane->inbox_lock);
	free(plane);
}

static int plane_init(struct plane *plane, const struct plane_config *config)
{
	struct wg_ops ops = plane_wg_ops;
	int r;

	pthread_mutex_init(&plane->inbox_lock, NULL);
	plane->core = config->core;
	plane->timers_ns = UINT64_MAX;
	watch_init(&plane->wake, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), on_wake);
	r = poller_init(&plane->poller);
	if (r < 0)
		return r;
	if (plane->wake.fd < 0)
		return -EMFILE;
	read_clocks(plane);
	ops.arg = plane;
	r = watch_set(&plane->poller, &plane->wake, EPOLLIN);
	if (r == 0)
		r = wg_new(&ops, plane->now_ns, &plane->wg);
	if (r == 0)
		r = underlay_base_new(plane, config->listen, config->nlisten, &plane->base);
	if (r == 0)
		r = dgram_server_new(plane, config->runtime_dir, &plane->dgram);
	return r;
}

int plane_start(const struct plane_config *config, struct plane **planep)
{
	struct plane *plane = calloc(1, sizeof(*plane));
	sigset_t block, old;
	int r;

	if (!plane)
		return -ENOMEM;
	r = plane_init(plane, config);
	if (r == 0) {
		/* Signals are for the control loop. */
		sigfillset(&block);
		pthread_sigmask(SIG_SETMASK, &block, &old);
		r = -pthread_create(&plane->thread, NULL, plane_main, plane);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (r < 0) {
		plane_free(plane);
		return r;
	}
	*planep = plane;
	return 0;
}

void plane_stop(struct plane *plane)
{
	if (!plane)
		return;
	while (plane_post(plane, stop_here, NULL) < 0)
		sched_yield(); /* out of memory: somebody is about to free some */
	pthread_join(plane->thread, NULL);
	plane_free(plane);
}

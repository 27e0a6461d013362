/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "loop"
#include "loop.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <uv.h>

#include "ask_server.h"
#include "control.h"
#include "log.h"
#include "netlink_server.h"
#include "ops.h"
#include "plane.h"
#include "recover.h"
#include "resolve.h"
#include "worker.h"

enum { WORKERS_DEFAULT_MAX = 8, SIGNALS = 3 };

struct loop {
	uv_loop_t uv;
	uv_signal_t signal[SIGNALS];
	uv_poll_t members; /* ended processes */
	uv_timer_t grace;  /* for unnamed portspaces to be entered again */
	struct core *core;
	struct workers *workers;
	struct plane *plane;
	struct resolve *resolve;
	struct ask_server *ask;
	struct dns_ops dns_ops;
	struct names *names;
	struct netlink_server *netlink;
	struct control *control;
	struct ops ops;
	struct status_broker status;
	char ask_path[RUNDIR_RUNTIME_MAX + 16];
	char route_path[RUNDIR_RUNTIME_MAX + 16];
	char control_path[RUNDIR_RUNTIME_MAX + 16];
};

/* --- hooks of the core --- */

static void link_changed(struct link *link, void *arg)
{
	struct loop *loop = arg;

	if (loop->workers)
		workers_link_changed(loop->workers, link);
	if (loop->plane)
		plane_link_changed(loop->plane, link);
	if (loop->resolve && !link->removed)
		resolve_run(loop->resolve);
	if (loop->netlink)
		netlink_server_link_changed(loop->netlink, link);
}

static void process_gone(pid_t pid, void *arg)
{
	struct loop *loop = arg;

	if (loop->workers)
		workers_process_gone(loop->workers, pid);
	if (loop->control)
		control_process_gone(loop->control, pid);
}

static void portspace_changed(struct portspace *ps, void *arg)
{
	struct loop *loop = arg;

	if (loop->plane)
		plane_portspace_changed(loop->plane, ps);
}

static void portspace_gone(struct portspace *ps, void *arg)
{
	struct loop *loop = arg;

	if (loop->plane)
		plane_portspace_gone(loop->plane, ps);
	if (ps->nested)
		workers_nest_remove(loop->workers, ps);
	ps->nested = false;
	if (loop->netlink)
		netlink_server_portspace_gone(loop->netlink, ps);
	if (loop->names)
		names_portspace_gone(loop->names, ps);
	if (loop->control)
		control_portspace_gone(loop->control, ps);
}

/* Its links need somewhere to be reached. */
static void attached(struct portspace *ps, void *arg)
{
	struct loop *loop = arg;
	int r;

	if (!loop->workers || ps->nested)
		return;
	r = workers_nest_add(loop->workers, ps);
	ps->nested = r == 0;
	if (r < 0)
		log_error("%s: its links cannot be reached at port %u of %s: %s", ps->info.name,
			ps->listen_port, atomic_load(&ps->super)->info.name, strerror(-r));
	portspace_changed(ps, loop);
}

/* --- name servers --- */

static int dns_udp(void *arg, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	struct loop *loop = arg;

	(void)near;
	return plane_udp_inside(loop->plane, ps, to, far);
}

static int dns_tcp(void *arg, struct portspace *ps, const struct endpoint *to, int near, int far)
{
	struct loop *loop = arg;

	return workers_tcp_inside(loop->workers, ps, to, near, far);
}

/* --- events --- */

static void close_handle(uv_handle_t *handle)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Closes what keeps the loop alive. May be called at any stage of the start. */
static void wind_down(struct loop *loop)
{
	control_close(loop->control);
	ask_server_close(loop->ask);
	names_close(loop->names); /* its clients are gone */
	netlink_server_close(loop->netlink);
	resolve_close(loop->resolve);
	loop->control = NULL;
	loop->ask = NULL;
	loop->names = NULL;
	loop->netlink = NULL;
	loop->resolve = NULL;
	for (int i = 0; i < SIGNALS; i++)
		close_handle((uv_handle_t *)&loop->signal[i]);
	if (loop->members.data) /* else the start failed before */
		close_handle((uv_handle_t *)&loop->members);
	close_handle((uv_handle_t *)&loop->grace);
}

static void signalled(uv_signal_t *handle, int signum)
{
	log_info("%s: ending", strsignal(signum));
	wind_down(handle->data);
}

static void members_ended(uv_poll_t *poll, int status, int events)
{
	struct loop *loop = poll->data;

	(void)status;
	(void)events;
	core_collect(loop->core);
}

/* Unnamed portspaces whose init did not come back after a restart. */
static void grace_over(uv_timer_t *timer)
{
	struct loop *loop = timer->data;
	struct portspace_priv *p, *next;

	HASH_ITER(hh, loop->core->by_name, p, next)
	{
		if (!p->waiting)
			continue;
		log_info("%s was not entered again and is gone", p->ps->info.name);
		portspace_remove(loop->core, p->ps);
	}
}

/* --- readiness --- */

/* As sd_notify(3) does it; sockets in the file system or the abstract name space. */
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (n < 2 || n >= sizeof(sun.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(sun.sun_path, path, n);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sun,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		log_warning("cannot notify %s: %s", path, strerror(errno));
	close(fd);
}

static void report_ready(
	struct loop *loop, const struct loop_config *config, const struct recover_report *report)
{
	char text[ENDPOINT_STRLEN];

	for (size_t i = 0; i < loop->status.nlisten; i++)
		log_info("listening on %s", endpoint_format(&loop->status.listen[i], text));
	if (report->named + report->unnamed + report->failed > 0)
		log_info("%zu portspaces loaded, %zu unnamed ones found again, %zu files failed, "
			 "%zu listening sockets adopted",
			report->named, report->unnamed, report->failed, report->listeners);
	log_info("ready: process %d, %u workers, %s", (int)getpid(), loop->status.workers,
		config->runtime_dir);
	notify("READY=1");
	if (config->ready_fd >= 0) {
		if (write(config->ready_fd, "\n", 1) < 0)
			log_warning("cannot report readiness: %s", strerror(errno));
		close(config->ready_fd);
	}
}

/* --- start --- */

static unsigned choose_workers(const struct loop_config *config)
{
	unsigned before = recover_workers(config->runtime_dir);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->workers) {
		if (before && before != config->workers)
			log_warning("programs that still run expect %u workers, not %u; some of "
				    "their connections will fail",
				before, config->workers);
		return config->workers;
	}
	if (before)
		return before;
	/* Half of the processors: the programs whose streams we carry need the others, and a stream
	 * that changes processors costs more than it gains. */
	cpus /= 2;
	return cpus < 1 ? 1 : cpus > WORKERS_DEFAULT_MAX ? WORKERS_DEFAULT_MAX : (unsigned)cpus;
}

static int start_core(
	struct loop *loop, const struct loop_config *config, struct recover_report *report)
{
	struct core_config cc = {.runtime_dir = config->runtime_dir,
		.config_dir = config->config_dir,
		.nworkers = loop->status.workers,
		.hooks = {.link_changed = link_changed,
			.process_gone = process_gone,
			.portspace_gone = portspace_gone,
			.portspace_changed = portspace_changed,
			.portspace_attached = attached,
			.arg = loop}};
	int r = core_new(&cc, &loop->core);

	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	return recover_run(loop->core, report);
}

static int start_workers(struct loop *loop, const struct loop_config *config)
{
	struct workers_config wc = {.core = loop->core,
		.runtime_dir = config->runtime_dir,
		.n = loop->status.workers,
		.listen = config->listen,
		.nlisten = config->nlisten};
	char text[ENDPOINT_STRLEN];
	int r = workers_start(&wc, &loop->workers);

	if (r < 0) {
		log_error("cannot start the data path (first address %s): %s%s",
			config->nlisten ? endpoint_format(&config->listen[0], text) : "none",
			strerror(-r),
			r == -EADDRINUSE
				? "; another broker uses it, choose one with --listen ADDR:PORT"
				: "");
		return r;
	}
	loop->status.listen = workers_listening(loop->workers);
	loop->status.nlisten = config->nlisten;
	for (struct portspace_priv *p = loop->core->by_name; p; p = p->hh.next)
		if (atomic_load(&p->ps->super))
			attached(p->ps, loop);
	for (struct portspace_priv *p = loop->core->by_name; p; p = p->hh.next)
		for (struct link *link = p->ps->links; link; link = link->next)
			workers_link_changed(loop->workers, link);
	return 0;
}

static int start_plane(struct loop *loop, const struct loop_config *config)
{
	struct plane_config pc = {.core = loop->core,
		.runtime_dir = config->runtime_dir,
		.listen = loop->status.listen,
		.nlisten = loop->status.nlisten};
	char text[ENDPOINT_STRLEN];
	int r = plane_start(&pc, &loop->plane);

	if (r < 0) {
		log_error("cannot start the packet plane (UDP, first address %s): %s%s",
			pc.nlisten ? endpoint_format(&pc.listen[0], text) : "none", strerror(-r),
			r == -EADDRINUSE
				? "; another program uses it, choose one with --listen ADDR:PORT"
				: "");
		return r;
	}
	for (struct portspace_priv *p = loop->core->by_name; p; p = p->hh.next) {
		plane_portspace_changed(loop->plane, p->ps);
		for (struct link *link = p->ps->links; link; link = link->next)
			plane_link_changed(loop->plane, link);
	}
	return 0;
}

static int start_sockets(struct loop *loop, const struct loop_config *config)
{
	struct timespec ts;
	const char *path = loop->ask_path;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	loop->status.started_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	loop->ops.core = loop->core;
	loop->ops.broker = &loop->status;
	loop->ops.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	loop->ops.filters = peer_seccomp_filters(getpid());
	snprintf(loop->ask_path, sizeof(loop->ask_path), "%s/ask", config->runtime_dir);
	snprintf(loop->route_path, sizeof(loop->route_path), "%s/route", config->runtime_dir);
	snprintf(loop->control_path, sizeof(loop->control_path), "%s/control", config->runtime_dir);
	r = resolve_new(&loop->uv, loop->core, &loop->resolve);
	if (r == 0)
		r = ask_server_new(&loop->uv, loop->core, loop->ask_path, &loop->ask);
	if (r == 0) {
		loop->dns_ops = (struct dns_ops){.udp = dns_udp, .tcp = dns_tcp, .arg = loop};
		r = names_new(&loop->uv, loop->core, &loop->dns_ops, &loop->names);
	}
	if (r == 0) {
		ask_server_set_names(loop->ask, loop->names);
		path = loop->route_path;
		r = netlink_server_new(&loop->uv, loop->core, path, &loop->netlink);
	}
	if (r == 0) {
		path = loop->control_path;
		r = control_new(&loop->uv, &loop->ops, path, &loop->control);
	}
	if (r < 0)
		log_error("cannot listen on %s: %s", path, strerror(-r));
	return r;
}

static void watch(struct loop *loop)
{
	static const int signals[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

	for (int i = 0; i < SIGNALS; i++)
		uv_signal_start(&loop->signal[i], signalled, signals[i]);
	uv_poll_start(&loop->members, UV_READABLE, members_ended);
	uv_timer_start(&loop->grace, grace_over, RECOVER_GRACE_MS, 0);
}

static int start(struct loop *loop, const struct loop_config *config)
{
	struct recover_report report = {0};
	int r;

	loop->status.workers = choose_workers(config);
	r = start_core(loop, config, &report);
	if (r < 0)
		return r;
	r = uv_poll_init(&loop->uv, &loop->members, members_fd(loop->core->members));
	if (r < 0)
		return r;
	loop->members.data = loop;
	r = start_workers(loop, config);
	if (r == 0)
		r = start_plane(loop, config);
	if (r == 0)
		r = start_sockets(loop, config);
	if (r < 0)
		return r;
	watch(loop);
	report_ready(loop, config, &report);
	return 0;
}

static void stop(struct loop *loop)
{
	struct core_hooks none = {0};

	uv_run(&loop->uv, UV_RUN_DEFAULT); /* until every handle is closed */
	if (loop->ask_path[0])
		unlink(loop->ask_path);
	if (loop->route_path[0])
		unlink(loop->route_path);
	if (loop->control_path[0])
		unlink(loop->control_path);
	plane_stop(loop->plane);
	loop->plane = NULL;
	workers_stop(loop->workers);
	loop->workers = NULL;
	if (loop->core)
		loop->core->hooks = none;
	core_free(loop->core);
	if (uv_loop_close(&loop->uv) < 0)
		log_warning("the control loop was not empty at the end");
}

int loop_run(const struct loop_config *config)
{
	struct loop *loop = calloc(1, sizeof(*loop));
	int r;

	if (!loop)
		return -ENOMEM;
	r = uv_loop_init(&loop->uv);
	if (r < 0) {
		free(loop);
		return r;
	}
	for (int i = 0; i < SIGNALS; i++) {
		uv_signal_init(&loop->uv, &loop->signal[i]);
		loop->signal[i].data = loop;
	}
	uv_timer_init(&loop->uv, &loop->grace);
	loop->grace.data = loop;
	r = start(loop, config);
	if (r == 0)
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	else
		wind_down(loop);
	stop(loop);
	free(loop);
	return r;
}

/* SPDX-License-Identifier: MIT */
/* netspace_ps: what links below a portspace see of its network, without the data path behind it. */
#include "core_fixture.h"

#include "fdmsg.h"
#include "netspace_ps.h"
#include "opening.h"
#include "sockname.h"
#include "stream.h"
#include "tag.h"
#include "worker_priv.h"

/* What the data path was asked for last. */
static struct {
	struct app *app;
	struct portspace *ps;
	struct endpoint src, dst;
	unsigned calls;
} asked;

const struct app_events stream_app_events;

void opening_from_inside(struct app *app, struct portspace *ps, const struct endpoint *src,
	const struct endpoint *dst)
{
	asked.app = app;
	asked.ps = ps;
	asked.src = *src;
	asked.dst = *dst;
	asked.calls++;
}

struct world {
	struct fixture *f;
	struct portspace *ps;
	struct worker worker;
	struct netspace_ps np;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	memset(&asked, 0, sizeof(asked));
	fixture_setup((void **)&w->f);
	w->ps = make_portspace(w->f, "top", "10.1.0.1/24 10.2.0.1/16 fd01::1/64");
	w->worker.core = w->f->core;
	w->worker.netspace = netspace_base();
	assert_int_equal(poller_init(&w->worker.poller), 0);
	netspace_ps_init(&w->np, w->f->core, &w->worker, w->ps);
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	poller_deinit(&w->worker.poller);
	fixture_teardown((void **)&w->f);
	free(w);
	return 0;
}

static short events(int fd, short want)
{
	struct pollfd pfd = {.fd = fd, .events = want};

	assert_true(poll(&pfd, 1, 0) >= 0);
	return pfd.revents;
}

static int dial(struct world *w, const char *to)
{
	struct endpoint dst = endpoint(to);
	int fd = -1, r = w->np.ns.ops->connect(&w->np.ns, &dst, &fd);

	return r < 0 ? r : fd;
}

/* ---- connecting ---- */

static void test_granted(void **state)
{
	struct world *w = *state;
	struct endpoint dst = endpoint("10.1.0.2:51821");
	char buf[8];
	int fd = dial(w, "10.1.0.2:51821");

	assert_true(fd >= 0);
	assert_int_equal(asked.calls, 1);
	assert_ptr_equal(asked.ps, w->ps);
	assert_true(endpoint_equal(&asked.dst, &dst));
	assert_int_equal(events(fd, POLLOUT), 0); /* the gate */
	assert_int_equal(app_grant(asked.app, 0), 0);
	assert_int_equal(events(fd, POLLOUT), POLLOUT);
	assert_int_equal(write(fd, "ping", 4), 4);
	assert_int_equal(read(asked.app->fd, buf, sizeof(buf)), 4);
	assert_int_equal(write(asked.app->fd, "pong!", 5), 5);
	assert_int_equal(read(fd, buf, sizeof(buf)), 5);
	app_close(asked.app);
	assert_int_equal(read(fd, buf, sizeof(buf)), 0);
	close(fd);
}

static void test_refused(void **state)
{
	struct world *w = *state;
	int err = 0, fd = dial(w, "10.1.0.2:51821");
	socklen_t len = sizeof(err);
	struct tag tag;

	assert_true(fd >= 0);
	app_refuse(asked.app, EHOSTUNREACH);
	assert_true(events(fd, POLLOUT) & POLLERR);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len), 0);
	assert_int_equal(err, ECONNRESET);
	assert_int_equal(tag_get(fd, &tag), 0);
	assert_int_equal(tag.phase, TAG_FAILED);
	assert_int_equal(tag.value, EHOSTUNREACH);
	close(fd);
}

static void test_sources(void **state)
{
	static const struct {
		const char *to, *from;
	} cases[] = {{"10.1.0.9:1", "10.1.0.1"}, {"10.2.9.9:1", "10.2.0.1"},
		{"192.0.2.1:1", "10.1.0.1"}, {"[fd02::1]:1", "fd01::1"}};
	struct world *w = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct addr from = address(cases[i].from);
		int fd = dial(w, cases[i].to);

		assert_true(fd >= 0);
		assert_true(addr_equal(&asked.src.addr, &from));
		assert_in_range(asked.src.port, PORTTAB_EPHEMERAL_FIRST, PORTTAB_EPHEMERAL_LAST);
		app_close(asked.app);
		close(fd);
	}
}

static void test_ports_differ(void **state)
{
	enum { N = 50 };
	struct world *w = *state;
	struct app *app[N];
	uint16_t port[N];
	int fd[N];

	for (int i = 0; i < N; i++) {
		fd[i] = dial(w, "10.1.0.2:51821");
		assert_true(fd[i] >= 0);
		app[i] = asked.app;
		port[i] = asked.src.port;
		for (int j = 0; j < i; j++)
			assert_int_not_equal(port[i], port[j]);
	}
	for (int i = 0; i < N; i++) {
		app_close(app[i]);
		close(fd[i]);
	}
}

static void test_connect_errors(void **state)
{
	struct world *w = *state;
	struct portspace *v4 = make_portspace(w->f, "v4", "10.9.0.1/24");

	netspace_ps_init(&w->np, w->f->core, &w->worker, v4);
	assert_int_equal(dial(w, "[fd01::2]:1"), -ENETUNREACH);
	portspace_ref(v4);
	portspace_remove(w->f->core, v4);
	assert_int_equal(dial(w, "10.9.0.2:1"), -ENETDOWN);
	portspace_unref(v4);
	assert_int_equal(asked.calls, 0);
}

/* ---- listening ---- */

static int listen_at(struct world *w, uint16_t port)
{
	struct endpoint at = {.addr = addr_any6, .port = port};
	int fd = -1, r = w->np.ns.ops->listen(&w->np.ns, &at, &at, &fd);

	return r < 0 ? r : fd;
}

/* A stream that the broker delivers to the port: the connecting end's socket. */
static int deliver(struct world *w, const char *from, const char *to, const uint8_t *secret)
{
	struct sockname name = {.kind = SOCKNAME_RELAY,
		.portspace = w->ps->id,
		.src = endpoint(from),
		.dst = endpoint(to)};
	struct sockaddr_un own, sun = {.sun_family = AF_UNIX};
	struct endpoint dst = endpoint(to);
	struct porttab_entry entry;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(porttab_lookup(w->ps->porttab, IPPROTO_TCP, &dst, &entry), 0);
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", w->ps->dir, entry.file);
	if (secret) {
		socklen_t len = sockname_encode(&name, secret, &own);

		assert_int_equal(bind(fd, (struct sockaddr *)&own, len), 0);
	}
	assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	return fd;
}

static void test_accepts_streams_of_the_network(void **state)
{
	struct world *w = *state;
	struct endpoint peer, wanted = endpoint("10.1.0.7:4000");
	int conn = -1, client, fd = listen_at(w, 51821);

	assert_true(fd >= 0);
	assert_int_equal(w->np.ns.ops->accept(&w->np.ns, fd, &peer, &conn), -EAGAIN);
	client = deliver(w, "10.1.0.7:4000", "10.1.0.1:51821", w->ps->info.secret);
	assert_int_equal(w->np.ns.ops->accept(&w->np.ns, fd, &peer, &conn), 0);
	assert_true(endpoint_equal(&peer, &wanted));
	close(client);
	close(conn);
	netspace_ps_unlisten(&w->np, fd);
}

static void test_hangs_up_on_strangers(void **state)
{
	static const uint8_t wrong[16] = {1};
	struct world *w = *state;
	struct endpoint peer;
	int conn = -1, client, fd = listen_at(w, 51821);

	client = deliver(w, "10.1.0.7:4000", "10.1.0.1:51821", NULL);
	assert_int_equal(w->np.ns.ops->accept(&w->np.ns, fd, &peer, &conn), -ECONNABORTED);
	close(client);
	client = deliver(w, "10.1.0.7:4000", "10.1.0.1:51821", wrong);
	assert_int_equal(w->np.ns.ops->accept(&w->np.ns, fd, &peer, &conn), -ECONNABORTED);
	assert_int_equal(w->np.ns.ops->accept(&w->np.ns, fd, &peer, &conn), -EAGAIN);
	assert_int_equal(conn, -1);
	close(client);
	netspace_ps_unlisten(&w->np, fd);
}

static void test_the_port_is_taken_and_given_back(void **state)
{
	struct world *w = *state;
	char path[ASK_PATH_MAX];
	int again, fd = listen_at(w, 51821);

	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "%s/tcp.any.51821", w->ps->dir);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(listen_at(w, 51821), -EADDRINUSE);
	netspace_ps_unlisten(&w->np, fd);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(porttab_count(w->ps->porttab), 0);
	again = listen_at(w, 51821);
	assert_true(again >= 0);
	netspace_ps_unlisten(&w->np, again);
}

static void test_a_left_over_file_is_replaced(void **state)
{
	struct world *w = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd, old = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/tcp.any.51821", w->ps->dir);
	assert_int_equal(bind(old, (struct sockaddr *)&sun, sizeof(sun)), 0);
	close(old);
	fd = listen_at(w, 51821);
	assert_true(fd >= 0);
	close(deliver(w, "10.1.0.7:4000", "10.1.0.1:51821", w->ps->info.secret));
	netspace_ps_unlisten(&w->np, fd);
}

/* ---- whose network ---- */

static void test_links_use_the_network_above(void **state)
{
	struct world *w = *state;
	struct config *config = make_config("10.3.0.1/24"), *lost = make_config("10.4.0.1/24");
	struct portspace *below, *nowhere;
	struct netspace_ps np;

	strcpy(config->super, "top");
	strcpy(lost->super, "nobody");
	assert_int_equal(portspace_add(w->f->core, "below", config, false, NULL, &below), 0);
	assert_int_equal(portspace_add(w->f->core, "nowhere", lost, false, NULL, &nowhere), 0);
	assert_ptr_equal(netspace_of(&w->worker, w->ps, &np), netspace_base());
	assert_ptr_equal(netspace_of(&w->worker, below, &np), &np.ns);
	assert_ptr_equal(np.ps, w->ps);
	assert_null(netspace_of(&w->worker, nowhere, &np));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_granted),
		T(test_refused),
		T(test_sources),
		T(test_ports_differ),
		T(test_connect_errors),
		T(test_accepts_streams_of_the_network),
		T(test_hangs_up_on_strangers),
		T(test_the_port_is_taken_and_given_back),
		T(test_a_left_over_file_is_replaced),
		T(test_links_use_the_network_above),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

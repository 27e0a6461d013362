/* SPDX-License-Identifier: MIT */
/* The packet plane as a whole: life, links that come and go, what status sees, and a peer that
 * speaks only WireGuard. */
#include "plane_world.h"

#include "wg.h"

/* ---- life ---- */

static void test_starts_and_stops(void **state)
{
	char path[108];

	(void)state;
	dgram_path(0, path);
	assert_int_equal(access(path, F_OK), 0);
	plane_stop(hosts[0].plane);
	hosts[0].plane = NULL;
	assert_int_equal(access(path, F_OK), -1);
	plane_up(&hosts[0], true);
	assert_int_equal(access(path, F_OK), 0);
	plane_stop(NULL);
}

static void test_address_in_use(void **state)
{
	struct plane_config config = {.core = hosts[0].f->core,
		.runtime_dir = hosts[0].f->cfg,
		.listen = &hosts[1].at,
		.nlisten = 1};
	struct plane *plane = NULL;

	(void)state;
	assert_int_equal(plane_start(&config, &plane), -EADDRINUSE);
	assert_null(plane);
}

static void test_second_broker_in_one_directory(void **state)
{
	struct plane_config config = {.core = hosts[0].f->core, .runtime_dir = hosts[0].f->rt};
	struct plane *plane = NULL;

	(void)state;
	assert_int_equal(plane_start(&config, &plane), -EADDRINUSE);
	close(app(0)); /* the first one is not harmed */
}

static void echo_works(int from, const char *to, int server_host, const char *at)
{
	int a = app(from), b = server(server_host, at);

	send_to(a, to, "hello", 5);
	answer(b);
	expect_text(a, "hello", NULL);
	close(a);
	close(b);
}

static void test_dials_without_listening(void **state)
{
	(void)state;
	plane_stop(hosts[0].plane);
	hosts[0].plane = NULL;
	plane_up(&hosts[0], false);
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
}

static void test_restart_of_the_other_side(void **state)
{
	(void)state;
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
	plane_stop(hosts[0].plane);
	hosts[0].plane = NULL;
	plane_up(&hosts[0], true);
	/* new sessions take the place of the old ones */
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
}

static void test_stop_closes_sockets(void **state)
{
	struct dgram_head head;
	char buf[8];
	int a = app(0), b = server(0, "0.0.0.0:7");

	(void)state;
	send_to(a, "10.7.0.2:7", "x", 1);
	plane_stop(hosts[0].plane);
	hosts[0].plane = NULL;
	assert_int_equal(receive(a, &head, buf, sizeof(buf)), -1);
	assert_int_equal(receive(b, &head, buf, sizeof(buf)), -1);
	close(a);
	close(b);
}

/* ---- links ---- */

static void test_removed_link_carries_nothing(void **state)
{
	int a = app(0);

	(void)state;
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
	link_remove(hosts[0].ps->links);
	send_to(a, "10.7.0.2:7", "x", 1);
	expect_error(a, ENETUNREACH, NULL);
	close(a);
}

static void test_changed_endpoint_is_dialled(void **state)
{
	struct endpoint away = underlay_address(7);
	int a = server(0, "0.0.0.0:1"), b = server(1, "0.0.0.0:7");

	(void)state;
	link_set_endpoint(hosts[0].ps->links, &away);
	settle(0); /* else the datagram may be seen first */
	send_to(a, "10.7.0.2:7", "lost", 4);
	expect_quiet(b);
	link_set_endpoint(hosts[0].ps->links, &hosts[1].at);
	/* what waited for the handshake goes by the new way */
	expect_text(b, "lost", NULL);
	close(a);
	close(b);
}

/* Waits until it is true; the planes are threads of their own. */
static bool comes_true(bool (*condition)(void))
{
	for (int i = 0; i < WAIT_MS / 5; i++) {
		if (condition())
			return true;
		poll(NULL, 0, 5);
	}
	return false;
}

static bool counted(void)
{
	const struct link_stats *a = &hosts[0].ps->links->stats, *b = &hosts[1].ps->links->stats;

	return a->wg_session && b->wg_session && a->wg_handshake_ms > 0 && a->wg_tx_packets == 1 &&
	       a->wg_rx_packets == 1 && b->wg_rx_packets == 1 && b->wg_tx_packets == 1 &&
	       a->wg_tx_bytes == b->wg_rx_bytes && a->wg_rx_bytes == b->wg_tx_bytes &&
	       a->wg_tx_bytes > 148;
}

static void test_status_sees_the_counters(void **state)
{
	struct core *core = hosts[1].f->core;
	struct link *link = hosts[1].ps->links;
	struct endpoint heard;

	(void)state;
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
	assert_true(comes_true(counted));
	pthread_mutex_lock(&core->lock);
	assert_true(link->has_heard);
	heard = link->heard;
	pthread_mutex_unlock(&core->lock);
	assert_true(endpoint_equal(&heard, &hosts[0].at));
}

/* ---- portspaces ---- */

static void test_portspace_added_later(void **state)
{
	struct portspace *ps = make_portspace(hosts[2].f, "late", "10.8.0.1/24");
	int a, b;

	(void)state;
	portspace_leave(hosts[2].f->core, hosts[2].ps, getpid());
	enter(ps);
	a = app(2);
	b = server(2, "10.8.0.1:7");
	send_to(a, "10.8.0.1:7", "new", 3);
	expect_text(b, "new", NULL);
	close(a);
	close(b);
}

static void test_two_portspaces_have_their_own_ports(void **state)
{
	struct portspace *ps = make_portspace(hosts[0].f, "other", "10.8.0.1/24");
	int a = server(0, "0.0.0.0:7"), b, c;

	(void)state;
	portspace_leave(hosts[0].f->core, hosts[0].ps, getpid());
	enter(ps);
	b = server(0, "0.0.0.0:7");
	c = app(0);
	send_to(c, "127.0.0.1:7", "mine", 4);
	expect_text(b, "mine", NULL);
	expect_quiet(a);
	close(a);
	close(b);
	close(c);
}

static void test_same_key_twice_does_no_harm(void **state)
{
	struct config *config = portspace_config(hosts[0].ps);
	struct portspace *ps;

	(void)state;
	while (config->npeers)
		config_remove_peer(config, &config->peers[0]);
	assert_int_equal(portspace_add(hosts[0].f->core, "twin", config, false, NULL, &ps), 0);
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
}

/* ---- portspaces below another one ---- */

/* Its links go through the network of host `at`'s portspace, from this port. */
static struct portspace *make_below(int at, const char *name, const char *address, uint16_t port)
{
	struct config *config = make_config(address);
	struct portspace *ps;

	snprintf(config->super, sizeof(config->super), "p");
	config->listen_port = port;
	assert_int_equal(portspace_add(hosts[at].f->core, name, config, false, NULL, &ps), 0);
	return ps;
}

static void link_to(struct portspace *from, const struct portspace *to, const char *endpoint_text)
{
	struct config *config = portspace_config(from);
	struct config_peer *peer;
	struct prefix prefix;

	assert_non_null(config);
	assert_int_equal(config_add_peer(config, &to->public_key, &peer), 0);
	snprintf(peer->name, sizeof(peer->name), "link");
	snprintf(peer->endpoint, sizeof(peer->endpoint), "%s", endpoint_text);
	assert_int_equal(prefix_parse("10.9.0.0/24", &prefix), 0);
	assert_int_equal(config_add_allowed(peer, &prefix), 0);
	assert_int_equal(link_add(from, peer, NULL), 0);
	portspace_set_config(from, config);
}

/* Moves this process from one portspace of a host to another. */
static void move(int host, struct portspace *from, struct portspace *to)
{
	portspace_leave(hosts[host].f->core, from, getpid());
	enter(to);
}

/* A peer may speak to the port of another portspace below the same one: links that were heard there
 * go on when that portspace ends. */
static void test_port_of_a_neighbour_ends(void **state)
{
	struct portspace *stays = make_below(0, "stays", "10.9.0.1/32", 1000);
	struct portspace *goes = make_below(0, "goes", "10.10.0.1/32", 2000);
	struct portspace *other = make_below(1, "other", "10.9.0.2/32", 1000);
	int a, b;

	(void)state;
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7"); /* host 1 knows where host 0 is */
	link_to(stays, other, "");
	link_to(other, stays, "10.7.0.1:2000");
	move(0, hosts[0].ps, stays);
	move(1, hosts[1].ps, other);
	a = server(0, "0.0.0.0:7");
	b = app(1);
	send_to(b, "10.9.0.1:7", "there", 5);
	expect_text(a, "there", NULL);
	portspace_remove(hosts[0].f->core, goes);
	/* a question is answered behind what the control loop said before it */
	close(server(0, "0.0.0.0:8"));
	assert_int_equal(app_connect(0, a, 0, "10.9.0.2:9"), 0);
	send_to(a, NULL, "back", 4);
	expect_error(a, ECONNREFUSED, NULL);
	close(a);
	close(b);
}

/* ---- a peer that speaks only WireGuard ---- */

struct stranger {
	struct wg *wg;
	struct wg_local *local;
	struct wg_peer *peer;
	struct key *private_key;
	struct link *link;
	int fd;
};

static void stranger_send(
	void *arg, struct wg_peer *peer, const struct endpoint *to, uint8_t *msg, size_t len)
{
	struct stranger *s = arg;
	struct sockaddr_storage ss;
	socklen_t n = endpoint_to_sockaddr(to, AF_INET, &ss);

	(void)peer;
	assert_int_equal(sendto(s->fd, msg, len, 0, (struct sockaddr *)&ss, n), (ssize_t)len);
}

static void stranger_reply(void *arg, const struct endpoint *to, uint8_t *msg, size_t len)
{
	stranger_send(arg, NULL, to, msg, len);
}

static uint64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* A third link of host 0: 10.7.0.5 without a broker behind it. */
static void stranger_up(struct stranger *s)
{
	struct wg_ops ops = {.send = stranger_send, .reply = stranger_reply, .arg = s};
	struct wg_peer_config pc = {.public_key = hosts[0].ps->public_key,
		.has_endpoint = true,
		.endpoint = hosts[0].at,
		.user = s};
	struct config *config = portspace_config(hosts[0].ps);
	struct config_peer *peer;
	struct prefix prefix;
	struct key public_key;

	s->private_key = key_new();
	key_generate_private(s->private_key);
	assert_int_equal(key_public(s->private_key, &public_key), 0);
	assert_int_equal(config_add_peer(config, &public_key, &peer), 0);
	snprintf(peer->name, sizeof(peer->name), "stranger");
	assert_int_equal(prefix_parse("10.7.0.5/32", &prefix), 0);
	assert_int_equal(config_add_allowed(peer, &prefix), 0);
	assert_int_equal(link_add(hosts[0].ps, peer, &s->link), 0);
	portspace_set_config(hosts[0].ps, config);
	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(wg_new(&ops, clock_ns(CLOCK_MONOTONIC), &s->wg), 0);
	assert_int_equal(wg_local_add(s->wg, s->private_key, s, &s->local), 0);
	assert_int_equal(wg_peer_add(s->local, &pc, clock_ns(CLOCK_MONOTONIC), &s->peer), 0);
}

static void stranger_down(struct stranger *s)
{
	wg_local_free(s->local);
	wg_free(s->wg);
	key_free(s->private_key);
	close(s->fd);
}

static void stranger_output(struct stranger *s, const uint8_t *packet, size_t len)
{
	uint8_t room[2048];

	memcpy(room + 256, packet, len);
	assert_int_equal(wg_output(s->peer, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME),
				 room + 256, len),
		0);
}

/* The next packet for the stranger: its length; 0 when none comes in time. */
static size_t stranger_input(struct stranger *s, uint8_t *packet, size_t cap, int wait_ms)
{
	static uint8_t msg[2048 + 256];
	const struct endpoint from = hosts[0].at;

	while (readable(s->fd, wait_ms)) {
		ssize_t n = recv(s->fd, msg + 128, 2048, 0);
		struct wg_peer *peer;
		uint8_t *p;
		int r;

		assert_true(n > 0);
		r = wg_input(s->wg, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_REALTIME), &from,
			msg + 128, (size_t)n, &p, &peer);
		assert_true(r >= 0);
		if (r == 0)
			continue;
		assert_true((size_t)r <= cap);
		memcpy(packet, p, (size_t)r);
		return (size_t)r;
	}
	return 0;
}

static uint16_t sum16(const uint8_t *p, size_t n, uint32_t sum)
{
	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	if (n & 1)
		sum += (uint32_t)(p[n - 1] << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static size_t ipv4(uint8_t *p, uint8_t proto, const char *src, const char *dst, size_t payload)
{
	const size_t len = 20 + payload;
	struct addr s = address(src), d = address(dst);
	uint16_t sum;

	memset(p, 0, 20);
	p[0] = 0x45;
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
	p[8] = 64;
	p[9] = proto;
	memcpy(p + 12, s.b + 12, 4);
	memcpy(p + 16, d.b + 12, 4);
	sum = sum16(p, 20, 0);
	p[10] = (uint8_t)(sum >> 8);
	p[11] = (uint8_t)sum;
	return len;
}

static size_t udp_packet(uint8_t *p, const char *src, const char *dst, uint16_t dport)
{
	memset(p + 20, 0, 12);
	p[21] = 99; /* source port */
	p[22] = (uint8_t)(dport >> 8);
	p[23] = (uint8_t)dport;
	p[25] = 12; /* length; without a checksum, which IPv4 allows */
	memcpy(p + 28, "wire", 4);
	return ipv4(p, IPPROTO_UDP, src, dst, 12);
}

static void test_datagrams_with_a_stranger(void **state)
{
	struct stranger s = {0};
	uint8_t packet[2048];
	struct dgram_head head;
	size_t n;
	int b = server(0, "0.0.0.0:7");

	(void)state;
	stranger_up(&s);
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.5", "10.7.0.1", 7));
	assert_int_equal(stranger_input(&s, packet, sizeof(packet), QUIET_MS), 0);
	expect_text(b, "wire", &head);
	expect_endpoint(&head.src, "10.7.0.5:99");
	send_to(b, "10.7.0.5:99", "less", 4);
	n = stranger_input(&s, packet, sizeof(packet), WAIT_MS);
	assert_int_equal(n, 32);
	assert_memory_equal(packet + 28, "less", 4);
	stranger_down(&s);
	close(b);
}

static void test_stranger_cannot_lie_about_its_address(void **state)
{
	struct stranger s = {0};
	uint8_t packet[2048];
	int b = server(0, "0.0.0.0:7");

	(void)state;
	stranger_up(&s);
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.5", "10.7.0.1", 7));
	assert_int_equal(stranger_input(&s, packet, sizeof(packet), QUIET_MS), 0);
	expect_text(b, "wire", NULL);
	/* another link's, the portspace's own, loopback */
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.2", "10.7.0.1", 7));
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.1", "10.7.0.1", 7));
	stranger_output(&s, packet, udp_packet(packet, "127.0.0.1", "10.7.0.1", 7));
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.5", "127.0.0.1", 7));
	assert_int_equal(stranger_input(&s, packet, sizeof(packet), QUIET_MS), 0);
	expect_quiet(b);
	stranger_down(&s);
	close(b);
}

static void test_stranger_is_told_of_closed_ports(void **state)
{
	struct stranger s = {0};
	uint8_t packet[2048];
	size_t n;

	(void)state;
	stranger_up(&s);
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.5", "10.7.0.1", 9));
	n = stranger_input(&s, packet, sizeof(packet), WAIT_MS);
	assert_int_equal(n, 20 + 8 + 32);
	assert_int_equal(packet[9], IPPROTO_ICMP);
	assert_int_equal(packet[20], 3); /* destination unreachable */
	assert_int_equal(packet[21], 3); /* port */
	stranger_down(&s);
}

static void test_tcp_of_a_stranger_is_refused(void **state)
{
	struct stranger s = {0};
	uint8_t packet[2048], *tcp = packet + 20;
	struct addr src = address("10.7.0.5"), dst = address("10.7.0.1");
	uint32_t pseudo = IPPROTO_TCP + 20;
	uint16_t sum;
	size_t n;

	(void)state;
	stranger_up(&s);
	memset(tcp, 0, 20);
	tcp[1] = 77; /* source port */
	tcp[3] = 80; /* destination port */
	tcp[7] = 5;  /* sequence number */
	tcp[12] = 0x50;
	tcp[13] = 2; /* SYN */
	for (int i = 12; i < 16; i += 2)
		pseudo += (uint32_t)(src.b[i] << 8 | src.b[i + 1]) +
			  (uint32_t)(dst.b[i] << 8 | dst.b[i + 1]);
	sum = sum16(tcp, 20, pseudo);
	tcp[16] = (uint8_t)(sum >> 8);
	tcp[17] = (uint8_t)sum;
	stranger_output(&s, packet, ipv4(packet, IPPROTO_TCP, "10.7.0.5", "10.7.0.1", 20));
	n = stranger_input(&s, packet, sizeof(packet), WAIT_MS);
	assert_int_equal(n, 40);
	assert_int_equal(packet[9], IPPROTO_TCP);
	assert_int_equal(tcp[1], 80);
	assert_int_equal(tcp[3], 77);
	assert_int_equal(tcp[13], 0x14); /* RST, ACK */
	assert_int_equal(tcp[11], 6);	 /* of the SYN */
	stranger_down(&s);
}

static void test_stranger_roams(void **state)
{
	struct stranger s = {0};
	uint8_t packet[2048];
	struct dgram_head head;
	int b = server(0, "0.0.0.0:7");

	(void)state;
	stranger_up(&s);
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.5", "10.7.0.1", 7));
	assert_int_equal(stranger_input(&s, packet, sizeof(packet), QUIET_MS), 0);
	expect_text(b, "wire", NULL);
	close(s.fd); /* another address: the session goes on */
	s.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	stranger_output(&s, packet, udp_packet(packet, "10.7.0.5", "10.7.0.1", 7));
	expect_text(b, "wire", &head);
	send_to(b, "10.7.0.5:99", "here", 4);
	assert_int_equal(stranger_input(&s, packet, sizeof(packet), WAIT_MS), 32);
	assert_memory_equal(packet + 28, "here", 4);
	stranger_down(&s);
	close(b);
}

static void test_noise_of_the_underlay_is_ignored(void **state)
{
	uint8_t noise[1500];
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&hosts[1].at, AF_INET, &ss);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	for (int i = 0; i < 500; i++) {
		randombytes_buf(noise, sizeof(noise));
		memset(noise + 1, 0, 3);
		noise[0] = (uint8_t)(i % 6);
		(void)sendto(fd, noise, randombytes_uniform(sizeof(noise) + 1), 0,
			(struct sockaddr *)&ss, len);
	}
	echo_works(0, "10.7.0.2:7", 1, "0.0.0.0:7");
	close(fd);
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_up, world_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_starts_and_stops),
		T(test_address_in_use),
		T(test_second_broker_in_one_directory),
		T(test_dials_without_listening),
		T(test_restart_of_the_other_side),
		T(test_stop_closes_sockets),
		T(test_removed_link_carries_nothing),
		T(test_changed_endpoint_is_dialled),
		T(test_status_sees_the_counters),
		T(test_portspace_added_later),
		T(test_two_portspaces_have_their_own_ports),
		T(test_same_key_twice_does_no_harm),
		T(test_port_of_a_neighbour_ends),
		T(test_datagrams_with_a_stranger),
		T(test_stranger_cannot_lie_about_its_address),
		T(test_stranger_is_told_of_closed_ports),
		T(test_tcp_of_a_stranger_is_refused),
		T(test_stranger_roams),
		T(test_noise_of_the_underlay_is_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

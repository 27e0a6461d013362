/* SPDX-License-Identifier: MIT */
/* core: where streams go, whose sources are believed, and what the data path may ask. */
#include "core_fixture.h"

#include "handshake.h"

static int route(struct fixture *f, struct portspace *ps, const struct link *from, const char *src,
	const char *dst, struct core_hop *hopp)
{
	struct endpoint s = endpoint(src), d = endpoint(dst);
	int r;

	memset(hopp, 0, sizeof(*hopp));
	r = core_route(f->core, ps, from, &s, &d, hopp);
	link_unref(hopp->link);
	return r;
}

static void listen_on(struct portspace *ps, const char *at, uint64_t inode, char *file)
{
	struct porttab_request req = {.proto = IPPROTO_TCP, .local = endpoint(at), .inode = inode};
	uint16_t port;

	req.flags = addr_is_v4(&req.local.addr) ? 0 : ASK_V6;
	assert_int_equal(porttab_listen(ps->porttab, &req, &port, file), 0);
}

/* The inode of a socket that lives as long as *fdp. */
static uint64_t live_inode(int *fdp)
{
	struct stat st;

	*fdp = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(fstat(*fdp, &st), 0);
	return st.st_ino;
}

static void test_own_server_is_local(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24 fd00::1/64");
	char file[SOCKNAME_FILE_MAX], path[ASK_PATH_MAX];
	struct core_hop hop;

	listen_on(ps, "10.77.0.1:80", 1, file);
	snprintf(path, sizeof(path), "%s/%s", ps->dir, file);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:40000", "10.77.0.1:80", &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_LOCAL);
	assert_string_equal(hop.path, path);
	assert_null(hop.link);
	assert_int_equal(
		route(f, ps, NULL, "10.77.0.1:40000", "10.77.0.1:81", &hop), -ECONNREFUSED);
	assert_int_equal(
		route(f, ps, NULL, "127.0.0.1:40000", "127.0.0.1:80", &hop), -ECONNREFUSED);
	listen_on(ps, "[::]:81", 2, file);
	assert_int_equal(route(f, ps, NULL, "127.0.0.1:40000", "127.0.0.1:81", &hop), 0);
	assert_int_equal(route(f, ps, NULL, "[fd00::1]:40000", "[fd00::1]:81", &hop), 0);
}

static void test_longest_prefix_decides(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct link *wide = make_link(ps, "wide", "10.0.0.0/8 ::/0", NULL);
	struct link *narrow = make_link(ps, "narrow", "10.77.0.2/32", NULL);
	struct core_hop hop;

	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "10.77.0.2:80", &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_LINK);
	assert_ptr_equal(hop.link, narrow);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "10.77.0.3:80", &hop), 0);
	assert_ptr_equal(hop.link, wide);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "[fd00::3]:80", &hop), 0);
	assert_ptr_equal(hop.link, wide);
	/* The own /24 is no route: only links lead anywhere. */
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "192.0.2.1:80", &hop), -ENETUNREACH);
	link_remove(narrow);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "10.77.0.2:80", &hop), 0);
	assert_ptr_equal(hop.link, wide);
	link_remove(wide);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "10.77.0.2:80", &hop), -ENETUNREACH);
}

static void test_relay_goes_on_but_never_back(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "relay", "10.77.0.1/24");
	struct link *left = make_link(ps, "left", "10.1.0.0/16", NULL);
	struct link *right = make_link(ps, "right", "10.2.0.0/16", NULL);
	struct core_hop hop;
	char file[SOCKNAME_FILE_MAX];

	assert_int_equal(route(f, ps, left, "10.1.0.5:1", "10.2.0.5:80", &hop), 0);
	assert_ptr_equal(hop.link, right);
	assert_int_equal(route(f, ps, right, "10.2.0.5:80", "10.1.0.5:1", &hop), 0);
	assert_ptr_equal(hop.link, left);
	assert_int_equal(route(f, ps, left, "10.1.0.5:1", "10.1.0.6:80", &hop), -EHOSTUNREACH);
	assert_int_equal(route(f, ps, left, "10.1.0.5:1", "10.3.0.1:80", &hop), -ENETUNREACH);
	assert_int_equal(route(f, ps, left, "10.1.0.5:1", "10.77.0.1:80", &hop), -ECONNREFUSED);
	listen_on(ps, "0.0.0.0:80", 1, file);
	assert_int_equal(route(f, ps, left, "10.1.0.5:1", "10.77.0.1:80", &hop), 0);
	assert_int_equal(hop.kind, CORE_HOP_LOCAL);
}

static void test_foreign_source_is_refused(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct portspace *other = make_portspace(f, "b", "10.77.0.1/24");
	struct link *left = make_link(ps, "left", "10.1.0.0/16", NULL);
	struct link *wide = make_link(ps, "wide", "10.0.0.0/8", NULL);
	struct link *foreign = make_link(other, "left", "10.1.0.0/16", NULL);
	struct core_hop hop;

	/* A process of the portspace uses own addresses only. */
	assert_int_equal(route(f, ps, NULL, "10.77.0.2:1", "10.1.0.5:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, NULL, "0.0.0.0:1", "10.1.0.5:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, NULL, "127.0.0.1:1", "10.1.0.5:80", &hop), -ENETUNREACH);
	/* A link brings only what it leads to, and what no other link leads to better. */
	assert_int_equal(route(f, ps, left, "10.2.0.5:1", "10.77.0.1:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, wide, "10.1.0.5:1", "10.77.0.1:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, wide, "10.2.0.5:1", "10.77.0.1:80", &hop), -ECONNREFUSED);
	/* Nobody outside has our addresses, loopback, or no address. */
	assert_int_equal(route(f, ps, wide, "10.77.0.1:1", "10.77.0.1:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, wide, "127.0.0.1:1", "10.77.0.1:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, wide, "0.0.0.0:1", "10.77.0.1:80", &hop), -EACCES);
	assert_int_equal(route(f, ps, wide, "224.0.0.1:1", "10.77.0.1:80", &hop), -EACCES);
	/* Our loopback is not reachable from outside. */
	assert_int_equal(route(f, ps, wide, "10.2.0.5:1", "127.0.0.1:80", &hop), -ENETUNREACH);
	assert_int_equal(route(f, ps, wide, "10.2.0.5:1", "224.0.0.1:80", &hop), -ENETUNREACH);
	/* A link of another portspace leads nowhere here. */
	assert_int_equal(route(f, ps, foreign, "10.1.0.5:1", "10.77.0.1:80", &hop), -ENETUNREACH);
}

/* Not even who may send from anywhere has the address that a neighbour's key gives it. */
static void test_link_local_of_a_neighbour_is_refused(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "fd77::1/64");
	struct link *wide = make_link(ps, "wide", "::/0", NULL);
	struct link *other = make_link(ps, "other", "fd78::/64", NULL);
	const struct addr unknown = endpoint("[fe80::1]:0").addr,
			  dst = endpoint("[fd77::1]:0").addr;
	struct core_next next;

	assert_int_equal(core_packet_route(f->core, ps, wide, &wide->link_local, &dst, &next), 0);
	assert_int_equal(core_packet_route(f->core, ps, other, &other->link_local, &dst, &next), 0);
	assert_int_equal(
		core_packet_route(f->core, ps, wide, &other->link_local, &dst, &next), -EACCES);
	/* What somebody gave it by hand is AllowedIPs' business. */
	assert_int_equal(core_packet_route(f->core, ps, wide, &unknown, &dst, &next), 0);
	assert_int_equal(core_packet_route(f->core, ps, other, &unknown, &dst, &next), -EACCES);
}

/* A peer cannot teach by RIP that others' addresses may come from it. */
static void test_taught_prefix_of_another_link_is_refused(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	struct link *victim = make_link(ps, "victim", "10.1.0.0/16", NULL);
	struct link *teacher = make_link(ps, "teacher", "10.2.0.0/16", NULL);
	const struct addr src = endpoint("10.1.0.5:0").addr, far = endpoint("10.3.0.5:0").addr,
			  dst = endpoint("10.77.0.1:0").addr;
	struct prefix taught;
	struct core_next next;

	assert_int_equal(prefix_parse("10.1.0.0/16", &taught), 0);
	assert_int_equal(core_rip_set(f->core, teacher, &taught, &addr_any4, 2, 0, 1), 0);
	assert_int_equal(core_packet_route(f->core, ps, teacher, &src, &dst, &next), -EACCES);
	assert_int_equal(core_packet_route(f->core, ps, victim, &src, &dst, &next), 0);
	/* While its own link is silent RIP has the way, so it may come from anywhere. */
	core_link_silent(f->core, victim, true);
	assert_int_equal(core_packet_route(f->core, ps, teacher, &src, &dst, &next), 0);
	assert_int_equal(core_packet_route(f->core, ps, victim, &src, &dst, &next), 0);
	assert_int_equal(prefix_parse("10.3.0.0/16", &taught), 0);
	assert_int_equal(core_rip_set(f->core, teacher, &taught, &addr_any4, 2, 0, 1), 0);
	assert_int_equal(core_packet_route(f->core, ps, victim, &far, &dst, &next), 0);
}

static void test_equal_addresses_do_not_mix(void **state)
{
	struct fixture *f = *state;
	struct portspace *a = make_portspace(f, "a", "10.77.0.1/24");
	struct portspace *b = make_portspace(f, "b", "10.77.0.1/24");
	struct link *la = make_link(a, "l", "10.77.0.2/32", NULL);
	struct link *lb = make_link(b, "l", "10.77.0.2/32", NULL);
	char file[SOCKNAME_FILE_MAX];
	struct core_hop hop;

	listen_on(a, "10.77.0.1:80", 1, file);
	assert_int_equal(route(f, a, NULL, "10.77.0.1:1", "10.77.0.1:80", &hop), 0);
	assert_int_equal(route(f, b, NULL, "10.77.0.1:1", "10.77.0.1:80", &hop), -ECONNREFUSED);
	assert_int_equal(route(f, a, NULL, "10.77.0.1:1", "10.77.0.2:80", &hop), 0);
	assert_ptr_equal(hop.link, la);
	assert_int_equal(route(f, b, NULL, "10.77.0.1:1", "10.77.0.2:80", &hop), 0);
	assert_ptr_equal(hop.link, lb);
}

static void test_initiation_finds_its_portspace(void **state)
{
	struct fixture *f = *state;
	struct portspace *a = make_portspace(f, "a", "10.77.0.1/24");
	struct portspace *b = make_portspace(f, "b", "10.77.0.1/24"), *found;
	struct handshake_hello hello = {.ciphers = 1 << AEAD_CHACHA20POLY1305};
	uint8_t msg[HANDSHAKE_MAX];
	struct handshake hs;
	size_t len;

	assert_int_equal(handshake_initiate(&hs, a->private_key, &a->public_key, &b->public_key,
				 &hello, msg, sizeof(msg), &len),
		0);
	handshake_wipe(&hs);
	found = core_by_mac1(f->core, msg, len);
	assert_ptr_equal(found, b);
	portspace_unref(found);
	msg[len - 1] ^= 1;
	assert_null(core_by_mac1(f->core, msg, len));
	msg[len - 1] ^= 1;
	portspace_remove(f->core, b);
	assert_null(core_by_mac1(f->core, msg, len));
}

static void test_link_is_found_by_key(void **state)
{
	struct fixture *f = *state;
	struct portspace *a = make_portspace(f, "a", "10.77.0.1/24");
	struct portspace *b = make_portspace(f, "b", "10.77.0.1/24");
	struct key key;
	struct link *link = make_link(a, "l", "10.77.0.2/32", &key), *found;

	found = core_link_by_key(f->core, a, &key);
	assert_ptr_equal(found, link);
	assert_null(core_link_by_key(f->core, b, &key));
	link_remove(link);
	assert_true(found->removed); /* whoever holds it can see that */
	assert_null(core_link_by_key(f->core, a, &key));
	link_unref(found);
}

static void test_initiation_is_fresh_once(void **state)
{
	struct fixture *f = *state;
	struct portspace *a = make_portspace(f, "a", "10.77.0.1/24");
	struct link *link = make_link(a, "l", "10.77.0.2/32", NULL);
	uint8_t timestamp[HANDSHAKE_TIMESTAMP];

	handshake_timestamp(1000000000, timestamp);
	assert_true(core_link_fresh(f->core, link, timestamp));
	assert_false(core_link_fresh(f->core, link, timestamp));
}

static void test_endpoint_is_known_when_numeric_or_set(void **state)
{
	struct fixture *f = *state;
	struct config *config = make_config("10.77.0.1/24");
	struct endpoint ep, set = endpoint("192.0.2.9:5");
	struct config_peer *peer;
	struct portspace *ps;
	struct key key;
	unsigned before;

	for (int i = 0; i < 2; i++) {
		randombytes_buf(&key, sizeof(key));
		assert_int_equal(config_add_peer(config, &key, &peer), 0);
		snprintf(peer->name, sizeof(peer->name), "l%d", i);
		strcpy(peer->endpoint, i ? "peer.example:51821" : "[2001:db8::1]:51821");
	}
	assert_int_equal(portspace_add(f->core, "a", config, false, NULL, &ps), 0);
	assert_true(core_link_endpoint(f->core, ps->links, &ep));
	set = endpoint("[2001:db8::1]:51821");
	assert_true(endpoint_equal(&ep, &set));
	assert_false(core_link_endpoint(f->core, ps->links->next, &ep));
	before = f->links_changed;
	link_set_endpoint(ps->links->next, &set);
	assert_true(core_link_endpoint(f->core, ps->links->next, &ep));
	assert_int_equal(f->links_changed, before + 1);
	link_set_endpoint(ps->links->next, &set); /* nothing new */
	assert_int_equal(f->links_changed, before + 1);
}

static void count_link(struct link *link, void *arg)
{
	(void)link;
	++*(unsigned *)arg;
}

static void test_each_link_sees_all(void **state)
{
	struct fixture *f = *state;
	unsigned n = 0;

	make_link(make_portspace(f, "a", "10.0.0.1"), "l", "10.1.0.0/16", NULL);
	make_link(make_portspace(f, "b", "10.0.0.1"), "l", "10.1.0.0/16", NULL);
	core_each_link(f->core, count_link, &n);
	assert_int_equal(n, 2);
}

static void test_stale_server_is_forgotten_only_when_gone(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24");
	char file[SOCKNAME_FILE_MAX], path[ASK_PATH_MAX];
	struct core_hop hop;
	int fd;

	listen_on(ps, "10.77.0.1:80", live_inode(&fd), file);
	snprintf(path, sizeof(path), "%s/%s", ps->dir, file);
	core_stale(f->core, ps, path);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "10.77.0.1:80", &hop), 0);
	close(fd);
	core_stale(f->core, ps, "/elsewhere/tcp.any.80");
	core_stale(f->core, ps, path);
	assert_int_equal(route(f, ps, NULL, "10.77.0.1:1", "10.77.0.1:80", &hop), -ECONNREFUSED);
}

static void test_member_is_told_by_the_socket(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.77.0.1/24"), *found;
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	pid_t child, pid;
	int listener = meeting_listen(&sun, &len), fd;

	child = fork();
	if (child == 0) {
		meeting_visit(&sun, len);
		meeting_visit(&sun, len);
		_exit(0);
	}
	fd = accept(listener, NULL, NULL);
	assert_null(core_member(f->core, fd, &pid));
	assert_int_equal(peer_get(fd, &peer), 0);
	assert_int_equal(portspace_enter(ps, &peer, "shim", NULL), 0);
	found = core_member(f->core, fd, &pid);
	assert_ptr_equal(found, ps);
	assert_int_equal(pid, child);
	portspace_unref(found);
	peer_close(&peer);
	for (int i = 0; i < 2; i++) {
		pid = 0;
		found = core_member_since(f->core, fd, i ? UINT64_MAX : 1, &pid);
		assert_ptr_equal(found, ps);
		assert_int_equal(pid, child);
		portspace_unref(found);
	}
	portspace_remove(f->core, ps);
	assert_null(core_member(f->core, fd, &pid));
	assert_null(core_member_since(f->core, fd, UINT64_MAX, &pid));
	close(fd);
	fd = accept(listener, NULL, NULL);
	close(fd);
	close(listener);
	reap(child);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_own_server_is_local),
		T(test_longest_prefix_decides),
		T(test_relay_goes_on_but_never_back),
		T(test_foreign_source_is_refused),
		T(test_link_local_of_a_neighbour_is_refused),
		T(test_taught_prefix_of_another_link_is_refused),
		T(test_equal_addresses_do_not_mix),
		T(test_initiation_finds_its_portspace),
		T(test_link_is_found_by_key),
		T(test_initiation_is_fresh_once),
		T(test_endpoint_is_known_when_numeric_or_set),
		T(test_each_link_sees_all),
		T(test_stale_server_is_forgotten_only_when_gone),
		T(test_member_is_told_by_the_socket),
	};

	return cmocka_run_group_tests_name("core", tests, NULL, NULL);
}

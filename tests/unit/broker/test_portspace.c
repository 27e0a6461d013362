/* SPDX-License-Identifier: MIT */
/* portspace and link: ids, the runtime directory, inits, names. */
#include "core_fixture.h"

#include <fcntl.h>

static void read_info(const struct portspace *ps, struct info *infop)
{
	char path[256];
	uint8_t buf[INFO_MAX];
	struct stat st;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/info", ps->dir);
	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0400);
	n = read(fd, buf, sizeof(buf));
	close(fd);
	assert_true(n > 0);
	assert_int_equal(info_decode(buf, (size_t)n, infop), 0);
}

static void test_info_tells_what_the_shim_needs(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "work", "10.77.0.1/24 fd00::1/64");
	struct info info;
	struct stat st;

	assert_int_equal(stat(ps->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	read_info(ps, &info);
	assert_int_equal(info.portspace, ps->id);
	assert_int_equal(info.nworkers, 2);
	assert_int_equal(info.mtu, 1420);
	assert_string_equal(info.name, "work");
	assert_string_equal(info.hostname, "work");
	assert_int_equal(info.naddr, 2);
	assert_int_equal(info.addr[0].len, 120);
	assert_memory_equal(info.secret, ps->info.secret, sizeof(info.secret));
	assert_false(sodium_is_zero(info.secret, sizeof(info.secret)));
}

static void test_smallest_free_id_is_taken(void **state)
{
	struct fixture *f = *state;
	struct portspace *a = make_portspace(f, "a", "10.0.0.1");
	struct portspace *b = make_portspace(f, "b", "10.0.0.1");
	char dir[64];

	assert_int_equal(a->id, 1);
	assert_int_equal(b->id, 2);
	snprintf(dir, sizeof(dir), "%s", a->dir);
	portspace_remove(f->core, a);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(f->portspaces_gone, 1);
	assert_int_equal(make_portspace(f, "c", "10.0.0.1")->id, 1);
	assert_int_equal(make_portspace(f, "d", "10.0.0.1")->id, 3);
	assert_null(core_find(f->core, "a"));
	assert_int_equal(core_count(f->core), 3);
}

static void test_identity_is_kept(void **state)
{
	struct fixture *f = *state;
	struct portspace_identity id = {.id = 77, .has_secret = true, .secret = "0123456789abcde"};
	struct portspace *ps;

	assert_int_equal(portspace_add(f->core, "a", make_config("10.0.0.1"), false, &id, &ps), 0);
	assert_int_equal(ps->id, 77);
	assert_memory_equal(ps->info.secret, id.secret, 16);
}

static void test_name_is_unique(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.0.0.1"), *second = NULL;

	assert_int_equal(portspace_add(f->core, "a", make_config("10.0.0.2"), false, NULL, &second),
		-EEXIST);
	assert_null(second);
	assert_ptr_equal(core_find(f->core, "a"), ps);
	assert_int_equal(access(ps->dir, F_OK), 0);
}

static void test_failed_add_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct config *config = make_config("10.0.0.1");
	struct portspace *ps;
	struct prefix prefix;
	struct config_peer *peer;
	struct key key;
	char path[64];

	/* Two peers with one prefix: config_check() would have refused that. */
	assert_int_equal(prefix_parse("10.1.0.0/16", &prefix), 0);
	for (int i = 0; i < 2; i++) {
		randombytes_buf(&key, sizeof(key));
		assert_int_equal(config_add_peer(config, &key, &peer), 0);
		assert_int_equal(config_add_allowed(peer, &prefix), 0);
	}
	assert_int_equal(portspace_add(f->core, "a", config, false, NULL, &ps), -EEXIST);
	assert_null(core_find(f->core, "a"));
	snprintf(path, sizeof(path), "%s/ps/1", f->rt);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(f->links_changed, 2); /* the first link came and went */
}

static void test_configuration_survives_with_its_keys(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.0.0.1");
	struct config *config = portspace_config(ps);
	char *text;
	size_t len;

	assert_non_null(config);
	assert_true(key_equal(config->private_key, ps->private_key));
	config_free(config);
	assert_int_equal(portspace_text(ps, &text, &len), 0);
	assert_int_equal(config_parse(text, len, &config, NULL), 0);
	assert_true(key_equal(config->private_key, ps->private_key));
	sodium_free(text);
	config_free(config);
}

static void test_psk_reaches_the_link(void **state)
{
	struct fixture *f = *state;
	struct config *config = make_config("10.0.0.1");
	struct config_peer *peer;
	struct portspace *ps;
	struct key key;

	for (int i = 0; i < 2; i++) {
		randombytes_buf(&key, sizeof(key));
		assert_int_equal(config_add_peer(config, &key, &peer), 0);
		if (i == 0)
			continue;
		peer->psk = key_new();
		assert_non_null(peer->psk);
		memcpy(peer->psk, &key, sizeof(key));
	}
	assert_int_equal(link_name_peers(config), 0);
	assert_int_equal(portspace_add(f->core, "a", config, false, NULL, &ps), 0);
	assert_true(key_is_zero(ps->links->psk));
	assert_true(key_equal(ps->links->next->psk, &key));
	assert_string_equal(ps->links->name, "link1");
	assert_string_equal(ps->links->next->name, "link2");
}

static void test_free_link_names_are_given(void **state)
{
	struct config *config = make_config("10.0.0.1");
	const char *const given[] = {"", "link1", "", "link3"};
	const char *const expected[] = {"link2", "link1", "link4", "link3"};
	struct config_peer *peer;
	struct key key;

	(void)state;
	for (int i = 0; i < 4; i++) {
		randombytes_buf(&key, sizeof(key));
		assert_int_equal(config_add_peer(config, &key, &peer), 0);
		strcpy(peer->name, given[i]);
	}
	assert_int_equal(link_name_peers(config), 0);
	for (int i = 0; i < 4; i++)
		assert_string_equal(config->peers[i].name, expected[i]);
	config_free(config);
}

static void test_interface_numbers_are_stable(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.0.0.1");
	struct link *one = make_link(ps, "one", "10.1.0.0/16", NULL);
	struct link *two = make_link(ps, "two", "10.2.0.0/16", NULL);

	assert_int_equal(link_ifindex(one), 2);
	link_remove(one);
	assert_int_equal(link_ifindex(two), 3);
	assert_int_equal(link_ifindex(make_link(ps, "three", "10.3.0.0/16", NULL)), 4);
	assert_ptr_equal(link_find(ps, "two"), two);
	assert_null(link_find(ps, "one"));
}

/* A child that is connected and waits; its peer. */
static pid_t visitor(
	const struct sockaddr_un *sun, socklen_t len, int listener, int *fdp, struct peer *peerp)
{
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(sun, len);
		_exit(0);
	}
	*fdp = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(peer_get(*fdp, peerp), 0);
	return pid;
}

static void test_unnamed_goes_with_its_last_init(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un sun;
	struct portspace *ps;
	struct peer peer[2];
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd[2];
	pid_t pid[2];
	char path[128];

	assert_int_equal(
		portspace_add(f->core, "unnamed-1", make_config("10.0.0.1"), true, NULL, &ps), 0);
	snprintf(path, sizeof(path), "%s/conf", ps->dir);
	assert_int_equal(access(path, R_OK), 0);
	for (int i = 0; i < 2; i++) {
		pid[i] = visitor(&sun, len, listener, &fd[i], &peer[i]);
		assert_int_equal(portspace_enter(ps, &peer[i], "sealed", NULL), 0);
	}
	assert_int_equal(portspace_enter(ps, &peer[0], "sealed", NULL), -EEXIST);
	portspace_leave(f->core, ps, pid[0]);
	portspace_leave(f->core, ps, pid[0]); /* twice is harmless */
	assert_ptr_equal(core_find(f->core, "unnamed-1"), ps);
	/* The second one ends without a word. */
	close(fd[1]);
	reap(pid[1]);
	core_collect(f->core);
	assert_null(core_find(f->core, "unnamed-1"));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(f->processes_gone, 1);
	assert_int_equal(f->core->ninits, 0);
	close(fd[0]);
	reap(pid[0]);
	peer_close(&peer[0]);
	peer_close(&peer[1]);
	close(listener);
}

static void test_ended_process_returns_its_leases(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "a", "10.0.0.1");
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd;
	pid_t pid = visitor(&sun, len, listener, &fd, &peer);
	unsigned blocks = 0;
	uint16_t first, n;

	assert_int_equal(portspace_enter(ps, &peer, "shim", NULL), 0);
	while (porttab_lease(ps->porttab, IPPROTO_TCP, pid, &first, &n) == 0)
		blocks++;
	assert_true(blocks > 0);
	close(fd);
	reap(pid);
	core_collect(f->core);
	assert_int_equal(porttab_lease(ps->porttab, IPPROTO_TCP, pid, &first, &n), 0);
	assert_ptr_equal(core_find(f->core, "a"), ps); /* a named one stays */
	peer_close(&peer);
	close(listener);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_info_tells_what_the_shim_needs),
		T(test_smallest_free_id_is_taken),
		T(test_identity_is_kept),
		T(test_name_is_unique),
		T(test_failed_add_leaves_nothing),
		T(test_configuration_survives_with_its_keys),
		T(test_psk_reaches_the_link),
		T(test_free_link_names_are_given),
		T(test_interface_numbers_are_stable),
		T(test_unnamed_goes_with_its_last_init),
		T(test_ended_process_returns_its_leases),
	};

	return cmocka_run_group_tests_name("portspace", tests, NULL, NULL);
}

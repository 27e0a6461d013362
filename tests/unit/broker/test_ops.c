/* SPDX-License-Identifier: MIT */
/* ops: every operation, its errors, who may use it, and what is on the disk. */
#include "control_fixture.h"

static void test_create_is_on_disk_before_the_reply(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char path[128], name[] = "\"name\":\"work\"";
	struct stat st;
	json_t *reply, *o;

	reply = ask(c, "create",
		WORK ",\"addresses\":[\"10.77.0.1/24\",\"fd00::1/64\"],\"mtu\":1400,"
		     "\"hostname\":\"office\",\"hosts\":{\"srv\":\"10.77.0.9\","
		     "\"two\":[\"10.0.0.1\",\"10.0.0.2\"]}");
	assert_ok_reply(reply);
	o = json_object_get(reply, "portspace");
	assert_string_equal(json_string_value(json_object_get(o, "hostname")), "office");
	assert_int_equal(json_integer_value(json_object_get(o, "mtu")), 1400);
	assert_int_equal(json_array_size(json_object_get(o, "addresses")), 2);
	assert_string_equal(json_string_value(json_object_get(json_object_get(o, "hosts"), "srv")),
		"10.77.0.9");
	assert_int_equal(json_array_size(json_object_get(json_object_get(o, "hosts"), "two")), 2);
	assert_string_equal(json_string_value(json_object_get(o, "public_key")),
		key_format(&core_find(b->f->core, "work")->public_key, path));
	json_decref(reply);
	snprintf(path, sizeof(path), "%s/work.conf", b->f->cfg);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(on_disk(b, "work", "Address = 10.77.0.1/24"));
	expect_error(c, "create", WORK ",\"addresses\":[\"10.77.0.1\"]", "EEXIST");
	expect_ok(c, "destroy", name);
	assert_int_equal(stat(path, &st), -1);
	expect_error(c, "show", name, "ENOENT");
	cli_close(c);
}

static void test_file_that_was_not_loaded_is_not_overwritten(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);

	assert_int_equal(state_write(b->f->cfg, "work", "broken", 6, NULL), 0);
	expect_error(c, "create", WORK ",\"addresses\":[\"10.77.0.1\"]", "EEXIST");
	assert_true(on_disk(b, "work", "broken"));
	cli_close(c);
}

static void test_full_disk_changes_nothing(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply;

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1\"]");
	/* A directory that is not there refuses also root. */
	snprintf(b->f->core->config_dir, sizeof(b->f->core->config_dir), "%s/none", b->f->top);
	expect_error(c, "create", "\"name\":\"b\",\"addresses\":[\"10.77.0.1\"]", "ENOENT");
	expect_error(c, "link-add", WORK ",\"peer\":\"" PEER1 "\",\"allowed_ips\":[]", "ENOENT");
	expect_error(c, "show", "\"name\":\"b\"", "ENOENT");
	reply = ask(c, "link-list", WORK);
	assert_ok_reply(reply);
	assert_int_equal(json_array_size(json_object_get(reply, "links")), 0);
	json_decref(reply);
	cli_close(c);
}

static void test_links(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply, *o;

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	reply = ask(c, "link-add",
		WORK ",\"peer\":\"" PEER1 "\",\"allowed_ips\":[\"10.77.0.2/32\"],"
		     "\"endpoint\":\"192.0.2.2:51821\",\"keepalive\":25,"
		     "\"preshared_key\":\"" PEER2 "\"");
	assert_ok_reply(reply);
	o = json_object_get(reply, "link");
	assert_string_equal(json_string_value(json_object_get(o, "name")), "link1");
	assert_true(json_is_true(json_object_get(o, "preshared")));
	assert_string_equal(json_string_value(json_object_get(o, "state")), "idle");
	assert_true(json_is_null(json_object_get(o, "error")));
	assert_true(json_is_null(json_object_get(o, "last_handshake_s")));
	json_decref(reply);
	assert_true(on_disk(b, "work", "PublicKey = " PEER1));
	assert_true(on_disk(b, "work", "PresharedKey = " PEER2));
#define ADD(rest) expect_error(c, "link-add", WORK "," rest
	ADD("\"peer\":\"" PEER1 "\",\"allowed_ips\":[]"), "EEXIST");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[\"10.77.0.2\"]"), "EEXIST");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"link_name\":\"link1\""), "EEXIST");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"link_name\":\"lo\""), "EINVAL");
	ADD("\"peer\":\"x\",\"allowed_ips\":[]"), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[\"x\"]"), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"endpoint\":\"x\""), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"keepalive\":65536"), "EINVAL");
	ADD("\"peer\":\"" PEER2 "\",\"allowed_ips\":[],\"preshared_key\":\"x\""), "EINVAL");
#undef ADD
	expect_error(c, "link-add", "\"name\":\"x\",\"peer\":\"" PEER2 "\",\"allowed_ips\":[]",
		"ENOENT");
	expect_ok(c, "link-add",
		WORK ",\"peer\":\"" PEER2 "\",\"allowed_ips\":[\"10.0.0.0/8\"],"
		     "\"link_name\":\"home\"");
	expect_error(c, "link-remove", WORK ",\"link\":\"nobody\"", "ENOENT");
	expect_ok(c, "link-remove", WORK ",\"link\":\"" PEER1 "\"");
	expect_ok(c, "link-remove", WORK ",\"link\":\"home\"");
	assert_false(on_disk(b, "work", "[Peer]"));
	assert_null(core_find(b->f->core, "work")->links);
	cli_close(c);
}

static void test_own_key_is_no_peer(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char members[256], key[KEY_STRLEN];

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	key_format(&core_find(b->f->core, "work")->public_key, key);
	snprintf(members, sizeof(members), WORK ",\"peer\":\"%s\",\"allowed_ips\":[]", key);
	expect_error(c, "link-add", members, "EINVAL");
	cli_close(c);
}

static void test_secrets_never_come_back(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	char private_key[KEY_STRLEN];
	static const char *const ops[][2] = {{"show", WORK}, {"status", ""}, {"status", WORK},
		{"list", ""}, {"link-list", WORK}};

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	expect_ok(c, "link-add",
		WORK ",\"peer\":\"" PEER1 "\",\"allowed_ips\":[],\"preshared_key\":\"" PEER2 "\"");
	key_format(core_find(b->f->core, "work")->private_key, private_key);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		json_t *reply = ask(c, ops[i][0], ops[i][1]);
		size_t len;
		char *text;

		assert_ok_reply(reply);
		text = jsonio_format(reply, CLI_MAX, &len);
		assert_non_null(text);
		assert_non_null(memmem(text, len, PEER1, strlen(PEER1)));
		assert_null(memmem(text, len, PEER2, strlen(PEER2)));
		assert_null(memmem(text, len, private_key, strlen(private_key)));
		jsonio_free_text(text, len);
		json_decref(reply);
	}
	cli_close(c);
}

static void test_import_warns_and_never_runs_hooks(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply = ask(c, "import",
		WORK ",\"text\":\"[Interface]\\nPrivateKey = "
		     "aGVsbG9oZWxsb2hlbGxvaGVsbG9oZWxsb2hlbGxvaGU=\\nAddress = 10.1.1.1/24\\n"
		     "PostUp = touch /tmp/persona-hook-ran\\n[Peer]\\nPublicKey = " PEER1
		     "\\nAllowedIPs = 0.0.0.0/0\\n\"");

	assert_ok_reply(reply);
	assert_int_equal(json_array_size(json_object_get(reply, "warnings")), 1);
	json_decref(reply);
	assert_int_equal(access("/tmp/persona-hook-ran", F_OK), -1);
	assert_string_equal(core_find(b->f->core, "work")->links->name, "link1");
	assert_true(on_disk(b, "work", "Link = " PEER1 " link1"));
	cli_close(c);
}

static void test_no_new_privs_manages_nothing(void **state)
{
	static const char *const lines[] = {"\"op\":\"ping\"",
		"\"op\":\"create\",\"name\":\"a\",\"addresses\":[\"10.0.0.1\"]", "\"op\":\"list\"",
		"\"op\":\"status\"", "\"op\":\"enter\",\"new\":true,\"seal\":\"shim\"", NULL};
	static const char *const sealed[] = {NULL, "EPERM", "EPERM", "EPERM", "EPERM"};
	static const char *const all_sealed[] = {NULL, NULL, NULL, NULL, NULL};
	struct bench *b = *state;

	child_expects(b, CHILD_NO_NEW_PRIVS, lines, sealed, 5);
	assert_int_equal(core_count(b->f->core), 0);
	b->ops.no_new_privs = true; /* such a broker can serve nobody else */
	b->ops.filters = peer_seccomp_filters(getpid());
	child_expects(b, CHILD_NO_NEW_PRIVS, lines, all_sealed, 5);
	/* ... but for whoever has a seal on top of what the broker has. */
	child_expects(b, CHILD_NO_NEW_PRIVS | CHILD_FILTER, lines, sealed, 5);
}

static void test_member_looks_at_its_own_only(void **state)
{
	static const char *const lines[] = {"\"op\":\"enter\",\"seal\":\"shim\"," WORK,
		"\"op\":\"ping\"", "\"op\":\"show\"," WORK, "\"op\":\"status\"",
		"\"op\":\"link-list\"," WORK, "\"op\":\"show\",\"name\":\"other\"",
		"\"op\":\"status\",\"name\":\"other\"", "\"op\":\"list\"",
		"\"op\":\"destroy\"," WORK,
		"\"op\":\"create\",\"name\":\"a\",\"addresses\":[\"10.0.0.1\"]",
		"\"op\":\"link-remove\",\"link\":\"x\"," WORK,
		"\"op\":\"enter\",\"new\":true,\"seal\":\"shim\"", NULL};
	static const char *const codes[] = {NULL, NULL, NULL, NULL, NULL, "EPERM", "EPERM", "EPERM",
		"EPERM", "EPERM", "EPERM", "EPERM"};
	static const char *const stranger[] = {"\"op\":\"status\"", NULL};
	struct bench *b = *state;

	make_portspace(b->f, "work", "10.0.0.1");
	make_portspace(b->f, "other", "10.0.0.1");
	child_expects(b, 0, lines, codes, 12);
	child_expects(b, CHILD_NO_NEW_PRIVS, stranger, codes + 5, 1);
	assert_int_equal(b->f->core->ninits, 0); /* its connection ended */
}

static void test_unnamed_portspace_ends_with_the_connection(void **state)
{
	static const char *const lines[] = {
		"\"op\":\"enter\",\"new\":true,\"seal\":\"sealed\",\"command\":[\"a\",\"b\"]",
		"\"op\":\"status\"", NULL};
	struct bench *b = *state;
	pid_t pid;
	struct cli *c = child_open(b, 0, lines, &pid);
	json_t *reply = cli_reply(c), *ps, *init;
	const char *dir;

	assert_ok_reply(reply);
	dir = json_string_value(json_object_get(reply, "dir"));
	assert_true(strncmp(dir, b->f->rt, strlen(b->f->rt)) == 0);
	assert_true(
		json_is_true(json_object_get(json_object_get(reply, "portspace"), "ephemeral")));
	json_decref(reply);
	reply = cli_reply(c);
	assert_ok_reply(reply);
	assert_int_equal(json_array_size(json_object_get(reply, "portspaces")), 1);
	ps = json_array_get(json_object_get(reply, "portspaces"), 0);
	init = json_array_get(json_object_get(ps, "inits"), 0);
	assert_int_equal(json_integer_value(json_object_get(init, "pid")), pid);
	assert_string_equal(json_string_value(json_object_get(init, "seal")), "sealed");
	assert_int_equal(json_array_size(json_object_get(init, "command")), 2);
	json_decref(reply);
	assert_null(cli_reply(c));
	assert_int_equal(core_count(b->f->core), 0);
	cli_close(c);
	reap(pid);
}

static void test_destroy_needs_force_while_in_use(void **state)
{
	struct bench *b = *state;
	struct cli *admin = cli_open(b), *init = cli_open(b);
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&sun, len);
		_exit(0);
	}
	fd = accept(listener, NULL, NULL);
	assert_int_equal(peer_get(fd, &peer), 0);
	expect_ok(admin, "create", WORK ",\"addresses\":[\"10.77.0.1\"]");
	assert_int_equal(portspace_enter(core_find(b->f->core, "work"), &peer, "shim", NULL), 0);
	expect_error(admin, "destroy", WORK, "EBUSY");
	expect_error(admin, "destroy", WORK ",\"force\":1", "EINVAL");
	expect_ok(admin, "destroy", WORK ",\"force\":true");
	assert_false(on_disk(b, "work", "["));
	assert_int_equal(b->f->core->ninits, 0);
	/* The init's connection is closed: the test process itself is one now. */
	expect_ok(admin, "create", WORK ",\"addresses\":[\"10.77.0.1\"]");
	expect_ok(init, "enter", WORK ",\"seal\":\"shim\"");
	portspace_remove(b->f->core, core_find(b->f->core, "work"));
	assert_null(cli_reply(init));
	cli_close(init);
	cli_close(admin);
	close(fd);
	close(listener);
	peer_close(&peer);
	reap(pid);
}

static void below(struct cli *c, const char *name, const char *super, const char *error)
{
	char members[256];

	snprintf(members, sizeof(members),
		"\"name\":\"%s\",\"addresses\":[\"10.78.0.1/24\"],\"settings\":{\"Super\":\"%s\","
		"\"Inherit\":\"yes\"}",
		name, super);
	if (error)
		expect_error(c, "create", members, error);
	else
		expect_ok(c, "create", members);
}

static void test_hierarchy(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);

	below(c, "child", "work", "ENOENT");
	below(c, "child", "child", "ENOENT");
	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	below(c, "child", "work", NULL);
	below(c, "grandchild", "child", NULL);
	assert_true(on_disk(b, "child", "Super = work"));
	assert_int_equal(core_find(b->f->core, "grandchild")->info.mtu, 1260);
	expect_error(c, "destroy", WORK, "EBUSY");
	expect_error(c, "destroy", WORK ",\"force\":true", "EBUSY");
	expect_error(c, "destroy", "\"name\":\"child\"", "EBUSY");
	expect_ok(c, "destroy", "\"name\":\"grandchild\"");
	expect_ok(c, "destroy", "\"name\":\"child\"");
	expect_ok(c, "destroy", WORK);
	cli_close(c);
}

static void test_circle_by_name(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	struct config *config = make_config("10.78.0.1/24");
	struct portspace *ps;

	/* as a file of it would have it, whose super-portspace is gone */
	strcpy(config->super, "work");
	assert_int_equal(portspace_add(b->f->core, "waits", config, false, NULL, &ps), 0);
	below(c, "work", "waits", "ELOOP");
	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	assert_ptr_equal(atomic_load(&ps->super), core_find(b->f->core, "work"));
	cli_close(c);
}

static void test_too_deep(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);

	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"],\"mtu\":640");
	below(c, "child", "work", "EMSGSIZE");
	cli_close(c);
}

static void test_hide_and_unhide(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply, *hide;

	expect_error(c, "hide", WORK ",\"ports\":[\"tcp/1\"]", "ENOENT");
	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	reply = ask(c, "hide", WORK ",\"ports\":[\"tcp/22\",\"udp/5000-5010\"]");
	assert_ok_reply(reply);
	hide = json_object_get(reply, "hide");
	assert_int_equal(json_array_size(hide), 2);
	assert_string_equal(json_string_value(json_array_get(hide, 0)), "tcp/22");
	json_decref(reply);
	assert_true(on_disk(b, "work", "udp/5000-5010"));
	reply = ask(c, "unhide", WORK ",\"ports\":[\"tcp/22\",\"udp/5004-5005\"]");
	assert_ok_reply(reply);
	hide = json_object_get(reply, "hide");
	assert_int_equal(json_array_size(hide), 2);
	assert_string_equal(json_string_value(json_array_get(hide, 0)), "udp/5000-5003");
	assert_string_equal(json_string_value(json_array_get(hide, 1)), "udp/5006-5010");
	json_decref(reply);
	expect_error(c, "unhide", WORK ",\"ports\":[\"tcp/22\"]", "ENOENT");
	expect_error(c, "hide", WORK ",\"ports\":[\"tcp/70000\"]", "EINVAL");
	expect_error(c, "hide", WORK ",\"ports\":[\"icmp/1\"]", "EINVAL");
	expect_error(c, "hide", WORK ",\"ports\":\"tcp/1\"", "EINVAL");
	expect_error(c, "hide", WORK ",\"ports\":[1]", "EINVAL");
	expect_error(c, "hide", WORK, "EINVAL");
	assert_true(on_disk(b, "work", "udp/5006-5010"));
	cli_close(c);
}

/* A program of the portspace that listens, as the port table has it. */
static void listens(struct bench *b, const char *name, uint64_t inode, const char *at)
{
	struct porttab_request req = {
		.proto = IPPROTO_TCP, .local = endpoint(at), .inode = inode, .pid = 1};
	char file[SOCKNAME_FILE_MAX];
	uint16_t port;

	assert_int_equal(
		porttab_listen(core_find(b->f->core, name)->porttab, &req, &port, file), 0);
}

static void expect_row(json_t *rows, int port, const char *server, const char *why, const char *by)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		const char *got = json_string_value(json_object_get(row, "by"));

		if (json_integer_value(json_object_get(row, "port")) != port ||
			strcmp(json_string_value(json_object_get(row, "server")), server) != 0)
			continue;
		assert_string_equal(json_string_value(json_object_get(row, "why")), why);
		assert_string_equal(got ? got : "", by ? by : "");
		return;
	}
	fail_msg("port %d of %s is not listed", port, server);
}

static void test_ports(void **state)
{
	struct bench *b = *state;
	struct cli *c = cli_open(b);
	json_t *reply, *rows;

	expect_error(c, "ports", WORK, "ENOENT");
	expect_ok(c, "create", WORK ",\"addresses\":[\"10.77.0.1/24\"]");
	below(c, "child", "work", NULL);
	listens(b, "work", 1001, "0.0.0.0:80");
	listens(b, "work", 1002, "0.0.0.0:81");
	listens(b, "work", 1003, "0.0.0.0:82");
	listens(b, "work", 1004, "127.0.0.1:83");
	listens(b, "child", 1005, "0.0.0.0:81");
	listens(b, "child", 1006, "127.0.0.1:80");
	expect_ok(c, "hide", "\"name\":\"child\",\"ports\":[\"tcp/82\"]");
	reply = ask(c, "ports", "\"name\":\"child\"");
	assert_ok_reply(reply);
	rows = json_object_get(reply, "ports");
	assert_int_equal(json_array_size(rows), 5);
	expect_row(rows, 80, "child", "own", NULL);
	expect_row(rows, 80, "work", "inherited", NULL); /* loopback's server is not in the way */
	expect_row(rows, 81, "child", "own", NULL);
	expect_row(rows, 81, "work", "overridden", "child");
	expect_row(rows, 82, "work", "hidden", "child");
	json_decref(reply);
	cli_close(c);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_hierarchy),
		T(test_circle_by_name),
		T(test_too_deep),
		T(test_hide_and_unhide),
		T(test_ports),
		T(test_create_is_on_disk_before_the_reply),
		T(test_file_that_was_not_loaded_is_not_overwritten),
		T(test_full_disk_changes_nothing),
		T(test_links),
		T(test_own_key_is_no_peer),
		T(test_secrets_never_come_back),
		T(test_import_warns_and_never_runs_hooks),
		T(test_no_new_privs_manages_nothing),
		T(test_member_looks_at_its_own_only),
		T(test_unnamed_portspace_ends_with_the_connection),
		T(test_destroy_needs_force_while_in_use),
	};

	return cmocka_run_group_tests_name("ops", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* recover: what a broker that ended at any moment left comes back, and nothing else does. */
#include "core_fixture.h"

#include <fcntl.h>
#include <signal.h>

#include "ops.h"
#include "recover.h"
#include "state.h"

/* Ends the core as kill -9 would: its memory is gone, its files are not. The tables of the old one
 * are freed without touching the directories. */
static struct recover_report restart(struct fixture *f)
{
	struct recover_report report;

	while (f->core->by_name)
		portspace_forget(f->core, f->core->by_name->ps);
	core_free(f->core);
	fixture_core(f);
	assert_int_equal(recover_run(f->core, &report), 0);
	return report;
}

/* As ops does it: stored, then made. */
static struct portspace *stored_portspace(
	struct fixture *f, const char *name, const char *addresses)
{
	struct portspace *ps = make_portspace(f, name, addresses);
	char *text;
	size_t len;

	assert_int_equal(portspace_text(ps, &text, &len), 0);
	assert_int_equal(state_write(f->cfg, name, text, len, NULL), 0);
	sodium_free(text);
	return ps;
}

static void test_empty_start(void **state)
{
	struct recover_report report = restart(*state);

	assert_int_equal(report.named + report.unnamed + report.failed + report.listeners, 0);
	assert_int_equal(recover_workers(((struct fixture *)*state)->rt), 0);
}

static void test_named_keep_id_secret_and_key(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps, *gap = stored_portspace(f, "gap", "10.0.0.1");
	struct info info;
	struct key key;

	ps = stored_portspace(f, "work", "10.77.0.1/24");
	portspace_remove(f->core, gap);
	assert_int_equal(state_remove(f->cfg, "gap", NULL), 0);
	info = ps->info;
	key = ps->public_key;
	assert_int_equal(recover_workers(f->rt), 2);
	assert_int_equal(restart(f).named, 1);
	ps = core_find(f->core, "work");
	assert_non_null(ps);
	assert_int_equal(ps->id, 2);
	assert_memory_equal(&ps->info, &info, sizeof(info));
	assert_true(key_equal(&ps->public_key, &key));
	assert_false(ps->ephemeral);
}

static void test_new_file_gets_a_free_id(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = stored_portspace(f, "work", "10.77.0.1/24");
	char *text;
	size_t len;

	/* "aaa" sorts before "work" but must not take the id that work's programs know. */
	assert_int_equal(portspace_text(ps, &text, &len), 0);
	assert_int_equal(state_write(f->cfg, "aaa", text, len, NULL), 0);
	sodium_free(text);
	assert_int_equal(restart(f).named, 2);
	assert_int_equal(core_find(f->core, "work")->id, 1);
	assert_int_equal(core_find(f->core, "aaa")->id, 2);
}

static void test_unnamed_waits_for_its_init(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps;
	struct info info;

	assert_int_equal(
		portspace_add(f->core, "unnamed-1", make_config("10.0.0.1"), true, NULL, &ps), 0);
	make_link(ps, "home", "10.1.0.0/16", NULL);
	assert_int_equal(portspace_save_runtime(ps), 0);
	info = ps->info;
	assert_int_equal(restart(f).unnamed, 1);
	ps = core_find(f->core, "unnamed-1");
	assert_non_null(ps);
	assert_true(ps->ephemeral);
	assert_true(ps->priv->waiting);
	assert_memory_equal(&ps->info, &info, sizeof(info));
	assert_string_equal(ps->links->name, "home");
}

static void test_leftovers_are_removed(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = make_portspace(f, "nofile", "10.0.0.1");
	char dir[64], bad[64], other[64];

	snprintf(dir, sizeof(dir), "%s", ps->dir);
	snprintf(bad, sizeof(bad), "%s/ps/77", f->rt);
	assert_int_equal(mkdir(bad, 0700), 0);
	assert_int_equal(portspace_write_file(bad, "info", 0400, "garbage", 7), 0);
	snprintf(other, sizeof(other), "%s/ps/not-an-id", f->rt);
	assert_int_equal(mkdir(other, 0700), 0);
	assert_int_equal(restart(f).failed, 0);
	assert_int_equal(access(dir, F_OK), -1);
	assert_int_equal(access(bad, F_OK), -1);
	assert_int_equal(access(other, F_OK), 0); /* not ours to judge */
}

static void test_broken_file_costs_its_portspace_only(void **state)
{
	struct fixture *f = *state;
	struct recover_report report;
	char *text, path[64];
	size_t len;

	stored_portspace(f, "good", "10.0.0.1");
	stored_portspace(f, "broken", "10.0.0.1");
	stored_portspace(f, "open", "10.0.0.1");
	assert_int_equal(state_write(f->cfg, "broken", "[Interface\n", 11, NULL), 0);
	snprintf(path, sizeof(path), "%s/open.conf", f->cfg);
	assert_int_equal(chmod(path, 0644), 0);
	report = restart(f);
	assert_int_equal(report.named, 1);
	assert_int_equal(report.failed, 2);
	assert_non_null(core_find(f->core, "good"));
	assert_null(core_find(f->core, "broken"));
	assert_null(core_find(f->core, "open"));
	assert_int_equal(state_read(f->cfg, "broken", &text, &len, NULL), 0);
	assert_string_equal(text, "[Interface\n");
	sodium_free(text);
}

static int listen_at(const struct portspace *ps, const char *file)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/%s", ps->dir, file);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static void test_listening_sockets_are_adopted(void **state)
{
	struct fixture *f = *state;
	struct portspace *ps = stored_portspace(f, "work", "10.77.0.1/24");
	int any = listen_at(ps, "tcp.any.80"), one = listen_at(ps, "tcp.0a4d0001.81");
	int odd = listen_at(ps, "something"), gone = listen_at(ps, "tcp.any.82");
	struct endpoint dst = endpoint("10.77.0.1:80");
	struct porttab_entry entry;
	struct stat st;

	close(gone);
	assert_int_equal(restart(f).listeners, 2);
	ps = core_find(f->core, "work");
	assert_int_equal(porttab_lookup(ps->porttab, IPPROTO_TCP, &dst, &entry), 0);
	assert_string_equal(entry.file, "tcp.any.80");
	assert_int_equal(fstat(any, &st), 0);
	assert_int_equal(entry.inode, st.st_ino);
	dst.port = 81;
	assert_int_equal(porttab_lookup(ps->porttab, IPPROTO_TCP, &dst, &entry), 0);
	dst.port = 82;
	assert_int_equal(porttab_lookup(ps->porttab, IPPROTO_TCP, &dst, &entry), -ECONNREFUSED);
	close(any);
	close(one);
	close(odd);
}

static void test_clean_end_keeps_what_is_in_use(void **state)
{
	struct fixture *f = *state;
	struct portspace *used = stored_portspace(f, "used", "10.0.0.1");
	struct portspace *idle = stored_portspace(f, "idle", "10.0.0.1");
	struct recover_report report;
	struct sockaddr_un sun;
	struct peer peer;
	socklen_t len;
	int listener = meeting_listen(&sun, &len), fd;
	char used_dir[64], idle_dir[64];
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&sun, len);
		_exit(0);
	}
	fd = accept(listener, NULL, NULL);
	assert_int_equal(peer_get(fd, &peer), 0);
	assert_int_equal(portspace_enter(used, &peer, "shim", NULL), 0);
	snprintf(used_dir, sizeof(used_dir), "%s", used->dir);
	snprintf(idle_dir, sizeof(idle_dir), "%s", idle->dir);
	core_free(f->core);
	assert_int_equal(access(used_dir, F_OK), 0);
	assert_int_equal(access(idle_dir, F_OK), -1);
	fixture_core(f);
	assert_int_equal(recover_run(f->core, &report), 0);
	assert_int_equal(report.named, 2);
	close(fd);
	close(listener);
	peer_close(&peer);
	reap(pid);
}

/* --- killed at any moment --- */

static void run_op(struct ops *ops, const char *line, bool must)
{
	struct ops_caller caller = {0};
	struct jsonio_error err;
	struct ops_request *rq = ops_parse(line, strlen(line), &err);
	json_t *reply;

	if (!rq)
		_exit(2);
	reply = ops_start(ops, rq, &caller);
	if (!reply) {
		ops_file(rq);
		reply = ops_finish(ops, rq);
	}
	ops_request_free(rq);
	if (must && !json_is_true(json_object_get(reply, "ok")))
		_exit(3);
	json_decref(reply);
}

/* Makes ps0, ps1, ... each with a link, destroys every third, and says so after each step. */
static void busy_broker(struct fixture *f, int out)
{
	struct status_broker status = {0};
	struct ops ops = {.core = f->core, .broker = &status};
	char line[256];

	for (uint32_t i = 0;; i++) {
		snprintf(line, sizeof(line),
			"{\"version\":1,\"op\":\"create\",\"name\":\"ps%u\","
			"\"addresses\":[\"10.0.0.1\"]}",
			i);
		run_op(&ops, line, true);
		snprintf(line, sizeof(line),
			"{\"version\":1,\"op\":\"link-add\",\"name\":\"ps%u\",\"peer\":"
			"\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\","
			"\"allowed_ips\":[\"10.1.0.0/16\"]}",
			i);
		run_op(&ops, line, true);
		snprintf(line, sizeof(line), "{\"version\":1,\"op\":\"destroy\",\"name\":\"ps%u\"}",
			i);
		if (i % 3 == 2)
			run_op(&ops, line, true);
		if (write(out, &i, sizeof(i)) != sizeof(i))
			_exit(4);
	}
}

/* Everything up to `acked` is as the replies said; the one after it is whole or not there. */
static void check_state(struct fixture *f, int64_t acked)
{
	struct recover_report report;
	char name[32];

	core_free(f->core);
	fixture_core(f);
	assert_int_equal(recover_run(f->core, &report), 0);
	assert_int_equal(report.failed, 0);
	for (int64_t i = 0; i <= acked; i++) {
		struct portspace *ps;

		snprintf(name, sizeof(name), "ps%u", (unsigned)i);
		ps = core_find(f->core, name);
		if (i % 3 == 2) {
			assert_null(ps);
			continue;
		}
		assert_non_null(ps);
		assert_non_null(ps->links);
		assert_string_equal(ps->links->name, "link1");
	}
	assert_true((int64_t)core_count(f->core) <= acked + 2);
}

static void test_kill_at_any_moment_loses_nothing_that_was_said(void **state)
{
	struct fixture *f = *state;
	int64_t total = 0;

	for (int round = 0; round < 25; round++) {
		int64_t acked = -1;
		uint32_t i;
		int fd[2];
		pid_t pid;

		assert_int_equal(pipe(fd), 0);
		pid = fork();
		if (pid == 0) {
			close(fd[0]);
			busy_broker(f, fd[1]);
		}
		close(fd[1]);
		/* Killed somewhere within the step after the one that was read. */
		for (int n = round % 5; n >= 0; n--) {
			assert_int_equal(read(fd[0], &i, sizeof(i)), sizeof(i));
			acked = i;
		}
		usleep(randombytes_uniform(3000)); /* any moment */
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(fd[0], &i, sizeof(i)) == sizeof(i))
			acked = i;
		close(fd[0]);
		check_state(f, acked);
		total += acked + 1;
		while (f->core->by_name) {
			char name[PORTSPACE_NAME_MAX];

			snprintf(name, sizeof(name), "%s", f->core->by_name->ps->info.name);
			portspace_remove(f->core, f->core->by_name->ps);
			assert_int_equal(state_remove(f->cfg, name, NULL), 0);
		}
	}
	assert_true(total >= 25);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
	const struct CMUnitTest tests[] = {
		T(test_empty_start),
		T(test_named_keep_id_secret_and_key),
		T(test_new_file_gets_a_free_id),
		T(test_unnamed_waits_for_its_init),
		T(test_leftovers_are_removed),
		T(test_broken_file_costs_its_portspace_only),
		T(test_listening_sockets_are_adopted),
		T(test_clean_end_keeps_what_is_in_use),
		T(test_kill_at_any_moment_loses_nothing_that_was_said),
	};

	return cmocka_run_group_tests_name("recover", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* member: real processes ask; forks, sessions, orphans, nesting and ends. */
#include "core_fixture.h"

struct bench {
	struct members *m;
	struct portspace *ps, *other;
	struct sockaddr_un sun;
	socklen_t len;
	int listener;
};

static struct portspace *bare_portspace(void)
{
	struct portspace *ps = calloc(1, sizeof(*ps));

	assert_non_null(ps);
	atomic_init(&ps->refs, 1);
	return ps;
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	assert_int_equal(members_new(&b->m), 0);
	b->ps = bare_portspace();
	b->other = bare_portspace();
	b->listener = meeting_listen(&b->sun, &b->len);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	members_free(b->m);
	assert_int_equal(b->ps->refs, 1); /* every reference was given back */
	assert_int_equal(b->other->refs, 1);
	portspace_unref(b->ps);
	portspace_unref(b->other);
	close(b->listener);
	free(b);
	return 0;
}

/* A process of the family tree below this test that is connected and waits. */
struct visitor {
	int fd;
	struct peer peer;
};

static struct visitor receive(struct bench *b)
{
	struct visitor v;

	v.fd = accept4(b->listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(v.fd >= 0);
	assert_int_equal(peer_get(v.fd, &v.peer), 0);
	return v;
}

/* Lets the process go on (it ends, or does the next thing of its script). */
static void release(struct visitor *v)
{
	close(v->fd);
	v->fd = -1;
}

static void forget(struct visitor *v)
{
	if (v->fd >= 0)
		close(v->fd);
	peer_close(&v->peer);
}

static void assert_member(struct bench *b, const struct visitor *v, struct portspace *expected)
{
	struct portspace *ps = members_of_peer(b->m, &v->peer);

	assert_ptr_equal(ps, expected);
	portspace_unref(ps);
}

static pid_t collect(struct bench *b)
{
	struct pollfd p = {.fd = members_fd(b->m), .events = POLLIN};
	struct portspace *ps;
	pid_t pid;

	assert_int_equal(poll(&p, 1, 10000), 1);
	if (!members_next_gone(b->m, &pid, &ps))
		return 0;
	portspace_unref(ps);
	return pid;
}

static void test_outsider_is_no_member(void **state)
{
	struct bench *b = *state;
	pid_t pid = fork();
	struct visitor v;

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		_exit(0);
	}
	v = receive(b);
	assert_int_equal(v.peer.pid, pid);
	assert_int_equal(v.peer.uid, geteuid());
	assert_member(b, &v, NULL);
	forget(&v);
	reap(pid);
}

/* init connects, then its child, then its grandchild in a session of its own. */
static void init_with_descendants(struct bench *b)
{
	pid_t child;

	meeting_visit(&b->sun, b->len);
	child = fork();
	if (child == 0) {
		meeting_visit(&b->sun, b->len);
		child = fork();
		if (child == 0) {
			setsid();
			meeting_visit(&b->sun, b->len);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	_exit(0);
}

static void test_init_and_descendants_are_members(void **state)
{
	struct bench *b = *state;
	struct visitor init, child, grandchild;
	pid_t pid = fork();

	if (pid == 0)
		init_with_descendants(b);
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	assert_member(b, &init, b->ps);
	release(&init);
	child = receive(b);
	assert_true(child.peer.pid != init.peer.pid);
	assert_member(b, &child, b->ps);
	assert_member(b, &child, b->ps); /* from the cache */
	release(&child);
	grandchild = receive(b);
	assert_member(b, &grandchild, b->ps);
	release(&grandchild);
	reap(pid);
	forget(&init);
	forget(&child);
	forget(&grandchild);
}

static void assert_known(struct bench *b, pid_t pid, uint64_t since_ms, struct portspace *expected)
{
	struct portspace *ps = members_of_pid(b->m, pid, since_ms);

	assert_ptr_equal(ps, expected);
	portspace_unref(ps);
}

static void test_pid_is_enough_for_who_was_known_before(void **state)
{
	struct bench *b = *state;
	struct timespec ts;
	uint64_t before_ms;
	struct visitor init;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		_exit(0);
	}
	init = receive(b);
	assert_known(b, pid, UINT64_MAX, NULL);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	before_ms = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	assert_known(b, pid, before_ms, NULL); /* another process may have had the pid then */
	assert_known(b, pid, before_ms + 600000, b->ps);
	members_remove_init(b->m, pid);
	assert_known(b, pid, UINT64_MAX, NULL); /* it must prove itself again */
	release(&init);
	reap(pid);
	assert_known(b, pid, UINT64_MAX, NULL);
	forget(&init);
}

/* Forks twice and lets the middle one end; the orphan asks. */
static void init_with_orphan(struct bench *b, bool subreaper)
{
	pid_t middle;
	int gate[2];
	char c;

	if (pipe(gate) < 0)
		_exit(1);
	if (subreaper)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	meeting_visit(&b->sun, b->len);
	middle = fork();
	if (middle == 0) {
		if (fork() > 0)
			_exit(0);
		setsid();
		close(gate[1]);
		if (read(gate[0], &c, 1) < 0) /* until the middle one was reaped */
			_exit(1);
		meeting_visit(&b->sun, b->len);
		_exit(0);
	}
	close(gate[0]);
	waitpid(middle, NULL, 0);
	close(gate[1]);
	if (subreaper) {
		waitpid(-1, NULL, 0);
		_exit(0);
	}
	meeting_visit(&b->sun, b->len); /* stays until the orphan was asked about */
	_exit(0);
}

static void test_orphan_of_a_subreaper_stays_member(void **state)
{
	struct bench *b = *state;
	struct visitor init, orphan;
	pid_t pid = fork();

	if (pid == 0)
		init_with_orphan(b, true);
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	release(&init);
	orphan = receive(b);
	assert_true(orphan.peer.pid != pid);
	assert_member(b, &orphan, b->ps);
	forget(&orphan);
	forget(&init);
	reap(pid);
}

static void test_orphan_that_left_the_family_is_no_member(void **state)
{
	struct bench *b = *state;
	struct visitor init, v[2];
	pid_t pid;

	pid = fork();
	if (pid == 0)
		init_with_orphan(b, false);
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	release(&init);
	v[0] = receive(b);
	v[1] = receive(b);
	for (int i = 0; i < 2; i++)
		assert_member(b, &v[i], v[i].peer.pid == pid ? b->ps : NULL);
	assert_true(v[0].peer.pid == pid || v[1].peer.pid == pid);
	forget(&v[0]);
	forget(&v[1]);
	forget(&init);
	reap(pid);
}

static void test_member_cannot_become_init(void **state)
{
	struct bench *b = *state;
	struct visitor init, child;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		if (fork() == 0) {
			meeting_visit(&b->sun, b->len);
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), -EEXIST);
	release(&init);
	child = receive(b);
	assert_int_equal(members_add_init(b->m, &child.peer, b->other), -EEXIST);
	assert_member(b, &child, b->ps);
	forget(&child);
	forget(&init);
	reap(pid);
}

static void test_members_lose_it_when_the_init_leaves(void **state)
{
	struct bench *b = *state;
	struct visitor init, child;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		if (fork() == 0) {
			meeting_visit(&b->sun, b->len);
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	release(&init);
	child = receive(b);
	assert_member(b, &child, b->ps);
	members_remove_init(b->m, init.peer.pid);
	assert_member(b, &child, NULL);
	assert_member(b, &init, NULL);
	/* It may come back, and may go elsewhere; its children go with it. */
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	assert_member(b, &child, b->ps);
	members_remove_init(b->m, init.peer.pid);
	assert_int_equal(members_add_init(b->m, &init.peer, b->other), 0);
	assert_member(b, &init, b->other);
	/* The child was cached for the first one: it belongs nowhere now rather than to two. */
	assert_member(b, &child, NULL);
	forget(&child);
	forget(&init);
	reap(pid);
}

static void test_ended_process_is_collected_and_refused(void **state)
{
	struct bench *b = *state;
	struct visitor v;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		_exit(0);
	}
	v = receive(b);
	assert_int_equal(members_add_init(b->m, &v.peer, b->ps), 0);
	release(&v);
	reap(pid);
	assert_false(peer_alive(v.peer.pidfd));
	assert_member(b, &v, NULL);
	assert_int_equal(collect(b), pid);
	assert_int_equal(members_add_init(b->m, &v.peer, b->ps), -ESRCH);
	forget(&v);
}

static void test_children_lose_it_when_the_init_is_killed(void **state)
{
	struct bench *b = *state;
	struct visitor init, child;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		if (fork() == 0) {
			meeting_visit(&b->sun, b->len);
			_exit(0);
		}
		pause();
	}
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	release(&init);
	child = receive(b);
	assert_member(b, &child, b->ps);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(collect(b), pid);
	assert_member(b, &child, NULL);
	forget(&child);
	forget(&init);
}

static void test_dropped_portspace_has_no_members(void **state)
{
	struct bench *b = *state;
	struct visitor v;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		_exit(0);
	}
	v = receive(b);
	assert_int_equal(members_add_init(b->m, &v.peer, b->ps), 0);
	members_drop(b->m, b->ps);
	assert_member(b, &v, NULL);
	assert_int_equal(b->ps->refs, 1);
	forget(&v);
	reap(pid);
}

/* Forks `depth` times, each the child of the one before; the last one asks. */
static void dig(struct bench *b, int depth)
{
	for (; depth > 0; depth--) {
		pid_t pid = fork();

		if (pid < 0)
			_exit(1);
		if (pid > 0) {
			waitpid(pid, NULL, 0);
			_exit(0);
		}
	}
	meeting_visit(&b->sun, b->len);
	_exit(0);
}

static void check_depth(struct bench *b, int depth, bool member)
{
	struct visitor init, last;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		dig(b, depth);
	}
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	release(&init);
	last = receive(b);
	assert_member(b, &last, member ? b->ps : NULL);
	forget(&last);
	forget(&init);
	reap(pid);
	while (collect(b) != pid)
		;
}

static void test_depth_is_bounded(void **state)
{
	check_depth(*state, MEMBER_DEPTH_MAX - 1, true);
	check_depth(*state, MEMBER_DEPTH_MAX, false);
}

static void test_no_new_privs_is_seen(void **state)
{
	struct bench *b = *state;
	struct visitor v;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		meeting_visit(&b->sun, b->len);
		_exit(0);
	}
	v = receive(b);
	assert_int_equal(peer_no_new_privs(pid), prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	forget(&v);
	v = receive(b);
	assert_int_equal(peer_no_new_privs(pid), 1);
	forget(&v);
	reap(pid);
	assert_int_equal(peer_no_new_privs(pid), -ESRCH);
}

static void test_name_with_brackets_does_not_confuse(void **state)
{
	struct bench *b = *state;
	struct visitor init, v;
	pid_t pid = fork();

	if (pid == 0) {
		meeting_visit(&b->sun, b->len);
		if (fork() == 0) {
			prctl(PR_SET_NAME, ") R 1 1 1 (", 0, 0, 0);
			meeting_visit(&b->sun, b->len);
			_exit(0);
		}
		wait(NULL);
		_exit(0);
	}
	init = receive(b);
	assert_int_equal(members_add_init(b->m, &init.peer, b->ps), 0);
	release(&init);
	v = receive(b);
	assert_member(b, &v, b->ps);
	forget(&v);
	forget(&init);
	reap(pid);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_outsider_is_no_member),
		T(test_init_and_descendants_are_members),
		T(test_pid_is_enough_for_who_was_known_before),
		T(test_orphan_of_a_subreaper_stays_member),
		T(test_orphan_that_left_the_family_is_no_member),
		T(test_member_cannot_become_init),
		T(test_members_lose_it_when_the_init_leaves),
		T(test_ended_process_is_collected_and_refused),
		T(test_children_lose_it_when_the_init_is_killed),
		T(test_dropped_portspace_has_no_members),
		T(test_depth_is_bounded),
		T(test_no_new_privs_is_seen),
		T(test_name_with_brackets_does_not_confuse),
	};

	return cmocka_run_group_tests_name("member", tests, NULL, NULL);
}

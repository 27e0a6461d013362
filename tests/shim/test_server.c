/* SPDX-License-Identifier: MIT */
/* bind(2), listen(2), accept(2), direct connects, and sockets that travel between descriptors and
 * processes (R3 to R7). */
#include <dirent.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "shimtest.h"

extern char **environ;
static const char *self;

static void direct_connect_and_accept_name_both_ends(void **state)
{
	int port, s = server("127.0.0.1", &port), c = connected("127.0.0.1", port);
	struct sockaddr_in in;
	socklen_t len = sizeof(in);
	int a = accept(s, (struct sockaddr *)&in, &len);
	char want[64];

	(void)state;
	assert_true(a >= 0);
	assert_int_equal(len, sizeof(in));
	assert_int_equal(ntohs(in.sin_port), port_of(c));
	assert_string_equal(name_of(a, 1), name_of(c, 0));
	snprintf(want, sizeof(want), "127.0.0.1 %d", port);
	assert_string_equal(name_of(a, 0), want);
	assert_string_equal(name_of(c, 1), want);
	assert_echo(c, a);
	assert_echo(a, c);
	shutdown(c, SHUT_WR);
	assert_int_equal(recv(a, want, 1, 0), 0);
	assert_echo(a, c);
	close(a);
	close(c);
	close(s);
}

static void refused_when_nobody_listens(void **state)
{
	int port, s = server("127.0.0.1", &port), fd = tcp(AF_INET, 0);

	(void)state;
	close(s);
	assert_int_equal(dial(fd, "127.0.0.1", port), ECONNREFUSED);
	assert_int_equal(dial(fd, GOOD, ECHO), 0); /* and the socket is still of use */
	close(fd);
	fd = tcp(AF_INET, SOCK_NONBLOCK);
	assert_int_equal(dial(fd, "127.0.0.1", port), EINPROGRESS);
	assert_true(wait_for(fd, POLLOUT, 5000) & POLLERR);
	assert_int_equal(so_error(fd), ECONNREFUSED);
	close(fd);
}

static void nonblocking_direct_connect_is_in_progress_and_then_writable(void **state)
{
	struct epoll_event ev = {.events = EPOLLOUT | EPOLLIN | EPOLLET}, got;
	int port, s = server(OWN, &port), c = tcp(AF_INET, SOCK_NONBLOCK), ep = epoll_create1(0);

	(void)state;
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev), 0);
	epoll_wait(ep, &got, 1, 0);
	assert_int_equal(dial(c, OWN, port), EINPROGRESS);
	assert_int_equal(epoll_wait(ep, &got, 1, 1000), 1);
	assert_int_equal(got.events, EPOLLOUT);
	assert_int_equal(so_error(c), 0);
	close(ep);
	close(c);
	close(s);
}

static void nonblocking_connect_to_a_full_backlog_completes_later(void **state)
{
	enum { N = 6 };
	int s = tcp(AF_INET, 0), port, c[N], a;

	(void)state;
	assert_int_equal(bind_to(s, OWN, 0), 0);
	assert_int_equal(listen(s, 1), 0);
	port = port_of(s);
	for (int i = 0; i < N; i++) {
		c[i] = tcp(AF_INET, SOCK_NONBLOCK);
		assert_int_equal(dial(c[i], OWN, port), EINPROGRESS);
	}
	assert_int_equal(wait_for(c[N - 1], POLLOUT, 100), 0);
	for (int i = 0; i < N; i++) {
		a = accept(s, NULL, NULL);
		assert_true(a >= 0);
		close(a);
	}
	for (int i = 0; i < N; i++) {
		assert_true(wait_for(c[i], POLLOUT, 5000) & POLLOUT);
		assert_int_equal(so_error(c[i]), 0);
		close(c[i]);
	}
	close(s);
}

static void r12_dual_stack_listener_sees_mapped_peers(void **state)
{
	int port, s = server("::", &port), c = connected("127.0.0.1", port), a;

	(void)state;
	a = accept(s, NULL, NULL);
	assert_memory_equal(name_of(a, 1), "::ffff:127.0.0.1 ", 17);
	close(a);
	close(c);
	c = connected("::1", port);
	a = accept(s, NULL, NULL);
	assert_memory_equal(name_of(a, 1), "::1 ", 4);
	close(a);
	close(c);
	close(s);
}

static void r12_sockaddr_is_cut_as_the_kernel_does(void **state)
{
	int port, s = server("127.0.0.1", &port), c = connected("127.0.0.1", port), a;
	unsigned char buf[32];
	socklen_t len = 4;

	(void)state;
	memset(buf, 0xee, sizeof(buf));
	a = accept(s, (struct sockaddr *)buf, &len);
	assert_true(a >= 0);
	assert_int_equal(len, sizeof(struct sockaddr_in));
	assert_int_equal(buf[4], 0xee);
	len = 0;
	assert_int_equal(getpeername(a, (struct sockaddr *)buf, &len), 0);
	assert_int_equal(len, sizeof(struct sockaddr_in));
	assert_int_equal(getsockname(a, (struct sockaddr *)8, &(socklen_t){16}), -1);
	assert_int_equal(errno, EFAULT);
	close(a);
	close(c);
	close(s);
}

static void bind_conflicts_and_reuse(void **state)
{
	int port, s = server("127.0.0.1", &port), b = tcp(AF_INET, 0), on = 1, r[3];

	(void)state;
	assert_int_equal(bind_to(b, "127.0.0.1", port), EADDRINUSE);
	assert_int_equal(bind_to(b, "0.0.0.0", port), EADDRINUSE);
	assert_int_equal(bind_to(b, "127.0.0.2", port), 0);
	assert_int_equal(bind_to(b, "127.0.0.2", 0), EINVAL);
	close(b);
	b = tcp(AF_INET, 0);
	assert_int_equal(bind_to(b, "192.0.2.1", 0), EADDRNOTAVAIL);
	close(b);
	close(s);
	for (int i = 0; i < 3; i++) { /* SO_REUSEPORT shares connections out */
		r[i] = tcp(AF_INET, SOCK_NONBLOCK);
		assert_int_equal(setsockopt(r[i], SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
		assert_int_equal(bind_to(r[i], "0.0.0.0", 8080), 0);
		assert_int_equal(listen(r[i], 8), 0);
	}
	for (int i = 0; i < 9; i++)
		close(connected(OWN, 8080));
	for (int i = 0; i < 3; i++) {
		int n = 0, a;

		while ((a = accept(r[i], NULL, NULL)) >= 0) {
			close(a);
			n++;
		}
		assert_int_equal(n, 3);
		close(r[i]);
	}
}

static void listen_without_bind_chooses_a_port(void **state)
{
	int s = tcp(AF_INET, 0), c, a;

	(void)state;
	assert_int_equal(listen(s, 4), 0);
	assert_true(port_of(s) > 0);
	c = connected("127.0.0.1", port_of(s));
	a = accept(s, NULL, NULL);
	assert_echo(c, a);
	close(a);
	close(c);
	close(s);
}

static void no_port_bind_defers_the_choice(void **state)
{
	int fd = tcp(AF_INET, 0), on = 1;

	(void)state;
	assert_int_equal(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)), 0);
	assert_int_equal(bind_to(fd, OWN, 0), 0);
	assert_string_equal(name_of(fd, 0), "10.0.0.1 0");
	assert_int_equal(dial(fd, GOOD, ECHO), 0);
	assert_true(port_of(fd) > 0);
	close(fd);
}

static void accept_gives_flags_and_inherits_options(void **state)
{
	int port, s = server("127.0.0.1", &port), on = 1, v, c, a;
	struct linger lin = {1, 5}, got;
	socklen_t len = sizeof(v);

	(void)state;
	assert_int_equal(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &(int){77}, sizeof(int)), 0);
	assert_int_equal(setsockopt(s, SOL_SOCKET, SO_LINGER, &lin, sizeof(lin)), 0);
	c = connected("127.0.0.1", port);
	a = accept4(s, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(a >= 0);
	assert_int_equal(fcntl(a, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(a, F_GETFL) & O_NONBLOCK);
	assert_int_equal(getsockopt(a, SOL_SOCKET, SO_KEEPALIVE, &v, &len), 0);
	assert_int_equal(v, 1);
	assert_int_equal(getsockopt(a, IPPROTO_TCP, TCP_NODELAY, &v, &len), 0);
	assert_int_equal(v, 1);
	assert_int_equal(getsockopt(a, IPPROTO_TCP, TCP_KEEPIDLE, &v, &len), 0);
	assert_int_equal(v, 77);
	len = sizeof(got);
	assert_int_equal(getsockopt(a, SOL_SOCKET, SO_LINGER, &got, &len), 0);
	assert_int_equal(got.l_linger, 5);
	assert_int_equal(accept4(s, NULL, NULL, 12345678), -1);
	assert_int_equal(errno, EINVAL);
	close(a);
	close(c);
	close(s);
}

static void a_connection_without_a_genuine_name_is_dropped(void **state)
{
	int port, s = server("127.0.0.1", &port), raw = socket(AF_UNIX, SOCK_STREAM, 0), c, a;
	struct sockaddr_un {
		sa_family_t family;
		char path[108];
	} sun = {AF_UNIX, ""};

	(void)state;
	snprintf(sun.path, sizeof(sun.path), "%s/tcp.7f000001.%d", getenv("PERSONA_PORTSPACE_DIR"),
		port);
	assert_int_equal(connect(raw, (struct sockaddr *)&sun, sizeof(sun)), 0);
	c = connected("127.0.0.1", port);
	a = accept(s, NULL, NULL); /* the second one */
	assert_string_equal(name_of(a, 1), name_of(c, 0));
	assert_int_equal(recv(raw, sun.path, 1, 0), 0);
	close(a);
	close(c);
	close(raw);
	close(s);
}

static void r3_closing_everything_does_not_break_the_shim(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		int fd;

		for (fd = 3; fd < 1024; fd++)
			close(fd);
		fd = connected(GOOD, ECHO);
		if (fd != 3 || close_range(3, ~0U, 0) != 0)
			_exit(1);
		closefrom(3);
		fd = connected(GOOD, ECHO);
		close(0);
		close(1);
		close(2);
		if (socket(AF_INET, SOCK_STREAM, 0) != 0) /* lowest free, as always */
			_exit(2);
		if (dial(0, GOOD, ECHO) != 0 || bind_to(tcp(AF_INET, 0), OWN, 0) != 0)
			_exit(3);
		/* nothing of the shim's own is open: 0, 1 and fd are ours */
		for (int i = 2; i < 100; i++)
			if (i != fd && fcntl(i, F_GETFD) >= 0)
				_exit(4);
		_exit(0);
	}
	assert_int_equal(reap(pid), 0);
}

static void r4_a_listener_inherited_by_exec_keeps_working(void **state)
{
	int port, s = server("127.0.0.1", &port), c;
	char text[16], *argv[] = {(char *)(uintptr_t)self, "serve", text, NULL}, buf[64];
	pid_t pid;

	(void)state;
	snprintf(text, sizeof(text), "%d", s);
	assert_int_equal(posix_spawn(&pid, self, NULL, NULL, argv, environ), 0);
	c = connected("127.0.0.1", port);
	assert_int_equal(recv(c, buf, sizeof(buf), MSG_WAITALL), (ssize_t)strlen(name_of(c, 0)));
	assert_memory_equal(buf, name_of(c, 0), strlen(name_of(c, 0)));
	assert_int_equal(reap(pid), 0);
	close(c);
	close(s);
}

/* The other side of r4: accepts on an inherited descriptor, tells the peer's address. */
static int serve_inherited(int s)
{
	int a = accept(s, NULL, NULL);
	const char *name = a >= 0 ? name_of(a, 1) : "";

	return a >= 0 && write(a, name, strlen(name)) > 0 ? 0 : 1;
}

static void r5_duplicates_keep_state(void **state)
{
	int fd = connected(GOOD, ECHO), d1 = dup(fd), d2 = fcntl(fd, F_DUPFD_CLOEXEC, 50), d3 = 60;

	(void)state;
	assert_int_equal(dup3(fd, d3, O_CLOEXEC), d3);
	close(fd);
	assert_string_equal(name_of(d1, 1), "10.9.0.1 7");
	assert_string_equal(name_of(d2, 1), "10.9.0.1 7");
	close(d1);
	close(d2);
	assert_int_equal(dial(d3, GOOD, ECHO), EISCONN);
	assert_echo(d3, d3);
	close(d3);
}

static void r5_a_childs_close_leaves_the_parents_socket_alone(void **state)
{
	int port, s = server("127.0.0.1", &port), c, a;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		shutdown(-1, SHUT_RDWR);
		_exit(close(s));
	}
	assert_int_equal(reap(pid), 0);
	c = connected("127.0.0.1", port);
	a = accept(s, NULL, NULL);
	assert_echo(c, a);
	close(a);
	close(c);
	close(s);
}

static void r5_descriptors_passed_over_af_unix_keep_state(void **state)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec iov = {"x", 1};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes)};
	int pair[2], fd = connected(GOOD, ECHO), got;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	close(fd);
	iov.iov_base = &byte;
	assert_int_equal(recvmsg(pair[1], &msg, 0), 1);
	c = CMSG_FIRSTHDR(&msg);
	assert_non_null(c); /* an ordinary AF_UNIX socket is left alone */
	memcpy(&got, CMSG_DATA(c), sizeof(got));
	assert_string_equal(name_of(got, 1), "10.9.0.1 7");
	assert_echo(got, got);
	close(got);
	close(pair[0]);
	close(pair[1]);
}

static void r6_vfork_child_changes_nothing_in_the_parent(void **state)
{
	int fd = connected(GOOD, ECHO), status;
	volatile pid_t pid = vfork();

	(void)state;
	if (pid == 0) {
		close(fd);
		execl(self, self, "true", NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_echo(fd, fd);
	close(fd);
}

static void a_direct_connect_needs_no_second_descriptor(void **state)
{
	int port, s = server("127.0.0.1", &port), c = tcp(AF_INET, 0), a;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) { /* no lease yet, and no descriptor to ask for one with */
		while (dup(0) >= 0)
			;
		_exit(dial(c, "127.0.0.1", port));
	}
	assert_int_equal(reap(pid), 0);
	a = accept(s, NULL, NULL);
	assert_true(a >= 0);
	close(a);
	close(c);
	close(s);
}

static volatile int stop;

static void *busy(void *arg)
{
	while (!stop) {
		int fd = connected(GOOD, ECHO);

		free(malloc(100));
		close(fd);
	}
	return arg;
}

static void r7_fork_from_a_threaded_program_does_not_deadlock(void **state)
{
	pthread_t t[2];

	(void)state;
	stop = 0;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, busy, NULL), 0);
	for (int i = 0; i < 50; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(20);
			_exit(dial(socket(AF_INET, SOCK_STREAM, 0), GOOD, ECHO));
		}
		assert_int_equal(reap(pid), 0);
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
}

static void a_forked_child_takes_its_own_ports(void **state)
{
	int fd = connected(GOOD, DISCARD), port = port_of(fd);
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		int mine = port_of(connected(GOOD, DISCARD));

		_exit(mine / 64 == port / 64); /* the fixture leases blocks of 64 */
	}
	assert_int_equal(reap(pid), 0);
	close(fd);
}

static int count(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void r8_no_thread_and_no_descriptor_of_its_own(void **state)
{
	int before = count("/proc/self/fd"), port, s = server("127.0.0.1", &port);
	int c = connected("127.0.0.1", port), a = accept(s, NULL, NULL), fd = connected(GOOD, ECHO);

	(void)state;
	assert_int_equal(count("/proc/self/fd"), before + 4);
	assert_int_equal(count("/proc/self/task"), 3); /* ".", ".." and one */
	close(a);
	close(c);
	close(s);
	close(fd);
}

static void a_listener_file_can_be_connected_whatever_the_umask(void **state)
{
	mode_t old = umask(0777);
	int port, s = server("127.0.0.1", &port);
	char path[200];
	struct stat st;

	(void)state;
	umask(old);
	snprintf(path, sizeof(path), "%s/tcp.7f000001.%d", getenv("PERSONA_PORTSPACE_DIR"), port);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	close(s);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(direct_connect_and_accept_name_both_ends),
		cmocka_unit_test(refused_when_nobody_listens),
		cmocka_unit_test(nonblocking_direct_connect_is_in_progress_and_then_writable),
		cmocka_unit_test(nonblocking_connect_to_a_full_backlog_completes_later),
		cmocka_unit_test(r12_dual_stack_listener_sees_mapped_peers),
		cmocka_unit_test(r12_sockaddr_is_cut_as_the_kernel_does),
		cmocka_unit_test(bind_conflicts_and_reuse),
		cmocka_unit_test(listen_without_bind_chooses_a_port),
		cmocka_unit_test(no_port_bind_defers_the_choice),
		cmocka_unit_test(accept_gives_flags_and_inherits_options),
		cmocka_unit_test(a_connection_without_a_genuine_name_is_dropped),
		cmocka_unit_test(r3_closing_everything_does_not_break_the_shim),
		cmocka_unit_test(r4_a_listener_inherited_by_exec_keeps_working),
		cmocka_unit_test(r5_duplicates_keep_state),
		cmocka_unit_test(r5_a_childs_close_leaves_the_parents_socket_alone),
		cmocka_unit_test(r5_descriptors_passed_over_af_unix_keep_state),
		cmocka_unit_test(a_direct_connect_needs_no_second_descriptor),
		cmocka_unit_test(r6_vfork_child_changes_nothing_in_the_parent),
		cmocka_unit_test(r7_fork_from_a_threaded_program_does_not_deadlock),
		cmocka_unit_test(a_forked_child_takes_its_own_ports),
		cmocka_unit_test(r8_no_thread_and_no_descriptor_of_its_own),
		cmocka_unit_test(a_listener_file_can_be_connected_whatever_the_umask),
	};

	self = argv[0];
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve_inherited(atoi(argv[2]));
	if (argc == 2)
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Messages and descriptors on AF_UNIX sockets, on real sockets in a temporary directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "fdmsg.h"

static char dir[] = "/tmp/persona-fdmsg.XXXXXX", path[64];

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static void pair(int type, int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, sv), 0);
}

static void close_pair(int sv[2])
{
	close(sv[0]);
	close(sv[1]);
}

/* How many descriptors are open; the standard ones and the harness's are the same each time. */
static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void message_without_descriptor(void **state)
{
	char buf[8];
	int sv[2], fd;

	(void)state;
	pair(SOCK_SEQPACKET, sv);
	errno = 77;
	assert_int_equal(fdmsg_send(sv[0], "hello", 5, -1), 5);
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(fd, -1);
	assert_int_equal(errno, 77);
	close_pair(sv);
}

static void descriptor_arrives_close_on_exec(void **state)
{
	struct stat a, b;
	char buf[8];
	int sv[2], fd, file = open("/dev/null", O_RDONLY);

	(void)state;
	pair(SOCK_STREAM, sv);
	assert_int_equal(fdmsg_send(sv[0], "x", 1, file), 1);
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), 1);
	assert_true(fd >= 0 && fd != file);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(file, &a) + fstat(fd, &b), 0);
	assert_true(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	close(fd);
	close(file);
	close_pair(sv);
}

/* Sends n descriptors, which fdmsg_send() never does. */
static void send_many(int sock, size_t len, int fd, unsigned n)
{
	static char bytes[4096];
	struct iovec iov = {.iov_base = bytes, .iov_len = len};
	char control[CMSG_SPACE(100 * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	for (unsigned i = 0; i < n; i++)
		memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
	assert_int_equal(sendmsg(sock, &msg, 0), len);
}

static void surplus_descriptors_are_closed(void **state)
{
	unsigned before;
	char buf[8];
	int sv[2], fd;

	(void)state;
	pair(SOCK_SEQPACKET, sv);
	before = open_fds();
	for (unsigned n = 1; n <= 100; n++) {
		send_many(sv[0], 1, sv[0], n);
		assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), 1);
		assert_true(fd >= 0);
		close(fd);
		assert_int_equal(open_fds(), before);
	}
	close_pair(sv);
}

static void too_long_message_is_refused_without_a_leak(void **state)
{
	unsigned before;
	char buf[8];
	int sv[2], fd = 77;

	(void)state;
	pair(SOCK_SEQPACKET, sv);
	before = open_fds();
	send_many(sv[0], 9, sv[0], 1);
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), -EMSGSIZE);
	assert_int_equal(fd, -1);
	assert_int_equal(open_fds(), before);
	/* The next message is whole. */
	assert_int_equal(fdmsg_send(sv[0], "12345678", 8, -1), 8);
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), 8);
	close_pair(sv);
}

static void end_and_errors(void **state)
{
	char buf[8];
	int sv[2], fd;

	(void)state;
	pair(SOCK_STREAM, sv);
	assert_int_equal(fcntl(sv[1], F_SETFL, O_NONBLOCK), 0);
	errno = 77;
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), -EAGAIN);
	assert_int_equal(fd, -1);
	close(sv[0]);
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), 0);
	assert_int_equal(fdmsg_send(sv[1], "x", 1, -1), -EPIPE); /* and no SIGPIPE */
	close(sv[1]);
	assert_int_equal(fdmsg_send(sv[1], "x", 1, -1), -EBADF);
	assert_int_equal(fdmsg_recv(sv[1], buf, sizeof(buf), &fd), -EBADF);
	assert_int_equal(errno, 77);
}

static void listen_and_connect(void **state)
{
	struct stat st;
	int listener, client, server;

	(void)state;
	assert_int_equal(fdmsg_listen(path, SOCK_STREAM, 8, &listener), 0);
	assert_int_equal(fcntl(listener, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(listener, F_GETFL) & O_NONBLOCK);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(accept(listener, NULL, NULL), -1);
	assert_int_equal(fdmsg_connect(path, SOCK_STREAM, &client), 0);
	assert_int_equal(fcntl(client, F_GETFD), FD_CLOEXEC);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	assert_int_equal(fdmsg_connect(path, SOCK_SEQPACKET, &client), -EPROTOTYPE);
	close(client);
	close(server);
	close(listener);
	assert_int_equal(fdmsg_connect(path, SOCK_STREAM, &client), -ECONNREFUSED);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(fdmsg_connect(path, SOCK_STREAM, &client), -ENOENT);
}

static void second_listener_is_refused_and_a_dead_one_replaced(void **state)
{
	int first, second;

	(void)state;
	assert_int_equal(fdmsg_listen(path, SOCK_STREAM, 8, &first), 0);
	assert_int_equal(fdmsg_listen(path, SOCK_STREAM, 8, &second), -EADDRINUSE);
	close(first);
	assert_int_equal(fdmsg_listen(path, SOCK_STREAM, 8, &second), 0);
	close(second);
	assert_int_equal(unlink(path), 0);
}

static void listen_never_removes_another_kind_of_file(void **state)
{
	struct stat st;
	int fd = open(path, O_CREAT | O_WRONLY, 0600), listener;

	(void)state;
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	assert_int_equal(fdmsg_listen(path, SOCK_STREAM, 8, &listener), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 8);
	assert_int_equal(unlink(path), 0);
}

static void paths_are_bounded(void **state)
{
	char longpath[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	int fd;

	(void)state;
	memset(longpath, 'x', sizeof(longpath) - 1);
	longpath[0] = '/';
	longpath[sizeof(longpath) - 1] = '\0'; /* 108 bytes: no room for the terminator */
	assert_int_equal(fdmsg_connect(longpath, SOCK_STREAM, &fd), -ENAMETOOLONG);
	assert_int_equal(fdmsg_listen(longpath, SOCK_STREAM, 8, &fd), -ENAMETOOLONG);
	longpath[sizeof(longpath) - 2] = '\0'; /* 107 */
	assert_int_equal(fdmsg_connect(longpath, SOCK_STREAM, &fd), -ENOENT);
}

struct server {
	int listener;
	const char *reply; /* NULL: close without one */
	char got[16];
};

/* Accepts one connection, reads a message, answers with a descriptor that nobody wants. */
static void *serve(void *arg)
{
	struct server *s = arg;
	int fd, sock = accept(s->listener, NULL, NULL);
	ssize_t n = fdmsg_recv(sock, s->got, sizeof(s->got) - 1, &fd);

	s->got[n > 0 ? n : 0] = '\0';
	if (s->reply)
		fdmsg_send(sock, s->reply, strlen(s->reply), sock);
	close(sock);
	return NULL;
}

static ssize_t ask_server(struct server *s, char *reply, size_t cap)
{
	pthread_t thread;
	ssize_t r;

	assert_int_equal(fdmsg_listen(path, SOCK_SEQPACKET, 8, &s->listener), 0);
	assert_int_equal(fcntl(s->listener, F_SETFL, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, s), 0);
	r = fdmsg_ask(path, "question", 8, reply, cap);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(s->listener);
	assert_int_equal(unlink(path), 0);
	return r;
}

static void question_and_answer(void **state)
{
	unsigned before = open_fds();
	struct server s = {.reply = "answer"};
	char reply[16];

	(void)state;
	assert_int_equal(ask_server(&s, reply, sizeof(reply)), 6);
	assert_memory_equal(reply, "answer", 6);
	assert_string_equal(s.got, "question");
	s.reply = "an answer that is too long";
	assert_int_equal(ask_server(&s, reply, sizeof(reply)), -EMSGSIZE);
	s.reply = NULL;
	assert_int_equal(ask_server(&s, reply, sizeof(reply)), -EPIPE);
	assert_int_equal(fdmsg_ask(path, "question", 8, reply, sizeof(reply)), -ENOENT);
	assert_int_equal(open_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(message_without_descriptor),
		cmocka_unit_test(descriptor_arrives_close_on_exec),
		cmocka_unit_test(surplus_descriptors_are_closed),
		cmocka_unit_test(too_long_message_is_refused_without_a_leak),
		cmocka_unit_test(end_and_errors),
		cmocka_unit_test(listen_and_connect),
		cmocka_unit_test(second_listener_is_refused_and_a_dead_one_replaced),
		cmocka_unit_test(listen_never_removes_another_kind_of_file),
		cmocka_unit_test(paths_are_bounded),
		cmocka_unit_test(question_and_answer),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

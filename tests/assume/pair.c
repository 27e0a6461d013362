/* SPDX-License-Identifier: MIT */
#include "pair.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

int pair_listen(void)
{
	const char *tmp = getenv("TMPDIR");
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	char dir[64];
	int fd;

	snprintf(dir, sizeof(dir), "%s/assumeXXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/s", dir);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_return_code(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_return_code(listen(fd, 16), 0);
	return fd;
}

static void own_path(int fd, struct sockaddr_un *sunp)
{
	socklen_t len = sizeof(*sunp);

	memset(sunp, 0, sizeof(*sunp));
	assert_return_code(getsockname(fd, (struct sockaddr *)sunp, &len), 0);
}

void pair_unlisten(int listener)
{
	struct sockaddr_un sun;

	own_path(listener, &sun);
	unlink(sun.sun_path);
	*strrchr(sun.sun_path, '/') = '\0';
	rmdir(sun.sun_path);
	close(listener);
}

int pair_gated(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	pair_set_sndbuf(fd, 1);
	return fd;
}

int pair_connect(int client, int listener)
{
	struct sockaddr_un sun;
	int fd;

	own_path(listener, &sun);
	assert_return_code(connect(client, (struct sockaddr *)&sun, sizeof(sun)), 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

void pair_request(int client)
{
	static char bytes[REQUEST_LEN + REQUEST_PAD];
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &client, sizeof(client));
	assert_int_equal(sendmsg(client, &msg, MSG_NOSIGNAL), sizeof(bytes));
}

int pair_read_request(int server)
{
	char bytes[REQUEST_LEN];
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.buf,
		.msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cmsg;
	int fd;

	assert_int_equal(recvmsg(server, &msg, MSG_CMSG_CLOEXEC), sizeof(bytes));
	cmsg = CMSG_FIRSTHDR(&msg);
	assert_non_null(cmsg);
	assert_int_equal(cmsg->cmsg_type, SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	return fd;
}

void pair_read_pad(int server)
{
	char bytes[REQUEST_PAD];

	assert_int_equal(recv(server, bytes, sizeof(bytes), MSG_WAITALL), sizeof(bytes));
}

void pair_set_sndbuf(int fd, int bytes)
{
	assert_return_code(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
}

short pair_poll(int fd, short want)
{
	struct pollfd p = {.fd = fd, .events = want};

	assert_return_code(poll(&p, 1, 0), 0);
	return p.revents;
}

uint32_t pair_epoll(int epfd)
{
	struct epoll_event e = {0};
	int n = epoll_wait(epfd, &e, 1, 0);

	assert_return_code(n, 0);
	return n ? e.events : 0;
}

int pair_fork(int (*child)(void *arg), void *arg)
{
	int status;
	pid_t pid = fork();

	assert_return_code(pid, 0);
	if (pid == 0)
		_exit(child(arg));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

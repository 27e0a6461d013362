/* SPDX-License-Identifier: MIT */
/* Assumption: sock_diag(7) says by inode whether an AF_UNIX socket still exists, to an ordinary
 * user, also for a socket of another process that was never bound. Used by broker/probe.c to tell
 * a stale entry of the port table from a live one without a timeout. */
#include "pair.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t inode(int fd)
{
	struct stat st;

	assert_return_code(fstat(fd, &st), 0);
	/* the request has 32 bits for it */
	assert_true(st.st_ino <= UINT32_MAX);
	return (uint32_t)st.st_ino;
}

/* The socket's state (1: TCP_ESTABLISHED ... 10: TCP_LISTEN), or a negative errno. */
static int diag(uint32_t ino)
{
	struct {
		struct nlmsghdr nlh;
		struct unix_diag_req req;
	} ask = {.nlh = {.nlmsg_len = sizeof(ask),
			 .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			 .nlmsg_flags = NLM_F_REQUEST},
		.req = {.sdiag_family = AF_UNIX,
			.udiag_states = UINT32_MAX,
			.udiag_ino = ino,
			.udiag_cookie = {UINT32_MAX, UINT32_MAX}}};
	union {
		struct nlmsghdr nlh;
		char bytes[4096];
	} reply;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(send(fd, &ask, sizeof(ask), 0), sizeof(ask));
	n = recv(fd, &reply, sizeof(reply), 0);
	close(fd);
	assert_true(n >= (ssize_t)sizeof(reply.nlh));
	if (reply.nlh.nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(&reply.nlh))->error;
	return ((struct unix_diag_msg *)NLMSG_DATA(&reply.nlh))->udiag_state;
}

static void test_unbound_socket_is_found(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_true(diag(inode(fd)) > 0);
	close(fd);
}

static void test_closed_socket_is_enoent(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	uint32_t ino = inode(fd);

	(void)state;
	close(fd);
	assert_int_equal(diag(ino), -ENOENT);
}

static void test_duplicate_keeps_it_alive(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), other = dup(fd);
	uint32_t ino = inode(fd);

	(void)state;
	close(fd);
	assert_true(diag(ino) > 0);
	close(other);
	assert_int_equal(diag(ino), -ENOENT);
}

static void test_listening_socket_is_told_apart(void **state)
{
	enum { LISTEN = 10 }; /* TCP_LISTEN of the kernel's states */
	int fd = pair_listen(), plain = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(diag(inode(fd)), LISTEN);
	assert_int_not_equal(diag(inode(plain)), LISTEN);
	close(plain);
	pair_unlisten(fd);
}

static int child_makes(void *arg)
{
	int *pipes = arg, fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct stat st;
	char byte;

	if (fstat(fd, &st) < 0 || write(pipes[1], &st.st_ino, sizeof(st.st_ino)) < 0)
		return 1;
	return read(pipes[2], &byte, 1) < 0; /* holds the socket until the parent has looked */
}

static void test_socket_of_another_process_is_found(void **state)
{
	int up[2], down[2], pipes[4];
	ino_t ino;
	pid_t pid;

	(void)state;
	assert_return_code(pipe(up), 0);
	assert_return_code(pipe(down), 0);
	memcpy(pipes, up, sizeof(up));
	memcpy(pipes + 2, down, sizeof(down));
	pid = fork();
	assert_return_code(pid, 0);
	if (pid == 0) {
		close(down[1]);
		_exit(child_makes(pipes));
	}
	close(down[0]);
	assert_int_equal(read(up[0], &ino, sizeof(ino)), sizeof(ino));
	assert_true(diag((uint32_t)ino) > 0);
	close(down[1]);
	close(up[0]);
	close(up[1]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unbound_socket_is_found),
		cmocka_unit_test(test_closed_socket_is_enoent),
		cmocka_unit_test(test_duplicate_keeps_it_alive),
		cmocka_unit_test(test_listening_socket_is_told_apart),
		cmocka_unit_test(test_socket_of_another_process_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

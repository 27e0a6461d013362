/* SPDX-License-Identifier: MIT */
#include "run.h"

#include <errno.h>
#include <sys/socket.h>

void run_send(int sock, enum run_msg_type type, int value)
{
	const struct run_msg msg = {.type = type, .value = value};

	while (send(sock, &msg, sizeof(msg), MSG_NOSIGNAL) < 0 && errno == EINTR)
		continue;
}

int run_recv(int sock, int flags, struct run_msg *msgp)
{
	ssize_t n;

	do
		n = recv(sock, msgp, sizeof(*msgp), flags);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	return n == (ssize_t)sizeof(*msgp) ? 1 : 0;
}

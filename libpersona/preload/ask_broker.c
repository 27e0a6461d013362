/* SPDX-License-Identifier: MIT */
/* Questions to the broker: one connection, one message, one reply; nothing stays open. */
#include <fcntl.h>
#include <string.h>

#include "fdmsg.h"
#include "preload.h"

static socklen_t join(size_t dir_len, const char *name, struct sockaddr_un *sunp)
{
	const struct env *env = env_get();
	size_t n = strlen(name);

	if (!env->dir[0] || dir_len + 1 + n >= sizeof(sunp->sun_path))
		return 0;
	memset(sunp, 0, sizeof(*sunp));
	sunp->sun_family = AF_UNIX;
	memcpy(sunp->sun_path, env->dir, dir_len);
	sunp->sun_path[dir_len] = '/';
	memcpy(sunp->sun_path + dir_len + 1, name, n);
	return sizeof(*sunp);
}

socklen_t runtime_path(const char *name, struct sockaddr_un *sunp)
{
	return join(env_get()->runtime_len, name, sunp);
}

socklen_t portspace_path(const char *name, struct sockaddr_un *sunp)
{
	return join(strlen(env_get()->dir), name, sunp);
}

/* A program that closed its standard descriptors must not see one of ours in their place. */
static int above_standard(int fd)
{
	long high;

	if (fd > 2)
		return fd;
	high = SYS(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 3);
	SYS(SYS_close, fd);
	return (int)high;
}

int ask_broker_at(const struct ask_request *req, struct ask_reply *repp, uint8_t *reply, size_t cap)
{
	bool dgram = req->op >= ASK_DGRAM_BIND && req->op <= ASK_DGRAM_OPTION;
	uint8_t request[ASK_MAX];
	struct sockaddr_un path;
	int sock, fd = -1, n = ask_encode_request(req, request, sizeof(request));
	ssize_t r;

	if (n < 0)
		return n;
	if (runtime_path(dgram ? "dgram" : "ask", &path) == 0)
		return -ENETUNREACH;
	r = fdmsg_connect(path.sun_path, SOCK_SEQPACKET, &sock);
	if (r < 0)
		return r == -EMFILE || r == -ENFILE ? (int)r : -ENETUNREACH;
	sock = above_standard(sock);
	if (sock < 0)
		return sock;
	r = fdmsg_send(sock, request, (size_t)n, -1);
	if (r >= 0)
		r = fdmsg_recv(sock, reply, cap, &fd);
	if (fd >= 0)
		SYS(SYS_close, fd);
	SYS(SYS_close, sock);
	if (r <= 0 || ask_decode_reply(reply, (size_t)r, repp) < 0 || repp->op != req->op)
		return -ENETUNREACH;
	return -repp->err;
}

static __attribute__((noinline)) int ask_large(
	const struct ask_request *req, struct ask_reply *repp, size_t cap)
{
	uint8_t reply[ASK_LARGE];

	return ask_broker_at(req, repp, reply, cap < sizeof(reply) ? cap : sizeof(reply));
}

/* Most answers are small, and some threads' stacks and signal stacks as well. */
int ask_broker(const struct ask_request *req, struct ask_reply *repp, size_t cap)
{
	uint8_t reply[ASK_SMALL];

	return cap > sizeof(reply) ? ask_large(req, repp, cap)
				   : ask_broker_at(req, repp, reply, sizeof(reply));
}

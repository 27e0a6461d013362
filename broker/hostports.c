/* SPDX-License-Identifier: MIT */
#include "hostports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <libmnl/libmnl.h>

enum {
	DIAG_BUF = 32768,  /* the kernel makes dump messages of at most 32 KiB */
	DIAG_TIMEOUT_S = 5 /* the kernel answers at once; bounds a lost answer */
};

static const struct table {
	uint8_t proto;
	uint8_t family;
	uint8_t state; /* a server's: the kernel calls an unconnected UDP socket closed */
	const char *proc;
} tables[] = {{IPPROTO_TCP, AF_INET, TCP_LISTEN, "/proc/net/tcp"},
	{IPPROTO_TCP, AF_INET6, TCP_LISTEN, "/proc/net/tcp6"},
	{IPPROTO_UDP, AF_INET, TCP_CLOSE, "/proc/net/udp"},
	{IPPROTO_UDP, AF_INET6, TCP_CLOSE, "/proc/net/udp6"}};

enum { TABLES = sizeof(tables) / sizeof(tables[0]) };

struct listing {
	int (*fn)(const struct hostport *port, void *arg);
	void *arg;
	const struct table *table;
	int result;
};

/* `raw` is the address as the kernel has it. */
static int tell(struct listing *l, const void *raw, uint16_t port)
{
	struct hostport hp = {.proto = l->table->proto, .local = {.port = port}};

	if (l->table->family == AF_INET) {
		hp.local.addr = addr_any4;
		memcpy(hp.local.addr.b + 12, raw, 4);
	} else {
		memcpy(hp.local.addr.b, raw, 16);
	}
	if (port == 0)
		return 0;
	l->result = l->fn(&hp, l->arg);
	return l->result;
}

/* --- sock_diag --- */

static int diag_socket(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *msg = mnl_nlmsg_get_payload(nlh);
	struct listing *l = arg;

	if (mnl_nlmsg_get_payload_len(nlh) < sizeof(*msg) ||
		msg->idiag_family != l->table->family || msg->idiag_state != l->table->state)
		return MNL_CB_OK;
	return tell(l, msg->id.idiag_src, ntohs(msg->id.idiag_sport)) ? MNL_CB_STOP : MNL_CB_OK;
}

static int diag_table(struct mnl_socket *nl, char *buf, struct listing *l, unsigned seq)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req;
	ssize_t n;
	int r;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = seq;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = l->table->family;
	req->sdiag_protocol = l->table->proto;
	req->idiag_states = 1U << l->table->state;
	if (mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(nl, buf, DIAG_BUF);
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buf, (size_t)n, seq, mnl_socket_get_portid(nl), diag_socket, l);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}

int hostports_diag(int (*fn)(const struct hostport *port, void *arg), void *arg)
{
	static const struct timeval timeout = {.tv_sec = DIAG_TIMEOUT_S};
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	struct listing l = {.fn = fn, .arg = arg};
	char *buf = malloc(DIAG_BUF);
	int r = 0;

	if (!nl || !buf)
		r = nl ? -ENOMEM : -errno;
	else if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVTIMEO, &timeout,
			 sizeof(timeout)) < 0 ||
		 mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0)
		r = -errno;
	for (unsigned i = 0; r == 0 && l.result == 0 && i < TABLES; i++) {
		l.table = &tables[i];
		r = diag_table(nl, buf, &l, i + 1);
	}
	if (nl)
		mnl_socket_close(nl);
	free(buf);
	return r < 0 ? r : l.result;
}

/* --- /proc/net --- */

/* "sl: LOCAL:PORT REMOTE:PORT ST ...", the address as 32-bit words of this machine. */
static int proc_line(struct listing *l, const char *line)
{
	char text[33];
	unsigned port, state, peer;
	uint32_t words[4] = {0};
	size_t n;

	if (sscanf(line, "%*d: %32[0-9A-F]:%x %*[0-9A-F]:%x %x", text, &port, &peer, &state) != 4)
		return 0;
	n = strlen(text);
	if (state != l->table->state || n != (l->table->family == AF_INET ? 8 : 32) ||
		port > UINT16_MAX)
		return 0;
	for (size_t i = 0; i < n / 8; i++) {
		char word[9] = {0};

		memcpy(word, text + 8 * i, 8);
		words[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	return tell(l, words, (uint16_t)port);
}

int hostports_proc(int (*fn)(const struct hostport *port, void *arg), void *arg)
{
	struct listing l = {.fn = fn, .arg = arg};
	char *line = NULL;
	size_t cap = 0;
	int r = -ENOENT;

	for (unsigned i = 0; l.result == 0 && i < TABLES; i++) {
		FILE *f = fopen(tables[i].proc, "re");

		if (!f)
			continue; /* a host without IPv6 */
		r = 0;
		l.table = &tables[i];
		while (l.result == 0 && getline(&line, &cap, f) > 0)
			(void)proc_line(&l, line);
		fclose(f);
	}
	free(line);
	return r < 0 ? r : l.result;
}

/* --- whichever works --- */

/* The fallback must not list twice what a dump that broke off has listed. */
struct counted {
	int (*fn)(const struct hostport *port, void *arg);
	void *arg;
	size_t calls;
};

static int count(const struct hostport *port, void *arg)
{
	struct counted *c = arg;

	c->calls++;
	return c->fn(port, c->arg);
}

int hostports_each(int (*fn)(const struct hostport *port, void *arg), void *arg)
{
	struct counted c = {.fn = fn, .arg = arg};
	int r = hostports_diag(count, &c);

	return r < 0 && c.calls == 0 ? hostports_proc(fn, arg) : r;
}

/* SPDX-License-Identifier: MIT */
/* The sockets of a c-ares channel (dns.h), for dns*.c alone. */
#ifndef PERSONA_BROKER_DNS_SOCK_H
#define PERSONA_BROKER_DNS_SOCK_H

#include <ares.h>

#include "dns.h"

struct dns_sock;

struct dns {
	uv_loop_t *loop;
	const struct dns_ops *ops;
	struct portspace *ps; /* reference */
	struct addr servers[DNS_SERVERS_MAX];
	size_t nservers;
	ares_channel channel; /* NULL while idle */
	uv_timer_t timer;
	struct dns_sock *socks;
	size_t pending;
	unsigned handles; /* of libuv, not closed yet */
	bool closing;
};

extern const struct ares_socket_functions dns_sock_functions; /* their argument is struct dns */

/* c-ares wants to know when the socket is readable or writable (ares_sock_state_cb). */
void dns_sock_state(void *dns, ares_socket_t fd, int readable, int writable);
/* Something happened on a socket; -1: nothing, look at the time. */
void dns_process(struct dns *dns, ares_socket_t readable, ares_socket_t writable);
/* A handle of libuv is closed; frees *dns with the last one. */
void dns_handle_closed(struct dns *dns);

#endif

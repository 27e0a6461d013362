/* SPDX-License-Identifier: MIT */
/* The hierarchy of portspaces: super-portspaces, and who answers a port.
 *
 * Model: every portspace has a super-portspace, which is another portspace or the root, the host
 * itself. Its links run in the super-portspace's network (netspace_ps.h). With `Inherit = yes` the
 * services of the super-portspace answer at the same ports here: a port is looked up in the own
 * table, then in the super-portspace's, and so on up to the root. At each level a Hide entry, or
 * `Inherit = no`, ends the search. An own server therefore overrides at once and the inherited one
 * is back when it ends; streams that are established know nothing of it.
 *
 * What is inherited: sockets of the super-portspace that are bound to the wildcard or to one of its
 * own addresses of the family that was called; what is bound to loopback is not, nor what belongs
 * to the broker itself. A program inside reaches an inherited server at its own loopback address
 * too, when the server is bound to the wildcard; the server then sees the portspace's address, not
 * loopback, because servers trust loopback. In the root, services are the host's real ones, reached
 * at the host's own addresses and never at loopback; whether there is one, only the host knows.
 *
 * Who may be whose super-portspace: one that exists, is named, and is not below the portspace
 * itself. A file that says otherwise leaves its portspace without super-portspace: nothing is
 * inherited and its links have no network, never the base network instead.
 *
 * Paper, sections 3.2.3 and 4.1.1. Functions here are called with the core's mutex held or by the
 * control loop, as each says. */
#ifndef PERSONA_BROKER_INHERIT_H
#define PERSONA_BROKER_INHERIT_H

#include <stdbool.h>

#include "config.h"
#include "core.h"
#include "porttab.h"

enum {
	INHERIT_DEPTH_MAX = 64, /* levels above a portspace */
	/* What a level of nesting takes of each packet: IPv6 and UDP headers, and WireGuard's. */
	INHERIT_MTU_COST = 80
};

/* A portspace's rules, derived from its configuration. */
struct inherit {
	bool inherit;
	struct config_port_list hide;
	struct config_port_list proxy; /* services of the root that get a PROXY header */
	struct config_prefix_list gateways;
};

/* A copy of what the configuration says. 0 or -ENOMEM. */
int inherit_new(const struct config *config, struct inherit **rulesp);
void inherit_free(struct inherit *rules); /* NULL is allowed */

/* Who answers a port of `ps`. */
struct inherit_found {
	struct portspace *server;   /* no reference; NULL: the host */
	struct porttab_entry entry; /* when server */
	bool proxy;		    /* when !server: it wants a PROXY header */
};
/* `dst` is an own address of `ps` or loopback. Under the mutex. 0 or -ECONNREFUSED. */
int inherit_lookup(struct portspace *ps, uint8_t proto, const struct endpoint *dst,
	struct inherit_found *foundp);

/* Where does a stream for this own address go (core_route())? `src` as well as `dst`. Under the
 * mutex. 0 and *hopp, or -ECONNREFUSED. */
int inherit_route(struct portspace *ps, const struct endpoint *src, const struct endpoint *dst,
	struct core_hop *hopp);
/* Does `ps` forward to this address by itself? Never to loopback, link-local, multicast or wildcard
 * addresses. Under the mutex. 0 and *hopp, or -ENETUNREACH. */
int inherit_gateway(struct portspace *ps, const struct endpoint *src, const struct endpoint *dst,
	struct core_hop *hopp);
bool inherit_is_gateway(const struct portspace *ps, const struct addr *dst); /* the same question */

/* The same two questions for datagrams, by the packet plane: they take the mutex themselves. A
 * server in *foundp is a reference. */
int inherit_udp(struct core *core, struct portspace *ps, const struct endpoint *dst,
	struct inherit_found *foundp);
bool inherit_udp_gateway(struct core *core, const struct portspace *ps, const struct addr *dst);

/* --- control loop only --- */

/* Sets the super-portspace that the configuration names, if it is there; at most once. 0; -ENOENT:
 * there is none of that name; -ELOOP: it is below `ps` itself; -EPERM: it is an unnamed one, or
 * `ps` is; -EMLINK: too deep. Without one in the configuration: 0. */
int inherit_attach(struct core *core, struct portspace *ps, const struct config *config);
/* Attaches what waits for its super-portspace, and its links with it. Says in the log what is
 * missing when `complain`. */
void inherit_attach_all(struct core *core, bool complain);
/* The first portspace directly below, or NULL. */
struct portspace *inherit_first_sub(struct core *core, const struct portspace *super);
/* The bytes of a packet in a network that is carried by this one's. */
unsigned inherit_mtu(const struct portspace *super);

#endif

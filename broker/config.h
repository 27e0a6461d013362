/* SPDX-License-Identifier: MIT */
/* A portspace's configuration file: wg-quick's format and one more section, [Persona].
 *
 *   [Interface]            PrivateKey, Address, MTU, DNS, ListenPort (Table, SaveConfig, FwMark and
 *                          the hooks PreUp, PostUp, PreDown, PostDown are accepted and ignored,
 *                          each with a warning; hooks are never run)
 *   [Peer] ...             PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive
 *   [Persona]              Hostname = NAME; Host = ADDRESS NAME [NAME...] (repeated);
 *                          Link = PUBKEY NAME (repeated: the interface name of that peer);
 *                          StreamsMax = N; and the settings of config_net.c: Super, Inherit,
 *                          Hide, Gateway, Routing, Network, Route, RipUpdate, ProxyProtocol
 *
 * Model: text in, struct out, and back; no I/O. config_parse() and config_check() enforce the same
 * rules, so a struct built by hand and checked can be written and read again. Secrets live in
 * key_new() memory; texts that hold secrets come from sodium_malloc() and are freed with
 * sodium_free(), which wipes. sodium_init() must have been called. Thread safe on distinct
 * objects. */
#ifndef PERSONA_BROKER_CONFIG_H
#define PERSONA_BROKER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "ask.h"
#include "core.h"
#include "hosts.h"
#include "key.h"

enum {
	CONFIG_TEXT_MAX = 1 << 20, /* bytes of one file */
	CONFIG_PEERS_MAX = 4096,   /* peers of one portspace */
	CONFIG_HOSTS_MAX = 16384,  /* pairs of address and name */
	CONFIG_DNS_MAX = 16,	   /* DNS servers and search domains */
	CONFIG_WARNINGS_MAX = 64,  /* more are counted, not kept */
	CONFIG_ENDPOINT_MAX = 280, /* "HOST:PORT" with terminator, as struct link has it */
	CONFIG_HOSTNAME_MAX = 65,  /* as struct info has it */
	CONFIG_MESSAGE_MAX = 320,  /* an error or a warning with its terminator */
	CONFIG_MTU_MIN = 576,	   /* RFC 791: what every IPv4 host takes */
	CONFIG_MTU_MAX = 65535,
	CONFIG_MTU_DEFAULT = 1420,
	CONFIG_STREAMS_MAX = 1000000, /* largest StreamsMax */
	CONFIG_PORTS_MAX = 128,	      /* ranges in Hide or ProxyProtocol */
	CONFIG_PREFIXES_MAX = 64,     /* prefixes in Gateway or Network */
	CONFIG_ROUTES_MAX = 4096,     /* static routes */
	CONFIG_RIP_UPDATE_S = 30,     /* RipUpdate when not given (RFC 2453, section 3.8) */
	CONFIG_LISTEN_PORT = 51821    /* ListenPort when not given */
};

/* Ports of one protocol, as "tcp/22" or "udp/5000-5010". */
struct config_ports {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t first, last;
};

struct config_port_list {
	struct config_ports *ports; /* owned array */
	size_t n;
};

struct config_prefix_list {
	struct prefix *prefixes; /* masked; owned array */
	size_t n;
};

/* "PREFIX via ADDR [metric N]" or "PREFIX dev LINK [metric N]". */
struct config_route {
	struct prefix prefix;	  /* masked */
	struct addr via;	  /* valid when link is "" */
	char link[LINK_NAME_MAX]; /* "" when via is given */
	uint8_t metric;		  /* 1..15, as RIP counts */
};

struct config_peer {
	struct key public_key;
	struct key *psk;	/* from key_new(), owned; NULL when none is configured */
	struct prefix *allowed; /* masked, in the file's order; owned (malloc) */
	size_t nallowed;	/* at most LINK_PREFIXES_MAX */
	char endpoint[CONFIG_ENDPOINT_MAX]; /* HOST:PORT or [V6]:PORT, "" when none */
	uint16_t keepalive_s;		    /* 0: off */
	char name[LINK_NAME_MAX];	    /* interface name, "" when none was given */
};

/* One name of one address. "Host = ADDRESS A B" gives two, A first (the canonical name). */
struct config_host {
	struct addr addr;
	char name[HOSTS_NAME_MAX];
};

struct config {
	struct key *private_key; /* from key_new(), owned; NULL only before it is set */
	struct prefix addresses[INFO_ADDRS_MAX]; /* host part kept */
	size_t naddresses;
	uint16_t mtu;			    /* bytes, 0: not given (CONFIG_MTU_DEFAULT applies) */
	char hostname[CONFIG_HOSTNAME_MAX]; /* "" when not given */
	unsigned streams_max;		    /* 0: not given */
	char dns[CONFIG_DNS_MAX][HOSTS_NAME_MAX]; /* servers' addresses and search domains */
	size_t ndns;
	uint16_t listen_port; /* ListenPort, 0 when not given; only below a super-portspace */
	/* settings of config_net.c */
	char super[PORTSPACE_NAME_MAX]; /* "": the root */
	bool inherit;			/* services of the super-portspace answer here too */
	bool rip;			/* Routing = rip */
	uint16_t rip_update_s;		/* 0: not given (CONFIG_RIP_UPDATE_S applies) */
	struct config_port_list hide;
	struct config_port_list proxy;
	struct config_prefix_list gateways;
	struct config_prefix_list networks; /* none: those of the addresses */
	struct config_route *routes;	    /* owned array */
	size_t nroutes;
	struct config_peer *peers; /* owned array */
	size_t npeers;
	struct config_host *hosts; /* owned array */
	size_t nhosts;
	/* What the parser ignored, as "line N: cause"; not written by config_format(). */
	char **warnings;
	size_t nwarnings;
	size_t nwarnings_lost; /* more than CONFIG_WARNINGS_MAX */
};

struct config_error {
	unsigned line;			  /* from 1; 0 when it belongs to no line */
	char message[CONFIG_MESSAGE_MAX]; /* cause and next step, never a secret */
};

/* An empty configuration (no private key). NULL when out of memory. */
struct config *config_new(void);
void config_free(struct config *config); /* wipes; NULL is allowed */

/* Reads `len` bytes of text (no terminator needed). 0 and *configp (free with config_free);
 * -EINVAL (the text is wrong), -E2BIG (longer than CONFIG_TEXT_MAX), -ENOMEM. On every failure
 * *errp says why; errp may be NULL. */
int config_parse(const char *text, size_t len, struct config **configp, struct config_error *errp);

/* The rules that concern more than one line: a private key and at least one address, no peer,
 * link name or allowed prefix twice, every name valid. 0 or -EINVAL with *errp (may be NULL). */
int config_check(const struct config *config, struct config_error *errp);

/* Writes the file's text, keys included: *textp is from sodium_malloc(), terminated, and freed with
 * sodium_free(). Parsing it gives an equal configuration, formatting that the same text. 0;
 * -EINVAL without a private key; -E2BIG when it would exceed CONFIG_TEXT_MAX; -ENOMEM. */
int config_format(const struct config *config, char **textp, size_t *lenp);

/* Building blocks for callers that change a configuration. None checks what config_check() does.
 * Each returns 0, -ENOMEM, or -ENOSPC when the limit above is reached. */
/* *peerp points into config->peers and is valid until the next change of it. */
int config_add_peer(
	struct config *config, const struct key *public_key, struct config_peer **peerp);
/* The prefix is stored masked; one that the peer has already is not stored again. */
int config_add_allowed(struct config_peer *peer, const struct prefix *prefix);
/* -EINVAL when the name is not valid (hosts_name_valid). A pair that is there already is kept. */
int config_add_host(struct config *config, const struct addr *addr, const char *name);
/* NULL when there is none. */
struct config_peer *config_find_peer(const struct config *config, const struct key *public_key);
/* By interface name. NULL when there is none. */
struct config_peer *config_find_link(const struct config *config, const char *name);
/* Wipes and removes it; `peer` must be one of config->peers. Keeps the others' order. */
void config_remove_peer(struct config *config, struct config_peer *peer);

/* A portspace's name: [a-z0-9][a-z0-9._-]{0,62}. */
bool config_name_valid(const char *name);
/* An interface's name: 1 to 15 printable bytes without '/', ':', '#', ',' or space, not "." or
 * "..", and not "lo", which every portspace has. */
bool config_link_name_valid(const char *name);
/* "HOST:PORT" or "[V6]:PORT", HOST an IPv4 address or a valid name, port 1..65535, and short enough
 * for CONFIG_ENDPOINT_MAX. Splits: host (size HOSTS_NAME_MAX) without brackets. Either output may
 * be NULL. 0 or -EINVAL. */
int config_endpoint_split(const char *text, char *hostp, uint16_t *portp);

#endif

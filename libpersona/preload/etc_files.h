/* SPDX-License-Identifier: MIT */
/* Files below /etc that are the portspace's own, for programs that look names up by themselves. */
#ifndef PERSONA_PRELOAD_ETC_FILES_H
#define PERSONA_PRELOAD_ETC_FILES_H

#include "preload.h"

/* What to open in place of `path` for reading: a path in buf, or `path` itself when it is no such
 * file or there is no portspace. */
const char *etc_path(const char *path, char buf[ASK_PATH_MAX]);

/* Is this the socket of a resolver of the host (nscd, systemd-resolved, avahi)? */
bool etc_is_resolver(const struct sockaddr *addr, socklen_t len);

/* The portspace's resolv.conf, as libc keeps it in a res_state. */
enum { ETC_SERVERS_MAX = 3, ETC_DOMAINS_MAX = 6, ETC_DOMAINS_LEN = 256 };

struct etc_resolv {
	int nserver;
	struct addr server[ETC_SERVERS_MAX];
	int ndomain;
	uint16_t domain[ETC_DOMAINS_MAX]; /* offsets into text, each terminated */
	char text[ETC_DOMAINS_LEN];
};

/* 0 or a negative errno; *out is empty then. */
int etc_resolv_read(struct etc_resolv *out);

#endif

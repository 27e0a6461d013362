/* SPDX-License-Identifier: MIT */
/* libpersona: for programs that want to know which portspace they run in.
 *
 * No program needs it: a portspace is transparent. It serves tools that show where they are, write
 * it into a log, or refuse to run outside.
 *
 * Errors: functions returning int give 0 or a negative errno and leave errno alone.
 * Threads: all functions may be called from any thread. An object may be used by several threads
 * at once, but freed only when no other uses it. After fork(2) a child may use what its parent
 * made. None of them is async-signal-safe. */
#ifndef PERSONA_H
#define PERSONA_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What this process was told about its portspace when it started. It never changes: the
 * portspace's addresses are fixed while processes are inside. */
struct persona_self;

enum persona_seal {
	PERSONA_SEAL_NONE = 0,	/* nothing keeps the process from the host's network: the process is
				   outside, or inside with the preload library alone (`shim`) */
	PERSONA_SEAL_SEALED = 1 /* the kernel refuses this thread internet sockets, for good */
};

/* Which portspace does this process run in?
 * On success *selfp is the caller's; free it with persona_self_free().
 * -ENOENT: in none. -EPROTO: what the environment points to is not a portspace's information.
 * -ENOMEM, or what open(2) and read(2) say. *selfp is untouched then.
 * The answer is what persona-run put into the environment, so a process can lie to itself. */
int persona_self(struct persona_self **selfp);
void persona_self_free(struct persona_self *self); /* NULL is allowed */

/* The strings belong to the object: valid until it is freed. */
const char *persona_self_name(const struct persona_self *self);	    /* as `persona list` shows it */
const char *persona_self_hostname(const struct persona_self *self); /* as gethostname(2) says */
const char *persona_self_dir(const struct persona_self *self); /* runtime directory, absolute */
/* The portspace's number on this host, from 1; another one may have it later. */
uint32_t persona_self_id(const struct persona_self *self);
unsigned persona_self_mtu(const struct persona_self *self); /* bytes */

/* The portspace's addresses, numbered from 0 to the count - 1. */
size_t persona_self_address_count(const struct persona_self *self);
/* Writes number `index` as a struct sockaddr_in or sockaddr_in6 with port 0; *lenp is its size and
 * *prefixp the length of its network's prefix in bits (0 to 32, or 0 to 128). Each pointer may be
 * NULL. -ERANGE when there is no such address; nothing is written then. */
int persona_self_address(const struct persona_self *self, size_t index,
	struct sockaddr_storage *addrp, socklen_t *lenp, unsigned *prefixp);

/* Asks the kernel, by trying: is the calling thread sealed? A sandbox of another make that refuses
 * internet sockets in the same way counts as well. */
enum persona_seal persona_seal(void);

/* The library's version, such as "0.1.0"; static. */
const char *persona_version(void);

#ifdef __cplusplus
}
#endif

#endif

/* SPDX-License-Identifier: MIT */
/* Socket options of emulated sockets: the table (opt_table.c) and the values that are computed
 * (opt_special.c).
 *
 * An option is looked up by (level, name). SOL_SOCKET options that are not in the table are the
 * kernel's: AF_UNIX sockets know them. On the other levels the table is complete: what is not in
 * it fails as an unknown option does. */
#ifndef PERSONA_PRELOAD_OPT_H
#define PERSONA_PRELOAD_OPT_H

#include <stdbool.h>
#include <sys/socket.h>

#include "side.h"
#include "tag.h"

enum opt_kind {
	OPT_VALUE,   /* an int from min to max, remembered */
	OPT_BOOL,    /* zero or not zero, remembered */
	OPT_CONST,   /* reads as `def`; setting fails with `err` */
	OPT_ERROR,   /* both ways fail with `err` */
	OPT_IGNORE,  /* an int from min to max, without effect; reads as `def` */
	OPT_SPECIAL, /* opt_special.c */
	OPT_FLAG,    /* datagram sockets: zero or not zero; `def` is the bit of enum udp_value */
	OPT_NATIVE   /* the kernel's, and inherited by accepted sockets */
};

struct opt {
	int level;
	int name;
	enum opt_kind kind;
	enum side_key key;
	int min, max;	/* OPT_VALUE */
	int def;	/* what a new socket reports */
	int err;	/* positive errno of a refused set; for OPT_VALUE of a value out of range */
	unsigned kinds; /* KIND_* this option exists for */
};

enum {
	KIND_TCP4 = 1,
	KIND_TCP6 = 2,
	KIND_UDP4 = 4,
	KIND_UDP6 = 8,
	KIND_TCP = KIND_TCP4 | KIND_TCP6,
	KIND_UDP = KIND_UDP4 | KIND_UDP6,
	KIND_V6 = KIND_TCP6 | KIND_UDP6,
	KIND_ALL = KIND_TCP | KIND_UDP
};

unsigned opt_kind_of(const struct tag *tag);
/* NULL when the table does not have it for this kind of socket. */
const struct opt *opt_find(const struct tag *tag, int level, int name);

/* A value to give to the program. */
struct opt_value {
	size_t len; /* bytes of data */
	union {
		int i;
		struct ucred cred;
		char bytes[256];
	};
};

/* Options that are computed. 0 or a negative errno. */
int opt_special_get(
	int fd, struct tag *tag, int level, int name, size_t cap, struct opt_value *valuep);
int opt_special_set(int fd, struct tag *tag, int level, int name, const void *value, size_t len);

#endif

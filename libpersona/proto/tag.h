/* SPDX-License-Identifier: MIT */
/* The socket tag: what makes an AF_UNIX socket an internet socket of a portspace.
 *
 * Model: the kernel keeps 64 bits for any socket that AF_UNIX itself never reads, the value of
 * SO_MAX_PACING_RATE (socket(7)). The shim stores the state of its emulation there. So the state
 * belongs to the open file, not to a descriptor number or a process: dup, fork, vfork, exec,
 * posix_spawn, SCM_RIGHTS and close need no hook and cannot go wrong, and the shim holds no table.
 * The broker, which gets the client's socket with each connect request, reports the outcome of a
 * connect in the same place. tests/assume proves what is assumed of the kernel.
 *
 * Layout, from the highest bit: magic 8, kind 3, flags 5 (v6, v6only, reuseport, nodelay, spare),
 * phase 4, spare 2, address class 2, address or errno 24, port 16. The kernel's default, all ones,
 * has another magic. */
#ifndef PERSONA_PROTO_TAG_H
#define PERSONA_PROTO_TAG_H

#include <stdbool.h>
#include <stdint.h>

enum tag_kind { TAG_TCP = 1, TAG_UDP, TAG_ICMP, TAG_ICMP6, TAG_NETLINK };

enum tag_phase {
	TAG_FRESH,	/* no address */
	TAG_BOUND,	/* the port table has it; the AF_UNIX socket itself is still unbound */
	TAG_LISTENING,	/* AF_UNIX socket bound to a path and listening */
	TAG_CONNECTING, /* connect request sent, the broker has not answered */
	TAG_CONNECTED,
	TAG_FAILED /* connect failed; `value` is the errno, 0 once it was reported */
};

enum tag_class {
	TAG_ADDR_ANY,  /* the wildcard of the socket's family */
	TAG_ADDR_LOOP, /* 127.x.y.z with x.y.z in value, or ::1 when v6 and value is 0 */
	TAG_ADDR_OWN   /* value is an index into the portspace's addresses (struct info) */
};

struct tag {
	enum tag_kind kind;
	enum tag_phase phase;
	enum tag_class class; /* meaningful in TAG_BOUND */
	bool v6;	      /* socket(AF_INET6, ...) */
	bool v6only;
	bool reuseport;
	bool nodelay;
	uint32_t value; /* 24 bits: see enum tag_class and TAG_FAILED */
	uint16_t port;	/* host order; meaningful in TAG_BOUND */
};

uint64_t tag_encode(const struct tag *tag);
/* False when `v` is not a tag, or one with values out of range; *tagp is untouched then. */
bool tag_decode(uint64_t v, struct tag *tagp);

/* Reads the tag of a descriptor. 0; -ENOTSOCK or -EBADF as getsockopt(2) says; -ENOENT when the
 * socket has no tag (an ordinary socket of the application). Leaves errno alone. */
int tag_get(int fd, struct tag *tagp);
/* Stores it. 0 or negative errno. Leaves errno alone. */
int tag_set(int fd, const struct tag *tag);

#endif

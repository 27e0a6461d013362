/* SPDX-License-Identifier: MIT */
/* The local protocol between the shim and the broker: codec only, no I/O.
 *
 * Two sockets in the runtime directory:
 * - `ask` (AF_UNIX SOCK_SEQPACKET): one request, one reply, then the shim closes. The shim keeps no
 *   descriptor open. Requests have at most ASK_MAX bytes.
 * - `stream.N` (AF_UNIX SOCK_STREAM), one for each worker thread of the broker: the application's
 *   own socket is connected here and a connect request sent on it (see connreq below).
 * Who asks is decided by SO_PEERCRED and the process's ancestry, never by what a message says.
 * docs/PROTOCOL.md has the same in prose. */
#ifndef PERSONA_PROTO_ASK_H
#define PERSONA_PROTO_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"

enum {
	ASK_VERSION = 1,
	ASK_MAX = 1024,	       /* largest request in bytes */
	ASK_REPLY_MAX = 16384, /* largest reply in bytes, but of ASK_DNS */
	ASK_DNS_HEAD = 8,      /* what a reply of ASK_DNS has before the message */
	ASK_DNS_MAX = 65535,   /* largest message in it */
	ASK_QUERY_MAX = 768,   /* largest message in a request */
	ASK_NAME_MAX = 256,    /* host name with its terminator */
	ASK_PATH_MAX = 108,    /* sun_path */
	ASK_ADDRS_MAX = 64,    /* addresses in one answer */
	ASK_IFS_MAX = 128,     /* interfaces in one answer; more come with a later `first` */
	INFO_ADDRS_MAX = 16,   /* addresses of a portspace */
	INFO_MAX = 2048	       /* largest info file */
};

enum ask_op {
	ASK_BIND = 1, /* reserve an address in the port table */
	ASK_LISTEN,   /* the socket is about to listen: get the path to bind it to */
	ASK_LEASE,    /* a block of ephemeral ports for connects of this process */
	ASK_LOCAL,    /* which path serves this address of the own portspace? */
	ASK_NAME,     /* host name to addresses; may take as long as DNS takes */
	ASK_ADDR,     /* address to host name */
	ASK_IFS,      /* the portspace's interfaces */
	/* On RUNTIME/dgram (dgram.h), about the datagram socket with this inode: */
	ASK_DGRAM_BIND,	   /* reserve an address */
	ASK_DGRAM_CONNECT, /* set or (wildcard) clear the peer; binds first where necessary */
	ASK_DGRAM_NAME,	   /* its own address and its peer's */
	ASK_DGRAM_OPTION,  /* an option that the broker acts on */
	/* On RUNTIME/ask again: */
	ASK_DNS /* a DNS message (RFC 1035) to the portspace's servers, and the answer */
};

enum ask_name_flags { ASK_NAME_V4 = 1, ASK_NAME_V6 = 2 }; /* the families that are wanted */

enum ask_dgram_option {
	ASK_OPT_RCVBUF = 1, /* value: bytes */
	ASK_OPT_RECVERR,    /* value: 0 or 1; errors also for sockets without a peer */
	ASK_OPT_V6ONLY,	    /* value: 0 or 1 */
	ASK_OPT_JOIN,	    /* local.addr: a multicast group; value: ifindex or 0 */
	ASK_OPT_LEAVE,
	ASK_OPT_SHUTDOWN /* value: SHUT_RD, SHUT_WR, SHUT_RDWR */
};

enum ask_bind_flags {
	ASK_REUSEADDR = 1, /* SO_REUSEADDR */
	ASK_REUSEPORT = 2, /* SO_REUSEPORT */
	ASK_V6ONLY = 4,	   /* IPV6_V6ONLY on an IPv6 socket */
	ASK_V6 = 8	   /* the socket's family is AF_INET6 */
};

struct ask_request {
	enum ask_op op;
	uint8_t proto;		 /* IPPROTO_TCP or IPPROTO_UDP: BIND LISTEN LEASE LOCAL;
				    IPPROTO_UDP, IPPROTO_ICMP or IPPROTO_ICMPV6: DGRAM_* */
	uint8_t flags;		 /* enum ask_bind_flags: BIND LISTEN DGRAM_BIND DGRAM_CONNECT;
				    enum ask_name_flags: NAME */
	struct endpoint local;	 /* BIND LISTEN DGRAM_BIND (port 0: choose), LOCAL (the
				    destination), ADDR, DGRAM_CONNECT (the peer) */
	uint64_t inode;		 /* BIND LISTEN DGRAM_*: st_ino of the application's socket */
	uint8_t option;		 /* DGRAM_OPTION: enum ask_dgram_option */
	uint32_t value;		 /* DGRAM_OPTION */
	uint16_t first;		 /* IFS: index of the first wanted, from 0 */
	char name[ASK_NAME_MAX]; /* NAME: a final dot means that no search domain is tried */
	uint16_t nquery;	 /* DNS: bytes in query */
	uint8_t query[ASK_QUERY_MAX];
};

struct ask_if {
	char name[16];	/* IFNAMSIZ */
	uint32_t index; /* from 1; lo is 1 */
	uint32_t flags; /* IFF_* */
	uint32_t mtu;	/* bytes */
};

struct ask_reply {
	enum ask_op op;		 /* the request's */
	int err;		 /* 0, or a positive errno; nothing else is valid then */
	uint16_t port;		 /* BIND LISTEN: the port; LEASE: the first port */
	uint16_t count;		 /* LEASE: number of ports; IFS: how many there are in all */
	struct endpoint local;	 /* DGRAM_BIND DGRAM_CONNECT DGRAM_NAME: the socket's address */
	struct endpoint peer;	 /* DGRAM_NAME: port 0 when it has none */
	char path[ASK_PATH_MAX]; /* LISTEN LOCAL: absolute path of the server's socket */
	char name[ASK_NAME_MAX]; /* NAME: canonical name; ADDR: the name */
	uint16_t naddr;		 /* NAME: entries in addr */
	struct addr addr[ASK_ADDRS_MAX];
	const uint8_t *answer; /* DNS: borrowed; after decoding it points into the message */
	uint16_t nanswer;      /* DNS: its bytes */
	uint16_t nif;	       /* IFS: entries in ifs */
	struct ask_if ifs[ASK_IFS_MAX];
};

/* Both return the number of bytes written, or -EMSGSIZE. */
int ask_encode_request(const struct ask_request *req, void *buf, size_t cap);
int ask_encode_reply(const struct ask_reply *rep, void *buf, size_t cap);
/* Both return 0, or -EPROTO for anything but exactly one well-formed message. */
int ask_decode_request(const void *buf, size_t len, struct ask_request *reqp);
int ask_decode_reply(const void *buf, size_t len, struct ask_reply *repp);

/* The connect request, sent on the application's own socket after it was connected to `stream.N`.
 * CONNREQ_LEN bytes and CONNREQ_PAD bytes of zero go in one sendmsg(2), together with a descriptor
 * of the very socket (SCM_RIGHTS). The broker reads the first CONNREQ_LEN bytes and leaves the pad
 * unread: with SO_SNDBUF at its minimum that keeps the socket unwritable (the gate). To accept, it
 * sets the tag to TAG_CONNECTED, restores SO_SNDBUF and reads the pad; to refuse, it sets the tag
 * to TAG_FAILED with the errno and closes with the pad unread, which the kernel turns into
 * EPOLLERR and EPOLLHUP at the client. Both together stay under half of the minimal send buffer, so
 * that the kernel queues them as one piece: never a part of the pad is missing. */
enum {
	CONNREQ_LEN = 64,
	CONNREQ_PAD = 1024,
	/* Largest SO_SNDBUF of a carried stream: raised to the kernel's own limit (212992) it must
	 * have room for an aside behind a write that overran it (by less than 40 KiB). */
	CONNREQ_SNDBUF = 180224
};

struct connreq {
	uint8_t proto;	 /* IPPROTO_TCP */
	bool abort;	 /* as after ASIDE_ABORT */
	uint32_t sndbuf; /* SO_SNDBUF the application asked for, 0 for the default */
	struct endpoint src;
	struct endpoint dst;
};

void connreq_encode(const struct connreq *req, uint8_t buf[CONNREQ_LEN + CONNREQ_PAD]);
int connreq_decode(const uint8_t buf[CONNREQ_LEN], struct connreq *reqp); /* 0 or -EPROTO */

/* What a shim tells the broker of a connected stream beside its data: a message of one byte, one of
 * these, with a descriptor of the very socket (SCM_RIGHTS). It takes effect at its place in the
 * stream and is no data. */
enum aside {
	/* One more byte and shutdown(SHUT_WR) follow; the byte stays unread until the stream has
	 * ended well, so that any other end is ECONNRESET. */
	ASIDE_FIN = 1,
	ASIDE_ABORT,   /* SO_LINGER with time 0 was set: an end without ASIDE_FIN is a reset */
	ASIDE_NO_ABORT /* it was taken back */
};

/* The info file (`info` in the portspace's directory): what a shim needs to know once, when its
 * process starts. It does not change while the portspace lives. */
struct info {
	uint32_t portspace;		    /* id, also the name of the directory */
	uint8_t nworkers;		    /* how many stream.N there are */
	uint8_t secret[16];		    /* for sockname */
	uint16_t mtu;			    /* bytes */
	char name[64];			    /* the portspace's name */
	char hostname[65];		    /* what gethostname(2) answers inside */
	uint8_t naddr;			    /* entries in addr */
	struct prefix addr[INFO_ADDRS_MAX]; /* host part kept: 10.77.0.1/24 */
};

int info_encode(const struct info *info, void *buf, size_t cap);  /* bytes or -EMSGSIZE */
int info_decode(const void *buf, size_t len, struct info *infop); /* 0 or -EPROTO */

#endif

/* SPDX-License-Identifier: MIT */
/* Datagram sockets: UDP and ICMP echo.
 *
 * Model: the socket is AF_UNIX SOCK_SEQPACKET, connected to RUNTIME/dgram when it is made. Each
 * datagram is one message with a head (dgram.h); the hooks put the head on and take it off, so
 * poll, epoll, select, timeouts, non-blocking mode and buffers are the kernel's own. Questions that
 * need an answer go to the broker with ask_broker(). The tag has the phase (FRESH, BOUND or
 * CONNECTED), the local port, in `class` whether the local address is the wildcard (ANY) or the
 * peer is inside the portspace (LOOP), and in `value` what the read and send families must know.
 *
 * Only a process that has seen such a socket pays for it: until udp_seen is set, read(2) and
 * write(2) do nothing more than before. The flag is set by socket(2), by a look at the descriptors
 * that the process was started with, and by the arrival of such a socket on an AF_UNIX socket.
 *
 * Errors (DGRAM_ERROR) lie in the queue between the datagrams. A socket without IP_RECVERR hands
 * the next one out as the result of a call, once. With IP_RECVERR it stays at the head for
 * MSG_ERRQUEUE; an error that was told and not fetched is dropped by the next receive. */
#ifndef PERSONA_PRELOAD_UDP_H
#define PERSONA_PRELOAD_UDP_H

#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "dgram.h"
#include "preload.h"

enum udp_value {
	UDP_PKTINFO = 1 << 0, /* IP_PKTINFO */
	UDP_RECVTTL = 1 << 1,
	UDP_RECVTOS = 1 << 2,
	UDP_ORIGDST = 1 << 3,
	UDP_PKTINFO6 = 1 << 4, /* IPV6_RECVPKTINFO */
	UDP_HOPLIMIT6 = 1 << 5,
	UDP_TCLASS6 = 1 << 6,
	UDP_ORIGDST6 = 1 << 7,
	UDP_RECVERR = 1 << 8,
	UDP_RECVERR6 = 1 << 9,
	UDP_TOLD = 1 << 10, /* the error at the head of the queue was told */
	UDP_RDSHUT = 1 << 11,
	UDP_WRSHUT = 1 << 12,
	UDP_DONTFRAG4 = 1 << 13,
	UDP_DONTFRAG6 = 1 << 14,
	UDP_SENDOPTS = 1 << 15,	     /* side.h has values that go into heads */
	UDP_HOPLIMIT6_OLD = 1 << 16, /* IPV6_2292HOPLIMIT */
	UDP_PENDING_SHIFT = 17,	     /* an errno that the next call tells; 7 bits */
	UDP_PENDING_MAX = 127,

	UDP_CMSG4 = UDP_PKTINFO | UDP_RECVTTL | UDP_RECVTOS | UDP_ORIGDST,
	UDP_CMSG6 = UDP_PKTINFO6 | UDP_HOPLIMIT6 | UDP_TCLASS6 | UDP_ORIGDST6 | UDP_HOPLIMIT6_OLD,
	UDP_ANY_RECVERR = UDP_RECVERR | UDP_RECVERR6
};

enum {
	UDP_HEADS = 16,	    /* messages in one system call */
	UDP_IOVS = 4,	    /* parts of a message in that case, its head included */
	UDP_IOV_MAX = 1024, /* parts of a message (UIO_MAXIOV) */
	UDP_FEW_IOVS = 8,   /* so many are copied to the stack at once */
	UDP_CONTROL = 128,  /* the kernel's own control data (time stamps) */
	UDP_V4_MAX = 65507,
	ICMP_V4_MAX = 65515,
	/* What the kernel must be able to queue: SO_SNDBUF never goes below (it doubles it). */
	UDP_SNDBUF_MIN = 49152
};

extern atomic_bool udp_seen;	/* this process has seen a datagram socket */
extern atomic_bool udp_recverr; /* and one with IP_RECVERR */

static inline bool udp_kind(const struct tag *tag)
{
	return tag->kind == TAG_UDP || tag->kind == TAG_ICMP || tag->kind == TAG_ICMP6;
}

/* Is fd a datagram socket of the portspace? Costs nothing while none was seen. */
static inline bool udp_is(int fd, struct tag *tagp)
{
	return __builtin_expect(atomic_load_explicit(&udp_seen, memory_order_relaxed), 0) &&
	       tag_get(fd, tagp) == 0 && udp_kind(tagp);
}

/* The same for a call that is used with datagrams mostly: also learns of sockets that came by
 * exec. */
bool udp_is_likely(int fd, struct tag *tagp, const void *addr);

/* --- udp.c: life of a socket. 0 or a negative errno. --- */

/* The descriptor of a new socket. Without a broker it is made all the same. */
int udp_fresh(const struct tag *tag, int flags);
int udp_bind(int fd, struct tag *tag, const struct endpoint *local);
/* Gives a socket that has none a port, before its first datagram. */
int udp_autobind(int fd, struct tag *tag);
int udp_connect(int fd, struct tag *tag, const struct sockaddr_storage *ss, socklen_t len);
int udp_shutdown(int fd, struct tag *tag, int how);
/* Is this an address inside the portspace, where every size passes? */
bool udp_is_inside(const struct addr *a);
/* Its own address and its peer's (port 0 and the wildcard: it has none). */
int udp_names(int fd, const struct tag *tag, struct endpoint *localp, struct endpoint *peerp);
/* Tells the broker of an option; `group` is for ASK_OPT_JOIN and ASK_OPT_LEAVE, else NULL. */
int udp_option(int fd, const struct tag *tag, enum ask_dgram_option option, uint32_t value,
	const struct addr *group);
/* Sets and clears bits of the tag's value. */
int udp_flags(int fd, struct tag *tag, uint32_t set, uint32_t clear);
/* Looks at the descriptors that the process was started with, or at one that came to it. */
void udp_look_all(void);
void udp_look(int fd);
/* What a failed call on the AF_UNIX socket means. */
int udp_broker_error(int err);

/* --- udp_dest.c: destinations --- */

struct udp_dest {
	bool have; /* false: the connected peer's */
	struct endpoint ep;
	uint32_t ifindex; /* sin6_scope_id of a link-local address */
};

/* Reads a destination as connect(2) or a send call takes it, including the right to broadcast. 0
 * or a negative errno. */
int udp_dest_connect(int fd, const struct tag *tag, const struct sockaddr_storage *ss,
	socklen_t len, struct udp_dest *destp);
int udp_dest_send(int fd, const struct tag *tag, const struct sockaddr *addr, socklen_t len,
	struct udp_dest *destp);
bool udp_is_link_local(const struct addr *a);

/* --- udp_cmsg.c: control data --- */

/* Takes what a message's control data say into the head and, UDP_SEGMENT, into *segment. 0 or a
 * negative errno. */
int udp_cmsg_send(const struct tag *tag, const struct msghdr *msg, struct dgram_head *head,
	uint16_t *segment);

/* A place for control data in the program's memory. */
struct udp_control {
	uint8_t *p;
	size_t left;
	size_t used;
	bool cut; /* MSG_CTRUNC */
};

int udp_control_init(int fd, void *p, size_t cap, struct udp_control *controlp);
void udp_control_put(struct udp_control *c, int level, int type, const void *data, size_t len);
/* The control data the socket has asked for: of a datagram, and of an error. */
void udp_control_data(struct udp_control *c, const struct tag *tag, const struct dgram_head *head);
void udp_control_error(struct udp_control *c, const struct tag *tag, const struct dgram_head *head);

/* --- udp_send.c, udp_recv.c, udp_mmsg.c: bytes moved or a negative errno --- */

/* `msg` is the shim's copy, its iov is parts + 1; name, control and payload may point anywhere.
 * parts[0] is for the head. */
ssize_t udp_send(int fd, struct tag *tag, struct iovec *parts, const struct msghdr *msg, int flags);
/* Everything the program gives may point anywhere. */
ssize_t udp_sendmsg(int fd, struct tag *tag, const struct msghdr *msg, int flags);
ssize_t udp_sendto(int fd, struct tag *tag, const void *buf, size_t n, int flags,
	const struct sockaddr *addr, socklen_t len);
/* Copies the program's parts behind parts[0], which is the head's, and makes `msg` (a copy) point
 * there; parts has room for msg_iovlen + 1. 0, -EFAULT, or -EMSGSIZE: with the head there would be
 * more parts than the kernel takes. */
int udp_take_parts(struct iovec *parts, struct msghdr *msg);
/* The arguments of readv(2) and writev(2) as a message. 1; 0 when all parts are empty: the call
 * does nothing then, it is no empty datagram; -EINVAL, -EFAULT. */
int udp_message_of(const struct iovec *iov, int count, struct msghdr *msgp);
ssize_t udp_writev(int fd, struct tag *tag, const struct iovec *iov, int count);
int udp_sendmmsg(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags);
/* Makes the head for one message; binds the socket first where necessary. *segmentp is the size of
 * the datagrams that it is cut into (UDP_SEGMENT), or 0: it is one. */
int udp_head(int fd, struct tag *tag, const struct msghdr *msg, int flags, size_t len,
	struct dgram_head *headp, uint16_t *segmentp);
/* Must it not be fragmented, and is too big for the portspace's MTU? Then the call's result is
 * EMSGSIZE; it is sent all the same when there is an error queue, which gets the MTU. */
bool udp_must_split(const struct tag *tag, const struct dgram_head *head, size_t len);
/* udp_segment.c: sends a message of `len` bytes as datagrams of `segment` bytes each, the last one
 * of what is left, all with this head. `iov` is the shim's copy. */
ssize_t udp_send_segments(int fd, const uint8_t head[DGRAM_HEAD], const struct iovec *iov, size_t n,
	size_t len, uint16_t segment, int flags);
/* Is an error that waits the result of a send call? With IP_RECVERR it waits in its queue. (Linux
 * tells it there too, and the datagram is not sent; but there a program has sent all its probes
 * before the first answer comes.) */
bool udp_tells_on_send(const struct tag *tag);

/* parts and msg as above; fills in msg's name length, control data and flags as recvmsg(2) does. */
ssize_t udp_receive(int fd, struct tag *tag, struct iovec *parts, struct msghdr *msg, int flags);
ssize_t udp_recvmsg(int fd, struct tag *tag, struct msghdr *msg, int flags);
ssize_t udp_recvfrom(int fd, struct tag *tag, void *buf, size_t n, int flags, struct sockaddr *addr,
	socklen_t *lenp);
ssize_t udp_readv(int fd, struct tag *tag, const struct iovec *iov, int count);
int udp_recvmmsg(int fd, struct tag *tag, struct mmsghdr *msgs, unsigned n, int flags,
	struct timespec *timeout);
/* Puts sender and control data of a received head into msg. */
int udp_deliver(int fd, const struct tag *tag, const struct dgram_head *head, struct msghdr *msg,
	const struct msghdr *native);
/* Lets the kernel write the broker's name where the sender's address will be: that checks the
 * program's pointer in passing. */
void udp_native_name(const struct tag *tag, const struct msghdr *msg, struct msghdr *native);
/* The end of the queue was read: 0 when the program shut it, or -ENETDOWN. */
int udp_end(int fd);
/* Notes an errno for the next call. */
void udp_put_pending(int fd, struct tag *tag, int err);
/* Takes it: positive errno or 0. */
int udp_take_pending(int fd, struct tag *tag);
/* The error that is due, once: positive errno or 0. */
int udp_take_error(int fd, struct tag *tag);
/* Is an error at the head of the queue? */
bool udp_error_ahead(int fd);
/* Bytes of the next datagram (FIONREAD). */
int udp_next_size(int fd);

/* --- udp_opt.c: options that only datagram sockets have or that are different there --- */

struct opt_value;
/* 0, a negative errno, or 1: as for a stream. */
int udp_opt_get(int fd, struct tag *tag, int level, int name, size_t cap, struct opt_value *valuep);
int udp_opt_set(int fd, struct tag *tag, int level, int name, const void *value, size_t len);
/* Switches an option that is a bit of enum udp_value. */
int udp_opt_flag(int fd, struct tag *tag, uint32_t bit, bool on);
/* A remembered option was set: does it concern heads? */
void udp_opt_changed(int fd, int level, int name);

#endif

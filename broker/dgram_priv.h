/* SPDX-License-Identifier: MIT */
/* Inside of the datagram sockets: what dgrams.c (tables, demultiplexing), dgram_server.c
 * (connections), dgram_send.c, dgram_queue.c (deliveries) and dgram_ask.c share. */
#ifndef PERSONA_BROKER_DGRAM_PRIV_H
#define PERSONA_BROKER_DGRAM_PRIV_H

#include <sys/socket.h>

#include "ask.h"
#include "dgram.h"
#include "dgram_server.h"
#include "dgrams.h"

enum {
	/* A slot of the input: room, payload, room. Not a multiple of the page, so that slots do
	 * not fall on the same cache sets. */
	DGRAM_SLOT = 65728,
	DGRAM_QUEUE_MAX = 64, /* deliveries collected */
	DGRAM_QUEUE_BYTES = 1 << 18,
	/* Bytes of a socket's receive buffer, as setsockopt takes them (the kernel doubles). The
	 * least has room for one datagram of any size. */
	DGRAM_BUFFER = 212992,
	DGRAM_BUFFER_MIN = 66560,
	/* Messages sent on before a question is answered; and what they may become when they go to
	 * groups: who floods groups cannot have it all kept in order. */
	DGRAM_DRAIN_MAX = 4096,
	DGRAM_LOOKS = 64, /* sockets that the kernel is asked about for one question */
	/* Copies of what one socket sent in a turn; who makes more sends one datagram a turn. */
	DGRAM_FANOUT = 128
};

_Static_assert(DGRAM_SLOT >= PLANE_HEADROOM + DGRAM_PAYLOAD_MAX + 1 + PLANE_TAILROOM,
	"the largest payload fits, and one byte more is seen");

struct dgram_group {
	struct addr addr;
	uint32_t ifindex; /* 0: any */
	struct dgram_group *next;
};

struct dgram {
	struct watch watch; /* first: the struct is found by it */
	struct dgram_server *server;
	struct plane_dgrams *owner;
	pid_t pid;	/* who connected; the quota's */
	uint64_t inode; /* of the application's end; 0: not asked yet */
	uint64_t end;	/* inode of ours */
	bool data;	/* its first message was a datagram, or somebody asked about it */
	bool asking;	/* its first message was a question */
	uint8_t proto;	/* IPPROTO_UDP, IPPROTO_ICMP or IPPROTO_ICMPV6 */
	uint8_t flags;	/* enum ask_bind_flags */
	bool bound;	/* local.port is taken */
	bool addr_chosen, port_chosen; /* by bind(2) */
	bool connected;
	bool recverr;
	bool shut_rd, shut_wr;
	bool fans_out; /* its last datagrams became more than DGRAM_FANOUT */
	struct endpoint local, peer;
	struct dgram_group *groups;
	unsigned ngroups;
	/* deliveries of this turn: indices of the server's queue, -1 none */
	int first, last;
	struct dgram *next_queued;
	struct dgram *prev, *next;   /* of the portspace; those without inode first */
	struct dgram *bprev, *bnext; /* at the same port, newest first */
	UT_hash_handle hh;	     /* by inode */
	UT_hash_handle hh_end;	     /* by end */
};

/* The sockets at one port. ICMP identifiers are ports of their own. */
struct dgram_port {
	uint32_t key;
	struct dgram *sockets; /* at least one */
	UT_hash_handle hh;
};

struct plane_dgrams {
	struct plane_ps *pps;
	struct dgram *all;
	struct dgram *by_inode;
	struct dgram *by_end;
	struct dgram_port *ports;
	unsigned count;
};

/* Sockets of a process. */
struct dgram_pid {
	pid_t pid;
	unsigned count;
	UT_hash_handle hh;
};

struct dgram_delivery {
	uint8_t head[DGRAM_HEAD];
	uint32_t offset, len; /* of the payload in queue_data */
	int next;	      /* of the same socket */
};

struct dgram_server {
	struct watch watch; /* first; the listener */
	struct plane *plane;
	char *path;
	struct plane_timer resting; /* the listener waits for descriptors */
	unsigned count;
	uint64_t fanout; /* copies made for groups */
	uint64_t ngone;	 /* sockets whose application's end was gone before it was known */
	struct dgram_pid *pids;
	uint8_t hash_key[16];
	/* input of one socket at a time */
	uint8_t *slots; /* PLANE_BATCH of DGRAM_SLOT */
	uint8_t (*heads)[DGRAM_HEAD];
	uint8_t *copy;	  /* a slot: datagrams that leave by several links */
	uint8_t *control; /* NULL where the kernel keeps descriptors out */
	struct mmsghdr in[PLANE_BATCH];
	struct iovec in_iov[PLANE_BATCH][2];
	/* deliveries */
	struct dgram *queued;
	struct dgram_delivery queue[DGRAM_QUEUE_MAX];
	unsigned nqueue;
	uint8_t *queue_data;
	size_t queue_len;
};

/* ---- dgrams.c ---- */

/* Counts and lists a connection. 0, -ENOBUFS (quota), -ENOMEM. */
int dgram_enlist(struct plane_dgrams *dgrams, struct dgram *d);
void dgram_delist(struct dgram *d); /* and gives up its port and groups */
/* The socket of the portspace whose application's end has this inode, or NULL. */
struct dgram *dgram_find(struct plane_dgrams *dgrams, uint64_t inode);
/* Learns its inode. False when the kernel does not say. */
bool dgram_learn_inode(struct dgram *d);
/* Takes a port (0: any) and makes the socket known for what arrives. 0, -EADDRINUSE, -EINVAL,
 * -ENOBUFS, -ENOMEM. */
int dgram_take_port(struct dgram *d, const struct endpoint *local);
void dgram_leave_port(struct dgram *d);
/* The wildcard that suits the socket's family. */
struct addr dgram_wildcard(const struct dgram *d);
int dgram_join(struct dgram *d, const struct addr *group, uint32_t ifindex);
int dgram_leave(struct dgram *d, const struct addr *group, uint32_t ifindex);

/* ---- dgram_server.c ---- */

/* Sends on what the socket has sent, PLANE_BATCH messages at most. Returns how many; negative when
 * it has ended. */
int dgram_read(struct dgram *d);
void dgram_close(struct dgram *d);
/* A socket of this portspace, made by process `pid`. Takes over fd when it returns 0. -ENOMEM,
 * -ENOBUFS (quota). */
int dgram_adopt(
	struct dgram_server *server, struct portspace *ps, pid_t pid, int fd, struct dgram **dp);

/* ---- dgram_send.c ---- */

void dgram_send(struct dgram *d, const struct dgram_head *head, uint8_t *payload, size_t len);

/* ---- dgram_queue.c ---- */

void dgram_queue(
	struct dgram *d, const struct dgram_head *head, const uint8_t *payload, size_t len);
/* The same for a datagram that goes to many: calls follow each other, with the same payload and
 * *startedp false at first. */
void dgram_queue_many(struct dgram *d, const struct dgram_head *head, const uint8_t *payload,
	size_t len, bool *startedp);
/* Forgets what waits for this socket. */
void dgram_queue_forget(struct dgram *d);

/* ---- dgram_ask.c ---- */

/* Binds and connects a UDP socket of the broker itself. 0 or what connect(2) would say. */
int dgram_connect(struct dgram *d, const struct endpoint *to);
void dgram_answer(
	struct plane_dgrams *dgrams, const struct ask_request *req, struct ask_reply *rep);

#endif

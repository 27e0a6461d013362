/* SPDX-License-Identifier: MIT */
/* A peer that holds a right key and does what the test likes: it speaks handshake and records on a
 * blocking socket, in the place of a host of worker_world.h. Included by one file of a test
 * program. */
#ifndef PERSONA_TEST_CARRIER_PEER_H
#define PERSONA_TEST_CARRIER_PEER_H

#include "worker_world.h"

#include <time.h>

#include "aead.h"
#include "record.h"

struct peer {
	int fd;
	struct aead *aead;
	struct handshake_keys keys;
};

static inline void peer_write(struct peer *p, const uint8_t *buf, size_t len)
{
	assert_int_equal(send(p->fd, buf, len, MSG_NOSIGNAL), len);
}

static inline void peer_read(struct peer *p, uint8_t *buf, size_t len)
{
	for (size_t have = 0; have < len;) {
		ssize_t n;

		wait_for(p->fd, POLLIN);
		n = recv(p->fd, buf + have, len - have, 0);
		assert_true(n > 0);
		have += (size_t)n;
	}
}

/* Appends a sealed record to buf and returns its length. */
static inline size_t peer_seal(
	struct peer *p, uint8_t *buf, enum record_type type, const void *body, size_t len)
{
	int n;

	if (len)
		memcpy(buf + RECORD_HEAD, body, len);
	n = record_seal(p->aead, &p->keys.tx, type, buf, len);
	assert_true(n > 0);
	return (size_t)n;
}

static inline void peer_send(struct peer *p, enum record_type type, const void *body, size_t len)
{
	static uint8_t buf[RECORD_MAX];

	peer_write(p, buf, peer_seal(p, buf, type, body, len));
}

static inline size_t peer_seal_open(struct peer *p, uint8_t *buf, int to, uint16_t port)
{
	static uint16_t next = 20000;
	struct record_open_msg msg = {
		.proto = IPPROTO_TCP, .hops = 16, .src = at(0, next++), .dst = at(to, port)};
	uint8_t body[RECORD_OPEN_LEN];

	record_put_open(body, &msg);
	return peer_seal(p, buf, RECORD_OPEN, body, sizeof(body));
}

static inline void peer_open(struct peer *p, int to, uint16_t port)
{
	uint8_t buf[RECORD_OVERHEAD + RECORD_OPEN_LEN];

	peer_write(p, buf, peer_seal_open(p, buf, to, port));
}

static inline void peer_rst(struct peer *p, uint32_t no)
{
	uint8_t body[RECORD_RST_LEN] = {
		(uint8_t)(no >> 24), (uint8_t)(no >> 16), (uint8_t)(no >> 8), (uint8_t)no};

	peer_send(p, RECORD_RST, body, sizeof(body));
}

/* Receives one record; the body's first byte in *firstp. */
static inline enum record_type peer_recv(struct peer *p, uint8_t *firstp)
{
	static uint8_t buf[RECORD_MAX];
	enum record_type type;
	uint8_t *body;
	size_t len;
	int n;

	peer_read(p, buf, 2);
	n = record_length(buf, 2);
	assert_true(n > 2);
	peer_read(p, buf + 2, (size_t)n - 2);
	assert_int_equal(record_open(p->aead, &p->keys.rx, buf, (size_t)n, &type, &body, &len), 0);
	if (firstp)
		*firstp = len ? *body : 0;
	return type;
}

/* A carrier to host `to` in the name of host `as`; its first record is on its way. */
static inline struct peer peer_dial(int as, int to, enum handshake_role role, int rcvbuf)
{
	struct core *core = &hosts[as].core;
	struct handshake_hello hello = {
		.ciphers = (uint8_t)aead_supported(), .role = (uint8_t)role};
	struct endpoint where = workers_listening(hosts[to].workers)[0];
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&where, AF_INET, &ss);
	static const uint8_t no_want[RECORD_WANT_LEN];
	struct peer p = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
	uint8_t buf[HANDSHAKE_MAX];
	struct handshake hs;
	struct timespec ts;
	struct key psk = {0};
	size_t n;

	if (rcvbuf)
		setsockopt(p.fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	assert_int_equal(connect(p.fd, (struct sockaddr *)&ss, len), 0);
	clock_gettime(CLOCK_REALTIME, &ts);
	handshake_timestamp(
		(uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec, hello.timestamp);
	assert_int_equal(handshake_initiate(&hs, core->ps.private_key, &core->ps.public_key,
				 &hosts[to].core.ps.public_key, &hello, buf, sizeof(buf), &n),
		0);
	peer_write(&p, buf, n);
	peer_read(&p, buf, HANDSHAKE_LENGTH);
	n = HANDSHAKE_LENGTH + (size_t)(buf[0] << 8 | buf[1]);
	peer_read(&p, buf + HANDSHAKE_LENGTH, n - HANDSHAKE_LENGTH);
	assert_int_equal(handshake_finish(&hs, &psk, buf, n, &p.keys), 0);
	assert_int_equal(aead_new(&p.aead), 0);
	peer_send(&p, RECORD_WANT, no_want, sizeof(no_want));
	return p;
}

static inline void peer_close(struct peer *p)
{
	close(p->fd);
	aead_free(p->aead);
}

#endif

/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "carrier"
#include "carrier_hello.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "log.h"
#include "pool.h"
#include "worker_priv.h"

struct carrier_hello {
	struct handshake hs;
	struct endpoint peer;
	struct portspace *via; /* reference, or NULL: the base network */
	enum handshake_role role;
	uint16_t tag;
	bool sent;
	size_t have; /* bytes in buf */
	uint8_t buf[HANDSHAKE_MAX];
};

int carrier_hello_new(
	struct carrier *c, const struct endpoint *peer, enum handshake_role role, uint16_t tag)
{
	struct carrier_hello *hello = calloc(1, sizeof(*hello));

	if (!hello)
		return -ENOMEM;
	hello->peer = *peer;
	hello->role = role;
	hello->tag = tag;
	c->hello = hello;
	return 0;
}

void carrier_hello_via(struct carrier *c, struct portspace *via)
{
	c->hello->via = via ? portspace_ref(via) : NULL;
}

void carrier_hello_free(struct carrier_hello *hello)
{
	if (!hello)
		return;
	portspace_unref(hello->via);
	handshake_wipe(&hello->hs);
	sodium_memzero(hello, sizeof(*hello));
	free(hello);
}

/* Handshake messages are far smaller than any socket buffer, so a fresh socket takes them whole. */
static int send_whole(int fd, const uint8_t *p, size_t len)
{
	ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EIO;
}

static int initiate(struct carrier *c)
{
	struct carrier_hello *hello = c->hello;
	struct handshake_hello ours = {.ciphers = (uint8_t)aead_supported(),
		.role = (uint8_t)hello->role,
		.tag = hello->tag};
	struct timespec ts;
	size_t len;
	int r;

	clock_gettime(CLOCK_REALTIME, &ts);
	handshake_timestamp(
		(uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec, ours.timestamp);
	r = handshake_initiate(&hello->hs, c->link->portspace->private_key,
		&c->link->portspace->public_key, &c->link->peer, &ours, hello->buf,
		sizeof(hello->buf), &len);
	if (r == 0)
		r = send_whole(c->fd, hello->buf, len);
	hello->sent = true;
	return r;
}

/* Reads until the buffer holds one whole message, and not a byte more. 1, 0 or negative errno. */
static int read_message(struct carrier *c)
{
	struct carrier_hello *hello = c->hello;

	for (;;) {
		int whole = handshake_frame(hello->buf, hello->have);
		size_t want = whole > 0 ? (size_t)whole : HANDSHAKE_LENGTH;
		ssize_t n;

		if (whole < 0)
			return whole;
		if (whole > 0 && hello->have >= (size_t)whole)
			return 1;
		n = recv(c->fd, hello->buf + hello->have, want - hello->have, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		hello->have += (size_t)n;
	}
}

static int finish(struct carrier *c)
{
	struct handshake_keys keys;
	int r = handshake_finish(&c->hello->hs, c->link->psk, c->hello->buf, c->hello->have, &keys);

	if (r < 0) {
		log_info("link %s: the answer to our handshake does not verify; is the peer's "
			 "public key and "
			 "pre-shared key the same on both sides?",
			c->link->name);
		return r;
	}
	c->tx = keys.tx;
	c->rx = keys.rx;
	sodium_memzero(&keys, sizeof(keys));
	return 1;
}

static int respond(struct carrier *c, struct portspace *ps)
{
	struct carrier_hello *hello = c->hello;
	struct handshake_keys keys;
	struct key peer;
	struct link *link;
	size_t len;
	int r, cipher;

	r = handshake_consume(
		&hello->hs, ps->private_key, &ps->public_key, hello->buf, hello->have, &peer);
	if (r < 0)
		return r;
	link = core_link_by_key(c->worker->core, ps, &peer);
	if (!link)
		return -EACCES;
	if (!core_link_fresh(c->worker->core, link, hello->hs.hello.timestamp)) {
		link_unref(link);
		return -EALREADY;
	}
	c->link = link; /* the carrier owns the reference */
	if (atomic_load(&link->stats.carriers) >= ps->streams_max ||
		atomic_load(&link->stats.carriers_idle) >= POOL_PASSIVE_MAX)
		return -EUSERS;
	ratelimit_refund(c->worker->ratelimit, &hello->peer.addr);
	cipher = aead_choose(hello->hs.hello.ciphers & aead_supported());
	if (!cipher)
		return -ENOTSUP;
	r = handshake_respond(&hello->hs, link->psk, (enum aead_cipher)cipher, hello->buf,
		sizeof(hello->buf), &len, &keys);
	if (r == 0) {
		c->tx = keys.tx;
		c->rx = keys.rx;
		r = send_whole(c->fd, hello->buf, len);
	}
	sodium_memzero(&keys, sizeof(keys));
	c->opener = hello->hs.hello.role == HANDSHAKE_REVERSE;
	c->reverse_tag = hello->hs.hello.tag;
	return r < 0 ? r : 1;
}

static int answer(struct carrier *c)
{
	struct carrier_hello *hello = c->hello;
	struct portspace *ps = core_by_mac1(c->worker->core, hello->buf, hello->have);
	int r = -EPROTO;

	/* A link is served only in the network of its super-portspace. */
	if (ps && (ps->below != (hello->via != NULL) || atomic_load(&ps->super) != hello->via)) {
		portspace_unref(ps);
		ps = NULL;
	}
	if (ps &&
		!ratelimit_take(c->worker->ratelimit, &hello->peer.addr, worker_now_ms(c->worker)))
		r = -EBUSY;
	else if (ps)
		r = respond(c, ps);
	portspace_unref(ps);
	if (r < 0) {
		char text[ENDPOINT_STRLEN];

		log_debug("handshake from %s refused: %s", endpoint_format(&hello->peer, text),
			strerrorname_np(-r));
	}
	return r;
}

int carrier_hello_step(struct carrier *c)
{
	int r = 0;

	if (c->initiator && !c->hello->sent)
		r = initiate(c);
	if (r == 0)
		r = read_message(c);
	if (r <= 0)
		return r;
	return c->initiator ? finish(c) : answer(c);
}

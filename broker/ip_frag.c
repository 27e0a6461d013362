/* SPDX-License-Identifier: MIT */
/* Reassembly. See ip_frag.h; fragmentation is in ip_cut.c.
 *
 * Model: a datagram has a buffer for its payload, with room for its header in front, and a bit for
 * each 8 bytes that are there. So a fragment costs its own length: its bits must be all clear (new)
 * or all set with the same bytes (repeated); anything else is an overlap. The datagram is whole
 * when as many bytes are there as its last fragment says.
 *
 * Each datagram is in three lists, oldest first: of all, of its link and of its source. Each list
 * has a bound of bytes. Hash tables are uthash with SipHash and a random key, because peers choose
 * what is in the keys.
 *
 * References: RFC 791, section 3.2; RFC 815; RFC 8200, section 4.5; RFC 5722; RFC 3168, section 5.3
 * (congestion marks of fragments). */
#define HASH_NONFATAL_OOM 1
/* Every function that touches a table has `r` in scope. */
#define HASH_FUNCTION(ptr, len, hashv) ((hashv) = reass_hash(r, ptr, len))
#include "ip_frag.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

enum {
	HEAD_MAX = 256, /* the longest header (with IPv6 extensions) of a datagram we reassemble */
	FRONT = IP_FRAG_HEADROOM + HEAD_MAX,
	DATA_MAX = 65536,
	DATA_MIN = 2048, /* of a buffer; grows by doubling */
	WORDS = DATA_MAX / 8 / 64
};

enum level { ALL, LINK, SOURCE, LEVELS };

static const uint64_t timeout4_ns = 30 * UINT64_C(1000000000);
static const uint64_t timeout6_ns = 60 * UINT64_C(1000000000);

struct key {
	void *link;
	struct addr src, dst;
	uint32_t id;
	uint32_t proto; /* IPv4 only: RFC 8200 leaves it out */
};

_Static_assert(sizeof(struct key) == sizeof(void *) + 40, "keys are hashed as bytes: no holes");

struct owner_key {
	void *link;
	uint64_t level;	 /* LINK or SOURCE */
	struct addr src; /* of a SOURCE */
};

_Static_assert(sizeof(struct owner_key) == sizeof(void *) + 24, "likewise");

struct owner {
	struct owner_key key;
	struct datagram *oldest;
	size_t bytes;
	UT_hash_handle hh;
};

struct datagram {
	struct key key;
	struct {
		struct datagram *prev, *next;
	} at[LEVELS];
	struct owner *owner[LEVELS];
	uint64_t expires_ns;
	size_t charged;
	bool dead;	    /* contradicted itself: nothing more of it is taken */
	uint8_t ecn;	    /* bit n: a fragment had congestion mark n */
	uint32_t have;	    /* bytes that are there */
	uint32_t highest;   /* end of the last byte that is there */
	uint32_t end;	    /* length of the payload; 0: not known yet */
	uint32_t first_len; /* the first fragment: payload, header (0: not there yet) */
	uint32_t head_len;
	uint32_t next_at; /* struct ip_header */
	uint32_t cap;	  /* of the payload's buffer */
	uint8_t *buf;	  /* FRONT, cap, IP_FRAG_TAILROOM */
	uint64_t map[WORDS];
	UT_hash_handle hh;
};

struct ip_reass {
	struct ip_reass_limits limits;
	struct datagram *datagrams; /* hash */
	struct owner *owners;	    /* hash: links and sources */
	struct owner all;
	uint64_t lost;
	unsigned char key[crypto_shorthash_KEYBYTES];
};

static unsigned reass_hash(const struct ip_reass *r, const void *p, size_t len)
{
	unsigned char out[crypto_shorthash_BYTES];
	unsigned v;

	crypto_shorthash(out, p, len, r->key);
	memcpy(&v, out, sizeof(v));
	return v;
}

int ip_reass_new(const struct ip_reass_limits *limits, struct ip_reass **rp)
{
	static const struct ip_reass_limits usual = {4 << 20, 2 << 20, 1 << 20};
	struct ip_reass *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->limits = limits ? *limits : usual;
	crypto_shorthash_keygen(r->key);
	*rp = r;
	return 0;
}

static uint8_t *data_of(const struct datagram *d)
{
	return d->buf + FRONT;
}

static void charge(struct datagram *d, size_t bytes)
{
	for (int i = 0; i < LEVELS; i++)
		d->owner[i]->bytes += bytes;
	d->charged += bytes;
}

static void discharge(struct datagram *d, size_t bytes)
{
	for (int i = 0; i < LEVELS; i++)
		d->owner[i]->bytes -= bytes;
	d->charged -= bytes;
}

static void trim_owner(struct ip_reass *r, struct owner *o)
{
	if (o && o != &r->all && !o->oldest) {
		HASH_DEL(r->owners, o);
		free(o);
	}
}

/* Out of the table and all lists; its memory stays. */
static void detach(struct ip_reass *r, struct datagram *d)
{
	discharge(d, d->charged);
	DL_DELETE2(d->owner[ALL]->oldest, d, at[ALL].prev, at[ALL].next);
	DL_DELETE2(d->owner[LINK]->oldest, d, at[LINK].prev, at[LINK].next);
	DL_DELETE2(d->owner[SOURCE]->oldest, d, at[SOURCE].prev, at[SOURCE].next);
	trim_owner(r, d->owner[LINK]);
	trim_owner(r, d->owner[SOURCE]);
	HASH_DEL(r->datagrams, d);
}

static void destroy(struct datagram *d)
{
	free(d->buf);
	free(d);
}

/* A datagram that never became whole. */
static void lose(struct ip_reass *r, struct datagram *d)
{
	r->lost += !d->dead;
	detach(r, d);
	destroy(d);
}

void ip_reass_free(struct ip_reass *r)
{
	while (r && r->all.oldest)
		lose(r, r->all.oldest);
	free(r);
}

/* Makes room for `bytes` more of d: the oldest of whoever is at a bound give way. -ENOBUFS: that
 * was d itself, which is gone. */
static int reserve(struct ip_reass *r, struct datagram *d, size_t bytes)
{
	const size_t limit[LEVELS] = {r->limits.total, r->limits.per_link, r->limits.per_source};
	struct datagram *victim;

	for (int i = LEVELS - 1; i >= 0; i--) {
		while (d->owner[i]->bytes + bytes > limit[i]) {
			victim = d->owner[i]->oldest;
			lose(r, victim);
			if (victim == d)
				return -ENOBUFS;
		}
	}
	charge(d, bytes);
	return 0;
}

/* src NULL: of the whole link. */
static struct owner_key owner_key(void *link, const struct addr *src)
{
	struct owner_key key = {.link = link, .level = src ? SOURCE : LINK};

	if (src)
		memcpy(key.src.b, src->b, ip_is_v4(src) ? 16 : 8);
	return key;
}

/* Made when it is not there. NULL: no memory. */
static struct owner *get_owner(struct ip_reass *r, void *link, const struct addr *src)
{
	const struct owner_key key = owner_key(link, src);
	struct owner *o;

	HASH_FIND(hh, r->owners, &key, sizeof(key), o);
	if (o)
		return o;
	o = calloc(1, sizeof(*o));
	if (!o)
		return NULL;
	o->key = key;
	HASH_ADD(hh, r->owners, key, sizeof(o->key), o);
	if (!o->hh.tbl) {
		free(o);
		return NULL;
	}
	return o;
}

/* A new datagram in the table and all lists. NULL: no memory. */
static struct datagram *make(struct ip_reass *r, const struct key *key)
{
	struct datagram *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->key = *key;
	d->owner[ALL] = &r->all;
	d->owner[LINK] = get_owner(r, key->link, NULL);
	d->owner[SOURCE] = get_owner(r, key->link, &key->src);
	if (d->owner[LINK] && d->owner[SOURCE])
		HASH_ADD(hh, r->datagrams, key, sizeof(d->key), d);
	if (!d->hh.tbl) {
		trim_owner(r, d->owner[LINK]);
		trim_owner(r, d->owner[SOURCE]);
		free(d);
		return NULL;
	}
	DL_APPEND2(d->owner[ALL]->oldest, d, at[ALL].prev, at[ALL].next);
	DL_APPEND2(d->owner[LINK]->oldest, d, at[LINK].prev, at[LINK].next);
	DL_APPEND2(d->owner[SOURCE]->oldest, d, at[SOURCE].prev, at[SOURCE].next);
	return d;
}

/* Everything of it that comes until its time is up is thrown away: RFC 5722, section 4. */
static int condemn(struct ip_reass *r, struct datagram *d)
{
	if (!d->dead)
		r->lost++;
	d->dead = true;
	discharge(d, d->charged - sizeof(*d));
	free(d->buf);
	d->buf = NULL;
	d->head_len = 0;
	return -EBADMSG;
}

/* Bits [first, last) of word w. */
static uint64_t mask_of(unsigned w, uint32_t first, uint32_t last)
{
	const uint32_t from = w * 64;
	uint64_t mask = UINT64_MAX;

	if (first > from)
		mask <<= first - from;
	if (last < from + 64)
		mask &= UINT64_MAX >> (from + 64 - last);
	return mask;
}

/* How many of the units [first, last) are there. */
static uint32_t count_units(const struct datagram *d, uint32_t first, uint32_t last)
{
	uint32_t n = 0;

	for (unsigned w = first / 64; w * 64 < last; w++)
		n += (uint32_t)__builtin_popcountll(d->map[w] & mask_of(w, first, last));
	return n;
}

static void set_units(struct datagram *d, uint32_t first, uint32_t last)
{
	for (unsigned w = first / 64; w * 64 < last; w++)
		d->map[w] |= mask_of(w, first, last);
}

/* A buffer for payload up to `need`. -ENOBUFS: d is gone; -ENOMEM. */
static int grow(struct ip_reass *r, struct datagram *d, uint32_t need)
{
	uint32_t cap = d->cap ? d->cap : DATA_MIN;
	uint8_t *buf;
	size_t more;

	while (cap < need)
		cap *= 2;
	if (cap == d->cap)
		return 0;
	more = cap - d->cap + (d->cap ? 0 : FRONT + IP_FRAG_TAILROOM);
	if (reserve(r, d, more) < 0)
		return -ENOBUFS;
	buf = realloc(d->buf, FRONT + (size_t)cap + IP_FRAG_TAILROOM);
	if (!buf) {
		discharge(d, more);
		return -ENOMEM;
	}
	d->buf = buf;
	d->cap = cap;
	return 0;
}

/* Does the fragment contradict what is known of the datagram's length? */
static bool contradicts(const struct datagram *d, uint32_t stop, bool more)
{
	if (!more)
		return (d->end && d->end != stop) || d->highest > stop;
	return d->end && stop >= d->end;
}

/* Puts a fragment where it belongs. 1: it is there; 0: it was there before. */
static int place(
	struct ip_reass *r, struct datagram *d, const uint8_t *packet, const struct ip_header *h)
{
	const uint8_t *data = packet + h->head;
	const uint32_t len = h->total - h->head, stop = h->offset + len;
	const uint32_t first = h->offset / 8, last = (stop + 7) / 8;
	const uint32_t known = count_units(d, first, last);
	int err;

	if (contradicts(d, stop, h->more) ||
		(known && (known != last - first || stop > d->highest ||
				  memcmp(data_of(d) + h->offset, data, len) != 0)))
		return condemn(r, d);
	if (known)
		return 0;
	err = grow(r, d, stop);
	if (err < 0)
		return err;
	memcpy(data_of(d) + h->offset, data, len);
	set_units(d, first, last);
	d->have += len;
	if (stop > d->highest)
		d->highest = stop;
	if (!h->more)
		d->end = stop;
	if (h->offset == 0) {
		d->first_len = len;
		d->head_len = h->head;
		d->next_at = h->next_at;
		memcpy(data_of(d) - h->head, packet, h->head);
	}
	return 1;
}

/* The congestion mark of the whole, or -EBADMSG: RFC 3168, section 5.3. */
static int join_ecn(const struct datagram *d, uint8_t tos)
{
	if (!(d->ecn & 1 << 3))
		return tos;
	return d->ecn & 1 << 0 ? -EBADMSG : tos | 3;
}

/* Makes the first fragment's header into the whole packet's. 1 or -EBADMSG. */
static int finish(struct datagram *d, struct ip_whole *wholep)
{
	uint8_t *head = data_of(d) - d->head_len;
	size_t head_len = d->head_len;
	const bool v6 = !ip_is_v4(&d->key.src);
	int tos = join_ecn(d, v6 ? (uint8_t)(ip_get16(head) >> 4) : head[1]);

	if (tos < 0)
		return tos;
	if (v6) {
		head_len -= IP6_FRAG_HEAD;
		if (head_len - IP6_HEAD + d->end > IP_LEN_MAX)
			return -EBADMSG;
		head[d->next_at] = head[head_len];
		memmove(head + IP6_FRAG_HEAD, head, head_len);
		head += IP6_FRAG_HEAD;
		ip_put16(head, (uint16_t)(6u << 12 | (unsigned)tos << 4 | (head[1] & 0xf)));
		ip_put16(head + 4, (uint16_t)(head_len - IP6_HEAD + d->end));
	} else {
		if (head_len + d->end > IP_LEN_MAX)
			return -EBADMSG;
		head[1] = (uint8_t)tos;
		ip_put16(head + 2, (uint16_t)(head_len + d->end));
		ip_put16(head + 6, 0);
		ip_put16(head + 10, 0);
		ip_put_sum(head + 10, ip_sum_finish(ip_sum(head, head_len, 0)));
	}
	*wholep = (struct ip_whole){d->buf, head, head_len + d->end};
	return 1;
}

/* Lengths that no datagram can have. */
static int check(const struct ip_header *h, struct ip_problem *problemp)
{
	const uint32_t len = h->total - h->head;
	const uint32_t around = h->v6 ? h->head - IP6_HEAD - IP6_FRAG_HEAD : h->head;

	*problemp = (struct ip_problem){0};
	if (h->more && len % 8) {
		*problemp = (struct ip_problem){.answer = h->v6, .pointer = 4};
		return -EPROTO;
	}
	if (h->offset + len + around > IP_LEN_MAX) {
		*problemp = (struct ip_problem){
			.answer = h->v6, .pointer = h->head - IP6_FRAG_HEAD + 2};
		return -EPROTO;
	}
	return len == 0 || h->head > HEAD_MAX ? -EPROTO : 0;
}

/* The datagram that the fragment is of, made when there is none. NULL with *errp. */
static struct datagram *get(
	struct ip_reass *r, const struct key *key, uint64_t now_ns, bool v6, int *errp)
{
	struct datagram *d;

	HASH_FIND(hh, r->datagrams, key, sizeof(*key), d);
	if (d && now_ns >= d->expires_ns) {
		lose(r, d);
		d = NULL;
	}
	if (d)
		return d;
	d = make(r, key);
	*errp = d ? -ENOBUFS : -ENOMEM;
	if (!d || reserve(r, d, sizeof(*d)) < 0)
		return NULL;
	d->expires_ns = now_ns + (v6 ? timeout6_ns : timeout4_ns);
	return d;
}

int ip_reass_add(struct ip_reass *r, void *link, uint64_t now_ns, const uint8_t *packet,
	const struct ip_header *h, struct ip_problem *problemp, struct ip_whole *wholep)
{
	const struct key key = {.link = link,
		.src = h->src,
		.dst = h->dst,
		.id = h->id,
		.proto = h->v6 ? 0 : h->proto};
	struct datagram *d;
	int err = check(h, problemp);

	if (err < 0)
		return err;
	d = get(r, &key, now_ns, h->v6, &err);
	if (!d)
		return err;
	if (d->dead)
		return 0;
	err = place(r, d, packet, h);
	if (err == -ENOMEM)
		lose(r, d);
	if (err <= 0)
		return err;
	d->ecn |= (uint8_t)(1 << (h->tos & 3));
	if (!d->end || d->have != d->end || !d->head_len)
		return 0;
	err = finish(d, wholep);
	if (err < 0)
		return condemn(r, d);
	d->buf = NULL; /* is the caller's */
	detach(r, d);
	destroy(d);
	return 1;
}

void ip_reass_expire(struct ip_reass *r, uint64_t now_ns, ip_reass_expired *fn, void *arg)
{
	struct datagram *d, *next, *old = NULL;

	/* First out of the tables, then told: fn may come back with fragments. */
	DL_FOREACH_SAFE2(r->all.oldest, d, next, at[ALL].next)
	{
		if (now_ns < d->expires_ns)
			continue;
		r->lost += !d->dead;
		detach(r, d);
		DL_APPEND2(old, d, at[ALL].prev, at[ALL].next);
	}
	DL_FOREACH_SAFE2(old, d, next, at[ALL].next)
	{
		if (d->head_len)
			fn(arg, d->key.link, data_of(d) - d->head_len, d->head_len + d->first_len);
		destroy(d);
	}
}

void ip_reass_drop_link(struct ip_reass *r, void *link)
{
	const struct owner_key key = owner_key(link, NULL);
	struct datagram *d, *next;
	struct owner *o;

	HASH_FIND(hh, r->owners, &key, sizeof(key), o);
	for (d = o ? o->oldest : NULL; d; d = next) {
		next = d->at[LINK].next; /* the owner goes with its last one */
		lose(r, d);
	}
}

size_t ip_reass_count(const struct ip_reass *r)
{
	return HASH_COUNT(r->datagrams);
}

size_t ip_reass_memory(const struct ip_reass *r)
{
	return r->all.bytes;
}

uint64_t ip_reass_lost(const struct ip_reass *r)
{
	return r->lost;
}

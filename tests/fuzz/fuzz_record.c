/* SPDX-License-Identifier: MIT */
/* A stream of records. The first byte chooses the cipher; then steps follow, each a byte that says
 * what happens and what it needs:
 * 0: bytes as they come from the network; 1: an authentic record with any plaintext (a hostile
 * peer); 2: the same with one bit flipped; 3: the same delivered twice; 4: the same cut short. */
#include <errno.h>
#include <sodium.h>

#include "buf.h"
#include "fuzz.h"
#include "record.h"

struct ctx {
	struct aead *aead;
	struct aead_key tx, rx;
	uint8_t rec[RECORD_MAX], copy[RECORD_MAX];
};

static int open_record(struct ctx *c, uint8_t *rec, size_t len)
{
	struct record_open_msg msg;
	enum record_type type;
	size_t body_len;
	uint8_t *body;
	int r = record_open(c->aead, &c->rx, rec, len, &type, &body, &body_len);

	if (r < 0)
		return r;
	FUZZ_CHECK(type < RECORD_TYPES && body == rec + RECORD_HEAD);
	FUZZ_CHECK(body_len + RECORD_OVERHEAD == len);
	if (type == RECORD_OPEN)
		record_get_open(body, body_len, &msg);
	if (type == RECORD_REKEY)
		FUZZ_CHECK(aead_rekey(c->aead, &c->tx) == 0);
	return 0;
}

/* What the network delivers: as many records as are whole. */
static void raw(struct ctx *c, const uint8_t *data, size_t size)
{
	uint8_t *p = c->rec;

	memcpy(c->rec, data, size);
	while (size > 0) {
		int len = record_length(p, size);

		if (len <= 0 || (size_t)len > size)
			return;
		FUZZ_CHECK(open_record(c, p, (size_t)len) < 0);
		p += len;
		size -= (size_t)len;
	}
}

static void authentic(
	struct ctx *c, const uint8_t *plain, size_t size, unsigned step, unsigned where)
{
	size_t total = 2 + size + AEAD_TAG;
	struct aead_key tx = c->tx;

	c->rec[0] = (uint8_t)((total - 2) >> 8);
	c->rec[1] = (uint8_t)(total - 2);
	memcpy(c->rec + 2, plain, size);
	FUZZ_CHECK(aead_seal(c->aead, &c->tx, c->rec, 2, c->rec + 2, size) == 0);
	memcpy(c->copy, c->rec, total);
	if (step == 1 || step == 3) {
		open_record(c, c->rec, total);
		c->rx = c->tx; /* also after a protocol error */
		if (step == 3)
			FUZZ_CHECK(open_record(c, c->copy, total) == -EBADMSG);
		return;
	}
	if (step == 2)
		c->rec[where % total] ^= (uint8_t)(1 << where / total % 8);
	else
		total = where % total;
	FUZZ_CHECK(open_record(c, c->rec, total) == -EBADMSG);
	c->tx = tx;
}

static void one_step(struct ctx *c, struct buf_rd *rd)
{
	unsigned step = buf_get_u8(rd) % 5, where = buf_get_u8(rd);
	size_t size = buf_get_u16(rd) % 2048;
	const uint8_t *p;

	if (size > rd->left)
		size = rd->left;
	p = buf_get_ptr(rd, size);
	if (!p)
		return;
	if (step == 0)
		raw(c, p, size);
	else
		authentic(c, p, size, step, where * 257);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[AEAD_KEY] = {1};
	static struct ctx c;
	struct buf_rd rd;

	if (!c.aead)
		FUZZ_CHECK(sodium_init() >= 0 && aead_new(&c.aead) == 0);
	buf_rd_init(&rd, data, size);
	aead_key_init(&c.tx, buf_get_u8(&rd) % 2 ? AEAD_AES256GCM : AEAD_CHACHA20POLY1305, key);
	c.rx = c.tx;
	while (rd.left > 0 && !rd.bad)
		one_step(&c, &rd);
	return 0;
}

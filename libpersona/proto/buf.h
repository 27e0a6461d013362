/* SPDX-License-Identifier: MIT */
/* Bounded cursors: the only way foreign bytes are read and wire bytes are written.
 *
 * Model: a cursor carries a sticky `bad` flag. A read past the end returns zero and sets it, a
 * write past the end writes nothing and sets it; callers run a whole sequence and check once.
 * All integers are big-endian on the wire. No allocation, no I/O, safe in signal handlers. */
#ifndef PERSONA_PROTO_BUF_H
#define PERSONA_PROTO_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf_rd {
	const uint8_t *p; /* next unread byte */
	size_t left;	  /* bytes after p */
	bool bad;	  /* a read went past the end or a value was refused */
};

struct buf_wr {
	uint8_t *p; /* start of the buffer */
	size_t cap; /* its size in bytes */
	size_t len; /* bytes written so far */
	bool bad;   /* a write did not fit */
};

void buf_rd_init(struct buf_rd *rd, const void *p, size_t len);
uint8_t buf_get_u8(struct buf_rd *rd);
uint16_t buf_get_u16(struct buf_rd *rd);
uint32_t buf_get_u32(struct buf_rd *rd);
uint64_t buf_get_u64(struct buf_rd *rd);
/* Copies `len` bytes to dst; on a short buffer dst is zeroed and the cursor goes bad. */
void buf_get_bytes(struct buf_rd *rd, void *dst, size_t len);
/* Returns a pointer to the next `len` bytes inside the buffer, or NULL (cursor bad). */
const uint8_t *buf_get_ptr(struct buf_rd *rd, size_t len);
/* Reads a string with a 16-bit length before it into dst (size cap, always terminated). A string
 * that does not fit or holds a NUL makes the cursor bad and dst empty. */
void buf_get_str(struct buf_rd *rd, char *dst, size_t cap);
/* True when everything was read, nothing is left over and no read failed. */
bool buf_rd_done(const struct buf_rd *rd);

void buf_wr_init(struct buf_wr *wr, void *p, size_t cap);
void buf_put_u8(struct buf_wr *wr, uint8_t v);
void buf_put_u16(struct buf_wr *wr, uint16_t v);
void buf_put_u32(struct buf_wr *wr, uint32_t v);
void buf_put_u64(struct buf_wr *wr, uint64_t v);
void buf_put_bytes(struct buf_wr *wr, const void *src, size_t len);
void buf_put_zero(struct buf_wr *wr, size_t len);
/* Writes a 16-bit length and the bytes of str without its terminator. */
void buf_put_str(struct buf_wr *wr, const char *str);

#endif

/* SPDX-License-Identifier: MIT */
/* Packets of RIPv2 and RIPng. See rip_packet.h. */
#include "rip_packet.h"

#include <errno.h>
#include <string.h>

#include "linklocal.h"

enum {
	RIP_V2_VERSION = 2,
	RIP_NG_VERSION = 1,
	AFI_NONE = 0,
	AFI_INET = 2,
	AFI_AUTH = 0xffff,
	NEXT_HOP = 0xff, /* metric of a RIPng entry that gives a next hop */
	BITS = 128,
	V4_BITS = 96
};

static struct addr addr_v4(const uint8_t b[4])
{
	struct addr a = addr_any4;

	memcpy(a.b + 12, b, 4);
	return a;
}

static uint16_t u16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)u16(p) << 16 | u16(p + 2);
}

/* The entry that asks for everything: no family (RIPv2) or ::/0 (RIPng), metric infinity. */
static bool asks_whole(const struct rip_reader *r, const uint8_t *entry)
{
	static const uint8_t zero[RIP_ENTRY];

	if (r->version == RIP_V2)
		return u16(entry) == AFI_NONE && u32(entry + 16) == RIP_INFINITY;
	return entry[19] == RIP_INFINITY && entry[18] == 0 && memcmp(entry, zero, 16) == 0;
}

int rip_read(struct rip_reader *reader, enum rip_version version, const uint8_t *packet, size_t len)
{
	struct rip_reader r = {.version = version, .next_hop = addr_any6};
	const size_t entries = len < RIP_HEADER ? 0 : (len - RIP_HEADER) / RIP_ENTRY;
	uint8_t command, number;

	buf_rd_init(&r.rd, packet, len);
	command = buf_get_u8(&r.rd);
	number = buf_get_u8(&r.rd);
	(void)buf_get_u16(&r.rd); /* must be zero, and is not looked at (RFC 2453, section 4) */
	if (r.rd.bad || r.rd.left % RIP_ENTRY != 0)
		return -EPROTO;
	if (command != RIP_REQUEST && command != RIP_RESPONSE)
		return -EPROTO;
	/* Later versions of RIP are read as this one (RFC 2453, section 4.6). */
	if (version == RIP_V2 ? number < RIP_V2_VERSION || entries > RIP_V2_ENTRIES
			      : number != RIP_NG_VERSION)
		return -EPROTO;
	r.command = (enum rip_command)command;
	if (version == RIP_V2 && entries > 0 && u16(r.rd.p) == AFI_AUTH)
		return -EPROTO;
	r.whole = r.command == RIP_REQUEST && entries == 1 && asks_whole(&r, r.rd.p);
	*reader = r;
	return 0;
}

/* Bits of a mask; -1 when they are not on the left. */
static int mask_len(uint32_t mask)
{
	const int len = mask ? 32 - __builtin_ctz(mask) : 0;

	return mask == (len ? UINT32_MAX << (32 - len) : 0) ? len : -1;
}

static bool read_v2(const uint8_t *p, struct rip_entry *e)
{
	const int len = mask_len(u32(p + 8));
	const uint32_t metric = u32(p + 16);

	if (u16(p) != AFI_INET || len < 0 || metric < 1 || metric > RIP_INFINITY)
		return false;
	/* No mask: RIP version 1 means the class of the network; only the default is clear. */
	if (len == 0 && u32(p + 4) != 0)
		return false;
	e->tag = u16(p + 2);
	e->prefix = (struct prefix){.addr = addr_v4(p + 4), .len = (uint8_t)(V4_BITS + len)};
	e->next_hop = u32(p + 12) ? addr_v4(p + 12) : addr_any6;
	e->metric = (uint8_t)metric;
	return true;
}

static bool read_ng(struct rip_reader *r, const uint8_t *p, struct rip_entry *e)
{
	memcpy(e->prefix.addr.b, p, sizeof(e->prefix.addr.b));
	if (p[19] == NEXT_HOP) {
		r->next_hop = addr_is_link_local(&e->prefix.addr) ? e->prefix.addr : addr_any6;
		return false;
	}
	e->prefix.len = p[18];
	if (p[18] > BITS || p[19] < 1 || p[19] > RIP_INFINITY)
		return false;
	/* IPv4 inside IPv6 is RIPv2's business. */
	if (addr_is_v4(&e->prefix.addr) && e->prefix.len >= V4_BITS)
		return false;
	e->tag = u16(p + 16);
	e->metric = p[19];
	e->next_hop = r->next_hop;
	return true;
}

bool rip_read_entry(struct rip_reader *reader, struct rip_entry *entryp)
{
	while (!reader->whole && reader->rd.left >= RIP_ENTRY) {
		uint8_t p[RIP_ENTRY];
		struct rip_entry e;

		buf_get_bytes(&reader->rd, p, sizeof(p));
		if (reader->command == RIP_REQUEST) {
			/* The answer fills the metric in. */
			if (reader->version == RIP_V2)
				memcpy(p + 16, (uint8_t[]){0, 0, 0, RIP_INFINITY}, 4);
			else
				p[19] = RIP_INFINITY;
		}
		if (reader->version == RIP_V2 ? read_v2(p, &e) : read_ng(reader, p, &e)) {
			prefix_mask(&e.prefix);
			*entryp = e;
			return true;
		}
		if (reader->version == RIP_V2 || p[19] != NEXT_HOP)
			reader->refused++;
	}
	return false;
}

void rip_write(struct rip_writer *writer, enum rip_version version, enum rip_command command,
	uint8_t *buf, size_t cap)
{
	*writer = (struct rip_writer){.version = version, .max = (cap - RIP_HEADER) / RIP_ENTRY};
	if (version == RIP_V2 && writer->max > RIP_V2_ENTRIES)
		writer->max = RIP_V2_ENTRIES;
	buf_wr_init(&writer->wr, buf, cap);
	buf_put_u8(&writer->wr, (uint8_t)command);
	buf_put_u8(&writer->wr, version == RIP_V2 ? RIP_V2_VERSION : RIP_NG_VERSION);
	buf_put_u16(&writer->wr, 0);
}

static void write_v2(struct buf_wr *wr, const struct rip_entry *e)
{
	const unsigned len = e->prefix.len - V4_BITS;

	buf_put_u16(wr, AFI_INET);
	buf_put_u16(wr, e->tag);
	buf_put_bytes(wr, e->prefix.addr.b + 12, 4);
	buf_put_u32(wr, len ? UINT32_MAX << (32 - len) : 0);
	if (addr_is_v4(&e->next_hop))
		buf_put_bytes(wr, e->next_hop.b + 12, 4);
	else
		buf_put_u32(wr, 0);
	buf_put_u32(wr, e->metric);
}

bool rip_write_entry(struct rip_writer *writer, const struct rip_entry *entry)
{
	if (writer->entries == writer->max)
		return false;
	writer->entries++;
	if (writer->version == RIP_V2) {
		write_v2(&writer->wr, entry);
		return true;
	}
	buf_put_bytes(&writer->wr, entry->prefix.addr.b, sizeof(entry->prefix.addr.b));
	buf_put_u16(&writer->wr, entry->tag);
	buf_put_u8(&writer->wr, entry->prefix.len);
	buf_put_u8(&writer->wr, entry->metric);
	return true;
}

void rip_write_whole(struct rip_writer *writer)
{
	writer->entries++;
	buf_put_zero(&writer->wr, RIP_ENTRY - 1);
	buf_put_u8(&writer->wr, RIP_INFINITY); /* both formats end with the metric */
}

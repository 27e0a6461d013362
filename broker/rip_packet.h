/* SPDX-License-Identifier: MIT */
/* Packets of RIP version 2 (RFC 2453, section 4) and RIPng (RFC 2080, section 2.1).
 *
 * Model: a reader that gives one entry after the other, and a writer that takes them, over the
 * caller's bytes. Both turn the two formats into one kind of entry: prefixes count bits of the
 * 16-byte form of addresses (addr.h). No state beyond the structs, no allocation, any thread. */
#ifndef PERSONA_BROKER_RIP_PACKET_H
#define PERSONA_BROKER_RIP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "buf.h"

enum rip_version { RIP_V2, RIP_NG };

enum rip_command { RIP_REQUEST = 1, RIP_RESPONSE = 2 };

enum {
	RIP_INFINITY = 16,
	RIP_V2_ENTRIES = 25, /* of one packet (RFC 2453, section 4) */
	RIP_HEADER = 4,
	RIP_ENTRY = 20,
	RIP_V2_MAX = RIP_HEADER + RIP_V2_ENTRIES * RIP_ENTRY
};

struct rip_entry {
	struct prefix prefix; /* masked */
	uint8_t metric;	      /* 1..RIP_INFINITY */
	uint16_t tag;
	struct addr next_hop; /* addr_any6: the sender */
};

/* --- reading --- */

struct rip_reader {
	enum rip_version version;
	enum rip_command command;
	bool whole;	      /* a request for the whole table; it has no entries then */
	unsigned refused;     /* entries passed over so far: no prefix, no metric, not IP */
	struct addr next_hop; /* RIPng: of the entries that follow */
	struct buf_rd rd;
};

/* Begins to read a packet. 0; -EPROTO: not this protocol, another command or version, a length
 * that no packet has, too many entries, or a RIPv2 packet with authentication, which nobody here
 * can check (RFC 2453, section 4.1). */
int rip_read(
	struct rip_reader *reader, enum rip_version version, const uint8_t *packet, size_t len);
/* The next usable entry; false at the end. In a request the metric has no meaning and is infinity.
 * A next hop that says nothing (0.0.0.0, ::, not link-local for RIPng) is addr_any6. */
bool rip_read_entry(struct rip_reader *reader, struct rip_entry *entryp);

/* --- writing --- */

struct rip_writer {
	enum rip_version version;
	struct buf_wr wr;
	size_t entries;
	size_t max;
};

/* Begins a packet in `buf` with room for as many entries as fit there (RIPv2: 25 at most); `cap` is
 * at least RIP_HEADER + RIP_ENTRY. */
void rip_write(struct rip_writer *writer, enum rip_version version, enum rip_command command,
	uint8_t *buf, size_t cap);
/* Adds an entry, which is of the version's family; its next hop is written by RIPv2 only, RIPng
 * has it as "the sender". False: the packet is full, nothing is added. */
bool rip_write_entry(struct rip_writer *writer, const struct rip_entry *entry);
/* Makes it a request for the whole table. */
void rip_write_whole(struct rip_writer *writer);

#endif

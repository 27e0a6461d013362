/* SPDX-License-Identifier: MIT */
#include "wg_msg.h"

#include <errno.h>

#include "buf.h"

int wg_msg_type(const uint8_t *msg, size_t len)
{
	uint32_t type;

	if (len < 4)
		return -EPROTO;
	type = wg_get32(msg); /* the reserved bytes must be zero */
	switch (type) {
	case WG_INITIATION:
		return len == WG_INITIATION_LEN ? WG_INITIATION : -EPROTO;
	case WG_RESPONSE:
		return len == WG_RESPONSE_LEN ? WG_RESPONSE : -EPROTO;
	case WG_COOKIE_REPLY:
		return len == WG_COOKIE_REPLY_LEN ? WG_COOKIE_REPLY : -EPROTO;
	case WG_DATA:
		return len >= WG_DATA_MIN ? WG_DATA : -EPROTO;
	default:
		return -EPROTO;
	}
}

void wg_msg_put_type(uint8_t *msg, enum wg_type type)
{
	wg_put32(msg, type);
}

/* RFC 791 section 3.1 and RFC 8200 section 3. A jumbogram (payload length 0 with an option) does
 * not fit into a message, so it needs no care. */
int wg_msg_packet_length(const uint8_t *text, size_t len)
{
	struct buf_rd rd;
	size_t total, least;

	if (len == 0)
		return 0;
	buf_rd_init(&rd, text, len);
	switch (text[0] >> 4) {
	case 4:
		least = 20;
		buf_get_u16(&rd); /* version, header length, type of service */
		total = buf_get_u16(&rd);
		break;
	case 6:
		least = 40;
		buf_get_u32(&rd); /* version, traffic class, flow label */
		total = least + buf_get_u16(&rd);
		break;
	default:
		return -EPROTO;
	}
	return rd.bad || total < least || total > len ? -EPROTO : (int)total;
}

/* SPDX-License-Identifier: MIT */
#include "proxyproto.h"

#include "buf.h"

enum {
	VERSION_PROXY = 0x21, /* version 2, command PROXY */
	TCP_OVER_IPV4 = 0x11,
	TCP_OVER_IPV6 = 0x21
};

size_t proxyproto_header(
	const struct endpoint *src, const struct endpoint *dst, uint8_t buf[PROXYPROTO_MAX])
{
	static const uint8_t signature[12] = {
		0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};
	bool v4 = addr_is_v4(&src->addr) && addr_is_v4(&dst->addr);
	size_t skip = v4 ? 12 : 0, len = sizeof(src->addr.b) - skip;
	struct buf_wr wr;

	buf_wr_init(&wr, buf, PROXYPROTO_MAX);
	buf_put_bytes(&wr, signature, sizeof(signature));
	buf_put_u8(&wr, VERSION_PROXY);
	buf_put_u8(&wr, v4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6);
	buf_put_u16(&wr, (uint16_t)(2 * len + 4));
	buf_put_bytes(&wr, src->addr.b + skip, len);
	buf_put_bytes(&wr, dst->addr.b + skip, len);
	buf_put_u16(&wr, src->port);
	buf_put_u16(&wr, dst->port);
	return wr.len;
}

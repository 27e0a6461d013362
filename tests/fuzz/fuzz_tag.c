/* SPDX-License-Identifier: MIT */
/* The 64 bits of a tag, which any process that holds the socket can set. */
#include "fuzz.h"

#include "buf.h"
#include "tag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tag tag, again;
	struct buf_rd rd;
	uint64_t v;

	buf_rd_init(&rd, data, size);
	v = buf_get_u64(&rd);
	if (!tag_decode(v, &tag))
		return 0;
	FUZZ_CHECK(tag_decode(tag_encode(&tag), &again));
	FUZZ_CHECK(tag_encode(&again) == tag_encode(&tag));
	FUZZ_CHECK(tag.kind >= TAG_TCP && tag.kind <= TAG_NETLINK && tag.phase <= TAG_FAILED);
	FUZZ_CHECK(tag.class <= TAG_ADDR_OWN && tag.value <= 0xffffff);
	return 0;
}

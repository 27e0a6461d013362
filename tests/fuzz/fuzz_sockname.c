/* SPDX-License-Identifier: MIT */
/* Abstract names as accept(2) returns them: first the bytes as they are, then with a correct MAC,
 * so that what is behind the MAC is reached as well. */
#include "fuzz.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include "sockname.h"

enum { PORTSPACE = 0x01020304 };

static const uint8_t secret[16] = "sixteen bytes ..";

static void decode(const struct sockaddr_un *sun, socklen_t len)
{
	struct sockaddr_un again;
	struct sockname name;

	if (!sockname_decode(sun, len, PORTSPACE, secret, &name))
		return;
	FUZZ_CHECK(sockname_encode(&name, secret, &again) == len);
	FUZZ_CHECK(memcmp(&again, sun, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_un sun = {0};
	const size_t head = offsetof(struct sockaddr_un, sun_path), mac = SOCKNAME_LEN - 16;

	if (size > sizeof(sun))
		size = sizeof(sun);
	if (size)
		memcpy(&sun, data, size);
	decode(&sun, (socklen_t)size);
	crypto_shorthash_siphashx24(
		(uint8_t *)sun.sun_path + mac, (uint8_t *)sun.sun_path, mac, secret);
	decode(&sun, (socklen_t)(head + SOCKNAME_LEN));
	return 0;
}

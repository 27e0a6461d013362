/* SPDX-License-Identifier: MIT */
#include "key.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

struct key *key_new(void)
{
	struct key *key = sodium_malloc(sizeof(*key));

	if (key)
		sodium_memzero(key, sizeof(*key));
	return key;
}

void key_free(struct key *key)
{
	sodium_free(key); /* wipes; takes NULL */
}

void key_generate_private(struct key *keyp)
{
	randombytes_buf(keyp->b, KEY_LEN);
	keyp->b[0] &= 248;
	keyp->b[31] = (keyp->b[31] & 127) | 64;
}

void key_generate_psk(struct key *keyp)
{
	randombytes_buf(keyp->b, KEY_LEN);
}

int key_public(const struct key *private_key, struct key *publicp)
{
	struct key pub;

	if (crypto_scalarmult_curve25519_base(pub.b, private_key->b) != 0 || key_is_zero(&pub))
		return -EINVAL;
	*publicp = pub;
	return 0;
}

/* libsodium 1.0.18 takes some bytes above 127 for characters of base64. Constant time. */
static bool is_ascii(const char *s, size_t len)
{
	uint8_t all = 0;

	for (size_t i = 0; i < len; i++)
		all |= (uint8_t)s[i];
	return !(all & 0x80);
}

int key_parse(const char *s, struct key *keyp)
{
	struct key key;
	const char *end;
	size_t len;
	int r = 0;

	if (strnlen(s, KEY_STRLEN) != KEY_STRLEN - 1 || !is_ascii(s, KEY_STRLEN - 1) ||
		sodium_base642bin(key.b, KEY_LEN, s, KEY_STRLEN - 1, NULL, &len, &end,
			sodium_base64_VARIANT_ORIGINAL) != 0 ||
		len != KEY_LEN || *end)
		r = -EINVAL;
	else
		*keyp = key;
	sodium_memzero(&key, sizeof(key));
	return r;
}

char *key_format(const struct key *key, char buf[KEY_STRLEN])
{
	return sodium_bin2base64(buf, KEY_STRLEN, key->b, KEY_LEN, sodium_base64_VARIANT_ORIGINAL);
}

bool key_equal(const struct key *a, const struct key *b)
{
	return sodium_memcmp(a->b, b->b, KEY_LEN) == 0;
}

bool key_is_zero(const struct key *key)
{
	return sodium_is_zero(key->b, KEY_LEN) == 1;
}

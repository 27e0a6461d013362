/* SPDX-License-Identifier: MIT */
#include "sockname.h"

#include <errno.h>
#include <sodium/crypto_shorthash_siphash24.h>
#include <sodium/utils.h>
#include <stdio.h>
#include <string.h>

static const uint8_t magic[4] = {0, 'P', 'N', '2'};

_Static_assert(crypto_shorthash_siphashx24_KEYBYTES == 16, "the secret is a SipHash key");
_Static_assert(crypto_shorthash_siphashx24_BYTES == 16, "MAC size in SOCKNAME_LEN");
_Static_assert(SOCKNAME_LEN <= sizeof(((struct sockaddr_un *)0)->sun_path), "must fit sun_path");

socklen_t sockname_encode(
	const struct sockname *name, const uint8_t secret[16], struct sockaddr_un *sunp)
{
	uint8_t *p = (uint8_t *)sunp->sun_path;
	struct buf_wr wr;

	memset(sunp, 0, sizeof(*sunp));
	sunp->sun_family = AF_UNIX;
	buf_wr_init(&wr, p, SOCKNAME_LEN);
	buf_put_bytes(&wr, magic, sizeof(magic));
	buf_put_u8(&wr, (uint8_t)name->kind);
	buf_put_u32(&wr, name->portspace);
	buf_put_u32(&wr, name->origin);
	buf_put_endpoint(&wr, &name->src);
	buf_put_endpoint(&wr, &name->dst);
	crypto_shorthash_siphashx24(p + wr.len, p, wr.len, secret);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + SOCKNAME_LEN);
}

/* Constant time, and without a dependency on libsodium's initialisation. */
static bool same16(const uint8_t *a, const uint8_t *b)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < 16; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}

bool sockname_decode(const struct sockaddr_un *sun, socklen_t len, uint32_t portspace,
	const uint8_t secret[16], struct sockname *namep)
{
	const uint8_t *p = (const uint8_t *)sun->sun_path;
	struct sockname name;
	struct buf_rd rd;
	uint8_t mac[16];

	if (len != offsetof(struct sockaddr_un, sun_path) + SOCKNAME_LEN ||
		sun->sun_family != AF_UNIX || memcmp(p, magic, sizeof(magic)) != 0)
		return false;
	crypto_shorthash_siphashx24(mac, p, SOCKNAME_LEN - 16, secret);
	if (!same16(mac, p + SOCKNAME_LEN - 16))
		return false;
	buf_rd_init(&rd, p + sizeof(magic), SOCKNAME_LEN - sizeof(magic) - 16);
	name.kind = buf_get_u8(&rd);
	name.portspace = buf_get_u32(&rd);
	name.origin = buf_get_u32(&rd);
	buf_get_endpoint(&rd, &name.src);
	buf_get_endpoint(&rd, &name.dst);
	if (!buf_rd_done(&rd) || name.portspace != portspace ||
		(name.kind != SOCKNAME_LOCAL && name.kind != SOCKNAME_CLIENT &&
			name.kind != SOCKNAME_RELAY))
		return false;
	*namep = name;
	return true;
}

char *sockname_file(const struct sockname_listen *l, char *buf)
{
	const struct addr *a = &l->local.addr;
	size_t n = 4;

	memcpy(buf, "tcp.", 5);
	if (addr_equal(a, &addr_any6)) {
		n += (size_t)snprintf(buf + n, SOCKNAME_FILE_MAX - n, l->v6only ? "any6" : "any");
	} else {
		for (size_t i = addr_is_v4(a) ? 12 : 0; i < 16; i++, n += 2)
			snprintf(buf + n, SOCKNAME_FILE_MAX - n, "%02x", a->b[i]);
	}
	n += (size_t)snprintf(buf + n, SOCKNAME_FILE_MAX - n, ".%u", l->local.port);
	if (l->member >= 0)
		snprintf(buf + n, SOCKNAME_FILE_MAX - n, ".%u", (unsigned)l->member & 0xffff);
	return buf;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int parse_file_addr(const char *s, size_t n, struct sockname_listen *l)
{
	struct addr a = n == 8 ? addr_any4 : addr_any6;

	if ((n == 3 && memcmp(s, "any", 3) == 0) || (n == 4 && memcmp(s, "any6", 4) == 0)) {
		l->v6only = n == 4;
		l->local.addr = addr_any6;
		return 0;
	}
	if (n != 8 && n != 32)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		int d = hex_digit(s[i]);
		uint8_t *byte = &a.b[(n == 8 ? 12 : 0) + i / 2];

		if (d < 0)
			return -EINVAL;
		*byte = (uint8_t)(*byte << 4 | d);
	}
	l->local.addr = a;
	return 0;
}

int sockname_parse_file(const char *file, struct sockname_listen *lp)
{
	struct sockname_listen l = {.member = -1};
	char again[SOCKNAME_FILE_MAX];
	const char *dot;
	unsigned port, member;
	int fields, end = 0;

	if (strncmp(file, "tcp.", 4) != 0 || strlen(file) >= SOCKNAME_FILE_MAX)
		return -EINVAL;
	dot = strchr(file + 4, '.');
	if (!dot || parse_file_addr(file + 4, (size_t)(dot - file - 4), &l) < 0)
		return -EINVAL;
	fields = sscanf(dot, ".%5u%n.%5u%n", &port, &end, &member, &end);
	if (fields < 1 || port > UINT16_MAX || (fields == 2 && member > UINT16_MAX))
		return -EINVAL;
	l.local.port = (uint16_t)port;
	if (fields == 2)
		l.member = (int)member;
	/* One spelling only: what we would not have written is not ours. */
	if (strcmp(sockname_file(&l, again), file) != 0)
		return -EINVAL;
	*lp = l;
	return 0;
}

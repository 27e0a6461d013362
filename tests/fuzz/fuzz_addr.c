/* SPDX-License-Identifier: MIT */
/* Addresses, prefixes and endpoints as text, and sockaddrs from an application. */
#include "fuzz.h"

#include <netinet/in.h>

#include "addr.h"

static void text_forms(const char *text)
{
	char buf[ENDPOINT_STRLEN];
	struct endpoint e, e2;
	struct prefix p, p2;
	struct addr a, a2;

	if (addr_parse(text, &a) == 0) {
		FUZZ_CHECK(strlen(addr_format(&a, buf)) < ADDR_STRLEN);
		FUZZ_CHECK(addr_parse(buf, &a2) == 0 && addr_equal(&a, &a2));
	}
	if (prefix_parse(text, &p) == 0) {
		FUZZ_CHECK(strlen(prefix_format(&p, buf)) < PREFIX_STRLEN);
		FUZZ_CHECK(prefix_parse(buf, &p2) == 0 && p.len == p2.len);
		FUZZ_CHECK(addr_equal(&p.addr, &p2.addr) && prefix_contains(&p, &p.addr));
		prefix_mask(&p2);
		FUZZ_CHECK(prefix_contains(&p, &p2.addr));
	}
	if (endpoint_parse(text, &e) == 0) {
		FUZZ_CHECK(strlen(endpoint_format(&e, buf)) < ENDPOINT_STRLEN);
		FUZZ_CHECK(endpoint_parse(buf, &e2) == 0 && endpoint_equal(&e, &e2));
	}
}

static void sockaddrs(const uint8_t *data, size_t size)
{
	struct sockaddr_storage ss;
	struct endpoint e, again;
	socklen_t len;

	if (endpoint_from_sockaddr((const struct sockaddr *)data, (socklen_t)size, &e) < 0)
		return;
	len = endpoint_to_sockaddr(&e, AF_INET6, &ss);
	FUZZ_CHECK(len == sizeof(struct sockaddr_in6));
	FUZZ_CHECK(endpoint_from_sockaddr((struct sockaddr *)&ss, len, &again) == 0);
	FUZZ_CHECK(endpoint_equal(&e, &again));
	len = endpoint_to_sockaddr(&e, AF_INET, &ss);
	FUZZ_CHECK((len != 0) == addr_is_v4(&e.addr));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);

	text_forms(text);
	/* The copy is aligned as malloc aligns, which an application's sockaddr is, too. */
	sockaddrs((const uint8_t *)text, size);
	free(text);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Configuration files. What parses must be written and read again to the same text, and what does
 * not must say why in printable characters. */
#include <errno.h>
#include <sodium.h>

#include "config.h"
#include "fuzz.h"

static void check_error(const struct config_error *error)
{
	FUZZ_CHECK(error->message[0]);
	FUZZ_CHECK(strnlen(error->message, CONFIG_MESSAGE_MAX) < CONFIG_MESSAGE_MAX);
	for (const char *p = error->message; *p; p++)
		FUZZ_CHECK(*p >= ' ' && *p <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *config = NULL, *again = NULL;
	struct config_error error = {0};
	char *text = NULL, *text2 = NULL;
	size_t len, len2;
	int r;

	FUZZ_CHECK(sodium_init() >= 0);
	if (config_parse((const char *)data, size, &config, &error)) {
		FUZZ_CHECK(!config);
		check_error(&error);
		return 0;
	}
	FUZZ_CHECK(!config_check(config, NULL));
	r = config_format(config, &text, &len);
	FUZZ_CHECK(!r || r == -E2BIG); /* the written form may be longer */
	if (!r) {
		FUZZ_CHECK(!config_parse(text, len, &again, &error));
		FUZZ_CHECK(!config_format(again, &text2, &len2));
		FUZZ_CHECK(len == len2 && !memcmp(text, text2, len));
	}
	sodium_free(text);
	sodium_free(text2);
	config_free(config);
	config_free(again);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* File names of servers' sockets, as found in a portspace's directory. */
#include "fuzz.h"

#include "sockname.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size), again[SOCKNAME_FILE_MAX];
	struct sockname_listen l = {.member = -7};

	if (sockname_parse_file(text, &l) == 0)
		FUZZ_CHECK(strcmp(sockname_file(&l, again), text) == 0);
	else
		FUZZ_CHECK(l.member == -7);
	free(text);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* persona genkey: a new private or pre-shared key on standard output. Asks no broker. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd.h"
#include "key.h"

static const char help[] =
	"Usage: persona genkey [--preshared] [--json]\n"
	"\n"
	"Prints a new private key (or a pre-shared key) in WireGuard's form.\n"
	"\n"
	"Examples:\n"
	"  (umask 077; persona genkey > work.key)\n"
	"  persona genkey | persona create work --address 10.77.0.1 --private-key -\n";

static void warn_if_readable(void)
{
	struct stat st;

	if (fstat(STDOUT_FILENO, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 077))
		fputs("persona genkey: warning: other users may read the output file; use umask "
		      "077\n",
			stderr);
}

static int run(struct cmd_ctx *ctx, int argc, char **argv)
{
	static const struct option options[] = {
		{"preshared", no_argument, NULL, 'p'}, CMD_COMMON_OPTIONS, {0}};
	char text[KEY_STRLEN];
	bool preshared = false;
	struct key *key;
	int c, r;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'p') {
			preshared = true;
			continue;
		}
		r = cmd_common_option(ctx, c);
		if (r >= 0)
			return r;
	}
	if (argc != optind)
		return cmd_usage(ctx, "no arguments are expected");
	key = key_new();
	if (!key)
		return cmd_error(ctx, "out of memory");
	warn_if_readable();
	if (preshared)
		key_generate_psk(key);
	else
		key_generate_private(key);
	printf(ctx->json ? "{\"key\":\"%s\",\"version\":1}\n" : "%s\n", key_format(key, text));
	r = cmd_finish(ctx);
	explicit_bzero(text, sizeof(text));
	key_free(key);
	return r;
}

const struct cmd cmd_genkey = {"genkey", "print a new private key", help, run};

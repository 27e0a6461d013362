/* SPDX-License-Identifier: MIT */
#define LOG_MODULE "etc"
#include "etc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core_priv.h"
#include "log.h"
#include "names_search.h"

enum { ETC_MODE = 0444 };

/* Files whose content does not depend on the portspace. */
static const struct {
	const char *name;
	const char *text;
} fixed[] = {
	{"nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
			  "networks: files\nprotocols: files\nservices: files\nethers: files\n"
			  "rpc: files\nnetgroup: files\n"},
	{"host.conf", "multi on\n"},
	{"gai.conf", "# the defaults of RFC 6724\n"},
};

static void print_resolv(FILE *out, const struct config *config)
{
	bool any = false;

	fprintf(out, "# Written by persona-broker for this portspace.\n");
	for (size_t i = 0; i < config->ndns; i++)
		if (!names_search_is_domain(config->dns[i]))
			fprintf(out, "nameserver %s\n", config->dns[i]);
	for (size_t i = 0; i < config->ndns; i++) {
		if (!names_search_is_domain(config->dns[i]))
			continue;
		fprintf(out, "%s%s", any ? " " : "search ", config->dns[i]);
		any = true;
	}
	if (any)
		fputc('\n', out);
}

static void print_host(const char *name, const struct addr *addr, void *arg)
{
	char text[ADDR_STRLEN];

	fprintf(arg, "%s %s\n", addr_format(addr, text), name);
}

static void print_hosts(FILE *out, const struct portspace *ps)
{
	fprintf(out, "# Written by persona-broker for this portspace.\n"
		     "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n");
	hosts_each(ps->hosts, print_host, out); /* only the control loop changes it */
}

static int write_text(const struct portspace *ps, const char *name, const char *text, size_t len)
{
	int r = portspace_write_file(ps->dir, name, ETC_MODE, text, len);

	if (r < 0)
		log_warning("%s: cannot write %s: %s", ps->info.name, name, strerror(-r));
	return r;
}

static bool exists(const struct portspace *ps, const char *name)
{
	char path[RUNDIR_PATH_MAX];

	return snprintf(path, sizeof(path), "%s/%s", ps->dir, name) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

void etc_write(struct portspace *ps)
{
	for (int i = 0; i < 2; i++) {
		char *text = NULL;
		size_t len = 0;
		FILE *out = open_memstream(&text, &len);

		if (!out) {
			log_warning("%s: out of memory", ps->info.name);
			return;
		}
		if (i == 0)
			print_resolv(out, ps->priv->config);
		else
			print_hosts(out, ps);
		if (fclose(out) == 0)
			write_text(ps, i == 0 ? "resolv.conf" : "hosts", text, len);
		free(text);
	}
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++)
		if (!exists(ps, fixed[i].name))
			write_text(ps, fixed[i].name, fixed[i].text, strlen(fixed[i].text));
}

/* SPDX-License-Identifier: MIT */
#include "names_search.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

bool names_search_is_domain(const char *entry)
{
	struct addr a;

	return addr_parse(entry, &a) < 0;
}

void names_search_init(struct names_search *s, const char *name)
{
	size_t len = strnlen(name, ASK_NAME_MAX - 1);

	*s = (struct names_search){.absolute = len > 0 && name[len - 1] == '.'};
	if (s->absolute)
		len--;
	memcpy(s->name, name, len);
	s->name[len] = '\0';
	s->dotted = strchr(s->name, '.') != NULL;
}

static bool take_as_is(struct names_search *s, char name[ASK_NAME_MAX])
{
	s->as_is = true;
	memcpy(name, s->name, ASK_NAME_MAX);
	return true;
}

bool names_search_next(struct names_search *s, const struct config *config, char name[ASK_NAME_MAX])
{
	if (!s->as_is && (s->absolute || s->dotted))
		return take_as_is(s, name);
	while (!s->absolute && s->next < config->ndns) {
		const char *domain = config->dns[s->next++];

		if (names_search_is_domain(domain) &&
			snprintf(name, ASK_NAME_MAX, "%s.%s", s->name, domain) < ASK_NAME_MAX)
			return true;
	}
	return s->as_is ? false : take_as_is(s, name);
}

bool names_search_failed(struct names_search *s, int err)
{
	if (s->as_is && s->next == 0 && !s->first_err)
		s->first_err = err;
	s->nodata |= err == -ENODATA;
	s->again |= err == -EAGAIN;
	return err == -ENOENT || err == -ENODATA || err == -EAGAIN;
}

int names_search_verdict(const struct names_search *s, int err)
{
	if (err != -ENOENT && err != -ENODATA && err != -EAGAIN)
		return err;
	if (s->first_err)
		return s->first_err;
	return s->nodata ? -ENODATA : s->again ? -EAGAIN : -ENOENT;
}

/* SPDX-License-Identifier: MIT */
/* Names of a portspace. See hosts.h.
 *
 * Model: a pair (name, address) is one allocation on three lists: all pairs in order, those of the
 * same name, those of the same address. Two hash tables (uthash) find the heads of the latter two.
 * Invariant: a head in a table has at least one pair. */
#include "hosts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION	  HASH_FNV /* the contents come from the user's own configuration */
#include <uthash.h>
#include <utlist.h>

struct pair {
	struct pair *prev, *next;   /* all, in order */
	struct pair *nprev, *nnext; /* of this name */
	struct pair *aprev, *anext; /* of this address */
	struct addr addr;
	char *name; /* as given, without a trailing dot; behind the struct */
};

struct name_head {
	char *key; /* lower case; behind the struct */
	struct pair *pairs;
	UT_hash_handle hh;
};

struct addr_head {
	struct addr addr;
	struct pair *pairs;
	UT_hash_handle hh;
};

struct hosts {
	struct pair *pairs;
	struct name_head *names;
	struct addr_head *addrs;
	size_t count;
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* By hand, because isalnum(3) depends on the locale. */
static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' ||
	       c == '_';
}

bool hosts_name_valid(const char *name)
{
	size_t len = strnlen(name, HOSTS_NAME_MAX), label = 0;
	bool digits = true;

	if (len && name[len - 1] == '.')
		len--;
	if (!len || len > 253)
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i == len || name[i] == '.') {
			if (!label || label > 63 || name[i - 1] == '-')
				return false;
			if (i < len)
				digits = true;
			label = 0;
			continue;
		}
		if (!is_label_char(name[i]) || (!label && name[i] == '-'))
			return false;
		digits = digits && is_digit(name[i]);
		label++;
	}
	return !digits;
}

/* Writes the lower-case form without a trailing dot. False when the name is not valid. */
static bool name_normalize(const char *name, char key[HOSTS_NAME_MAX])
{
	size_t len;

	if (!hosts_name_valid(name))
		return false;
	len = strlen(name);
	if (name[len - 1] == '.')
		len--;
	for (size_t i = 0; i < len; i++)
		key[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	key[len] = '\0';
	return true;
}

static bool below_localhost(const char *key)
{
	static const char local[] = "localhost";
	size_t len = strlen(key), n = sizeof(local) - 1;

	if (len < n || strcmp(key + len - n, local))
		return false;
	return len == n || key[len - n - 1] == '.';
}

int hosts_new(struct hosts **hostsp)
{
	struct hosts *hosts = calloc(1, sizeof(*hosts));

	if (!hosts)
		return -ENOMEM;
	*hostsp = hosts;
	return 0;
}

void hosts_free(struct hosts *hosts)
{
	struct name_head *nh, *nh_next;
	struct addr_head *ah, *ah_next;
	struct pair *pair, *pair_next;

	if (!hosts)
		return;
	HASH_ITER(hh, hosts->names, nh, nh_next)
	{
		HASH_DEL(hosts->names, nh);
		free(nh);
	}
	HASH_ITER(hh, hosts->addrs, ah, ah_next)
	{
		HASH_DEL(hosts->addrs, ah);
		free(ah);
	}
	DL_FOREACH_SAFE(hosts->pairs, pair, pair_next)
	{
		free(pair);
	}
	free(hosts);
}

static struct name_head *find_name(const struct hosts *hosts, const char *key)
{
	struct name_head *head;

	HASH_FIND(hh, hosts->names, key, strlen(key), head);
	return head;
}

static struct addr_head *find_addr(const struct hosts *hosts, const struct addr *addr)
{
	struct addr_head *head;

	HASH_FIND(hh, hosts->addrs, addr, sizeof(*addr), head);
	return head;
}

/* The head of this name, made when absent (without a pair yet). NULL when out of memory. */
static struct name_head *get_name(struct hosts *hosts, const char *key)
{
	struct name_head *head = find_name(hosts, key);
	size_t len = strlen(key);

	if (head)
		return head;
	head = calloc(1, sizeof(*head) + len + 1);
	if (!head)
		return NULL;
	head->key = (char *)(head + 1);
	memcpy(head->key, key, len + 1);
	HASH_ADD_KEYPTR(hh, hosts->names, head->key, len, head);
	if (!head->hh.tbl) {
		free(head);
		return NULL;
	}
	return head;
}

static struct addr_head *get_addr(struct hosts *hosts, const struct addr *addr)
{
	struct addr_head *head = find_addr(hosts, addr);

	if (head)
		return head;
	head = calloc(1, sizeof(*head));
	if (!head)
		return NULL;
	head->addr = *addr;
	HASH_ADD(hh, hosts->addrs, addr, sizeof(head->addr), head);
	if (!head->hh.tbl) {
		free(head);
		return NULL;
	}
	return head;
}

/* Restores the invariant: heads without pairs go. */
static void trim(struct hosts *hosts, struct name_head *nh, struct addr_head *ah)
{
	if (nh && !nh->pairs) {
		HASH_DEL(hosts->names, nh);
		free(nh);
	}
	if (ah && !ah->pairs) {
		HASH_DEL(hosts->addrs, ah);
		free(ah);
	}
}

static struct pair *find_pair(const struct name_head *head, const struct addr *addr, size_t *np)
{
	struct pair *pair;
	size_t n = 0;

	DL_FOREACH2(head->pairs, pair, nnext)
	{
		if (addr_equal(&pair->addr, addr))
			return pair;
		n++;
	}
	*np = n;
	return NULL;
}

int hosts_add(struct hosts *hosts, const char *name, const struct addr *addr)
{
	char key[HOSTS_NAME_MAX];
	struct name_head *nh;
	struct addr_head *ah;
	struct pair *pair;
	size_t n = 0, len;

	if (!name_normalize(name, key) || below_localhost(key))
		return -EINVAL;
	nh = find_name(hosts, key);
	if (nh && find_pair(nh, addr, &n))
		return 0;
	if (hosts->count >= HOSTS_PAIRS_MAX || n >= HOSTS_ADDRS_MAX)
		return -ENOSPC;
	len = strlen(key);
	pair = calloc(1, sizeof(*pair) + len + 1);
	nh = get_name(hosts, key);
	ah = get_addr(hosts, addr);
	if (!pair || !nh || !ah) {
		trim(hosts, nh, ah);
		free(pair);
		return -ENOMEM;
	}
	pair->addr = *addr;
	pair->name = (char *)(pair + 1);
	memcpy(pair->name, name, len);
	DL_APPEND(hosts->pairs, pair);
	DL_APPEND2(nh->pairs, pair, nprev, nnext);
	DL_APPEND2(ah->pairs, pair, aprev, anext);
	hosts->count++;
	return 0;
}

int hosts_remove(struct hosts *hosts, const char *name, const struct addr *addr)
{
	char key[HOSTS_NAME_MAX];
	struct name_head *nh;
	struct addr_head *ah;
	struct pair *pair;
	size_t n;

	if (!name_normalize(name, key))
		return -ENOENT;
	nh = find_name(hosts, key);
	pair = nh ? find_pair(nh, addr, &n) : NULL;
	if (!pair)
		return -ENOENT;
	ah = find_addr(hosts, addr);
	DL_DELETE(hosts->pairs, pair);
	DL_DELETE2(nh->pairs, pair, nprev, nnext);
	DL_DELETE2(ah->pairs, pair, aprev, anext);
	trim(hosts, nh, ah);
	free(pair);
	hosts->count--;
	return 0;
}

size_t hosts_lookup(const struct hosts *hosts, const char *name, struct addr *addrs, size_t cap,
	const char **canonp)
{
	char key[HOSTS_NAME_MAX];
	struct name_head *head;
	struct pair *pair;
	size_t n = 0;

	if (!name_normalize(name, key))
		return 0;
	if (below_localhost(key)) {
		if (n < cap)
			addrs[n++] = addr_loopback4;
		if (n < cap)
			addrs[n++] = addr_loopback6;
		if (canonp)
			*canonp = "localhost";
		return n;
	}
	head = find_name(hosts, key);
	if (!head)
		return 0;
	DL_FOREACH2(head->pairs, pair, nnext)
	{
		if (n == cap)
			break;
		addrs[n++] = pair->addr;
	}
	if (canonp)
		*canonp = find_addr(hosts, &head->pairs->addr)->pairs->name;
	return n;
}

const char *hosts_reverse(const struct hosts *hosts, const struct addr *addr)
{
	const struct addr_head *head = find_addr(hosts, addr);

	if (head)
		return head->pairs->name;
	return addr_is_loopback(addr) ? "localhost" : NULL;
}

size_t hosts_count(const struct hosts *hosts)
{
	return hosts->count;
}

void hosts_each(const struct hosts *hosts,
	void (*fn)(const char *name, const struct addr *addr, void *arg), void *arg)
{
	struct pair *pair;

	DL_FOREACH(hosts->pairs, pair)
	{
		fn(pair->name, &pair->addr, arg);
	}
}

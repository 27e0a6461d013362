/* SPDX-License-Identifier: MIT */
#include "view.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "out.h"

static const char *str_or(const json_t *object, const char *key, const char *otherwise)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s && *s ? s : otherwise;
}

/* An integer as text; "-" when it is none. */
static const char *number(const json_t *object, const char *key, char buf[OUT_NUMBER_LEN])
{
	const json_t *n = json_object_get(object, key);

	if (json_is_integer(n))
		snprintf(buf, OUT_NUMBER_LEN, "%lld", (long long)json_integer_value(n));
	else
		snprintf(buf, OUT_NUMBER_LEN, "-");
	return buf;
}

static void cell_joined(struct out_table *t, const json_t *array)
{
	char *text = out_join(array);

	out_cell(t, OUT_PLAIN, text ? text : "?");
	free(text);
}

int view_portspaces(const json_t *array)
{
	static const char *const head[] = {"NAME", "ID", "ADDRESSES", "LINKS", "PUBLIC KEY", NULL};
	struct out_table *t = out_table_new(head, 0);
	char buf[OUT_NUMBER_LEN];
	size_t i;
	json_t *ps;

	json_array_foreach(array, i, ps)
	{
		out_cell(t, OUT_PLAIN, str_or(ps, "name", "-"));
		out_cell(t, OUT_PLAIN, number(ps, "id", buf));
		cell_joined(t, json_object_get(ps, "addresses"));
		snprintf(buf, sizeof(buf), "%zu", json_array_size(json_object_get(ps, "links")));
		out_cell(t, OUT_PLAIN, buf);
		out_cell(t, OUT_DIM, str_or(ps, "public_key", "-"));
	}
	return out_table_print(t, 0, stdout);
}

/* What streams and datagrams of a link have together. */
static json_int_t link_sum(const json_t *link, const char *key)
{
	const json_t *datagrams = json_object_get(link, "datagrams");

	return json_integer_value(json_object_get(link, key)) +
	       json_integer_value(json_object_get(datagrams, key));
}

/* Where the peer's datagrams come from, else what is configured. */
static const char *link_endpoint(const json_t *link)
{
	return str_or(
		json_object_get(link, "datagrams"), "endpoint", str_or(link, "endpoint", "-"));
}

static void cell_handshake(struct out_table *t, const json_t *link)
{
	const json_t *datagrams = json_object_get(link, "datagrams");
	json_int_t when = json_integer_value(json_object_get(link, "last_handshake_s"));
	json_int_t other = json_integer_value(json_object_get(datagrams, "last_handshake_s"));
	char ago[OUT_NUMBER_LEN], text[OUT_NUMBER_LEN + 8];

	if (other > when)
		when = other;
	if (when == 0) {
		out_cell(t, OUT_DIM, "never");
		return;
	}
	out_duration((json_int_t)time(NULL) - when, ago);
	snprintf(text, sizeof(text), "%s ago", ago);
	out_cell(t, OUT_PLAIN, text);
}

static void cells_transfer(struct out_table *t, const json_t *link)
{
	char buf[OUT_NUMBER_LEN];

	out_cell(t, OUT_PLAIN, out_bytes(link_sum(link, "rx_bytes"), buf));
	out_cell(t, OUT_PLAIN, out_bytes(link_sum(link, "tx_bytes"), buf));
}

int view_links(const json_t *array, int indent)
{
	static const char *const head[] = {
		"LINK", "PEER", "ENDPOINT", "ALLOWED IPS", "KEEPALIVE", "PSK", NULL};
	static const char *const head_live[] = {"LINK", "PEER", "ENDPOINT", "ALLOWED IPS",
		"KEEPALIVE", "PSK", "HANDSHAKE", "RECEIVED", "SENT", NULL};
	struct out_table *t;
	char buf[OUT_NUMBER_LEN];
	bool live;
	size_t i;
	json_t *link;

	if (json_array_size(array) == 0)
		return 0;
	live = json_object_get(json_array_get(array, 0), "datagrams");
	t = out_table_new(live ? head_live : head, 0);
	json_array_foreach(array, i, link)
	{
		out_cell(t, OUT_PLAIN, str_or(link, "name", "-"));
		out_cell(t, OUT_PLAIN, str_or(link, "peer", "-"));
		out_cell(t, OUT_PLAIN, link_endpoint(link));
		cell_joined(t, json_object_get(link, "allowed_ips"));
		out_cell(t, OUT_PLAIN, number(link, "keepalive", buf));
		out_cell(t, OUT_PLAIN,
			json_is_true(json_object_get(link, "preshared")) ? "yes" : "no");
		if (!live)
			continue;
		cell_handshake(t, link);
		cells_transfer(t, link);
	}
	return out_table_print(t, indent, stdout);
}

/* A string, or an array of strings with commas between, to the end of the line. */
static void value_line(const json_t *value)
{
	char *list = json_is_array(value) ? out_join(value) : NULL;
	const char *text = list ? list : json_string_value(value);

	out_text(stdout, OUT_PLAIN, text ? text : "-");
	putchar('\n');
	free(list);
}

static void view_hosts(const json_t *hosts)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)hosts, name, value)
	{
		fputs("  host          ", stdout);
		out_text(stdout, OUT_PLAIN, name);
		fputs(" = ", stdout);
		value_line(value);
	}
}

static void field(const char *name, const char *value)
{
	printf("  %-14s", name);
	out_text(stdout, OUT_PLAIN, value);
	putchar('\n');
}

/* The settings by their keys in the configuration file. */
static void view_settings(const json_t *settings)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)settings, key, value)
	{
		printf("  %-14s", key);
		value_line(value);
	}
}

int view_portspace(const json_t *ps)
{
	char *addresses = out_join(json_object_get(ps, "addresses"));
	char buf[OUT_NUMBER_LEN];

	if (!addresses)
		return -ENOMEM;
	fputs("portspace ", stdout);
	out_text(stdout, OUT_BOLD, str_or(ps, "name", "-"));
	puts(json_is_true(json_object_get(ps, "ephemeral")) ? " (gone with its last process)" : "");
	field("id", number(ps, "id", buf));
	field("public key", str_or(ps, "public_key", "-"));
	field("addresses", addresses);
	field("hostname", str_or(ps, "hostname", "-"));
	field("mtu", number(ps, "mtu", buf));
	free(addresses);
	if (json_array_size(json_object_get(ps, "dns")) > 0) {
		char *dns = out_join(json_object_get(ps, "dns"));

		field("dns", dns ? dns : "-");
		free(dns);
	}
	view_settings(json_object_get(ps, "settings"));
	view_hosts(json_object_get(ps, "hosts"));
	return view_links(json_object_get(ps, "links"), 2);
}

int view_broker(const json_t *broker)
{
	char *listening = out_join(json_object_get(broker, "listen"));
	char pid[OUT_NUMBER_LEN], up[OUT_NUMBER_LEN], workers[OUT_NUMBER_LEN];

	if (!listening)
		return -ENOMEM;
	out_text(stdout, OUT_BOLD, "broker");
	printf(" %s, pid %s, up %s, workers: %s\n", str_or(broker, "version", "-"),
		number(broker, "pid", pid),
		out_duration(json_integer_value(json_object_get(broker, "uptime_s")), up),
		number(broker, "workers", workers));
	field("listens on", listening);
	field("runtime", str_or(broker, "runtime_dir", "-"));
	free(listening);
	return 0;
}

static enum out_style state_style(const char *state)
{
	if (strcmp(state, "up") == 0)
		return OUT_GOOD;
	return strcmp(state, "down") == 0 ? OUT_BAD : OUT_DIM;
}

static int view_link_counters(const json_t *array)
{
	static const char *const head[] = {"LINK", "STATE", "ENDPOINT", "STREAMS", "CARRIERS",
		"RECEIVED", "SENT", "HANDSHAKE", "ERROR", NULL};
	struct out_table *t;
	char buf[OUT_NUMBER_LEN];
	size_t i;
	json_t *link;

	if (json_array_size(array) == 0)
		return 0;
	t = out_table_new(head, 0);
	json_array_foreach(array, i, link)
	{
		const char *state = str_or(link, "state", "-");

		out_cell(t, OUT_PLAIN, str_or(link, "name", "-"));
		out_cell(t, state_style(state), state);
		out_cell(t, OUT_PLAIN, link_endpoint(link));
		out_cell(t, OUT_PLAIN, number(link, "streams", buf));
		out_cell(t, OUT_PLAIN, number(link, "carriers", buf));
		cells_transfer(t, link);
		cell_handshake(t, link);
		out_cell(t, OUT_BAD, str_or(link, "error", ""));
	}
	return out_table_print(t, 2, stdout);
}

static int view_inits(const json_t *array)
{
	static const char *const head[] = {"INIT", "SEAL", "COMMAND", NULL};
	struct out_table *t;
	char buf[OUT_NUMBER_LEN];
	size_t i;
	json_t *init;

	if (json_array_size(array) == 0)
		return 0;
	t = out_table_new(head, 0);
	json_array_foreach(array, i, init)
	{
		const char *seal = str_or(init, "seal", "-");
		json_t *command = json_object_get(init, "command"), *word;
		char *text = NULL;
		size_t len, k;
		FILE *f = open_memstream(&text, &len);

		if (!f)
			break;
		json_array_foreach(command, k, word)
		{
			fprintf(f, "%s%s", k ? " " : "", json_string_value(word) ?: "?");
		}
		fclose(f);
		out_cell(t, OUT_PLAIN, number(init, "pid", buf));
		out_cell(t, strcmp(seal, "shim") == 0 ? OUT_BAD : OUT_GOOD, seal);
		out_cell(t, OUT_PLAIN, text);
		free(text);
	}
	return out_table_print(t, 2, stdout);
}

static int view_ports(const json_t *array)
{
	static const char *const head[] = {"PORT", "ADDRESS", "PID", "", NULL};
	struct out_table *t;
	char buf[OUT_NUMBER_LEN], port[OUT_NUMBER_LEN + 24];
	size_t i;
	json_t *entry;

	if (json_array_size(array) == 0)
		return 0;
	t = out_table_new(head, 0);
	json_array_foreach(array, i, entry)
	{
		snprintf(port, sizeof(port), "%.20s/%s", str_or(entry, "proto", "-"),
			number(entry, "port", buf));
		out_cell(t, OUT_PLAIN, port);
		out_cell(t, OUT_PLAIN, str_or(entry, "address", "-"));
		out_cell(t, OUT_PLAIN, number(entry, "pid", buf));
		out_cell(t, OUT_PLAIN,
			json_is_true(json_object_get(entry, "listening")) ? "listens" : "bound");
	}
	return out_table_print(t, 2, stdout);
}

int view_status(const json_t *ps)
{
	char *addresses = out_join(json_object_get(ps, "addresses"));
	char streams[OUT_NUMBER_LEN];
	int r;

	if (!addresses)
		return -ENOMEM;
	out_text(stdout, OUT_BOLD, str_or(ps, "name", "-"));
	fputs("  ", stdout);
	out_text(stdout, OUT_PLAIN, addresses);
	printf("  streams: %s\n", number(ps, "streams", streams));
	free(addresses);
	r = view_link_counters(json_object_get(ps, "links"));
	if (r == 0)
		r = view_inits(json_object_get(ps, "inits"));
	return r == 0 ? view_ports(json_object_get(ps, "ports")) : r;
}

int view_services(const json_t *array)
{
	static const char *const head[] = {"PORT", "SERVER", "ADDRESS", "PROCESS", "WHY", NULL};
	struct out_table *t = out_table_new(head, 0);
	char buf[OUT_NUMBER_LEN + 8], pid[OUT_NUMBER_LEN], why[160];
	size_t i;
	json_t *row;

	json_array_foreach(array, i, row)
	{
		const char *reason = str_or(row, "why", "-"), *by = str_or(row, "by", "");
		bool answers = strcmp(reason, "own") == 0 || strcmp(reason, "inherited") == 0;

		snprintf(buf, sizeof(buf), "%s/%lld", str_or(row, "proto", "-"),
			(long long)json_integer_value(json_object_get(row, "port")));
		snprintf(why, sizeof(why), "%s%s%s", reason,
			!*by				? ""
			: strcmp(reason, "hidden") == 0 ? " at "
							: " by ",
			by);
		number(row, "pid", pid);
		out_cell(t, answers ? OUT_GOOD : OUT_DIM, buf);
		out_cell(t, OUT_PLAIN, str_or(row, "server", "-"));
		out_cell(t, OUT_PLAIN, str_or(row, "address", "-"));
		out_cell(t, OUT_PLAIN, strcmp(pid, "0") == 0 ? "-" : pid);
		out_cell(t, answers ? OUT_PLAIN : OUT_DIM, why);
	}
	return out_table_print(t, 0, stdout);
}

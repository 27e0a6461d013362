/* SPDX-License-Identifier: MIT */
/* config: each key, each error with its line, limits, round trip, secrets out of messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PEER1	"xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define PEER2	"TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define PSK	"gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="
#define BASE	"[Interface]\nPrivateKey = " PRIVATE "\nAddress = 10.77.0.1/24\n" /* 3 lines */

static struct config *parse(const char *text)
{
	struct config *config = NULL;
	struct config_error error = {0};

	if (config_parse(text, strlen(text), &config, &error))
		fail_msg("line %u: %s", error.line, error.message);
	return config;
}

/* The text must be refused at this line, with this in the message. */
static void refuse(const char *text, unsigned line, const char *message)
{
	struct config *config = NULL;
	struct config_error error = {.line = 999};

	assert_int_equal(config_parse(text, strlen(text), &config, &error), -EINVAL);
	assert_null(config);
	if (error.line != line || !strstr(error.message, message))
		fail_msg("line %u: %s", error.line, error.message);
	assert_null(strstr(error.message, "yAnz5TF"));
	assert_null(strstr(error.message, "gN65BkI"));
	assert_int_equal(config_parse(text, strlen(text), &config, NULL), -EINVAL);
}

static void assert_prefix(const struct prefix *prefix, const char *text)
{
	char buf[PREFIX_STRLEN];

	assert_string_equal(prefix_format(prefix, buf), text);
}

static void test_whole_file(void **state)
{
	struct config *c = parse("# a portspace\n"
				 "[Interface]\n"
				 "PrivateKey = " PRIVATE " # secret\n"
				 "Address = 10.77.0.1/24, fd00:77::1/64\n"
				 "Address=10.78.0.1\n"
				 "MTU = 1380\n"
				 "DNS = 10.77.0.53, corp.example\n"
				 "\n"
				 "[Peer]\n"
				 "PublicKey = " PEER1 "\n"
				 "PresharedKey = " PSK "\n"
				 "AllowedIPs = 10.77.0.2/32 , 10.80.1.1/16\n"
				 "AllowedIPs = fd00:77::2\n"
				 "Endpoint = 192.0.2.2:51821\n"
				 "PersistentKeepalive = 25\n"
				 "[Peer]\n"
				 "PublicKey = " PEER2 "\n"
				 "[Persona]\n"
				 "Hostname = web1\n"
				 "Host = 10.77.0.2 db.example db\n"
				 "Host = fd00:77::2 db\n"
				 "Link = " PEER2 " office\n"
				 "StreamsMax = 5000\n");
	char key[KEY_STRLEN];

	(void)state;
	assert_string_equal(key_format(c->private_key, key), PRIVATE);
	assert_int_equal(c->naddresses, 3);
	assert_prefix(&c->addresses[0], "10.77.0.1/24");
	assert_prefix(&c->addresses[1], "fd00:77::1/64");
	assert_prefix(&c->addresses[2], "10.78.0.1/32");
	assert_int_equal(c->mtu, 1380);
	assert_int_equal(c->ndns, 2);
	assert_string_equal(c->dns[1], "corp.example");
	assert_string_equal(c->hostname, "web1");
	assert_int_equal(c->streams_max, 5000);
	assert_int_equal(c->npeers, 2);
	assert_string_equal(key_format(&c->peers[0].public_key, key), PEER1);
	assert_string_equal(key_format(c->peers[0].psk, key), PSK);
	assert_int_equal(c->peers[0].nallowed, 3);
	assert_prefix(&c->peers[0].allowed[0], "10.77.0.2/32");
	assert_prefix(&c->peers[0].allowed[1], "10.80.0.0/16");
	assert_prefix(&c->peers[0].allowed[2], "fd00:77::2/128");
	assert_string_equal(c->peers[0].endpoint, "192.0.2.2:51821");
	assert_int_equal(c->peers[0].keepalive_s, 25);
	assert_string_equal(c->peers[0].name, "");
	assert_null(c->peers[1].psk);
	assert_string_equal(c->peers[1].endpoint, "");
	assert_int_equal(c->peers[1].nallowed, 0);
	assert_string_equal(c->peers[1].name, "office");
	assert_int_equal(c->nhosts, 3);
	assert_string_equal(c->hosts[0].name, "db.example");
	assert_string_equal(c->hosts[1].name, "db");
	assert_int_equal(c->nwarnings, 1); /* DNS */
	config_free(c);
}

static void test_case_space_and_line_ends(void **state)
{
	struct config *c = parse("  [interFACE]\t\r\n\tprivatekey=" PRIVATE "\r\n"
				 "ADDRESS =10.77.0.1/24\r\n\r\n#x\r\n[PEER]\r\npublicKEY= " PEER1
				 "\r\nallowedIPS=\r\npersistentkeepalive=OFF\r\n[peer]\r\n"
				 "PublicKey=" PEER2);

	(void)state;
	assert_int_equal(c->naddresses, 1);
	assert_int_equal(c->npeers, 2);
	assert_int_equal(c->peers[0].nallowed, 0);
	assert_int_equal(c->peers[0].keepalive_s, 0);
	config_free(c);
}

static void test_sections_may_be_repeated(void **state)
{
	struct config *c = parse("[Persona]\nHostname = a\n[Interface]\nAddress = 10.77.0.1/24\n"
				 "[Persona]\nStreamsMax = 9\n[Interface]\nPrivateKey = " PRIVATE);

	(void)state;
	assert_string_equal(c->hostname, "a");
	assert_int_equal(c->streams_max, 9);
	config_free(c);
	refuse("[Interface]\nMTU = 1400\n[Persona]\n[Interface]\nMTU = 1401", 5,
		"MTU is there twice");
}

static void test_foreign_keys_are_ignored_with_a_warning(void **state)
{
	struct config *c = parse(BASE "ListenPort = 51820\nTable = off\nSaveConfig = true\n"
				      "FwMark = 0x1\nPreUp = rm -rf /\nPostUp = a; b = c [x]\n"
				      "PreDown = x\nPostDown = y\nPostUp = again\n");

	(void)state;
	assert_int_equal(c->nwarnings, 9);
	assert_string_equal(c->warnings[0], "line 4: ListenPort is ignored: portspaces share the "
					    "port of persona-broker --listen");
	assert_non_null(strstr(c->warnings[4], "line 8: PreUp is never run"));
	assert_non_null(strstr(c->warnings[8], "line 12: PostUp is never run"));
	config_free(c);
}

static void test_warnings_are_bounded(void **state)
{
	char text[8192] = BASE;
	struct config *c;

	(void)state;
	for (int i = 0; i < CONFIG_WARNINGS_MAX + 3; i++)
		strcat(text, "PostUp = x\n");
	c = parse(text);
	assert_int_equal(c->nwarnings, CONFIG_WARNINGS_MAX);
	assert_int_equal(c->nwarnings_lost, 3);
	config_free(c);
}

static void test_structure_errors(void **state)
{
	(void)state;
	refuse("", 0, "no PrivateKey");
	refuse("[Interface]\nAddress = 10.0.0.1\n", 0, "no PrivateKey");
	refuse("[Interface]\nPrivateKey = " PRIVATE, 0, "no Address");
	refuse("Address = 10.0.0.1\n", 1, "before any section");
	refuse(BASE "[Other]\n", 4, "section '[Other]' is not known");
	refuse(BASE "[Interface\n", 4, "'[Interface' is not known");
	refuse(BASE "hello\n", 4, "neither [Section] nor Key = Value");
	refuse(BASE "Adress = 10.0.0.1\n", 4, "key 'Adress' is not known in [Interface]");
	refuse(BASE "= 5\n", 4, "key ''");
	refuse(BASE "\n[Peer]\nAddress = 10.0.0.1\n", 6,
		"Address does not belong to [Peer]; move it to "
		"[Interface]");
	refuse(BASE "Hostname = x\n", 4, "move it to [Persona]");
	refuse(BASE "; a comment of another format\n", 4, "start the line with #");
}

static void test_zero_byte(void **state)
{
	static const char text[] = BASE "MTU = 14\0"
					"00\n";
	struct config *config = NULL;
	struct config_error error;

	(void)state;
	assert_int_equal(config_parse(text, sizeof(text) - 1, &config, &error), -EINVAL);
	assert_int_equal(error.line, 4);
}

static void test_interface_values(void **state)
{
	(void)state;
	refuse("[Interface]\nPrivateKey = abc\n", 2, "PrivateKey is no key");
	refuse("[Interface]\nPrivateKey = " PRIVATE "\nPrivateKey = " PRIVATE, 3, "twice");
	refuse(BASE "Address = 10.77.0\n", 4, "'10.77.0' is no address");
	refuse(BASE "Address = 10.77.0.2/33\n", 4, "is no address");
	refuse(BASE "Address = 10.77.0.2,\n", 4, "is no address");
	refuse(BASE "Address =\n", 4, "is no address");
	refuse(BASE "Address = 10.77.0.1/16\n", 4, "is there twice");
	refuse(BASE "Address = 0.0.0.0/0\n", 4, "wildcard");
	refuse(BASE "Address = ::\n", 4, "wildcard");
	refuse(BASE "Address = 224.0.0.1\n", 4, "multicast");
	refuse(BASE "Address = ff02::1\n", 4, "multicast");
	refuse(BASE "Address = 127.0.0.2/8\n", 4, "loopback");
	refuse(BASE "MTU = 575\n", 4, "MTU '575' must be a number from 576 to 65535");
	refuse(BASE "MTU = 65536\n", 4, "MTU");
	refuse(BASE "MTU = 1e3\n", 4, "MTU");
	refuse(BASE "MTU = -1\n", 4, "MTU");
	refuse(BASE "MTU = 4294968716\n", 4, "MTU");
	refuse(BASE "DNS = -x-\n", 4, "DNS '-x-'");
}

static void test_peer_values(void **state)
{
#define PEER BASE "[Peer]\nPublicKey = " PEER1 "\n" /* 5 lines */
	(void)state;
	refuse(BASE "[Peer]\n[Peer]\n", 4, "no PublicKey");
	refuse(BASE "[Peer]\nMTU = 1400\n", 5, "does not belong");
	refuse(BASE "\n[Peer]\nEndpoint = a:1\n", 5, "no PublicKey");
	refuse(BASE "[Peer]\nPublicKey = x\n", 5, "PublicKey is no key");
	refuse(BASE "[Peer]\nPublicKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 5,
		"no key");
	refuse(PEER "PublicKey = " PEER2 "\n", 6, "twice");
	refuse(PEER "[Peer]\nPublicKey = " PEER1 "\n", 7, "another [Peer]'s already");
	refuse(PEER "PresharedKey = " PSK "x\n", 6, "PresharedKey is no key");
	refuse(PEER "PresharedKey = " PSK "\nPresharedKey = " PSK "\n", 7, "twice");
	refuse(PEER "AllowedIPs = 10.0.0.0/8, x\n", 6, "'x' is no prefix");
	refuse(PEER "AllowedIPs = 10.0.0.0/8,,\n", 6, "'' is no prefix");
	refuse(PEER "AllowedIPs = 10.0.0.0/8\n[Peer]\nPublicKey = " PEER2
		    "\nAllowedIPs = 10.9.9.9/8\n",
		9, "10.9.9.9/8 is another [Peer]'s");
	refuse(PEER "Endpoint = host\n", 6, "'host' must be HOST:PORT");
	refuse(PEER "Endpoint = a:1\nEndpoint = b:1\n", 7, "twice");
	refuse(PEER "PersistentKeepalive = 65536\n", 6, "from 0 to 65535, or off");
	refuse(PEER "PersistentKeepalive = on\n", 6, "or off");
}

static void test_overlapping_but_different_prefixes_are_fine(void **state)
{
	struct config *c = parse(PEER "AllowedIPs = 0.0.0.0/0, 0.0.0.0/0, ::/0\n"
				      "[Peer]\nPublicKey = " PEER2 "\nAllowedIPs = 10.0.0.0/8\n");

	(void)state;
	assert_int_equal(c->peers[0].nallowed, 2);
	assert_int_equal(c->peers[1].nallowed, 1);
	config_free(c);
}

static void test_zero_psk_is_none(void **state)
{
	struct config *c =
		parse(PEER "PresharedKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");

	(void)state;
	assert_null(c->peers[0].psk);
	config_free(c);
}

static void test_own_key_as_peer(void **state)
{
	struct config *c = parse(BASE);
	char text[512], b64[KEY_STRLEN];
	struct key own;

	(void)state;
	assert_int_equal(key_public(c->private_key, &own), 0);
	snprintf(text, sizeof(text), BASE "[Peer]\nPublicKey = %s\n", key_format(&own, b64));
	refuse(text, 0, "of this very portspace");
	config_free(c);
}

static void test_persona_values(void **state)
{
	(void)state;
	refuse(BASE "[Persona]\nHostname = -a\n", 5, "Hostname '-a' is not valid");
	refuse(BASE "[Persona]\nHostname = a.\n", 5, "Hostname");
	refuse(BASE
		"[Persona]\nHostname = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbb"
		"bbbbbbbbb\n",
		5, "at most 64");
	refuse(BASE "[Persona]\nHost = web 10.0.0.1\n", 5, "'web' is no address");
	refuse(BASE "[Persona]\nHost = 10.0.0.1\n", 5, "Host has no name");
	refuse(BASE "[Persona]\nHost =\n", 5, "is no address");
	refuse(BASE "[Persona]\nHost = 10.0.0.1 a_b c/d\n", 5, "'c/d' is not valid");
	refuse(BASE "[Persona]\nHost = 10.0.0.1 localhost\n", 5, "localhost");
	refuse(BASE "[Persona]\nLink = x office\n", 5, "must start with the PublicKey");
	refuse(BASE "[Persona]\nLink =\n", 5, "must start with the PublicKey");
	refuse(BASE "[Persona]\nLink = " PEER1 "\n", 5, "is no interface name");
	refuse(BASE "[Persona]\nLink = " PEER1 " two words\n", 5, "is no interface name");
	refuse(BASE "[Persona]\nLink = " PEER1 " office\n", 5, "that no [Peer] has");
	refuse(PEER "[Persona]\nLink = " PEER1 " a\nLink = " PEER1 " b\n", 8, "on line 7 already");
	refuse(PEER "[Persona]\nLink = " PEER1 " a\nLink = " PEER2 " a\n", 8, "on line 7 already");
	refuse(BASE "[Persona]\nStreamsMax = 0\n", 5, "from 1 to 1000000");
	refuse(BASE "[Persona]\nStreamsMax = 1000001\n", 5, "from 1 to 1000000");
}

static void test_secrets_stay_out_of_messages(void **state)
{
	/* A key in the wrong place; refuse() looks for its text. */
	(void)state;
	refuse("[Interface]\n" PRIVATE "\n", 2, "key '(a key?)'");
	refuse("[Interface]\nPrivateKey : " PRIVATE "\n", 2, "is not known");
	refuse(PRIVATE "\n", 1, "");
	refuse("[Interface]\nAddress = " PRIVATE "\n", 2, "Address");
	refuse(BASE "[Peer]\nEndpoint = " PSK "\n", 5, "Endpoint");
	refuse(BASE "[Persona]\nHost = 10.0.0.1 " PSK "\n", 5, "Host");
	refuse(BASE "[Persona]\nLink = " PEER1 " " PSK "\n", 5, "Link");
}

static void test_control_characters_stay_out_of_messages(void **state)
{
	struct config *config = NULL;
	struct config_error error;
	const char *text = BASE "MTU = \033[2J\x9b\n";

	(void)state;
	assert_int_equal(config_parse(text, strlen(text), &config, &error), -EINVAL);
	assert_null(strpbrk(error.message, "\033\x9b"));
	assert_non_null(strstr(error.message, "?[2J?"));
}

/* Appends to a text of unknown length. */
struct text {
	char *p;
	size_t len;
	FILE *f;
};

static void text_open(struct text *t)
{
	t->f = open_memstream(&t->p, &t->len);
	assert_non_null(t->f);
	fputs(BASE, t->f);
}

static int text_parse(struct text *t, struct config **configp, struct config_error *errp)
{
	int r;

	fclose(t->f);
	r = config_parse(t->p, t->len, configp, errp);
	free(t->p);
	return r;
}

static void test_long_allowed_line(void **state)
{
	for (int n = LINK_PREFIXES_MAX; n <= LINK_PREFIXES_MAX + 1; n++) {
		struct config *config = NULL;
		struct config_error error;
		struct text t;
		int r;

		text_open(&t);
		fputs("[Peer]\nPublicKey = " PEER1 "\nAllowedIPs = 10.0.0.0", t.f);
		for (int i = 1; i < n; i++)
			fprintf(t.f, ",10.0.%d.%d/32", i / 256, i % 256);
		r = text_parse(&t, &config, &error);
		if (n == LINK_PREFIXES_MAX) {
			assert_int_equal(r, 0);
			assert_int_equal(config->peers[0].nallowed, LINK_PREFIXES_MAX);
		} else {
			assert_int_equal(r, -EINVAL);
			assert_int_equal(error.line, 6);
		}
		config_free(config);
	}
	(void)state;
}

static void test_limits(void **state)
{
	struct config *config = NULL;
	struct config_error error;
	struct text t;

	(void)state;
	text_open(&t);
	for (int i = 0; i < INFO_ADDRS_MAX; i++)
		fprintf(t.f, "Address = 10.1.0.%d\n", i);
	assert_int_equal(text_parse(&t, &config, &error), -EINVAL);
	assert_int_equal(error.line, 3 + INFO_ADDRS_MAX);

	text_open(&t);
	for (int i = 0; i <= CONFIG_DNS_MAX; i++)
		fprintf(t.f, "DNS = 10.1.0.%d\n", i);
	assert_int_equal(text_parse(&t, &config, &error), -EINVAL);
	assert_int_equal(error.line, 4 + CONFIG_DNS_MAX);

	text_open(&t);
	fputs("[Persona]\nHost = 10.0.0.1", t.f);
	for (int i = 0; i < CONFIG_HOSTS_MAX; i++)
		fprintf(t.f, " h%d", i);
	assert_int_equal(text_parse(&t, &config, &error), 0);
	assert_int_equal(config->nhosts, CONFIG_HOSTS_MAX);
	assert_int_equal(config_add_host(config, &addr_any4, "more"), -ENOSPC);
	config_free(config);

	text_open(&t);
	fputs("[Persona]\nHost = 10.0.0.1", t.f);
	for (int i = 0; i <= CONFIG_HOSTS_MAX; i++)
		fprintf(t.f, " h%d", i);
	assert_int_equal(text_parse(&t, &config, &error), -EINVAL);
}

static void test_peers_limit(void **state)
{
	for (int n = CONFIG_PEERS_MAX; n <= CONFIG_PEERS_MAX + 1; n++) {
		struct config *config = NULL;
		struct config_error error;
		struct text t;
		int r;

		text_open(&t);
		for (int i = 0; i < n; i++) {
			struct key key = {.b = {(uint8_t)i, (uint8_t)(i >> 8), 1}};
			char b64[KEY_STRLEN];

			fprintf(t.f, "[Peer]\nPublicKey = %s\n", key_format(&key, b64));
		}
		r = text_parse(&t, &config, &error);
		assert_int_equal(r, n == CONFIG_PEERS_MAX ? 0 : -EINVAL);
		if (r)
			assert_int_equal(error.line, 4 + 2 * CONFIG_PEERS_MAX);
		config_free(config);
	}
	(void)state;
}

static void test_text_limit(void **state)
{
	char *text = malloc(CONFIG_TEXT_MAX + 1);
	struct config *config = NULL;
	struct config_error error;

	(void)state;
	memset(text, '#', CONFIG_TEXT_MAX + 1);
	memcpy(text, BASE, sizeof(BASE) - 1);
	assert_int_equal(config_parse(text, CONFIG_TEXT_MAX + 1, &config, &error), -E2BIG);
	assert_non_null(strstr(error.message, "larger than"));
	assert_int_equal(config_parse(text, CONFIG_TEXT_MAX, &config, &error), 0);
	config_free(config);
	free(text);
}

static void assert_same_text(const char *text, const char *expected)
{
	struct config *c = parse(text), *again;
	char *out, *out2;
	size_t len, len2;

	assert_int_equal(config_format(c, &out, &len), 0);
	assert_int_equal(strlen(out), len);
	assert_string_equal(out, expected);
	again = parse(out);
	assert_int_equal(config_format(again, &out2, &len2), 0);
	assert_string_equal(out2, out);
	sodium_free(out);
	sodium_free(out2);
	config_free(c);
	config_free(again);
}

static void test_format(void **state)
{
	(void)state;
	assert_same_text(BASE, "[Interface]\nPrivateKey = " PRIVATE "\nAddress = 10.77.0.1/24\n");
	assert_same_text(
		"[persona]\nlink=" PEER1
		" office\nhost=10.0.0.2 a b\nstreamsmax=007\nhostname=me\n" BASE
		"mtu=1400\ndns=10.0.0.53,corp\ntable=off\n[peer]\npublickey=" PEER1
		"\npresharedkey=" PSK "\nendpoint=[2001:db8::1]:51820\npersistentkeepalive=25\n"
		"allowedips=10.0.0.1/8,10.1.0.0/16,10.2.0.0/16,10.3.0.0/16,10.4.0.0/16,10.5.0.0/16,"
		"10.6.0.0/16,10.7.0.0/16,fd00::1/64\n[peer]\npublickey=" PEER2,
		"[Interface]\nPrivateKey = " PRIVATE "\nAddress = 10.77.0.1/24\nMTU = 1400\n"
		"DNS = 10.0.0.53\nDNS = corp\n"
		"\n[Peer]\nPublicKey = " PEER1 "\nPresharedKey = " PSK "\n"
		"AllowedIPs = 10.0.0.0/8, 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16, "
		"10.5.0.0/16, 10.6.0.0/16, 10.7.0.0/16\nAllowedIPs = fd00::/64\n"
		"Endpoint = [2001:db8::1]:51820\nPersistentKeepalive = 25\n"
		"\n[Peer]\nPublicKey = " PEER2 "\n"
		"\n[Persona]\nHostname = me\nStreamsMax = 7\nHost = 10.0.0.2 a\nHost = 10.0.0.2 b\n"
		"Link = " PEER1 " office\n");
}

static void test_format_needs_a_key(void **state)
{
	struct config *c = config_new();
	char *text = NULL;
	size_t len;

	(void)state;
	assert_int_equal(config_format(c, &text, &len), -EINVAL);
	assert_null(text);
	config_free(c);
}

static void test_build_check_and_remove(void **state)
{
	struct config *c = parse(PEER "AllowedIPs = 10.0.0.0/8\n[Peer]\nPublicKey = " PEER2 "\n");
	struct config_peer *one, *two, *three;
	struct config_error error;
	struct prefix p;
	struct key k1, k2, k3 = {.b = {9}};

	(void)state;
	assert_int_equal(key_parse(PEER1, &k1), 0);
	assert_int_equal(key_parse(PEER2, &k2), 0);
	two = config_find_peer(c, &k2);
	assert_non_null(two);
	assert_int_equal(prefix_parse("10.5.5.5/8", &p), 0);
	assert_int_equal(config_add_allowed(two, &p), 0);
	assert_int_equal(config_add_allowed(two, &p), 0);
	assert_int_equal(two->nallowed, 1);
	assert_int_equal(config_check(c, &error), -EINVAL);
	assert_non_null(strstr(error.message, PEER2 ": 10.0.0.0/8 is another peer's"));
	assert_int_equal(config_add_peer(c, &k3, &three), 0);
	one = config_find_peer(c, &k1);
	config_remove_peer(c, one);
	assert_int_equal(config_check(c, NULL), 0);
	assert_int_equal(c->npeers, 2);
	assert_null(config_find_peer(c, &k1));
	assert_ptr_equal(config_find_peer(c, &k3), &c->peers[1]);
	strcpy(c->peers[1].name, "office");
	assert_ptr_equal(config_find_link(c, "office"), &c->peers[1]);
	assert_null(config_find_link(c, ""));
	config_remove_peer(c, &c->peers[1]);
	assert_null(config_find_link(c, "office"));
	config_remove_peer(c, &c->peers[0]);
	assert_int_equal(config_check(c, NULL), 0);
	config_free(c);
}

static void test_check_finds_what_parse_would(void **state)
{
	struct config *c = parse(PEER "[Peer]\nPublicKey = " PEER2 "\n");
	struct config_error error;
	struct key key;

	(void)state;
#define refuse_change(change, undo, text)                           \
	do {                                                        \
		change;                                             \
		assert_int_equal(config_check(c, &error), -EINVAL); \
		assert_non_null(strstr(error.message, text));       \
		undo;                                               \
		assert_int_equal(config_check(c, &error), 0);       \
	} while (0)
	refuse_change(c->naddresses = 0, c->naddresses = 1, "no Address");
	refuse_change(c->addresses[0].len = 3, c->addresses[0].len = 120, "impossible prefix");
	refuse_change(c->addresses[0].len = 200, c->addresses[0].len = 120, "impossible prefix");
	refuse_change(c->mtu = 100, c->mtu = 0, "MTU 100");
	refuse_change(strcpy(c->hostname, "-"), c->hostname[0] = '\0', "Hostname '-'");
	refuse_change(c->streams_max = 2000000, c->streams_max = 0, "StreamsMax");
	refuse_change(strcpy(c->peers[0].name, "lo"), c->peers[0].name[0] = '\0', "'lo'");
	refuse_change(
		strcpy(c->peers[0].endpoint, "x"), c->peers[0].endpoint[0] = '\0', "endpoint");
	refuse_change(
		(key = c->peers[1].public_key, c->peers[1].public_key = c->peers[0].public_key),
		c->peers[1].public_key = key, "is there twice");
	refuse_change((key = c->peers[0].public_key, memset(&c->peers[0].public_key, 0, KEY_LEN)),
		c->peers[0].public_key = key, "no usable PublicKey");
	refuse_change((strcpy(c->peers[0].name, "a"), strcpy(c->peers[1].name, "a")),
		c->peers[1].name[0] = '\0', "interface name a");
	refuse_change((strcpy(c->dns[0], "!"), c->ndns = 1), c->ndns = 0, "DNS '!'");
	assert_int_equal(config_add_host(c, &addr_any4, "!"), -EINVAL);
	assert_int_equal(config_add_host(c, &addr_any4, "localhost"), 0);
	assert_int_equal(config_add_host(c, &addr_any4, "LOCALHOST"), 0);
	assert_int_equal(c->nhosts, 1);
	refuse_change((void)0, c->nhosts = 0, "Host localhost");
	config_free(c);
}

static void test_portspace_names(void **state)
{
	char name[80];

	(void)state;
	assert_true(config_name_valid("work"));
	assert_true(config_name_valid("0"));
	assert_true(config_name_valid("a.b_c-d"));
	assert_false(config_name_valid(""));
	assert_false(config_name_valid("."));
	assert_false(config_name_valid(".."));
	assert_false(config_name_valid("-a"));
	assert_false(config_name_valid("_a"));
	assert_false(config_name_valid("Work"));
	assert_false(config_name_valid("a/b"));
	assert_false(config_name_valid("a b"));
	memset(name, 'a', sizeof(name));
	name[63] = '\0';
	assert_true(config_name_valid(name));
	name[63] = 'a';
	name[64] = '\0';
	assert_false(config_name_valid(name));
}

static void test_link_names(void **state)
{
	(void)state;
	assert_true(config_link_name_valid("a"));
	assert_true(config_link_name_valid("Office-1.examp"));
	assert_true(config_link_name_valid("123456789012345"));
	assert_false(config_link_name_valid("1234567890123456"));
	assert_false(config_link_name_valid(""));
	assert_false(config_link_name_valid("."));
	assert_false(config_link_name_valid(".."));
	assert_false(config_link_name_valid("lo"));
	assert_false(config_link_name_valid("a b"));
	assert_false(config_link_name_valid("a/b"));
	assert_false(config_link_name_valid("a:b"));
	assert_false(config_link_name_valid("a#b"));
	assert_false(config_link_name_valid("a\tb"));
	assert_false(config_link_name_valid("b\xc3\xbc"));
}

static void test_endpoint_split(void **state)
{
	static const char *const wrong[] = {"", ":", "a", "a:", ":1", "a:0", "a:65536", "a:1x",
		"a: 1", "a:-1", "a:000001", "[::1]", "[::1]1", "[10.0.0.1]:1", "[]:1", "[:1",
		"::1:1", "a b:1", "1.2.3:1", "[fe80::1%eth0]:1", "a]:1"};
	char host[HOSTS_NAME_MAX], text[400];
	uint16_t port;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(config_endpoint_split(wrong[i], host, &port), -EINVAL);
	assert_int_equal(config_endpoint_split("vpn.example:51820", host, &port), 0);
	assert_string_equal(host, "vpn.example");
	assert_int_equal(port, 51820);
	assert_int_equal(config_endpoint_split("192.0.2.1:65535", host, &port), 0);
	assert_string_equal(host, "192.0.2.1");
	assert_int_equal(config_endpoint_split("[2001:db8::1]:1", host, &port), 0);
	assert_string_equal(host, "2001:db8::1");
	assert_int_equal(port, 1);
	assert_int_equal(config_endpoint_split("a:1", NULL, NULL), 0);
	memset(text, 'a', sizeof(text));
	strcpy(text + 390, ":1");
	assert_int_equal(config_endpoint_split(text, host, &port), -EINVAL);
}

static void test_free_null(void **state)
{
	(void)state;
	config_free(NULL);
}

static int setup(void **state)
{
	(void)state;
	return sodium_init() < 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_file),
		cmocka_unit_test(test_case_space_and_line_ends),
		cmocka_unit_test(test_sections_may_be_repeated),
		cmocka_unit_test(test_foreign_keys_are_ignored_with_a_warning),
		cmocka_unit_test(test_warnings_are_bounded),
		cmocka_unit_test(test_structure_errors),
		cmocka_unit_test(test_zero_byte),
		cmocka_unit_test(test_interface_values),
		cmocka_unit_test(test_peer_values),
		cmocka_unit_test(test_overlapping_but_different_prefixes_are_fine),
		cmocka_unit_test(test_zero_psk_is_none),
		cmocka_unit_test(test_own_key_as_peer),
		cmocka_unit_test(test_persona_values),
		cmocka_unit_test(test_secrets_stay_out_of_messages),
		cmocka_unit_test(test_control_characters_stay_out_of_messages),
		cmocka_unit_test(test_long_allowed_line),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_peers_limit),
		cmocka_unit_test(test_text_limit),
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_format_needs_a_key),
		cmocka_unit_test(test_build_check_and_remove),
		cmocka_unit_test(test_check_finds_what_parse_would),
		cmocka_unit_test(test_portspace_names),
		cmocka_unit_test(test_link_names),
		cmocka_unit_test(test_endpoint_split),
		cmocka_unit_test(test_free_null),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: MIT */
/* config_parse: each key, each error with its line, limits, secrets out of messages. */
#include "config_text.h"

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
	assert_int_equal(c->nwarnings, 0);
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
	assert_int_equal(c->nwarnings, 8);
	assert_int_equal(c->listen_port, 51820);
	assert_string_equal(
		c->warnings[0], "line 5: Table is ignored: a portspace has one routing table");
	assert_non_null(strstr(c->warnings[3], "line 8: PreUp is never run"));
	assert_non_null(strstr(c->warnings[7], "line 12: PostUp is never run"));
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
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

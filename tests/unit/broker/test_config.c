/* SPDX-License-Identifier: MIT */
/* config: the text form and its round trip, changes, the rules, names. */
#include "config_text.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
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

/* SPDX-License-Identifier: MIT */
/* The settings of a portspace's network: each key, its text form, its errors. */
#include "config_net.h"
#include "config_text.h"

#include <netinet/in.h>

static void test_all_settings(void **state)
{
	static const char text[] = "\n[Persona]\nSuper = office\nInherit = yes\nHide = tcp/22\n"
				   "Hide = udp/5000-5010\nProxyProtocol = tcp/80\n"
				   "Gateway = 192.0.2.0/24\nNetwork = 10.77.0.0/16\n"
				   "Network = fd00:77::/48\nRouting = rip\nRipUpdate = 5\n"
				   "Route = 10.9.0.0/16 via 10.77.0.2 metric 3\n"
				   "Route = fd00:9::/32 dev lab\n";
	struct config *c =
		parse(PEER "[Persona]\nlink=" PEER1 " lab\nsuper = office\ninherit=YES\n"
			   "hide = tcp/22,udp/5000-5010 , TCP/22\nproxyprotocol=tcp/80\n"
			   "gateway=192.0.2.9/24\nnetwork=10.77.0.0/16, fd00:77::/48\nrouting=RIP\n"
			   "ripupdate=5\nroute=10.9.9.9/16 via 10.77.0.2 metric 3\n"
			   "route=fd00:9::/32 dev lab\n");
	char *out;
	size_t len;

	(void)state;
	assert_string_equal(c->super, "office");
	assert_true(c->inherit && c->rip);
	assert_int_equal(c->hide.n, 2);
	assert_true(config_ports_contain(&c->hide, IPPROTO_UDP, 5010));
	assert_false(config_ports_contain(&c->hide, IPPROTO_TCP, 5010));
	assert_prefix(&c->gateways.prefixes[0], "192.0.2.0/24");
	assert_int_equal(c->rip_update_s, 5);
	assert_int_equal(c->nroutes, 2);
	assert_int_equal(c->routes[0].metric, 3);
	assert_string_equal(c->routes[1].link, "lab");
	assert_int_equal(config_format(c, &out, &len), 0);
	assert_non_null(strstr(out, "\n[Persona]\n"));
	sodium_free(out);
	config_free(c);
	/* each line of the canonical text comes back as it is */
	c = parse(PEER "[Persona]\nLink = " PEER1 " lab\n" /* a link for Route */);
	for (const char *line = strchr(text, ']') + 2; *line; line = strchr(line, '\n') + 1) {
		char key[32], value[64];

		assert_int_equal(sscanf(line, "%31s = %63[^\n]", key, value), 2);
		assert_int_equal(config_net_set(c, key, value, NULL), 0);
	}
	assert_int_equal(config_format(c, &out, &len), 0);
	for (const char *line = strchr(text, ']') + 2; *line; line = strchr(line, '\n') + 1) {
		char one[80];

		snprintf(one, sizeof(one), "\n%.*s\n", (int)strcspn(line, "\n"), line);
		if (!strstr(out, one))
			fail_msg("missing: %s in %s", one, out);
	}
	sodium_free(out);
	config_free(c);
}

static void test_errors(void **state)
{
	(void)state;
	refuse(BASE "[Persona]\nSuper = ../x\n", 5, "no portspace's name");
	refuse(BASE "[Persona]\nInherit = maybe\n", 5, "must be yes or no");
	refuse(BASE "[Persona]\nHide = 22\n", 5, "PROTOCOL/PORT");
	refuse(BASE "[Persona]\nHide = tcp/0\n", 5, "PROTOCOL/PORT");
	refuse(BASE "[Persona]\nHide = tcp/70000\n", 5, "PROTOCOL/PORT");
	refuse(BASE "[Persona]\nHide = tcp/9-8\n", 5, "PROTOCOL/PORT");
	refuse(BASE "[Persona]\nHide = tcp/9,,tcp/8\n", 5, "empty");
	refuse(BASE "[Persona]\nHide =\n", 5, "has no value");
	refuse(BASE "[Persona]\nProxyProtocol = udp/53\n", 5, "only tcp");
	refuse(BASE "[Persona]\nGateway = x\n", 5, "is no prefix");
	refuse(BASE "[Persona]\nGateway = 10.77.0.0/24\n", 0, "own address");
	refuse(BASE "[Persona]\nGateway = 127.0.0.0/8\n", 0, "loopback");
	refuse(BASE "[Persona]\nRouting = ospf\n", 5, "static or rip");
	refuse(BASE "[Persona]\nRipUpdate = 0\n", 5, "seconds");
	refuse(BASE "[Persona]\nRoute = 10.0.0.0/8\n", 5, "PREFIX via ADDRESS");
	refuse(BASE "[Persona]\nRoute = 10.0.0.0/8 via fd00::1\n", 5, "PREFIX via ADDRESS");
	refuse(BASE "[Persona]\nRoute = 10.0.0.0/8 via 10.77.0.2 metric 16\n", 5, "PREFIX via");
	refuse(BASE "[Persona]\nRoute = 10.0.0.0/8 via 10.77.0.2 metric 1 x\n", 5, "PREFIX via");
	refuse(BASE "[Persona]\nRoute = 10.0.0.0/8 dev nolink\n", 0, "no link of this name");
	refuse(BASE "[Persona]\nRoute = 10.0.0.0/8 via 10.77.0.2\n"
		    "Route = 10.1.0.0/8 via 10.77.0.2\n",
		6, "is there twice");
	refuse(BASE "[Persona]\nSuper = a\nSuper = b\n", 6, "is there twice");
	refuse(BASE "Super = a\n", 4, "move it to [Persona]");
	refuse(BASE "ListenPort = 0\n", 4, "ListenPort");
	refuse(BASE "[Persona]\nHide = " PRIVATE "\n", 5, "(a key?)");
}

static void assert_ports(const struct config_port_list *list, const char *want)
{
	char text[256] = "";

	for (size_t i = 0; i < list->n; i++) {
		char one[CONFIG_PORTS_STRLEN];

		config_ports_format(&list->ports[i], one);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", one);
	}
	assert_string_equal(text, want);
}

static void change(struct config_port_list *list, char how, const char *text, int want)
{
	struct config_ports ports;

	assert_int_equal(config_ports_parse(text, &ports), 0);
	assert_int_equal(
		how == '+' ? config_ports_add(list, &ports) : config_ports_remove(list, &ports),
		want);
}

static void test_port_lists(void **state)
{
	struct config_port_list list = {0};

	(void)state;
	change(&list, '+', "tcp/10-20", 0);
	change(&list, '+', "tcp/12-13", 0); /* covered */
	assert_ports(&list, "tcp/10-20 ");
	change(&list, '-', "udp/10-20", -ENOENT);
	change(&list, '-', "tcp/14-15", 0);
	assert_ports(&list, "tcp/10-13 tcp/16-20 ");
	change(&list, '-', "tcp/1-10", 0);
	change(&list, '-', "tcp/20-65535", 0);
	assert_ports(&list, "tcp/11-13 tcp/16-19 ");
	change(&list, '-', "tcp/13-16", 0);
	assert_ports(&list, "tcp/11-12 tcp/17-19 ");
	change(&list, '-', "tcp/1-65535", 0);
	assert_ports(&list, "");
	change(&list, '+', "udp/65535", 0);
	change(&list, '-', "udp/65535", 0);
	assert_ports(&list, "");
	for (unsigned i = 1; i <= CONFIG_PORTS_MAX; i++) {
		struct config_ports p = {IPPROTO_TCP, (uint16_t)(2 * i), (uint16_t)(2 * i)};

		assert_int_equal(config_ports_add(&list, &p), 0);
	}
	change(&list, '+', "udp/1", -ENOSPC);
	free(list.ports);
}

static void test_routes(void **state)
{
	struct config *c = parse(BASE);
	struct config_route a, b;

	(void)state;
	assert_int_equal(config_route_parse("10.0.0.0/8 via 10.77.0.2", &a), 0);
	assert_int_equal(config_route_parse("10.0.0.0/8 via 10.77.0.3 metric 2", &b), 0);
	assert_int_equal(config_route_add(c, &a), 0);
	assert_int_equal(config_route_add(c, &a), -EEXIST);
	assert_int_equal(config_route_add(c, &b), 0);
	assert_int_equal(config_route_remove(c, &a, false), 0);
	assert_int_equal(config_route_remove(c, &a, false), -ENOENT);
	assert_int_equal(c->nroutes, 1);
	assert_int_equal(config_route_remove(c, &a, true), 0);
	assert_int_equal(c->nroutes, 0);
	config_free(c);
}

static void test_a_link_takes_its_routes_along(void **state)
{
	struct config *c =
		parse(PEER "[Persona]\nLink = " PEER1 " lab\nRoute = 10.0.0.0/8 dev lab\n"
			   "Route = 11.0.0.0/8 via 10.77.0.2\n");

	(void)state;
	config_remove_peer(c, &c->peers[0]);
	assert_int_equal(c->nroutes, 1);
	assert_prefix(&c->routes[0].prefix, "11.0.0.0/8");
	assert_int_equal(config_check(c, NULL), 0);
	config_free(c);
}

static bool in_network(const struct config *c, const char *text)
{
	struct prefix p;

	assert_int_equal(prefix_parse(text, &p), 0);
	return config_network_contains(c, &p);
}

static void test_network(void **state)
{
	struct config *c = parse(BASE);

	(void)state;
	assert_true(in_network(c, "10.77.0.9"));
	assert_true(in_network(c, "10.77.0.0/24"));
	assert_false(in_network(c, "10.77.0.0/23"));
	assert_false(in_network(c, "0.0.0.0/0"));
	assert_int_equal(config_net_set(c, "Network", "192.0.2.0/24", NULL), 0);
	assert_true(in_network(c, "192.0.2.0/25"));
	assert_false(in_network(c, "10.77.0.9"));
	config_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_settings),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_port_lists),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_a_link_takes_its_routes_along),
		cmocka_unit_test(test_network),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Names and interfaces (R11): the whole contract of the lookup functions. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netpacket/packet.h>
#include <pthread.h>
#include <resolv.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <sys/utsname.h>

#include "shimtest.h"

/* The result as text: "family/type/proto/port addr; ..." or the code. */
static const char *lookup(const char *node, const char *service, const struct addrinfo *hints)
{
	static char text[1024];
	struct addrinfo *list = NULL;
	int r = getaddrinfo(node, service, hints, &list);
	size_t n = 0;

	if (r) {
		snprintf(text, sizeof(text), "%d", r);
		return text;
	}
	text[0] = '\0';
	for (struct addrinfo *ai = list; ai; ai = ai->ai_next) {
		char host[64], port[16];

		assert_int_equal(getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), port,
					 sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV),
			0);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s/%d/%s/%s", n ? " " : "",
			ai->ai_family == AF_INET ? "4" : "6", ai->ai_socktype, host, port);
		if (ai->ai_canonname)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "=%s", ai->ai_canonname);
	}
	freeaddrinfo(list);
	return text;
}

static struct addrinfo hint(int family, int flags)
{
	return (struct addrinfo){
		.ai_family = family, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
}

static void assert_lookup(
	const char *node, const char *service, int family, int flags, const char *want)
{
	struct addrinfo h = hint(family, flags);

	assert_string_equal(lookup(node, service, &h), want);
}

static void r11_names_of_the_portspace(void **state)
{
	(void)state;
	assert_lookup("alpha", "80", AF_UNSPEC, 0, "4/1/10.9.0.1/80");
	assert_lookup("dual", "80", AF_UNSPEC, 0, "6/1/fd09::1/80 4/1/10.9.0.1/80");
	assert_lookup("dual", "80", AF_INET, 0, "4/1/10.9.0.1/80");
	assert_lookup("alpha.", "80", AF_UNSPEC, 0, "4/1/10.9.0.1/80");
	assert_lookup("www.alpha", "80", AF_UNSPEC, AI_CANONNAME, "4/1/10.9.0.1/80=alpha");
	assert_lookup("testbox", NULL, AF_INET, 0, "4/1/10.0.0.1/0");
	assert_lookup("localhost", "1", AF_UNSPEC, 0, "6/1/::1/1 4/1/127.0.0.1/1");
	assert_lookup("a.localhost", "1", AF_INET, 0, "4/1/127.0.0.1/1");
}

static void r11_null_hints_give_every_type(void **state)
{
	(void)state;
	assert_string_equal(
		lookup("10.1.2.3", "80", NULL), "4/1/10.1.2.3/80 4/2/10.1.2.3/80 4/3/10.1.2.3/80");
	assert_string_equal(lookup("alpha", "http", NULL), "4/1/10.9.0.1/80");
}

static void r11_everything_else_is_noname_at_once(void **state)
{
	uint64_t start = now_ms();

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_lookup("www.example.org", "80", AF_UNSPEC, 0, "-2");
	assert_true(now_ms() - start < 1000);
}

static void r11_codes(void **state)
{
	struct addrinfo bad_type = {.ai_socktype = 99}, bad_flags = {.ai_flags = 0x40000000};

	(void)state;
	assert_lookup(NULL, NULL, AF_UNSPEC, 0, "-2");
	assert_lookup("alpha", "80", AF_UNIX, 0, "-6");
	assert_string_equal(lookup("alpha", "80", &bad_type), "-7");
	assert_string_equal(lookup("alpha", "80", &bad_flags), "-1");
	assert_lookup("alpha", "nosuchservice", AF_UNSPEC, 0, "-8");
	assert_lookup("alpha", "http", AF_UNSPEC, AI_NUMERICSERV, "-2");
	assert_lookup(NULL, "80", AF_UNSPEC, AI_CANONNAME, "-1");
	assert_lookup("alpha", "80", AF_UNSPEC, AI_NUMERICHOST, "-2");
	assert_lookup("fd09::1", "80", AF_INET, 0, "-9");
	assert_lookup("10.0.0.9", "80", AF_INET6, 0, "-9");
	assert_lookup("six", "80", AF_INET, 0, "-9");
}

static void r11_mapped_and_passive(void **state)
{
	(void)state;
	assert_lookup("10.0.0.9", "80", AF_INET6, AI_V4MAPPED, "6/1/::ffff:10.0.0.9/80");
	assert_lookup("alpha", "80", AF_INET6, AI_V4MAPPED, "6/1/::ffff:10.9.0.1/80");
	assert_lookup("dual", "80", AF_INET6, AI_V4MAPPED, "6/1/fd09::1/80");
	assert_lookup("dual", "80", AF_INET6, AI_V4MAPPED | AI_ALL,
		"6/1/fd09::1/80 6/1/::ffff:10.9.0.1/80");
	assert_lookup(NULL, "80", AF_UNSPEC, AI_PASSIVE, "4/1/0.0.0.0/80 6/1/::/80");
	assert_lookup(NULL, "80", AF_UNSPEC, 0, "6/1/::1/80 4/1/127.0.0.1/80");
	assert_lookup(NULL, "80", AF_INET6, AI_PASSIVE, "6/1/::/80");
	assert_lookup(NULL, "80", AF_INET, 0, "4/1/127.0.0.1/80");
	assert_lookup("127.1", "80", AF_UNSPEC, AI_NUMERICHOST, "4/1/127.0.0.1/80");
	assert_lookup("127.0.0.1 x", "80", AF_UNSPEC, AI_NUMERICHOST, "-2");
	assert_lookup("::1%lo", "80", AF_UNSPEC, AI_NUMERICHOST, "6/1/::1%lo/80");
}

static void r11_getnameinfo(void **state)
{
	struct where w = at("10.9.0.1", 80), none = at("10.9.0.77", 81);
	char host[64] = "", service[32] = "";

	(void)state;
	assert_int_equal(getnameinfo((struct sockaddr *)&w.ss, w.len, host, sizeof(host), service,
				 sizeof(service), 0),
		0);
	assert_string_equal(host, "alpha");
	assert_string_equal(service, "http");
	assert_int_equal(
		getnameinfo((struct sockaddr *)&w.ss, w.len, host, 3, NULL, 0, 0), EAI_OVERFLOW);
	assert_int_equal(getnameinfo((struct sockaddr *)&none.ss, w.len, host, sizeof(host), NULL,
				 0, NI_NAMEREQD),
		EAI_NONAME);
	assert_int_equal(
		getnameinfo((struct sockaddr *)&none.ss, w.len, host, sizeof(host), NULL, 0, 0), 0);
	assert_string_equal(host, "10.9.0.77");
	assert_int_equal(getnameinfo((struct sockaddr *)&w.ss, 5, host, sizeof(host), NULL, 0, 0),
		EAI_FAMILY);
	assert_int_equal(
		getnameinfo((struct sockaddr *)&w.ss, w.len, NULL, 0, NULL, 0, 0), EAI_NONAME);
}

static void r11_hostent_and_its_r_forms(void **state)
{
	struct hostent he, *result = &he;
	unsigned char addr[4] = {10, 9, 0, 1};
	char buf[512];
	int err = -1;

	(void)state;
	assert_int_equal(gethostbyname_r("alpha", &he, buf, sizeof(buf), &result, &err), 0);
	assert_ptr_equal(result, &he);
	assert_string_equal(he.h_name, "alpha");
	assert_int_equal(he.h_length, 4);
	assert_memory_equal(he.h_addr_list[0], addr, 4);
	assert_null(he.h_addr_list[1]);
	assert_int_equal(gethostbyname_r("alpha", &he, buf, 8, &result, &err), ERANGE);
	assert_null(result);
	assert_int_equal(err, NETDB_INTERNAL);
	assert_int_equal(gethostbyname_r("nosuch", &he, buf, sizeof(buf), &result, &err), 0);
	assert_null(result);
	assert_int_equal(err, HOST_NOT_FOUND);
	assert_int_equal(gethostbyname2_r("six", AF_INET, &he, buf, sizeof(buf), &result, &err), 0);
	assert_null(result);
	assert_int_equal(err, NO_DATA);
	assert_int_equal(
		gethostbyaddr_r(addr, 4, AF_INET, &he, buf, sizeof(buf), &result, &err), 0);
	assert_string_equal(result->h_name, "alpha");
	assert_null(gethostbyname("nosuch"));
	assert_int_equal(h_errno, HOST_NOT_FOUND);
	assert_string_equal(gethostbyname("10.2.3.4")->h_name, "10.2.3.4");
	assert_null(gethostent());
}

static void queries_go_to_the_portspaces_servers(void **state)
{
	static const unsigned char header[12] = {0x77, 0x66, 1};
	struct __res_state rs = {0};
	unsigned char answer[512];

	(void)state;
	assert_int_equal(res_query("a.example", 1, 1, answer, sizeof(answer)), 12 + 15 + 16);
	assert_int_equal(answer[7], 1);
	assert_int_equal(res_query("a.example", 1, 1, answer, 20), 12 + 15 + 16);
	assert_true(answer[2] & 2); /* cut, and told so */
	assert_int_equal(res_query("none.example", 1, 1, answer, sizeof(answer)), -1);
	assert_int_equal(h_errno, HOST_NOT_FOUND);
	assert_int_equal(res_query("empty.example", 1, 1, answer, sizeof(answer)), -1);
	assert_int_equal(h_errno, NO_DATA);
	assert_int_equal(res_query("sick.example", 1, 1, answer, sizeof(answer)), -1);
	assert_int_equal(h_errno, TRY_AGAIN);
	assert_int_equal(res_query("refused.example", 1, 1, answer, sizeof(answer)), -1);
	assert_int_equal(h_errno, NO_RECOVERY);
	assert_int_equal(res_nquery(&rs, "zzz.example", 1, 1, answer, sizeof(answer)), -1);
	assert_int_equal(rs.res_h_errno, TRY_AGAIN);
	assert_int_equal(res_send(header, sizeof(header), answer, sizeof(answer)), 12);
	assert_memory_equal(answer, header, 2);
	assert_int_equal(res_send(header, 5, answer, sizeof(answer)), -1);
	res_nclose(&rs);
}

static void searches_use_the_portspaces_domains(void **state)
{
	unsigned char answer[512];
	char name[256];

	(void)state;
	assert_true(res_search("www", 1, 1, answer, sizeof(answer)) > 0);
	assert_true(
		dn_expand(answer, answer + sizeof(answer), answer + 12, name, sizeof(name)) > 0);
	assert_string_equal(name, "www.corp.example");
	assert_true(res_search("www.", 1, 1, answer, sizeof(answer)) > 0);
	dn_expand(answer, answer + sizeof(answer), answer + 12, name, sizeof(name));
	assert_string_equal(name, "www");
	assert_int_equal(res_search("none.example", 1, 1, answer, sizeof(answer)), -1);
	assert_int_equal(h_errno, HOST_NOT_FOUND);
	assert_true(res_querydomain("www", "x.example", 1, 1, answer, sizeof(answer)) > 0);
	dn_expand(answer, answer + sizeof(answer), answer + 12, name, sizeof(name));
	assert_string_equal(name, "www.x.example");
}

static void a_resolver_state_shows_the_portspace(void **state)
{
	struct __res_state rs = {0};

	(void)state;
	for (int i = 0; i < 2; i++) { /* a second time frees what the first one made */
		assert_int_equal(res_ninit(&rs), 0);
		assert_int_equal(rs.nscount, 2);
		assert_int_equal(rs.nsaddr_list[0].sin_addr.s_addr, inet_addr("10.9.0.53"));
		assert_int_equal(rs.nsaddr_list[0].sin_port, htons(53));
		assert_non_null(rs._u._ext.nsaddrs[1]);
		assert_int_equal(rs._u._ext.nsaddrs[1]->sin6_addr.s6_addr[15], 0x53);
		assert_string_equal(rs.dnsrch[0], "corp.example");
		assert_string_equal(rs.dnsrch[1], "lab.example");
		assert_null(rs.dnsrch[2]);
	}
	res_nclose(&rs);
	assert_int_equal(res_init(), 0);
	assert_int_equal(_res.nscount, 2);
}

static void a_failure_says_what_it_was(void **state)
{
	(void)state;
	assert_lookup("nodata", "80", AF_UNSPEC, 0, "-5");
	assert_lookup("again", "80", AF_UNSPEC, 0, "-3");
	assert_lookup("broken", "80", AF_UNSPEC, 0, "-4");
	assert_null(gethostbyname("nodata"));
	assert_int_equal(h_errno, NO_DATA);
	assert_null(gethostbyname("again"));
	assert_int_equal(h_errno, TRY_AGAIN);
	assert_null(gethostbyname2("broken", AF_INET6));
	assert_int_equal(h_errno, NO_RECOVERY);
}

/* What a file begins with, by each way to open it. */
static void begins(const char *path, const char *text)
{
	char got[64];
	FILE *f;
	int fd[4] = {open(path, O_RDONLY), open64(path, O_RDONLY | O_CLOEXEC),
		openat(AT_FDCWD, path, O_RDONLY), openat64(AT_FDCWD, path, O_RDONLY)};

	for (int i = 0; i < 4; i++) {
		ssize_t n = read(fd[i], got, sizeof(got));

		assert_true(n >= (ssize_t)strlen(text));
		assert_memory_equal(got, text, strlen(text));
		close(fd[i]);
	}
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	assert_memory_equal(got, text, strlen(text));
	f = freopen(path, "r", f);
	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	assert_memory_equal(got, text, strlen(text));
	fclose(f);
}

static void files_of_names_are_the_portspaces(void **state)
{
	char other[64] = "/tmp/shim-names-XXXXXX";
	const char *volatile none = NULL;
	int fd = mkstemp(other);

	(void)state;
	begins("/etc/resolv.conf", "nameserver 10.9.0.53\n");
	begins("/run/systemd/resolve/resolv.conf", "nameserver 10.9.0.53\n");
	begins("/etc/hosts", "10.9.0.1 alpha\n");
	/* others are what they are, also with a mode */
	assert_int_equal(write(fd, "mine", 4), 4);
	close(fd);
	begins(other, "mine");
	unlink(other);
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL, 0640);
	assert_true(fd >= 0);
	close(fd);
	unlink(other);
	assert_int_equal(open("/etc/resolv.conf", O_RDONLY | O_DIRECTORY), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(open(none, O_RDONLY), -1);
	assert_int_equal(errno, EFAULT);
}

static void resolvers_of_the_host_are_not_there(void **state)
{
	static const char *const paths[] = {"/run/nscd/socket", "/var/run/nscd/socket",
		"/run/systemd/resolve/io.systemd.Resolve", "/run/avahi-daemon/socket",
		"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket"};

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
		struct sockaddr_un sun = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		strcpy(sun.sun_path, paths[i]);
		assert_int_equal(connect(fd, (struct sockaddr *)&sun, sizeof(sun)), -1);
		assert_int_equal(errno, ENOENT);
		assert_int_equal(connect(fd, (struct sockaddr *)&sun,
					 (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
						     strlen(paths[i]))),
			-1);
		assert_int_equal(errno, ENOENT);
		close(fd);
	}
}

static void asynchronous_lookup_tells_when_done(void **state)
{
	struct gaicb good = {.ar_name = "alpha", .ar_service = "80"}, bad = {.ar_name = "nosuch"};
	struct gaicb *list[] = {&good, NULL, &bad};
	const struct gaicb *waited[] = {&bad};
	struct sigevent sev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	struct timespec limit = {5, 0};
	siginfo_t info;
	sigset_t set;

	(void)state;
	assert_int_equal(getaddrinfo_a(GAI_WAIT, list, 3, NULL), 0);
	assert_int_equal(gai_error(&good), 0);
	assert_int_equal(gai_error(&bad), EAI_NONAME);
	assert_non_null(good.ar_result);
	freeaddrinfo(good.ar_result);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sev.sigev_value.sival_int = 42;
	assert_int_equal(getaddrinfo_a(GAI_NOWAIT, list, 3, &sev), 0);
	for (int r = 0; r == 0;) /* until there is none left to wait for */
		r = gai_suspend(waited, 1, &limit);
	assert_int_equal(sigtimedwait(&set, &info, &limit), SIGRTMIN);
	assert_int_equal(info.si_value.sival_int, 42);
	assert_int_equal(gai_error(&good), 0);
	assert_int_equal(gai_cancel(&good), EAI_ALLDONE);
	assert_int_equal(gai_suspend(waited, 1, NULL), EAI_ALLDONE);
	freeaddrinfo(good.ar_result);
}

static void *look_up(void *arg)
{
	for (int i = 0; i < 200; i++) {
		struct hostent he, *result;
		char buf[512];
		int err;

		assert_int_equal(gethostbyname_r("alpha", &he, buf, sizeof(buf), &result, &err), 0);
		assert_non_null(result);
	}
	return arg;
}

static void r11_lookups_are_thread_safe(void **state)
{
	pthread_t t[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, look_up, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void the_host_is_called_as_the_portspace_says(void **state)
{
	struct utsname u;
	char name[64], shorter[4];

	(void)state;
	assert_int_equal(gethostname(name, sizeof(name)), 0);
	assert_string_equal(name, "testbox");
	assert_int_equal(gethostname(shorter, sizeof(shorter)), -1);
	assert_int_equal(errno, ENAMETOOLONG);
	assert_int_equal(uname(&u), 0);
	assert_string_equal(u.nodename, "testbox");
	assert_int_equal(sethostname("x", 1), -1);
	assert_int_equal(errno, EPERM);
}

static void interfaces_by_name_and_index(void **state)
{
	struct if_nameindex *list = if_nameindex();
	char name[IF_NAMESIZE];

	(void)state;
	assert_string_equal(list[0].if_name, "lo");
	assert_string_equal(list[1].if_name, "link1");
	assert_null(list[2].if_name);
	if_freenameindex(list);
	assert_int_equal(if_nametoindex("link1"), 2);
	assert_int_equal(if_nametoindex("eth0"), 0);
	assert_int_equal(errno, ENODEV);
	assert_string_equal(if_indextoname(1, name), "lo");
	assert_null(if_indextoname(77, name));
	assert_int_equal(errno, ENXIO);
}

static void getifaddrs_shows_the_portspace_and_nothing_else(void **state)
{
	struct ifaddrs *list, *i;
	char text[512] = "", host[64];

	(void)state;
	assert_int_equal(getifaddrs(&list), 0);
	for (i = list; i; i = i->ifa_next) {
		socklen_t len = i->ifa_addr->sa_family == AF_INET ? sizeof(struct sockaddr_in)
								  : sizeof(struct sockaddr_in6);

		strcat(strcat(text, i->ifa_name), "=");
		if (i->ifa_addr->sa_family == AF_PACKET) {
			strcat(text, "packet ");
			continue;
		}
		assert_int_equal(
			getnameinfo(i->ifa_addr, len, host, sizeof(host), NULL, 0, NI_NUMERICHOST),
			0);
		strcat(strcat(text, host), "/");
		assert_int_equal(getnameinfo(i->ifa_netmask, len, host, sizeof(host), NULL, 0,
					 NI_NUMERICHOST),
			0);
		strcat(strcat(text, host), " ");
	}
	freeifaddrs(list);
	assert_string_equal(text, "lo=packet link1=packet lo=127.0.0.1/255.0.0.0 "
				  "link1=10.0.0.1/255.255.255.0 "
				  "lo=::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
				  "link1=fd00::1/ffff:ffff:ffff:ffff:: ");
}

static void interface_ioctls_on_any_socket(void **state)
{
	int fd[2] = {tcp(AF_INET, 0), socket(AF_UNIX, SOCK_DGRAM, 0)};

	(void)state;
	for (int k = 0; k < 2; k++) {
		struct ifreq req[8], r = {0};
		struct ifconf conf = {.ifc_len = sizeof(req), .ifc_req = req};

		assert_int_equal(ioctl(fd[k], SIOCGIFCONF, &conf), 0);
		assert_int_equal(conf.ifc_len, 2 * (int)sizeof(*req));
		assert_string_equal(req[1].ifr_name, "link1");
		strcpy(r.ifr_name, "link1");
		assert_int_equal(ioctl(fd[k], SIOCGIFMTU, &r), 0);
		assert_int_equal(r.ifr_mtu, 1420);
		assert_int_equal(ioctl(fd[k], SIOCGIFADDR, &r), 0);
		assert_int_equal(
			((struct sockaddr_in *)&r.ifr_addr)->sin_addr.s_addr, htonl(0x0a000001));
		assert_int_equal(ioctl(fd[k], SIOCSIFMTU, &r), -1);
		assert_int_equal(errno, EPERM);
		strcpy(r.ifr_name, "eth0");
		assert_int_equal(ioctl(fd[k], SIOCGIFINDEX, &r), -1);
		assert_int_equal(errno, ENODEV);
		assert_int_equal(ioctl(fd[k], SIOCGIFCONF, (void *)8), -1);
		assert_int_equal(errno, EFAULT);
		close(fd[k]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r11_names_of_the_portspace),
		cmocka_unit_test(r11_null_hints_give_every_type),
		cmocka_unit_test(r11_everything_else_is_noname_at_once),
		cmocka_unit_test(r11_codes),
		cmocka_unit_test(r11_mapped_and_passive),
		cmocka_unit_test(r11_getnameinfo),
		cmocka_unit_test(r11_hostent_and_its_r_forms),
		cmocka_unit_test(queries_go_to_the_portspaces_servers),
		cmocka_unit_test(searches_use_the_portspaces_domains),
		cmocka_unit_test(a_resolver_state_shows_the_portspace),
		cmocka_unit_test(a_failure_says_what_it_was),
		cmocka_unit_test(files_of_names_are_the_portspaces),
		cmocka_unit_test(resolvers_of_the_host_are_not_there),
		cmocka_unit_test(asynchronous_lookup_tells_when_done),
		cmocka_unit_test(r11_lookups_are_thread_safe),
		cmocka_unit_test(the_host_is_called_as_the_portspace_says),
		cmocka_unit_test(interfaces_by_name_and_index),
		cmocka_unit_test(getifaddrs_shows_the_portspace_and_nothing_else),
		cmocka_unit_test(interface_ioctls_on_any_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* A core in directories of its own, for the tests of the control loop's modules. */
#ifndef PERSONA_TEST_CORE_FIXTURE_H
#define PERSONA_TEST_CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core_priv.h"
#include "jsonio.h"

struct fixture {
	char top[32]; /* temporary directory with rt and cfg */
	char rt[40], cfg[40];
	struct core *core;
	unsigned links_changed, processes_gone, portspaces_gone; /* calls of the hooks */
};

static inline void on_link(struct link *link, void *arg)
{
	(void)link;
	((struct fixture *)arg)->links_changed++;
}

static inline void on_process(pid_t pid, void *arg)
{
	(void)pid;
	((struct fixture *)arg)->processes_gone++;
}

static inline void on_portspace(struct portspace *ps, void *arg)
{
	(void)ps;
	((struct fixture *)arg)->portspaces_gone++;
}

/* The same directories again, as after a restart. */
static inline void fixture_core(struct fixture *f)
{
	struct core_config config = {.runtime_dir = f->rt,
		.config_dir = f->cfg,
		.nworkers = 2,
		.hooks = {.link_changed = on_link,
			.process_gone = on_process,
			.portspace_gone = on_portspace,
			.arg = f}};

	assert_int_equal(core_new(&config, &f->core), 0);
}

static inline int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_true(sodium_init() >= 0);
	jsonio_init();
	strcpy(f->top, "/tmp/persona-core-XXXXXX");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->rt, sizeof(f->rt), "%s/rt", f->top);
	snprintf(f->cfg, sizeof(f->cfg), "%s/cfg", f->top);
	assert_int_equal(mkdir(f->rt, 0700), 0);
	assert_int_equal(mkdir(f->cfg, 0700), 0);
	fixture_core(f);
	*state = f;
	return 0;
}

static inline int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	pid_t pid;
	int status;

	core_free(f->core);
	pid = fork();
	if (pid == 0) {
		execl("/bin/rm", "rm", "-rf", f->top, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	free(f);
	return 0;
}

static inline struct addr address(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(s, &a), 0);
	return a;
}

static inline struct endpoint endpoint(const char *s)
{
	struct endpoint e;

	assert_int_equal(endpoint_parse(s, &e), 0);
	return e;
}

static inline struct config *make_config(const char *addresses)
{
	struct config *config = config_new();
	char text[256], *save = NULL;

	assert_non_null(config);
	config->private_key = key_new();
	assert_non_null(config->private_key);
	key_generate_private(config->private_key);
	snprintf(text, sizeof(text), "%s", addresses);
	for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save))
		assert_int_equal(prefix_parse(s, &config->addresses[config->naddresses++]), 0);
	return config;
}

/* A portspace with these addresses (separated by spaces). */
static inline struct portspace *make_portspace(
	struct fixture *f, const char *name, const char *addresses)
{
	struct portspace *ps;

	assert_int_equal(portspace_add(f->core, name, make_config(addresses), false, NULL, &ps), 0);
	return ps;
}

/* A link to a made-up peer; the public key goes to *keyp unless NULL. */
static inline struct link *make_link(
	struct portspace *ps, const char *name, const char *allowed, struct key *keyp)
{
	struct config *config = portspace_config(ps);
	struct config_peer *peer;
	char text[256], *save = NULL;
	struct prefix prefix;
	struct link *link;
	struct key key;

	randombytes_buf(&key, sizeof(key));
	assert_non_null(config);
	assert_int_equal(config_add_peer(config, &key, &peer), 0);
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	snprintf(text, sizeof(text), "%s", allowed);
	for (char *s = strtok_r(text, " ", &save); s; s = strtok_r(NULL, " ", &save)) {
		assert_int_equal(prefix_parse(s, &prefix), 0);
		assert_int_equal(config_add_allowed(peer, &prefix), 0);
	}
	assert_int_equal(link_add(ps, peer, &link), 0);
	portspace_set_config(ps, config);
	if (keyp)
		*keyp = key;
	return link;
}

/* --- processes that connect --- */

/* A listening socket with a name that the kernel chose. */
static inline int meeting_listen(struct sockaddr_un *sunp, socklen_t *lenp)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(sunp, 0, sizeof(*sunp));
	sunp->sun_family = AF_UNIX;
	assert_int_equal(bind(fd, (struct sockaddr *)sunp, sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 64), 0);
	*lenp = sizeof(*sunp);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sunp, lenp), 0);
	return fd;
}

/* In a child: connects and stays until the other side closes. */
static inline void meeting_visit(const struct sockaddr_un *sun, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char c;

	if (connect(fd, (const struct sockaddr *)sun, len) < 0)
		_exit(1);
	while (read(fd, &c, 1) > 0)
		;
	close(fd);
}

static inline void reap(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#endif

/* SPDX-License-Identifier: MIT */
/* Start of the shim: the environment it was given and the portspace's info file.
 *
 * The environment is copied by the constructor (or by the first hook, when one of another
 * library's constructors comes before ours), because programs clear or overwrite theirs. The info
 * file is read when the network is first touched: a program that never does pays nothing for it.
 * Losing a race costs a second read, never a wait: each reader fills its own memory, and one
 * compare-and-swap decides whose is kept. */
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "exec_env.h"
#include "preload.h"
#include "real.h"
#include "udp.h"

extern char **environ;

static struct env env_store;
static atomic_int env_state; /* 0 not read, 1 being read, 2 read */
static _Atomic(const struct shim_info *) info_ready;

/* The directory two levels up holds the broker's sockets. Length, 0 when the form is wrong. */
static size_t runtime_length(const char *dir)
{
	size_t n = strlen(dir);

	if (dir[0] != '/')
		return 0;
	for (int up = 0; up < 2; up++) {
		while (n > 0 && dir[n - 1] != '/')
			n--;
		if (n < 2)
			return 0;
		n--;
	}
	return n;
}

/* The entry of LD_PRELOAD (separated by colons or spaces) that is this library. */
static void find_self(const char *list, char *self, size_t cap)
{
	while (*list) {
		size_t n = strcspn(list, ": ");

		if (exec_env_is_self(list, n) && n < cap) {
			memcpy(self, list, n);
			self[n] = '\0';
			return;
		}
		list += n;
		list += strspn(list, ": ");
	}
}

static void read_environment(struct env *env)
{
	for (char **e = environ; e && *e; e++) {
		const char *dir = exec_env_value(*e, EXEC_ENV_DIR);
		const char *preload = exec_env_value(*e, EXEC_ENV_PRELOAD);

		if (dir && !env->dir[0] && strlen(dir) < sizeof(env->dir)) {
			env->runtime_len = runtime_length(dir);
			if (env->runtime_len > 0)
				memcpy(env->dir, dir, strlen(dir) + 1);
		}
		if (preload && !env->self[0])
			find_self(preload, env->self, sizeof(env->self));
	}
	env->environment = environ;
}

const struct env *env_get(void)
{
	static const struct env none;
	int expected = 0;

	if (atomic_load_explicit(&env_state, memory_order_acquire) == 2)
		return &env_store;
	if (!environ) /* libc has not started yet */
		return &none;
	if (!atomic_compare_exchange_strong(&env_state, &expected, 1))
		return expected == 2 ? &env_store : &none;
	read_environment(&env_store);
	atomic_store_explicit(&env_state, 2, memory_order_release);
	return &env_store;
}

static int read_info(struct shim_info *sip)
{
	uint8_t buf[INFO_MAX];
	struct sockaddr_un path;
	struct stat st;
	long fd, n;

	if (portspace_path("info", &path) == 0)
		return -ENOENT;
	fd = SYS(SYS_openat, AT_FDCWD, path.sun_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return (int)fd;
	n = SYS(SYS_fstat, fd, &st);
	if (n == 0)
		n = SYS(SYS_read, fd, buf, sizeof(buf));
	SYS(SYS_close, fd);
	if (n < 0)
		return (int)n;
	sip->owner = st.st_uid;
	return info_decode(buf, (size_t)n, &sip->info);
}

const struct shim_info *info_get(void)
{
	const struct shim_info *si = atomic_load_explicit(&info_ready, memory_order_acquire);
	struct shim_info fresh;
	long mem;

	if (si)
		return si;
	if (read_info(&fresh) < 0)
		return NULL;
	mem = SYS(SYS_mmap, NULL, sizeof(fresh), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mem < 0 && mem > -4096)
		return NULL;
	memcpy((void *)mem, &fresh, sizeof(fresh));
	if (!atomic_compare_exchange_strong(&info_ready, &si, (const struct shim_info *)mem)) {
		SYS(SYS_munmap, mem, sizeof(fresh));
		return si;
	}
	return (const struct shim_info *)mem;
}

int info_own(const struct info *info, const struct addr *a)
{
	for (int i = 0; i < info->naddr; i++)
		if (addr_equal(&info->addr[i].addr, a))
			return i;
	return -1;
}

__attribute__((constructor)) static void start(void)
{
	int saved = errno;

	env_get();
	real_resolve_all();
	udp_look_all();
	errno = saved;
}

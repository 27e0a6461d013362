/* SPDX-License-Identifier: MIT */
#include "persona.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "addr.h"
#include "ask.h"

#define PUBLIC __attribute__((visibility("default")))

enum { DIR_LEN_MAX = 108 };

struct persona_self {
	char dir[DIR_LEN_MAX];
	struct info info; /* without the secret */
};

/* Reads at most cap bytes of DIR/info. Returns how many, or negative errno. */
static ssize_t read_info(const char *dir, uint8_t *buf, size_t cap)
{
	size_t len = 0;
	ssize_t n;
	int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd;

	if (dirfd < 0)
		return -errno;
	fd = openat(dirfd, "info", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	n = fd < 0 ? -errno : 0;
	close(dirfd);
	if (fd < 0)
		return n;
	while (len < cap) {
		n = read(fd, buf + len, cap - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	n = n < 0 ? -errno : (ssize_t)len;
	close(fd);
	return n;
}

static int load(const char *dir, struct persona_self *self)
{
	uint8_t buf[INFO_MAX];
	ssize_t n;
	int r;

	if (dir[0] != '/' || strlen(dir) >= sizeof(self->dir))
		return -EPROTO;
	memcpy(self->dir, dir, strlen(dir) + 1);
	n = read_info(dir, buf, sizeof(buf));
	r = n < 0 ? (int)n : info_decode(buf, (size_t)n, &self->info);
	explicit_bzero(buf, sizeof(buf));
	explicit_bzero(self->info.secret, sizeof(self->info.secret));
	return r;
}

PUBLIC int persona_self(struct persona_self **selfp)
{
	const char *dir = getenv("PERSONA_PORTSPACE_DIR");
	struct persona_self *self;
	int saved = errno, r;

	if (!dir || !*dir)
		return -ENOENT;
	self = calloc(1, sizeof(*self));
	r = self ? load(dir, self) : -ENOMEM;
	if (r < 0)
		free(self);
	else
		*selfp = self;
	errno = saved;
	return r;
}

PUBLIC void persona_self_free(struct persona_self *self)
{
	free(self);
}

PUBLIC const char *persona_self_name(const struct persona_self *self)
{
	return self->info.name;
}

PUBLIC const char *persona_self_hostname(const struct persona_self *self)
{
	return self->info.hostname;
}

PUBLIC const char *persona_self_dir(const struct persona_self *self)
{
	return self->dir;
}

PUBLIC uint32_t persona_self_id(const struct persona_self *self)
{
	return self->info.portspace;
}

PUBLIC unsigned persona_self_mtu(const struct persona_self *self)
{
	return self->info.mtu;
}

PUBLIC size_t persona_self_address_count(const struct persona_self *self)
{
	return self->info.naddr;
}

PUBLIC int persona_self_address(const struct persona_self *self, size_t index,
	struct sockaddr_storage *addrp, socklen_t *lenp, unsigned *prefixp)
{
	struct sockaddr_storage ss;
	struct endpoint e = {.port = 0};
	const struct prefix *p;
	socklen_t len;
	bool v4;

	if (index >= self->info.naddr)
		return -ERANGE;
	p = &self->info.addr[index];
	v4 = addr_is_v4(&p->addr);
	e.addr = p->addr;
	len = endpoint_to_sockaddr(&e, v4 ? AF_INET : AF_INET6, &ss);
	if (addrp)
		memcpy(addrp, &ss, sizeof(ss));
	if (lenp)
		*lenp = len;
	if (prefixp)
		*prefixp = v4 && p->len >= 96 ? p->len - 96U : p->len;
	return 0;
}

/* A system call of its own, not the C library's socket(): inside a portspace that one is emulated
 * and never refused. */
PUBLIC enum persona_seal persona_seal(void)
{
	int saved = errno;
	long fd;

	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) {
		errno = saved;
		return PERSONA_SEAL_NONE;
	}
	fd = syscall(SYS_socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		close((int)fd);
		errno = saved;
		return PERSONA_SEAL_NONE;
	}
	fd = errno == EACCES || errno == EPERM ? PERSONA_SEAL_SEALED : PERSONA_SEAL_NONE;
	errno = saved;
	return (enum persona_seal)fd;
}

PUBLIC const char *persona_version(void)
{
	return PERSONA_VERSION;
}

/* SPDX-License-Identifier: MIT */
/* Programs with resolvers of their own (dig, c-ares, Chromium, Java) read these files by name: the
 * open and fopen families give them the portspace's, which the broker wrote (etc.h there). Writing
 * and everything else about the paths stays the kernel's.
 *
 * The files with numbered variants in their names are the large-file interfaces. */
#undef _FILE_OFFSET_BITS
#include "etc_files.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "real.h"

static const struct {
	const char *path;
	const char *name; /* in the portspace's directory */
} files[] = {
	{"/etc/resolv.conf", "resolv.conf"},
	{"/etc/hosts", "hosts"},
	{"/etc/nsswitch.conf", "nsswitch.conf"},
	{"/etc/host.conf", "host.conf"},
	{"/etc/gai.conf", "gai.conf"},
	{"/run/systemd/resolve/resolv.conf", "resolv.conf"},
	{"/run/systemd/resolve/stub-resolv.conf", "resolv.conf"},
	{"/run/resolvconf/resolv.conf", "resolv.conf"},
	{"/run/NetworkManager/resolv.conf", "resolv.conf"},
};

/* Sockets that answer for the host's names. The system bus is one of them: systemd-resolved,
 * NetworkManager and others ask the host's name servers, or act on its network, for whoever sends a
 * message. What flows there cannot be told apart message by message from here, so all of it is
 * closed; a desktop's programs run without it as they do in a container. */
static const char *const resolvers[] = {
	"/run/dbus/system_bus_socket",
	"/var/run/dbus/system_bus_socket",
	"/run/nscd/socket",
	"/var/run/nscd/socket",
	"/run/systemd/resolve/io.systemd.Resolve",
	"/run/systemd/resolve/io.systemd.Resolve.Monitor",
	"/run/avahi-daemon/socket",
	"/var/run/avahi-daemon/socket",
};

const char *etc_path(const char *path, char buf[ASK_PATH_MAX])
{
	struct sockaddr_un sun;

	if (!path || (strncmp(path, "/etc/", 5) != 0 && strncmp(path, "/run/", 5) != 0))
		return path;
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		if (strcmp(path, files[i].path) == 0 && portspace_path(files[i].name, &sun) != 0) {
			memcpy(buf, sun.sun_path, sizeof(sun.sun_path));
			return buf;
		}
	return path;
}

bool etc_is_resolver(const struct sockaddr *addr, socklen_t len)
{
	struct sockaddr_un sun = {.sun_family = AF_UNSPEC};

	if (len <= offsetof(struct sockaddr_un, sun_path) || len > sizeof(sun) ||
		user_read(&sun, addr, len) < 0 || sun.sun_family != AF_UNIX)
		return false;
	for (size_t i = 0; i < sizeof(resolvers) / sizeof(*resolvers); i++)
		if (strncmp(sun.sun_path, resolvers[i], sizeof(sun.sun_path)) == 0)
			return true;
	return false;
}

/* --- the open family --- */

static bool reads_only(int flags)
{
	return (flags & O_ACCMODE) == O_RDONLY && !(flags & (O_CREAT | O_TRUNC | O_DIRECTORY));
}

static const char *swap(const char *path, int flags, char buf[ASK_PATH_MAX])
{
	return reads_only(flags) ? etc_path(path, buf) : path;
}

/* The mode is there only with O_CREAT or O_TMPFILE; passing on whatever is there does no harm. */
#define MODE_OF(flags)                            \
	__extension__({                           \
		va_list ap;                       \
		mode_t v;                         \
		va_start(ap, flags);              \
		v = (mode_t)va_arg(ap, unsigned); \
		va_end(ap);                       \
		v;                                \
	})

#define OPEN(name)                                                      \
	HOOK int name(const char *path, int flags, ...)                 \
	{                                                               \
		char buf[ASK_PATH_MAX];                                 \
		mode_t mode = MODE_OF(flags);                           \
                                                                        \
		return real(name)(swap(path, flags, buf), flags, mode); \
	}
#define OPENAT(name)                                                         \
	HOOK int name(int dir, const char *path, int flags, ...)             \
	{                                                                    \
		char buf[ASK_PATH_MAX];                                      \
		mode_t mode = MODE_OF(flags);                                \
                                                                             \
		return real(name)(dir, swap(path, flags, buf), flags, mode); \
	}
#define OPEN_2(name)                                              \
	HOOK int name(const char *path, int flags);               \
	HOOK int name(const char *path, int flags)                \
	{                                                         \
		char buf[ASK_PATH_MAX];                           \
                                                                  \
		return real(name)(swap(path, flags, buf), flags); \
	}
#define OPENAT_2(name)                                                 \
	HOOK int name(int dir, const char *path, int flags);           \
	HOOK int name(int dir, const char *path, int flags)            \
	{                                                              \
		char buf[ASK_PATH_MAX];                                \
                                                                       \
		return real(name)(dir, swap(path, flags, buf), flags); \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
OPEN_2(__open_2)
OPEN_2(__open64_2)
OPENAT_2(__openat_2)
OPENAT_2(__openat64_2)

/* --- stdio --- */

static const char *swap_mode(const char *path, const char *mode, char buf[ASK_PATH_MAX])
{
	return mode && mode[0] == 'r' && !strchr(mode, '+') ? etc_path(path, buf) : path;
}

#define FOPEN(name)                                                           \
	HOOK FILE *name(const char *restrict path, const char *restrict mode) \
	{                                                                     \
		char buf[ASK_PATH_MAX];                                       \
                                                                              \
		return real(name)(swap_mode(path, mode, buf), mode);          \
	}
#define FREOPEN(name)                                                                        \
	HOOK FILE *name(                                                                     \
		const char *restrict path, const char *restrict mode, FILE *restrict stream) \
	{                                                                                    \
		char buf[ASK_PATH_MAX];                                                      \
                                                                                             \
		return real(name)(swap_mode(path, mode, buf), mode, stream);                 \
	}

FOPEN(fopen)
FOPEN(fopen64)
FREOPEN(freopen)
FREOPEN(freopen64)

/* --- resolv.conf --- */

static void add_domain(struct etc_resolv *r, size_t *usedp, const char *word, size_t len)
{
	if (r->ndomain == ETC_DOMAINS_MAX || *usedp + len + 1 > sizeof(r->text))
		return;
	r->domain[r->ndomain++] = (uint16_t)*usedp;
	memcpy(r->text + *usedp, word, len);
	*usedp += len + 1;
}

/* One line of the file, which has no comments but whole lines and no tabs. */
static void take_line(struct etc_resolv *r, size_t *usedp, char *line)
{
	char *save = NULL, *key = strtok_r(line, " ", &save), *word;

	while (key && (word = strtok_r(NULL, " ", &save)))
		if (strcmp(key, "nameserver") == 0 && r->nserver < ETC_SERVERS_MAX)
			r->nserver += addr_parse(word, &r->server[r->nserver]) == 0;
		else if (strcmp(key, "search") == 0)
			add_domain(r, usedp, word, strlen(word));
}

int etc_resolv_read(struct etc_resolv *out)
{
	char text[4096], *save = NULL;
	struct sockaddr_un sun;
	size_t used = 0;
	long fd, n;

	memset(out, 0, sizeof(*out));
	if (portspace_path("resolv.conf", &sun) == 0)
		return -ENOENT;
	fd = SYS(SYS_openat, AT_FDCWD, sun.sun_path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (int)fd;
	n = SYS(SYS_read, fd, text, sizeof(text) - 1);
	SYS(SYS_close, fd);
	if (n < 0)
		return (int)n;
	text[n] = '\0';
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		take_line(out, &used, line);
	return 0;
}

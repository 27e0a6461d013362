/* SPDX-License-Identifier: MIT */
#include "inherited.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { TUN_MINOR = 200 }; /* devices.txt */

/* What the descriptor is, for the warning; NULL when it may stay. */
static const char *foreign(int fd)
{
	static const char ring[] = "anon_inode:[io_uring]";
	char path[40], target[sizeof(ring)];
	socklen_t len = sizeof(int);
	struct stat st;
	ssize_t n;
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0) {
		switch (domain) {
		case AF_UNIX:
			return NULL;
		case AF_INET:
			return "an IPv4 socket";
		case AF_INET6:
			return "an IPv6 socket";
		case AF_NETLINK:
			return "a netlink socket";
		case AF_PACKET:
			return "a packet socket";
		default:
			return "a socket of another family than AF_UNIX";
		}
	}
	if (errno != ENOTSOCK)
		return NULL;
	/* It may be attached to an interface already. */
	if (fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
		st.st_rdev == makedev(MISC_MAJOR, TUN_MINOR))
		return "a TUN device";
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, target, sizeof(target));
	return n == sizeof(ring) - 1 && memcmp(target, ring, sizeof(ring) - 1) == 0 ? "an io_uring"
										    : NULL;
}

static int replace(int fd)
{
	int null;

	if (fd > STDERR_FILENO)
		return close(fd) < 0 ? -errno : 0;
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0 || dup2(null, fd) < 0)
		return -errno;
	if (null > STDERR_FILENO)
		close(null);
	return 0;
}

/* 1 when it was closed, 0 when it may stay, or a negative errno. */
static int look_at(int fd, const char *program)
{
	const char *what = foreign(fd);
	int r = what ? replace(fd) : 0;

	if (!what || r < 0)
		return r;
	fprintf(stderr, "%s: warning: descriptor %d is %s, closed\n", program, fd, what);
	return 1;
}

int inherited_close_foreign(const char *program)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int count, r;

	if (!dir)
		return -errno;
	/* First where the warnings go: writing to a socket could raise SIGPIPE. */
	count = r = look_at(STDERR_FILENO, program);
	while (r >= 0 && (entry = readdir(dir))) {
		char *end;
		int fd = (int)strtol(entry->d_name, &end, 10);

		if (end == entry->d_name || *end || fd == dirfd(dir))
			continue;
		r = look_at(fd, program);
		count += r > 0;
	}
	closedir(dir);
	return r < 0 ? r : count;
}

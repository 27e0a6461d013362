/* SPDX-License-Identifier: MIT */
/* Configuration files on disk. See state.h.
 *
 * Replacing a file: rename(2) is atomic, but only what was synced before it survives a power cut,
 * and only a synced directory is sure to have the new name. Hence write, fsync, rename, fsync. The
 * temporary file is made with O_EXCL, so a link planted there is never followed. */
#include "state.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	FILE_NAME_MAX = PORTSPACE_NAME_MAX + 5, /* "NAME.conf" with terminator */
	TEMP_RANDOM = 6,			/* bytes, twice as many hex digits */
	TEMP_TRIES = 16,
	TEMP_NAME_MAX = 1 + FILE_NAME_MAX + 2 * TEMP_RANDOM + 1,
	LIST_MAX = 65536
};

static const char suffix[] = ".conf";

static int fail(struct config_error *errp, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Fills *errp and returns err. */
static int fail(struct config_error *errp, int err, const char *fmt, ...)
{
	va_list ap;

	if (errp) {
		errp->line = 0;
		va_start(ap, fmt);
		vsnprintf(errp->message, sizeof(errp->message), fmt, ap);
		va_end(ap);
	}
	return err;
}

static int fail_name(struct config_error *errp)
{
	return fail(errp, -EINVAL,
		"not a portspace's name: use 1 to 63 of a-z, 0-9, '.', '_' and '-', starting with "
		"a letter or digit");
}

/* Opens the directory. The descriptor, or negative errno with *errp. */
static int open_dir(const char *dir, struct config_error *errp)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = -errno;

	if (fd < 0)
		return fail(errp, err, "cannot open the directory %.200s: %s", dir, strerror(-err));
	return fd;
}

static void file_name(const char *name, char file[FILE_NAME_MAX])
{
	snprintf(file, FILE_NAME_MAX, "%s%s", name, suffix);
}

/* May the file be trusted with keys? */
static int check_file(const struct stat *st, const char *path, struct config_error *errp)
{
	if (!S_ISREG(st->st_mode))
		return fail(errp, -EINVAL, "%.200s is not a regular file", path);
	if (st->st_uid != geteuid())
		return fail(errp, -EPERM,
			"%.150s belongs to user %u, not to you: it could be changed behind your "
			"back; make a copy of your own",
			path, (unsigned)st->st_uid);
	if (st->st_mode & 077)
		return fail(errp, -EPERM,
			"%.150s has mode %04o and holds private keys: others may access it; run "
			"chmod 600 on it, and make new keys if it was exposed",
			path, (unsigned)(st->st_mode & 07777));
	if (st->st_size > CONFIG_TEXT_MAX)
		return fail(errp, -EFBIG, "%.200s is larger than %d bytes", path, CONFIG_TEXT_MAX);
	return 0;
}

/* Reads the whole file of `size` bytes; one byte more would mean that it grew. */
static int read_all(int fd, size_t size, char **textp, size_t *lenp)
{
	char *text = sodium_malloc(size + 2);
	size_t len = 0;
	int err = 0;

	if (!text)
		return -ENOMEM;
	while (len < size + 1) {
		ssize_t n = read(fd, text + len, size + 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = -errno;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	if (!err && len != size)
		err = -EBUSY;
	if (err) {
		sodium_free(text);
		return err;
	}
	text[len] = '\0';
	*textp = text;
	*lenp = len;
	return 0;
}

static int read_at(int dirfd, const char *file, const char *path, char **textp, size_t *lenp,
	struct config_error *errp)
{
	/* O_NONBLOCK: a fifo must not block us. */
	int fd = openat(dirfd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r = fd < 0 ? -errno : 0;

	if (r == -ELOOP)
		return fail(errp, r, "%.200s is a symbolic link; name the file itself", path);
	if (r)
		return fail(errp, r, "cannot open %.200s: %s", path, strerror(-r));
	if (fstat(fd, &st) < 0) {
		r = -errno;
		fail(errp, r, "cannot examine %.200s: %s", path, strerror(-r));
	} else {
		r = check_file(&st, path, errp);
	}
	if (!r) {
		r = read_all(fd, (size_t)st.st_size, textp, lenp);
		if (r == -EBUSY)
			fail(errp, r, "%.200s changed while it was read; try again", path);
		else if (r)
			fail(errp, r, "cannot read %.200s: %s", path, strerror(-r));
	}
	close(fd);
	return r;
}

int state_read_file(const char *path, char **textp, size_t *lenp, struct config_error *errp)
{
	return read_at(AT_FDCWD, path, path, textp, lenp, errp);
}

int state_read(
	const char *dir, const char *name, char **textp, size_t *lenp, struct config_error *errp)
{
	char file[FILE_NAME_MAX], path[256];
	int dirfd, r;

	if (!config_name_valid(name))
		return fail_name(errp);
	dirfd = open_dir(dir, errp);
	if (dirfd < 0)
		return dirfd;
	file_name(name, file);
	snprintf(path, sizeof(path), "%s/%s", dir, file); /* for messages; may be cut short */
	r = read_at(dirfd, file, path, textp, lenp, errp);
	close(dirfd);
	return r;
}

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		text += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Makes a new file ".FILE.RANDOM" for us alone. The descriptor or negative errno. */
static int make_temp(int dirfd, const char *file, char temp[TEMP_NAME_MAX])
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		unsigned char rnd[TEMP_RANDOM];
		char hex[2 * TEMP_RANDOM + 1];
		int fd;

		randombytes_buf(rnd, sizeof(rnd));
		sodium_bin2hex(hex, sizeof(hex), rnd, sizeof(rnd));
		snprintf(temp, TEMP_NAME_MAX, ".%s.%s", file, hex);
		fd = openat(
			dirfd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0 || errno != EEXIST)
			return fd < 0 ? -errno : fd;
	}
	return -EEXIST;
}

int state_write(
	const char *dir, const char *name, const char *text, size_t len, struct config_error *errp)
{
	char file[FILE_NAME_MAX], temp[TEMP_NAME_MAX];
	int dirfd, fd, r;

	if (!config_name_valid(name))
		return fail_name(errp);
	if (len > CONFIG_TEXT_MAX)
		return fail(errp, -EFBIG, "the configuration of %s would exceed %d bytes", name,
			CONFIG_TEXT_MAX);
	dirfd = open_dir(dir, errp);
	if (dirfd < 0)
		return dirfd;
	file_name(name, file);
	fd = make_temp(dirfd, file, temp);
	r = fd;
	if (fd >= 0) {
		/* The umask may have taken bits of 0600 away. */
		r = fchmod(fd, 0600) < 0 ? -errno : write_all(fd, text, len);
		if (close(fd) < 0 && !r)
			r = -errno;
		if (!r && renameat(dirfd, temp, dirfd, file) < 0)
			r = -errno;
		if (r)
			unlinkat(dirfd, temp, 0);
	}
	if (r < 0) {
		fail(errp, r, "cannot write %.150s/%s: %s; the old file is unchanged", dir, file,
			strerror(-r));
	} else if (fsync(dirfd) < 0) {
		r = -EIO;
		fail(errp, r, "%.150s/%s is written but may be lost in a crash: %s", dir, file,
			strerror(errno));
	}
	close(dirfd);
	return r;
}

int state_remove(const char *dir, const char *name, struct config_error *errp)
{
	char file[FILE_NAME_MAX];
	int dirfd, r = 0;

	if (!config_name_valid(name))
		return fail_name(errp);
	dirfd = open_dir(dir, errp);
	if (dirfd < 0)
		return dirfd;
	file_name(name, file);
	if (unlinkat(dirfd, file, 0) < 0 || fsync(dirfd) < 0) {
		r = -errno;
		fail(errp, r, "cannot remove %.200s/%s: %s", dir, file, strerror(-r));
	}
	close(dirfd);
	return r;
}

/* Is this "NAME.conf"? Then writes NAME. */
static bool parse_file(const char *file, char name[PORTSPACE_NAME_MAX])
{
	size_t len = strlen(file), n = sizeof(suffix) - 1;

	if (len <= n || len - n >= PORTSPACE_NAME_MAX || strcmp(file + len - n, suffix))
		return false;
	memcpy(name, file, len - n);
	name[len - n] = '\0';
	return config_name_valid(name);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(char ***namesp, size_t *np, size_t *capp, const char *name)
{
	if (*np == LIST_MAX)
		return -E2BIG;
	if (*np == *capp) {
		size_t cap = *capp ? 2 * *capp : 16;
		char **names = realloc(*namesp, cap * sizeof(*names));

		if (!names)
			return -ENOMEM;
		*namesp = names;
		*capp = cap;
	}
	(*namesp)[*np] = strdup(name);
	if (!(*namesp)[*np])
		return -ENOMEM;
	++*np;
	return 0;
}

int state_list(const char *dir, char ***namesp, size_t *np, struct config_error *errp)
{
	char **names = NULL;
	size_t n = 0, cap = 0;
	const struct dirent *ent;
	DIR *d = opendir(dir);
	int r = d ? 0 : -errno;

	while (d && !r) {
		char name[PORTSPACE_NAME_MAX];

		errno = 0;
		ent = readdir(d);
		if (!ent) {
			r = -errno;
			break;
		}
		if (parse_file(ent->d_name, name))
			r = add_name(&names, &n, &cap, name);
	}
	if (d)
		closedir(d);
	if (r && r != -ENOENT) {
		state_names_free(names, n);
		return fail(errp, r, "cannot list the directory %.200s: %s", dir, strerror(-r));
	}
	if (n)
		qsort(names, n, sizeof(*names), compare_names);
	*namesp = names;
	*np = n;
	return 0;
}

void state_names_free(char **names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

/* Is this a name that make_temp() gives? */
static bool is_temp(const char *file)
{
	char inner[FILE_NAME_MAX], name[PORTSPACE_NAME_MAX];
	size_t len = strlen(file), hex = 2 * TEMP_RANDOM;

	if (len < hex + 3 || len >= sizeof(inner) || file[0] != '.')
		return false;
	if (file[len - hex - 1] != '.' || strspn(file + len - hex, "0123456789abcdef") != hex)
		return false;
	memcpy(inner, file + 1, len - hex - 2);
	inner[len - hex - 2] = '\0';
	return parse_file(inner, name);
}

int state_clean(const char *dir)
{
	const struct dirent *ent;
	DIR *d = opendir(dir);
	int r = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	for (;;) {
		errno = 0;
		ent = readdir(d);
		if (!ent) {
			if (errno)
				r = -errno;
			break;
		}
		if (is_temp(ent->d_name) && unlinkat(dirfd(d), ent->d_name, 0) < 0 &&
			errno != ENOENT)
			r = -errno;
	}
	closedir(d);
	return r;
}

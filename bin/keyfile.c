/* SPDX-License-Identifier: MIT */
#include "keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Reads up to cap bytes. Returns how many, or negative errno. */
static ssize_t read_some(int fd, char *buf, size_t cap)
{
	size_t len = 0;

	while (len < cap) {
		ssize_t n = read(fd, buf + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	return (ssize_t)len;
}

/* Opens "-" as standard input. *openp: a regular file that group or others may read. */
static int open_input(const char *path, bool *openp)
{
	struct stat st;
	int fd;

	if (strcmp(path, "-") == 0)
		fd = fcntl(0, F_DUPFD_CLOEXEC, 3);
	else
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	*openp = S_ISREG(st.st_mode) && (st.st_mode & 077);
	return fd;
}

int keyfile_read(const char *path, struct key *keyp)
{
	char buf[256], *start, *end;
	bool open_to_others;
	int fd = open_input(path, &open_to_others);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = open_to_others ? -EPERM : read_some(fd, buf, sizeof(buf) - 1);
	close(fd);
	if (n >= 0) {
		buf[n] = '\0';
		start = buf + strspn(buf, " \t\r\n");
		end = start + strcspn(start, " \t\r\n");
		n = end[strspn(end, " \t\r\n")] ? -EINVAL : 0;
		*end = '\0';
		if (n == 0)
			n = key_parse(start, keyp);
	}
	explicit_bzero(buf, sizeof(buf));
	return (int)n;
}

int keyfile_read_text(const char *path, char **textp, bool *openp)
{
	bool open_to_others;
	char *text;
	int fd = open_input(path, &open_to_others);
	ssize_t n;

	if (fd < 0)
		return fd;
	text = calloc(1, KEYFILE_TEXT_MAX + 2);
	n = text ? read_some(fd, text, KEYFILE_TEXT_MAX + 1) : -ENOMEM;
	close(fd);
	if (n > KEYFILE_TEXT_MAX)
		n = -EFBIG;
	else if (n >= 0 && memchr(text, '\0', (size_t)n))
		n = -EILSEQ;
	if (n < 0) {
		keyfile_free(text);
		return (int)n;
	}
	*textp = text;
	*openp = open_to_others;
	return 0;
}

void keyfile_free(char *text)
{
	if (text)
		explicit_bzero(text, KEYFILE_TEXT_MAX + 2);
	free(text);
}

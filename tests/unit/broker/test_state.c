/* SPDX-License-Identifier: MIT */
/* state: what is refused, and that a file is never half written, however the writer ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "skip.h"
#include "state.h"

static char dir[64];

static const char *path_of(const char *file)
{
	static char path[sizeof(dir) + 256];

	snprintf(path, sizeof(path), "%s/%.255s", dir, file);
	return path;
}

static void put_file(const char *file, const char *text, mode_t mode)
{
	FILE *f = fopen(path_of(file), "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path_of(file), mode), 0);
}

static void assert_text(const char *name, const char *expected)
{
	struct config_error error = {0};
	char *text = NULL;
	size_t len = 0;

	if (state_read(dir, name, &text, &len, &error))
		fail_msg("%s", error.message);
	assert_int_equal(len, strlen(expected));
	assert_string_equal(text, expected);
	sodium_free(text);
}

/* Files in the directory, not counting "." and "..". */
static int count_files(void)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void refuse_read(const char *name, int err, const char *message)
{
	struct config_error error = {.line = 9};
	char *text = NULL;
	size_t len;

	assert_int_equal(state_read(dir, name, &text, &len, &error), err);
	assert_null(text);
	assert_int_equal(error.line, 0);
	if (!strstr(error.message, message))
		fail_msg("%s", error.message);
	assert_int_equal(state_read(dir, name, &text, &len, NULL), err);
}

static void test_write_and_read(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(state_write(dir, "work", "one", 3, NULL), 0);
	assert_text("work", "one");
	assert_int_equal(stat(path_of("work.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(state_write(dir, "work", "second", 6, NULL), 0);
	assert_text("work", "second");
	assert_int_equal(state_write(dir, "work", "", 0, NULL), 0);
	assert_text("work", "");
	assert_int_equal(count_files(), 1);
}

static void test_mode_does_not_depend_on_umask(void **state)
{
	const mode_t old = umask(0377);
	struct stat st;

	(void)state;
	assert_int_equal(state_write(dir, "a", "x", 1, NULL), 0);
	umask(0);
	assert_int_equal(state_write(dir, "b", "x", 1, NULL), 0);
	umask(old);
	assert_int_equal(stat(path_of("a.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(path_of("b.conf"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_write_replaces_a_link_not_its_target(void **state)
{
	struct stat st;

	(void)state;
	put_file("target", "precious", 0600);
	assert_int_equal(symlink("target", path_of("work.conf")), 0);
	assert_int_equal(state_write(dir, "work", "new", 3, NULL), 0);
	assert_int_equal(lstat(path_of("work.conf"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(stat(path_of("target"), &st), 0);
	assert_int_equal(st.st_size, 8);
}

static void test_read_refuses(void **state)
{
	(void)state;
	refuse_read("none", -ENOENT, "No such file");
	put_file("open.conf", "x", 0640);
	refuse_read("open", -EPERM, "chmod 600");
	assert_int_equal(chmod(path_of("open.conf"), 0602), 0);
	refuse_read("open", -EPERM, "mode 0602");
	put_file("real.conf", "x", 0600);
	assert_int_equal(symlink("real.conf", path_of("link.conf")), 0);
	refuse_read("link", -ELOOP, "symbolic link");
	assert_int_equal(mkfifo(path_of("fifo.conf"), 0600), 0);
	refuse_read("fifo", -EINVAL, "not a regular file");
	assert_int_equal(mkdir(path_of("dir.conf"), 0700), 0);
	refuse_read("dir", -EINVAL, "not a regular file");
	assert_int_equal(rmdir(path_of("dir.conf")), 0);
}

static void test_read_refuses_another_owner(void **state)
{
	(void)state;
	put_file("theirs.conf", "x", 0600);
	if (chown(path_of("theirs.conf"), 12345, (gid_t)-1))
		skip_test("only root can give a file away");
	refuse_read("theirs", -EPERM, "belongs to user 12345");
}

static void test_size_limit(void **state)
{
	char *big = malloc(CONFIG_TEXT_MAX + 2);
	struct config_error error;
	char *text;
	size_t len;

	(void)state;
	memset(big, 'x', CONFIG_TEXT_MAX + 1);
	big[CONFIG_TEXT_MAX + 1] = '\0';
	put_file("big.conf", big, 0600);
	refuse_read("big", -EFBIG, "larger than");
	assert_int_equal(state_write(dir, "big", big, CONFIG_TEXT_MAX + 1, &error), -EFBIG);
	assert_int_equal(state_write(dir, "big", big, CONFIG_TEXT_MAX, &error), 0);
	assert_int_equal(state_read(dir, "big", &text, &len, &error), 0);
	assert_int_equal(len, CONFIG_TEXT_MAX);
	sodium_free(text);
	free(big);
}

static void test_names_cannot_leave_the_directory(void **state)
{
	static const char *const wrong[] = {"", "..", ".", "a/b", "../a", "A", ".hidden"};
	struct config_error error;
	char *text;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(state_read(dir, wrong[i], &text, &len, &error), -EINVAL);
		assert_int_equal(state_write(dir, wrong[i], "x", 1, &error), -EINVAL);
		assert_int_equal(state_remove(dir, wrong[i], &error), -EINVAL);
	}
	assert_int_equal(count_files(), 0);
}

static void test_missing_directory(void **state)
{
	struct config_error error;
	char **names = (char **)dir, *text;
	size_t len, n = 5;

	(void)state;
	assert_int_equal(state_read("/nonexistent", "a", &text, &len, &error), -ENOENT);
	assert_int_equal(state_write("/nonexistent", "a", "x", 1, &error), -ENOENT);
	assert_non_null(strstr(error.message, "/nonexistent"));
	assert_int_equal(state_remove("/nonexistent", "a", &error), -ENOENT);
	assert_int_equal(state_list("/nonexistent", &names, &n, &error), 0);
	assert_int_equal(n, 0);
	state_names_free(names, n);
	assert_int_equal(state_clean("/nonexistent"), 0);
	put_file("file", "", 0600);
	assert_int_equal(state_list(path_of("file"), &names, &n, &error), -ENOTDIR);
}

static void test_remove(void **state)
{
	struct config_error error;

	(void)state;
	assert_int_equal(state_write(dir, "work", "x", 1, NULL), 0);
	assert_int_equal(state_remove(dir, "work", &error), 0);
	assert_int_equal(state_remove(dir, "work", &error), -ENOENT);
	assert_non_null(strstr(error.message, "work.conf"));
	refuse_read("work", -ENOENT, "");
}

static void test_read_file(void **state)
{
	struct config_error error;
	char *text;
	size_t len;

	(void)state;
	put_file("wg0.conf", "hello", 0600);
	assert_int_equal(state_read_file(path_of("wg0.conf"), &text, &len, &error), 0);
	assert_string_equal(text, "hello");
	sodium_free(text);
	assert_int_equal(chmod(path_of("wg0.conf"), 0644), 0);
	assert_int_equal(state_read_file(path_of("wg0.conf"), &text, &len, &error), -EPERM);
}

static void test_list(void **state)
{
	char **names, list[256] = "";
	size_t n;

	(void)state;
	put_file("work.conf", "", 0600);
	put_file("a.b.conf", "", 0600);
	put_file("0.conf", "", 0600);
	put_file("Upper.conf", "", 0600);
	put_file(".conf", "", 0600);
	put_file("notes.txt", "", 0600);
	put_file("conf", "", 0600);
	put_file(".work.conf.0123456789ab", "", 0600);
	put_file("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.conf", "",
		0600);
	assert_int_equal(state_list(dir, &names, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		strcat(strcat(list, names[i]), " ");
	assert_string_equal(list, "0 a.b work ");
	state_names_free(names, n);
}

static void test_clean(void **state)
{
	(void)state;
	put_file("work.conf", "x", 0600);
	put_file(".work.conf.0123456789ab", "", 0600);
	put_file(".a.conf.ffffffffffff", "", 0600);
	put_file(".work.conf.0123456789aB", "", 0600); /* not ours */
	put_file(".work.conf.012", "", 0600);
	put_file(".work.txt.0123456789ab", "", 0600);
	put_file(".-.conf.0123456789ab", "", 0600);
	assert_int_equal(state_clean(dir), 0);
	assert_int_equal(count_files(), 5);
	assert_text("work", "x");
}

/* A write that fails half way: the file size limit stands for any write error. */
static void test_failed_write_leaves_the_old_file(void **state)
{
	struct rlimit old, small = {1000, 0};
	struct config_error error;
	char big[5000];
	int r;

	(void)state;
	memset(big, 'b', sizeof(big));
	assert_int_equal(state_write(dir, "work", "old", 3, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	r = state_write(dir, "work", big, sizeof(big), &error);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(error.message, "the old file is unchanged"));
	assert_text("work", "old");
	assert_int_equal(count_files(), 1);
}

static void test_read_only_directory(void **state)
{
	struct config_error error;
	int w, r;

	(void)state;
	assert_int_equal(state_write(dir, "work", "old", 3, NULL), 0);
	assert_int_equal(chmod(dir, 0555), 0);
	if (!getuid())
		assert_int_equal(seteuid(65534), 0); /* root may write anywhere */
	w = state_write(dir, "work", "new", 3, &error);
	r = state_remove(dir, "work", NULL);
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(dir, 0700), 0);
	assert_int_equal(w, -EACCES);
	assert_int_equal(r, -EACCES);
	assert_text("work", "old");
	assert_int_equal(count_files(), 1);
}

enum { CHILD_OK, CHILD_SKIP = 77 };

static bool put_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool whole = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return whole;
}

/* A mount namespace; an ordinary user needs a user namespace for it, and stays who he is there. */
static bool own_mounts(void)
{
	char map[64];
	unsigned uid = getuid(), gid = getgid();

	if (!unshare(CLONE_NEWNS))
		return true;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	(void)snprintf(map, sizeof(map), "%u %u 1", uid, uid);
	if (!put_proc("/proc/self/setgroups", "deny") || !put_proc("/proc/self/uid_map", map))
		return false;
	(void)snprintf(map, sizeof(map), "%u %u 1", gid, gid);
	return put_proc("/proc/self/gid_map", map);
}

/* In a mount namespace of its own: a file system of 64 KiB that fills up. */
static int full_disk_child(void)
{
	static char text[40000];
	struct config_error error;
	char *back;
	size_t len;

	if (!own_mounts() || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=700"))
		return CHILD_SKIP;
	memset(text, 'a', sizeof(text));
	if (state_write(dir, "work", text, sizeof(text), &error))
		return 1;
	memset(text, 'b', sizeof(text));
	if (state_write(dir, "work", text, sizeof(text), &error) != -ENOSPC)
		return 2;
	if (state_read(dir, "work", &back, &len, &error) || len != sizeof(text))
		return 3;
	if (back[0] != 'a' || back[len - 1] != 'a' || count_files() != 1)
		return 4;
	return CHILD_OK;
}

static void test_full_disk(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (!pid)
		_exit(full_disk_child());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == CHILD_SKIP)
		skip_test("no tmpfs: neither root nor user namespaces");
	assert_int_equal(WEXITSTATUS(status), CHILD_OK);
}

/* Writes 'a's and 'b's in turn until it is killed. */
static void write_forever(void)
{
	static char text[64 * 1024];

	for (unsigned i = 0;; i++) {
		memset(text, i % 2 ? 'a' : 'b', sizeof(text));
		if (state_write(dir, "work", text, sizeof(text), NULL))
			_exit(1);
	}
}

static void kill_after_random_time(pid_t pid)
{
	const struct timespec ts = {.tv_nsec = randombytes_uniform(4000000)};
	int status;

	nanosleep(&ts, NULL);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void test_killed_writer_leaves_old_or_new(void **state)
{
	char *start = malloc(64 * 1024), *text;
	size_t len;

	(void)state;
	memset(start, 'a', 64 * 1024);
	assert_int_equal(state_write(dir, "work", start, 64 * 1024, NULL), 0);
	free(start);
	for (int round = 0; round < 100; round++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid)
			write_forever();
		kill_after_random_time(pid);
		assert_int_equal(state_read(dir, "work", &text, &len, NULL), 0);
		assert_int_equal(len, 64 * 1024);
		for (size_t i = 1; i < len; i++)
			assert_int_equal(text[i], text[0]);
		sodium_free(text);
	}
	assert_int_equal(state_clean(dir), 0);
	assert_int_equal(count_files(), 1);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_state.XXXXXX");
	return sodium_init() < 0 || !mkdtemp(dir);
}

static int teardown(void **state)
{
	DIR *d = opendir(dir);
	const struct dirent *ent;

	(void)state;
	while (d && (ent = readdir(d)))
		unlink(path_of(ent->d_name));
	if (d)
		closedir(d);
	return rmdir(dir);
}

#define in_dir(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_dir(test_write_and_read),
		in_dir(test_mode_does_not_depend_on_umask),
		in_dir(test_write_replaces_a_link_not_its_target),
		in_dir(test_read_refuses),
		in_dir(test_read_refuses_another_owner),
		in_dir(test_size_limit),
		in_dir(test_names_cannot_leave_the_directory),
		in_dir(test_missing_directory),
		in_dir(test_remove),
		in_dir(test_read_file),
		in_dir(test_list),
		in_dir(test_clean),
		in_dir(test_failed_write_leaves_the_old_file),
		in_dir(test_read_only_directory),
		in_dir(test_full_disk),
		in_dir(test_killed_writer_leaves_old_or_new),
	};

	return skip_run_group_tests(tests, NULL, NULL);
}

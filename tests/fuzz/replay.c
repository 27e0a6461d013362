/* SPDX-License-Identifier: MIT */
/* Runs a fuzz target over files without libFuzzer: replay DIRECTORY|FILE ... Each input is also cut
 * at every length, so that the seeds alone reach every early end of a decoder. Fails when there
 * is no input at all. */
#include "fuzz.h"

#include <dirent.h>

enum { INPUT_MAX = 1 << 20, CUT_MAX = 4096 };

static unsigned replayed;

/* From memory of exactly this size, so that a sanitizer sees every read behind the end. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	FUZZ_CHECK(copy);
	if (size)
		memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int replay_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rb");
	size_t size;

	FUZZ_CHECK(data);
	if (!file) {
		perror(path);
		free(data);
		return -1;
	}
	size = fread(data, 1, INPUT_MAX, file);
	fclose(file);
	run(data, size);
	for (size_t cut = 0; cut < size && cut < CUT_MAX; cut++)
		run(data, cut);
	free(data);
	replayed++;
	return 0;
}

static int replay(const char *path)
{
	struct dirent *entry;
	char below[4096];
	DIR *dir = opendir(path);
	int r = 0;

	if (!dir)
		return replay_file(path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (replay_file(below) < 0)
			r = -1;
	}
	closedir(dir);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			r = 1;
	printf("%u inputs\n", replayed);
	return replayed > 0 ? r : 1;
}

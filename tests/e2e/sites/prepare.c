/* prepare.c - make patch plans by hand, for sites.sh and cancel.sh.
 *
 * prepare DIR target EXE    as a run does; says what each library has
 * prepare DIR library PATH  of one library
 * prepare DIR spoil PATH    the same, but with one expected byte wrong
 * prepare DIR time EXE      how long it takes, in us
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/plan.h"
#include "runner/sites_plan.h"

static int describe(const char *dir, const char *exe)
{
	struct sites_libraries found;
	char *why = NULL;
	int r;

	if (!target_reachable(exe, &why)) {
		printf("%s\n", why);
		return 1;
	}
	r = sites_prepare(dir, exe);
	if (!r)
		r = sites_describe(dir, exe, &found);
	for (size_t i = 0; !r && i < found.count; i++) {
		const struct sites_counts *c = &found.items[i].counts;

		printf("%s: %u syscalls, %u before, %u around, %u funnel, "
		       "%u skipped, %u left\n",
		       found.items[i].path, c->total, c->before, c->around,
		       c->funnel, c->skipped, c->left);
	}
	return r < 0;
}

/* The last displaced site of every plan in dir expects another byte. */
static int spoil(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int r = 0;

	while (d && (e = readdir(d)) && !r) {
		struct sites_file file;
		struct sites_header *header;
		struct site *sites;
		char path[1024];

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		if (!strstr(e->d_name, ".sites") ||
		    sites_file_read(path, &file) < 0)
			continue;
		header = file.map;
		sites = (struct site *)(header + 1);
		sites[header->count - 1].bytes[0] ^= 1;
		header->checksum = sites_checksum(header);
		r = sites_file_write(path, file.map, file.bytes);
		sites_file_free(&file);
	}
	closedir(d);
	return r < 0;
}

static int take_time(const char *dir, const char *exe)
{
	struct timespec a, b;
	int r;

	clock_gettime(CLOCK_MONOTONIC, &a);
	r = sites_prepare(dir, exe);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%ld\n", (b.tv_sec - a.tv_sec) * 1000000 +
				(b.tv_nsec - a.tv_nsec) / 1000);
	return r < 0;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (!strcmp(argv[2], "target"))
		return describe(argv[1], argv[3]);
	if (!strcmp(argv[2], "time"))
		return take_time(argv[1], argv[3]);
	if (sites_plan_make(argv[3], argv[1]) < 0)
		return 1;
	return !strcmp(argv[2], "spoil") ? spoil(argv[1]) : 0;
}

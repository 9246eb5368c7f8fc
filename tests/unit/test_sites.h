/* test_sites.h - what the tests of the site door's runner half share: a
 * scratch directory, this machine's libraries, plans. */
#ifndef MISHAP_TEST_SITES_H
#define MISHAP_TEST_SITES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/sites_elf.h"
#include "runner/sites_plan.h"

#define TEST_PATH_MAX	  512
#define TEST_DIR_MAX	  64
#define TEST_NAME_MAX	  128
#define TEST_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static char test_dir[TEST_DIR_MAX];

static inline int test_enter(void **state)
{
	(void)state;
	strcpy(test_dir, "/tmp/test_sites.XXXXXX");
	return mkdtemp(test_dir) ? 0 : -1;
}

static inline int test_leave(void **state)
{
	char line[TEST_PATH_MAX];

	(void)state;
	snprintf(line, sizeof(line), "rm -rf '%s'", test_dir);
	return system(line);
}

static inline const char *test_path(const char *name)
{
	static char path[TEST_PATH_MAX];

	snprintf(path, sizeof(path), "%.63s/%.127s", test_dir, name);
	return path;
}

static inline void test_write(const char *name, const void *bytes, size_t n)
{
	FILE *file = fopen(test_path(name), "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, n, file), n);
	assert_int_equal(fclose(file), 0);
}

__attribute__((format(printf, 1, 2))) static inline void
test_run(const char *format, ...)
{
	char line[2 * TEST_PATH_MAX];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	assert_int_equal(system(line), 0);
}

/* A library that this very program has loaded, by its file name. */
static inline const char *test_library(const char *name)
{
	static char line[TEST_PATH_MAX];
	FILE *maps = fopen("/proc/self/maps", "r");
	char *path = NULL;

	assert_non_null(maps);
	while (!path && fgets(line, sizeof(line), maps)) {
		line[strcspn(line, "\n")] = '\0';
		path = strchr(line, '/');
		if (path && strcmp(strrchr(path, '/') + 1, name))
			path = NULL;
	}
	fclose(maps);
	assert_non_null(path);
	return path;
}

/* Make a library's plan in the scratch directory and read it back. */
static inline int test_plan(const char *path, struct sites_file *ret_file)
{
	char name[TEST_NAME_MAX], hex[2 * 32 + 1] = "";
	struct image image;
	int r = image_open(path, &image);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < image.build_id_bytes; i++)
		sprintf(hex + 2 * i, "%02x", image.build_id[i]);
	image_close(&image);
	r = sites_plan_make(path, test_dir);
	if (r < 0)
		return r;
	snprintf(name, sizeof(name), "%s.sites", hex);
	return sites_file_read(test_path(name), ret_file);
}

static inline const struct site *test_site_at(const struct sites_file *file,
					      uint64_t syscall)
{
	for (uint32_t i = 0; i < file->header->count; i++)
		if (file->sites[i].syscall == syscall)
			return &file->sites[i];
	return NULL;
}

#endif

/* fuzz_plan_open.c - plan_open() on bytes that anybody may have written, and
 * then all that a hook does with a plan that it let pass.
 *
 * Each input is tried twice: as it is, and with magic, ABI and checksum made
 * good, so that the checks behind those are reached.  The map is exactly as
 * long as the input, so ASan sees a single byte read beyond it. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/plan_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static volatile unsigned sink;

static void open_and_walk(const void *map, size_t size)
{
	struct plan plan;

	if (plan_open(map, size, &plan) == 0)
		sink += plan_walk(&plan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	void *map = malloc(size ? size : 1);

	if (!map)
		return 0;
	memcpy(map, data, size);
	open_and_walk(map, size);
	if (size >= sizeof(struct plan_header)) {
		plan_seal(map, size);
		open_and_walk(map, size);
	}
	free(map);
	return 0;
}

/* Without a corpus the first thing to know is what a plan looks like:
 * MISHAP_SEED=FILE writes one and ends. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *path = getenv("MISHAP_SEED");
	struct small_plan plan;
	FILE *file;

	(void)argc;
	(void)argv;
	if (!path)
		return 0;
	small_plan_write(&plan);
	file = fopen(path, "wb");
	if (!file || fwrite(&plan, sizeof(plan), 1, file) != 1 || fclose(file))
		abort();
	exit(0);
}

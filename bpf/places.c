#include "bpf/places.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_BYTES   4096
#define MAPPINGS_MAX 1024

static struct mapping *mapping_at(const struct places *places, __u64 address)
{
	for (size_t i = places->count; i-- > 0;) /* the latest counts */
		if (address >= places->mappings[i].start &&
		    address < places->mappings[i].end)
			return &places->mappings[i];
	return NULL;
}

static int mapping_push(struct places *places, const struct mapping *mapping,
			const char *path)
{
	struct mapping *grown;

	if (places->count >= MAPPINGS_MAX)
		return 0;
	grown = realloc(places->mappings, (places->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	places->mappings = grown;
	grown[places->count] = *mapping;
	grown[places->count].path = strdup(path);
	if (!grown[places->count].path)
		return -ENOMEM;
	places->count++;
	return 0;
}

/* All of a process's code, as it is mapped now. */
static int maps_read(struct places *places, __u32 tgid)
{
	char path[64], *line = NULL;
	size_t room = 0;
	int error = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%u/maps", tgid);
	maps = fopen(path, "re");
	if (!maps)
		return 0;
	while (!error && getline(&line, &room, maps) > 0) {
		unsigned long start, end, offset;
		char modes[5];
		int at = 0;

		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%lx-%lx %4s %lx %*s %*s%n", &start, &end,
			   modes, &offset, &at) != 4 ||
		    modes[2] != 'x' || !at)
			continue;
		at += (int)strspn(line + at, " ");
		if (!mapping_at(places, start))
			error = mapping_push(
				places,
				&(struct mapping){ .start = start,
						   .end = end,
						   .offset = offset },
				line[at] ? line + at : "[anonymous]");
	}
	free(line);
	fclose(maps);
	return error;
}

int places_add(struct places *places, __u32 tgid, __u64 address,
	       const struct site_place *place)
{
	struct mapping mapping;
	int error;

	if (mapping_at(places, address))
		return 0;
	error = maps_read(places, tgid);
	if (error || mapping_at(places, address) || !place->start)
		return error;
	mapping = (struct mapping){
		.start = place->start,
		.end = address + 1, /* so much is known */
		.offset = place->pgoff * PAGE_BYTES,
	};
	return mapping_push(places, &mapping,
			    place->inode ? place->name : "[anonymous]");
}

void places_name(const struct places *places, __u64 address,
		 char ret_path[WATCH_PATH_MAX], __u64 *ret_offset)
{
	const struct mapping *mapping = mapping_at(places, address);
	size_t bytes;

	if (!mapping)
		return;
	bytes = strlen(mapping->path);
	if (bytes >= WATCH_PATH_MAX)
		bytes = WATCH_PATH_MAX - 1;
	memcpy(ret_path, mapping->path + strlen(mapping->path) - bytes, bytes);
	ret_path[bytes] = '\0';
	*ret_offset = address - mapping->start + mapping->offset;
}

void places_clear(struct places *places)
{
	for (size_t i = 0; i < places->count; i++)
		free(places->mappings[i].path);
	free(places->mappings);
	*places = (struct places){ 0 };
}

/* sites_module.h - one mapped file whose text is patched: sites.c does it for
 * all that stands there at the start, late.c for what comes later.
 *
 * Single-threaded, or under late.c's lock. */
#ifndef MISHAP_PRELOAD_SITES_MODULE_H
#define MISHAP_PRELOAD_SITES_MODULE_H

#include "preload/door.h"

#define PATH_BYTES_MAX 512

struct module {
	uint64_t base;
	uint64_t text_start, text_bytes, text_offset; /* segment, in memory */
	const char *name;			      /* borrowed from ld.so */
	const struct sites_header *plan;
	const struct site *sites;
	uint64_t plan_bytes;
	uint8_t *region; /* of the stubs */
	uint64_t region_bytes;
	bool is_libc;
};

/* dir/<build-id>.sites; false if it doesn't fit. */
HIDDEN bool plan_path(const char *dir, const uint8_t *id, uint32_t id_bytes,
		      char ret_path[PATH_BYTES_MAX]);
/* Map a plan read-only and check it; false: there is none to be had. */
HIDDEN bool plan_map(struct module *m, const char *path);
/* Does the text hold exactly what the plan expects? */
HIDDEN bool module_is_as_planned(const struct module *m);
/* Stubs in memory of their own near the module: m->region. */
HIDDEN bool module_make_stubs_near(struct module *m, uint64_t bytes);
HIDDEN bool module_patch(const struct module *m);

#endif

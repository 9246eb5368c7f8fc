/* places.h - where in which file an image's call sites stand.
 *
 * The kernel's probe names the file of a new site at once where it can;
 * /proc/PID/maps gives the whole path if the process still lives. */
#ifndef MISHAP_BPF_PLACES_H
#define MISHAP_BPF_PLACES_H

#include <stddef.h>

#include "bpf/watch.h"

struct mapping {
	__u64 start, end, offset;
	char *path;
};

struct places {
	struct mapping *mappings;
	size_t count;
};

/* places_add - a site at address was seen; place: what the probe says, inode 0
 * if nothing.  0; -ENOMEM. */
int places_add(struct places *places, __u32 tgid, __u64 address,
	       const struct site_place *place);
/* places_name - ret_path: its end, or "" if unknown; ret_offset: in the file.
 */
void places_name(const struct places *places, __u64 address,
		 char ret_path[WATCH_PATH_MAX], __u64 *ret_offset);
void places_clear(struct places *places);

#endif

/* sites_plan.h - patch plans as files, and the cache of them. */
#ifndef MISHAP_RUNNER_SITES_PLAN_H
#define MISHAP_RUNNER_SITES_PLAN_H

#include "runner/sites.h"

struct sites_file { /* a plan in memory */
	void *map;  /* owned, malloc'd */
	size_t bytes;
	const struct sites_header *header;
	const struct site *sites;
};

/* sites_file_read - read and check dir/<name>.  -ENOENT, -EPROTO, -EBADMSG;
 * -EPERM for another user's file or one that others may write, -ELOOP for a
 * symlink. */
int sites_file_read(const char *path, struct sites_file *ret_file);
/* sites_file_write - write to path by way of a temporary name, mode 0644. */
int sites_file_write(const char *path, const void *bytes, size_t n);
void sites_file_free(struct sites_file *file);

/* sites_plan_cached - as sites_plan_make(), but from the cache if it has it;
 * what the cache lacks is put there, silently not if that can't be done.  Of a
 * file without system calls there is an empty plan: it needn't be asked again.
 * ret_build_id (hex) may be NULL. */
int sites_plan_cached(const char *path, const char *out_dir,
		      char ret_build_id[2 * 32 + 1]);

#endif

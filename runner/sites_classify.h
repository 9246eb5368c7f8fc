/* sites_classify.h - what can be done about each `syscall` of a library. */
#ifndef MISHAP_RUNNER_SITES_CLASSIFY_H
#define MISHAP_RUNNER_SITES_CLASSIFY_H

#include "core/sites.h"
#include "runner/sites_code.h"

/* sites_classify - all sites of an image, sorted by start; *ret_sites is
 * malloc'd.  Returns 0; -EFBIG more than SITES_MAX; -ENOMEM. */
int sites_classify(struct image *image, struct site **ret_sites,
		   uint32_t *ret_count);

#endif

/* plans.h - patch plans (core/sites.h) by build-id: which addresses of a module
 * are left to calls that came by the site door.
 *
 * A plan may be made while the target waits for it, so one that isn't there
 * is looked for again.  Plans live until plans_close().  Not thread-safe. */
#ifndef MISHAP_BPF_PLANS_H
#define MISHAP_BPF_PLANS_H

#include <stdbool.h>
#include <linux/types.h>

struct plan_sites {
	__u64 text_start, text_end; /* from the load address */
	__u64 *addresses;	    /* of `syscall`, ascending */
	__u32 count;
};

struct plans;

/* plans_open - dir: NULL: none is ever found; kept.  0; -ENOMEM. */
int plans_open(const char *dir, struct plans **ret);
void plans_close(struct plans *plans);
/* plans_find - borrowed; NULL: there is none, or it is bad. */
const struct plan_sites *plans_find(struct plans *plans, const __u8 *build_id,
				    __u32 bytes);
/* plan_has - does the `syscall` at this offset belong to a patched site? */
bool plan_has(const struct plan_sites *plan, __u64 offset);

#endif

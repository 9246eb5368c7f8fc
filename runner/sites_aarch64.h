/* sites_aarch64.h - decide for each `svc #0` how it may be patched, ARM.
 *
 * All instructions have four bytes, and so has a jump: nothing that stands
 * beside a patch is ever displaced, and whatever jumps to a patched
 * instruction comes to the stub as it should.
 *  1. `mov x8, #number` just before makes way, and runs in the stub, if no
 *     jump leads past it (SITE_BEFORE);
 *  2. a cancellation funnel is left as it is, its caller comes to the stub
 *     instead (SITE_FUNNEL);
 *  3. else `svc` itself makes way (SITE_AROUND).
 */
#ifndef MISHAP_RUNNER_SITES_AARCH64_H
#define MISHAP_RUNNER_SITES_AARCH64_H

#include "core/sites.h"
#include "runner/sites_elf.h"

/* sites_classify_aarch64 - as sites_classify(). */
int sites_classify_aarch64(struct image *image, struct site **ret_sites,
			   uint32_t *ret_count);

/* aarch64_is_skipped - site_is_skipped() by that machine's numbers, which are
 * Linux's generic ones. */
bool aarch64_is_skipped(long nr);

#endif

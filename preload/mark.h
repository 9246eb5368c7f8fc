/* mark.h - tell an independent count what stands where in this process: which
 * modules' calls come by the site door, and which text is our own.
 *
 * By calls of madvise(2) that fail, see SHARED_MARK_* in core/watch.h; made
 * only where somebody counts: the probes (state->watched), or strace for
 * `mishap doctor --coverage` (NR_COUNTED).  Signal-safe.
 */
#ifndef MISHAP_PRELOAD_MARK_H
#define MISHAP_PRELOAD_MARK_H

#include "preload/door.h"

/* mark_module - base: load address of a module that was patched by plan.  The
 * marks of those that are there at the start come before mark_ready(). */
HIDDEN void mark_module(uint64_t base, const struct sites_header *plan);
/* mark_ready - from here on calls come by our doors, or escape them. */
HIDDEN void mark_ready(void);

/* What makes calls for the target stands in a section of its own, with bounds
 * that the linker knows. */
#define MAKES_CALLS __attribute__((section("mishap_around"), noinline))

#endif

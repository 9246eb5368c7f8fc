/* slot.h - a process's place in the books, and where it comes from.
 *
 * A path is a hash of the ordinals by which a process or a thread and all its
 * ancestors were made, each counted by the one that made it: the same run
 * gives the same paths, whatever the pids.  Lock-free, signal-safe.
 */
#ifndef MISHAP_CORE_SLOT_H
#define MISHAP_CORE_SLOT_H

#include "core/shared.h"

/* Kinds of offspring; they keep equal ordinals apart. */
enum slot_kind {
	BY_FORK = 0x666f726b,
	BY_CLONE,
	BY_THREAD,
	BY_ARRIVAL,
	BY_EXEC,
};

static inline uint64_t slot_offspring(uint64_t parent, enum slot_kind kind,
				      uint64_t ordinal)
{
	return rng_join(rng_join(parent, kind), ordinal);
}

/* slot_claim - one that was free, or that the runner has counted and released;
 * it is PROCESS_CLAIMED then.  NULL: none is left, and that was counted. */
struct process *slot_claim(struct state *state);
/* slot_fill - all zeroes but for these; status is stored last.  now_ns:
 * CLOCK_MONOTONIC. */
void slot_fill(struct process *slot, int32_t pid, uint64_t path,
	       uint64_t now_ns, uint32_t status);
/* slot_of_exec - take over the slot that this pid had before its exec, live
 * again.  NULL: it had none. */
struct process *slot_of_exec(struct state *state, int32_t pid);

#endif

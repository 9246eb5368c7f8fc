#include "core/slot.h"

#include <string.h>

static uint32_t status_of(const struct process *slot)
{
	return atomic_load_explicit(&slot->status, memory_order_relaxed);
}

struct process *slot_claim(struct state *state)
{
	static const uint32_t kinds[] = { PROCESS_FREE, PROCESS_DONE };

	for (unsigned k = 0; k < 2; k++) {
		for (unsigned i = 0; i < SHARED_PROCESSES_MAX; i++) {
			struct process *slot = &state->processes[i];
			uint32_t status = kinds[k];

			if (status_of(slot) == status &&
			    atomic_compare_exchange_strong(
				    &slot->status, &status, PROCESS_CLAIMED))
				return slot;
		}
	}
	atomic_fetch_add_explicit(&state->processes_lost, 1,
				  memory_order_relaxed);
	return NULL;
}

void slot_fill(struct process *slot, int32_t pid, uint64_t path,
	       uint64_t now_ns, uint32_t status)
{
	memset(slot->exe, 0, sizeof(slot->exe));
	memset((void *)slot->calls, 0,
	       sizeof(*slot) - offsetof(struct process, calls));
	slot->path = path;
	slot->born_ns = now_ns;
	atomic_store(&slot->children, 0);
	atomic_store(&slot->threads, 0);
	atomic_store(&slot->sites, SITES_UNTRIED);
	atomic_store(&slot->sites_patched, 0);
	atomic_store(&slot->sites_left, 0);
	atomic_store(&slot->deciding, 0);
	atomic_store(&slot->pid, pid);
	atomic_store(&slot->status, status);
}

/* Slots are taken from the lowest up, so the search ends where none has
 * been. */
struct process *slot_of_exec(struct state *state, int32_t pid)
{
	for (unsigned i = 0; i < SHARED_PROCESSES_MAX; i++) {
		struct process *slot = &state->processes[i];
		uint32_t status = PROCESS_EXECING;

		if (status_of(slot) == PROCESS_FREE && slot->born_ns == 0)
			break; /* never used, and so are all behind it */
		if (atomic_load_explicit(&slot->pid, memory_order_relaxed) ==
			    pid &&
		    atomic_compare_exchange_strong(&slot->status, &status,
						   PROCESS_LIVE))
			return slot;
	}
	return NULL;
}

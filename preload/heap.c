/* heap.c - how many bytes of the heap this process holds, for alloc.limit.
 *
 * Counted from the first allocation on, by what the allocator really gave; only
 * where a rule of the plan asks for it (symbols.c), because every free() pays.
 */
#include "preload/heap.h"

#include "preload/model.h"

bool guest_heap_counts;
_Atomic int64_t guest_heap_bytes;
size_t (*guest_heap_usable)(void *p);

void heap_look(void)
{
	for (unsigned r = 0; r < guest_plan.header->rules_count; r++) {
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (rule->fault == FAULT_alloc_limit &&
		    (!(rule->selectors & SELECT_EXE) ||
		     guest_exe_rules >> r & 1))
			guest_heap_counts = true;
	}
}

bool heap_applies(const struct flight *flight, unsigned r)
{
	const struct call *call = &flight->call;
	uint64_t max = guest_plan.rules[r].arg.v[0];
	int64_t bytes = PEEK(guest_heap_bytes), was = 0;

	if (guest_heap_usable &&
	    (call->id == CALL_realloc || call->id == CALL_reallocarray))
		was = (int64_t)guest_heap_usable(call->buf);
	if (bytes < was) /* blocks of before we were there */
		bytes = was;
	return call->size > max || (uint64_t)(bytes - was) > max - call->size;
}

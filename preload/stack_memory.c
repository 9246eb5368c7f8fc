/* stack_memory.c - reading a stack that may be corrupt, without a fault.
 *
 * A thread reads freely inside the one range around its stack pointer that it
 * has seen to be readable; the range grows upwards a page at a time, each
 * page tried first with a system call that can't do harm.  The range is one
 * word, so that a signal handler sees it old or new and never half of each.
 */
#include "preload/stack.h"

#include <errno.h>

#include "core/sys.h"

#define PAGE	      4096ull
#define ADDRESS_MAX   (1ull << 47) /* user addresses on amd64 */
#define COUNT_BITS    24
#define GROW_DOWN_MAX (256 * PAGE) /* else a range is begun anew */

/* First page << COUNT_BITS | how many. */
static __thread uint64_t known;

/* rt_sigprocmask(2) reads its set before it looks at `how`: EFAULT says that
 * the bytes aren't there, EINVAL that they are and that nothing was done. */
static bool probe(uint64_t address)
{
	return sys6(SYS_rt_sigprocmask, ~0l, (long)address, 0, 8, 0, 0) ==
	       -EINVAL;
}

bool stack_page_readable(uint64_t address)
{
	static _Atomic int trusted; /* 1: it tells; -1: it doesn't */
	int trust = atomic_load_explicit(&trusted, memory_order_relaxed);

	if (trust == 0) { /* an emulated kernel may look at `how` first */
		trust = probe(8) ? -1 : 1;
		atomic_store_explicit(&trusted, trust, memory_order_relaxed);
	}
	return trust > 0 && address < ADDRESS_MAX && probe(address & -PAGE);
}

struct stack_range stack_range_at(uint64_t sp)
{
	uint64_t word = *(volatile uint64_t *)&known;
	struct stack_range range = { .lo = (word >> COUNT_BITS) * PAGE };

	range.hi = range.lo + (word & ((1u << COUNT_BITS) - 1)) * PAGE;
	if (sp >= range.lo && sp < range.hi)
		return range;
	if (sp < range.lo && range.lo - sp <= GROW_DOWN_MAX) {
		uint64_t page = (sp & -PAGE) + PAGE;

		while (page < range.lo && stack_page_readable(page))
			page += PAGE;
		if (page == range.lo) {
			range.lo = sp & -PAGE;
			stack_range_keep(&range);
			return range;
		}
	}
	range.lo = sp & -PAGE;
	range.hi = range.lo + PAGE;
	return range;
}

void stack_range_keep(const struct stack_range *range)
{
	uint64_t word =
		range->lo / PAGE << COUNT_BITS | (range->hi - range->lo) / PAGE;

	if (known != word)
		*(volatile uint64_t *)&known = word;
}

bool stack_range_grow(struct stack_range *range, uint64_t address)
{
	if (address - range->lo >= STACK_REACH_MAX)
		return false;
	while (address >= range->hi) {
		if (!stack_page_readable(range->hi))
			return false;
		range->hi += PAGE;
	}
	return true;
}

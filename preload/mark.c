#include "preload/mark.h"

#include <stddef.h>

#include "core/sys.h"

extern HIDDEN const char __ehdr_start[], etext[];
extern HIDDEN const char __start_mishap_around[], __stop_mishap_around[];

/* A plan's header holds a struct watch_module. */
_Static_assert(offsetof(struct sites_header, build_id) -
			       offsetof(struct sites_header, build_id_bytes) ==
		       offsetof(struct watch_module, build_id),
	       "length, then build-id");

static bool is_counted(void)
{
	return guest_state &&
	       (atomic_load_explicit(&guest_state->watched,
				     memory_order_relaxed) ||
		guest_state->armed_nr[SYS_madvise] == NR_COUNTED);
}

void mark_module(uint64_t base, const struct sites_header *plan)
{
	if (is_counted())
		sys3(SYS_madvise, (long)base, (long)&plan->build_id_bytes,
		     SHARED_MARK_MODULE);
}

void mark_ready(void)
{
	if (!is_counted())
		return;
	sys3(SYS_madvise, (long)__start_mishap_around,
	     __stop_mishap_around - __start_mishap_around, SHARED_MARK_AROUND);
	sys3(SYS_madvise, (long)__ehdr_start, etext - __ehdr_start,
	     SHARED_MARK_OWN);
}

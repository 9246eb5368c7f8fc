/* attend.c - a process that has met its first fault is watched until its end.
 *
 * When it dies of it, the kernel lets nobody look at its stacks afterwards, and
 * a signal handler of ours would be seen.  So a helper of the runner's attaches
 * itself by ptrace(2), and nothing is said to anybody before that first fault.
 * The thread waits for it a moment, because a NULL from malloc is followed at
 * once.
 */
#include <linux/futex.h>
#include <sys/prctl.h>
#include <time.h>

#include "preload/guest.h"
#include "preload/stack.h"

#define WAIT_NS	 50000000ull
#define SLICE_NS 5000000ull

/* A sanitizer's search for leaks stops its threads by ptrace(2) itself, and
 * fails where somebody else has done so. */
static bool is_sanitized;

__attribute__((constructor)) static void sanitizer_look(void)
{
	is_sanitized = stack_has_sanitizer();
}

static struct shared_attend *slot_claim(void)
{
	for (unsigned i = 0; i < SHARED_ATTEND_MAX; i++) {
		struct shared_attend *slot = &guest_state->attend[i];
		uint32_t status = ATTEND_FREE;

		if (atomic_compare_exchange_strong(&slot->status, &status,
						   ATTEND_FILLING))
			return slot;
	}
	return NULL;
}

void attend_ask(void)
{
	uint32_t on = PEEK(guest_state->attend_on), done;
	struct shared_attend *slot = NULL;
	uint64_t until_ns;

	if (on != ATTEND_OFF && !is_sanitized)
		slot = slot_claim();
	if (!slot)
		return;
	if (on == ATTEND_BY_LEAVE) /* Yama: only who was named may attach */
		sys3(SYS_prctl, PR_SET_PTRACER, (long)PR_SET_PTRACER_ANY, 0);
	slot->pid = PEEK(guest_process->pid);
	done = atomic_load(&slot->done);
	atomic_store(&slot->status, ATTEND_ASKED);
	atomic_fetch_add(&guest_state->attend_asked, 1);
	sys6(SYS_futex, (long)&guest_state->attend_asked, FUTEX_WAKE, 1, 0, 0,
	     0);
	until_ns = clock_ns() + WAIT_NS;
	while (atomic_load(&slot->done) == done) {
		const struct timespec slice = { .tv_nsec = SLICE_NS };
		uint64_t now_ns = clock_ns();

		if (now_ns >= until_ns || !lease_holds(guest_state, now_ns))
			return; /* the helper frees the slot, sooner or later */
		sys6(SYS_futex, (long)&slot->done, FUTEX_WAIT, (long)done,
		     (long)&slice, 0, 0);
	}
}

/* shared.c - is this file one of ours, and does the runner still live? */
#include "core/sweep.h"

#include <errno.h>
#include <linux/futex.h>

uint64_t shared_abi(void)
{
	const uint64_t shapes[] = {
		sizeof(struct shared_header),
		sizeof(struct state),
		sizeof(struct process),
		sizeof(struct shared_stack),
		sizeof(struct shared_module),
		sizeof(struct shared_code),
		sizeof(struct shared_attend),
		sizeof(struct sweep_area),
		sizeof(struct sweep_site),
		offsetof(struct sweep_area, cell),
		offsetof(struct shared_header, sweep_off),
		offsetof(struct state, attend),
		sizeof(struct event),
		offsetof(struct shared_header, library),
		offsetof(struct shared_header, doors),
		offsetof(struct state, lease),
		offsetof(struct state, heartbeat_ns),
		offsetof(struct state, lapses),
		offsetof(struct state, processes),
		offsetof(struct state, modules),
		offsetof(struct state, codes),
		offsetof(struct state, stacks),
		offsetof(struct state, ring),
		offsetof(struct process, calls),
	};

	return rng_join(plan_abi(), plan_checksum(shapes, sizeof(shapes)));
}

static bool is_terminated(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == '\0')
			return true;
	return false;
}

/* A page-aligned region behind the header, inside the file. */
static bool is_region(uint64_t off, uint64_t count, uint64_t bytes)
{
	return off >= SHARED_PAGE && off % SHARED_PAGE == 0 && off <= bytes &&
	       count <= bytes - off;
}

int shared_check(const struct shared_header *header, size_t bytes)
{
	const struct shared_header *h = header;

	if (bytes < sizeof(*h))
		return -EBADMSG;
	if (h->magic != SHARED_MAGIC || h->abi != shared_abi())
		return -EPROTO;
	if (!is_region(h->plan_off, h->plan_bytes, bytes) ||
	    !is_region(h->state_off, h->state_bytes, bytes) ||
	    h->plan_bytes < sizeof(struct plan_header) ||
	    h->state_bytes < sizeof(struct state))
		return -EBADMSG;
	/* The plan is mapped read-only, the state isn't: no common page. */
	if (h->plan_off < h->state_off + h->state_bytes &&
	    h->state_off < h->plan_off + h->plan_bytes)
		return -EBADMSG;
	if (h->sweep_bytes && (!is_region(h->sweep_off, h->sweep_bytes, bytes) ||
			       h->sweep_bytes < sizeof(struct sweep_area)))
		return -EBADMSG;
	if (!is_terminated(h->sites_dir, sizeof(h->sites_dir)) ||
	    !is_terminated(h->library, sizeof(h->library)))
		return -EBADMSG;
	return 0;
}

/* The lock word of a robust mutex is the owner's thread id; when the owner
 * dies the kernel clears that and sets FUTEX_OWNER_DIED, get_robust_list(2)
 * and Documentation/locking/robust-futex-ABI.rst. */
bool lease_holds(const struct state *state, uint64_t now_ns)
{
	uint32_t lock = (uint32_t)__atomic_load_n(&state->lease.__data.__lock,
						  __ATOMIC_RELAXED);
	uint64_t beat_ns;

	if (lock & FUTEX_OWNER_DIED || (lock & FUTEX_TID_MASK) == 0)
		return false;
	if (atomic_load_explicit(&state->halted, memory_order_relaxed))
		return false;
	beat_ns = atomic_load_explicit(&state->heartbeat_ns,
				       memory_order_relaxed);
	/* A beat younger than now_ns came while the caller was on its way. */
	return beat_ns >= now_ns || now_ns - beat_ns <= SHARED_LAPSE_NS;
}

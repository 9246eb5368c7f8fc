/* ring.c - many writers, one reader, the oldest is overwritten.
 *
 * A slot's seq says whose it is: the event's position plus 1, and two bits.
 *   WRITING  somebody may still be storing into the slot
 *   LOST     the event of this position isn't there and never will be
 * A writer claims a slot by setting WRITING and stores only then, so two
 * writers a lap apart never mix their bytes: the later one finds WRITING,
 * marks its own position LOST and goes on.  If the earlier writer was killed,
 * the slot stays so: one event in SHARED_EVENTS is lost and counted for each
 * lap; if it was only slow, it hands the slot back when it is done.
 * A writer killed before its claim leaves an older seq: a hole.
 */
#include "core/shared.h"

#define WRITING	    (1ull << 63)
#define LOST	    (1ull << 62)
#define POSITION(s) ((s) & ~(WRITING | LOST))
#define EVENT_WORDS (sizeof(struct event) / sizeof(uint64_t))

_Static_assert((SHARED_EVENTS & (SHARED_EVENTS - 1)) == 0, "a power of two");
_Static_assert(offsetof(struct event, seq) == 0, "seq is word 0");

/* Word by word, because the reader may look while a writer stores: no store
 * comes before the claim, no load after the second look at seq. */
typedef uint64_t __attribute__((may_alias)) word;

static void copy_in(struct event *slot, const struct event *event)
{
	for (size_t i = 1; i < EVENT_WORDS; i++)
		__atomic_store_n((word *)slot + i, ((const word *)event)[i],
				 __ATOMIC_RELEASE);
}

static void copy_out(struct event *event, const struct event *slot)
{
	for (size_t i = 1; i < EVENT_WORDS; i++)
		((word *)event)[i] = __atomic_load_n((const word *)slot + i,
						     __ATOMIC_ACQUIRE);
}

/* slot_claim - true: the slot is ours to write. */
static bool slot_claim(struct event *slot, uint64_t mine)
{
	uint64_t seq = atomic_load_explicit(&slot->seq, memory_order_relaxed);

	for (;;) {
		uint64_t next = mine | WRITING;

		if (POSITION(seq) >= mine)
			return false; /* overtaken by a whole lap */
		if (seq & WRITING)
			next |= LOST;
		if (atomic_compare_exchange_weak_explicit(
			    &slot->seq, &seq, next, memory_order_acq_rel,
			    memory_order_relaxed))
			return !(next & LOST);
	}
}

/* slot_publish - ours, or handed back to those who found us writing. */
static void slot_publish(struct event *slot, uint64_t mine)
{
	uint64_t seq = mine | WRITING;

	while (!atomic_compare_exchange_weak_explicit(
		&slot->seq, &seq, seq & ~WRITING, memory_order_release,
		memory_order_relaxed))
		;
}

void ring_push(struct ring *ring, const struct event *event)
{
	uint64_t position =
		atomic_fetch_add_explicit(&ring->head, 1, memory_order_relaxed);
	struct event *slot = &ring->events[position & (SHARED_EVENTS - 1)];

	if (!slot_claim(slot, position + 1))
		return;
	copy_in(slot, event);
	slot_publish(slot, position + 1);
}

enum slot_state { SLOT_READ, SLOT_LOST, SLOT_HOLE, SLOT_OVERWRITTEN };

static enum slot_state slot_read(const struct event *slot, uint64_t want,
				 struct event *ret_event)
{
	uint64_t seq = atomic_load_explicit(&slot->seq, memory_order_acquire);
	struct event event;

	if (POSITION(seq) > want)
		return SLOT_OVERWRITTEN;
	if (POSITION(seq) < want || seq == (want | WRITING))
		return SLOT_HOLE;
	if (seq & LOST)
		return SLOT_LOST;
	copy_out(&event, slot);
	if (atomic_load_explicit(&slot->seq, memory_order_relaxed) != seq)
		return SLOT_OVERWRITTEN;
	atomic_init(&event.seq, seq);
	*ret_event = event;
	return SLOT_READ;
}

int ring_pop(struct ring *ring, bool final, struct event *ret_event,
	     uint64_t *ret_lost)
{
	uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	uint64_t lost = 0;
	int got = 0;

	for (;;) {
		uint64_t head =
			atomic_load_explicit(&ring->head, memory_order_acquire);
		enum slot_state state;

		if (head == tail)
			break;
		if (head - tail > SHARED_EVENTS) {
			lost += head - SHARED_EVENTS - tail;
			tail = head - SHARED_EVENTS;
		}
		state = slot_read(&ring->events[tail & (SHARED_EVENTS - 1)],
				  tail + 1, ret_event);
		if (state == SLOT_OVERWRITTEN)
			continue; /* head has gone on as well */
		if (state == SLOT_HOLE && !final)
			break;
		tail++;
		if (state == SLOT_READ) {
			got = 1;
			break;
		}
		lost++;
	}
	atomic_store_explicit(&ring->tail, tail, memory_order_release);
	*ret_lost += lost;
	return got;
}

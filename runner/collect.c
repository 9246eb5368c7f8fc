#include "runner/collect.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/tree_proc.h"

#define POLL_NS	      (2 * NS_PER_MS)
#define STUCK_NS      NS_PER_S
#define FOLD_EVERY_NS (10 * NS_PER_MS)
#define FOLD_WHEN     (SHARED_PROCESSES_MAX - SHARED_PROCESSES_MAX / 4)

static void event_keep(struct collect *collect, const struct event *event)
{
	if (collect->events_count == collect->events_room) {
		size_t room =
			collect->events_room ? collect->events_room * 2 : 1024;
		struct event *grown = NULL;

		if (room <= COLLECT_EVENTS_MAX)
			grown = reallocarray(collect->events, room,
					     sizeof(*grown));
		if (!grown) {
			collect->events_lost++;
			return;
		}
		collect->events = grown;
		collect->events_room = room;
	}
	collect->events[collect->events_count++] = *event;
}

/* Does the reader stand before an event that was reserved and not written,
 * and has it for longer than any live writer takes? */
static bool is_stuck(struct collect *collect)
{
	const struct ring *ring = &collect->state->ring;
	uint64_t tail = atomic_load(&ring->tail), now = clock_now_ns();

	if (tail == atomic_load(&ring->head) || tail != collect->stuck_at) {
		collect->stuck_at = tail;
		collect->stuck_since_ns = now;
		return false;
	}
	return now - collect->stuck_since_ns >= STUCK_NS;
}

static void drain(struct collect *collect, bool final)
{
	struct ring *ring = &collect->state->ring;
	struct event event;

	/* Bounded, so that a flood can't keep us from our other duties. */
	for (size_t n = 0; final || n < SHARED_EVENTS; n++) {
		if (ring_pop(ring, final, &event, &collect->events_lost) != 1)
			break;
		event_keep(collect, &event);
	}
	/* A writer was killed in between: its event is lost, and what stands
	 * behind it shan't wait for the end, or be overwritten. */
	if (!final && is_stuck(collect) &&
	    ring_pop(ring, true, &event, &collect->events_lost) == 1)
		event_keep(collect, &event);
}

static void process_keep(struct collect *collect, const struct process *process,
			 uint32_t status)
{
	struct process_seen *grown, *seen;

	if (collect->processes_count == COLLECT_PROCESSES_MAX)
		return;
	grown = reallocarray(collect->processes, collect->processes_count + 1,
			     sizeof(*grown));
	if (!grown)
		return;
	collect->processes = grown;
	seen = &grown[collect->processes_count++];
	*seen = (struct process_seen){
		.pid = (uint32_t)atomic_load(&process->pid),
		.status = status,
		.sites = atomic_load(&process->sites),
		.sites_patched = atomic_load(&process->sites_patched),
		.sites_left = atomic_load(&process->sites_left),
	};
	memcpy(seen->exe, process->exe, sizeof(seen->exe));
	seen->exe[sizeof(seen->exe) - 1] = '\0';
	for (size_t i = 0; i < PLAN_RULES_MAX; i++) {
		uint64_t matched = atomic_load(&process->matched[i]);

		seen->fired += atomic_load(&process->fired[i]);
		if (matched > collect->matched_most[i])
			collect->matched_most[i] = matched;
	}
}

/* Its process is gone: count it, and give the slot back. */
static void slot_fold(struct collect *collect, struct process *process)
{
	uint32_t status = atomic_load(&process->status);

	process_keep(collect, process,
		     status == PROCESS_EXECING ? PROCESS_LOST : PROCESS_DONE);
	collect->threads += atomic_load(&process->threads);
	collect->cut_short += atomic_load(&process->deciding);
	atomic_store(&process->deciding, 0);
	for (size_t i = 0; i < CALL_COUNT; i++) {
		collect->calls[i] += atomic_load(&process->calls[i]);
		atomic_store(&process->calls[i], 0);
	}
	for (size_t i = 0; i < PLAN_RULES_MAX; i++) {
		atomic_store(&process->matched[i], 0);
		atomic_store(&process->fired[i], 0);
		atomic_store(&process->bytes[i], 0);
	}
	atomic_store(&process->children, 0);
	atomic_store(&process->threads, 0);
	atomic_store(&process->sites, SITES_UNTRIED);
	atomic_store(&process->sites_patched, 0);
	atomic_store(&process->sites_left, 0);
	process->path = 0;
	memset(process->exe, 0, sizeof(process->exe));
	atomic_store(&process->pid, 0);
	atomic_store(&process->status, PROCESS_FREE); /* last: it is theirs */
}

static bool in_use(uint32_t status)
{
	return status == PROCESS_LIVE || status == PROCESS_EXECING ||
	       status == PROCESS_LOST || status == PROCESS_DONE;
}

static void slots_look(struct collect *collect)
{
	struct process *slots = collect->state->processes;
	size_t used = 0;

	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		used += in_use(atomic_load(&slots[i].status));
	collect->seen_process |= used > 0;
	if (used < FOLD_WHEN)
		return;
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++) {
		uint32_t pid = (uint32_t)atomic_load(&slots[i].pid);

		if (in_use(atomic_load(&slots[i].status)) &&
		    tree_lacks(collect->tree, pid, slots[i].born_ns))
			slot_fold(collect, &slots[i]);
	}
}

static void *collect_main(void *arg)
{
	struct collect *collect = arg;
	uint64_t next_fold_ns = 0;

	signals_block();
	for (;;) {
		uint64_t now = clock_now_ns();
		bool closing;

		pthread_mutex_lock(&collect->lock);
		closing = collect->closing;
		pthread_mutex_unlock(&collect->lock);
		if (closing)
			return NULL;
		drain(collect, false);
		if (now >= next_fold_ns) {
			slots_look(collect);
			next_fold_ns = now + FOLD_EVERY_NS;
		}
		clock_sleep_until(now + POLL_NS);
	}
}

int collect_open(struct state *state, struct tree *tree,
		 struct collect *ret_collect)
{
	struct collect *collect = ret_collect;
	int error;

	memset(collect, 0, sizeof(*collect));
	collect->state = state;
	collect->tree = tree;
	pthread_mutex_init(&collect->lock, NULL);
	error = pthread_create(&collect->thread, NULL, collect_main, collect);
	collect->open = !error;
	return -error;
}

uint64_t collect_threads(const struct collect *collect)
{
	uint64_t threads = collect->threads;

	for (size_t i = 0; collect->state && i < SHARED_PROCESSES_MAX; i++)
		threads += atomic_load(&collect->state->processes[i].threads);
	return threads;
}

uint64_t collect_fired(const struct state *state)
{
	uint64_t fired = 0;

	for (size_t i = 0; i < PLAN_RULES_MAX; i++)
		fired += atomic_load(&state->fired[i]);
	return fired;
}

static void books_close(const struct collect *collect,
			struct evidence *evidence)
{
	const struct state *state = collect->state;

	evidence->events_lost += collect->events_lost;
	evidence->lapses += atomic_load(&state->lapses);
	evidence->unresolved += atomic_load(&state->unresolved);
	evidence->vfork_skipped += atomic_load(&state->vfork_skipped);
	evidence->processes_lost += atomic_load(&state->processes_lost);
	evidence->late_missed += atomic_load(&state->late_missed);
	evidence->uring_refused += atomic_load(&state->uring_refused);
	evidence->foreign += atomic_load(&state->foreign);
	for (size_t i = 0; i < PLAN_RULES_MAX; i++) {
		evidence->matched[i] += atomic_load(&state->matched[i]);
		evidence->fired[i] += atomic_load(&state->fired[i]);
		evidence->matched_most[i] = collect->matched_most[i];
		evidence->undone[i] += atomic_load(&state->undone[i]);
	}
	for (size_t i = 0; i < CALL_COUNT; i++)
		evidence->calls[i] += collect->calls[i];
}

/* A thread that dies between its decision and the event never acts on it: that
 * fault didn't fire, whatever was counted already. */
static void books_amend(const struct collect *collect,
			struct evidence *evidence)
{
	uint64_t events[PLAN_RULES_MAX] = { 0 }, fired = 0;

	evidence->cut_short = collect->cut_short;
	for (size_t i = 0; i < PLAN_RULES_MAX; i++)
		fired += evidence->fired[i];
	if (fired <= collect->events_count ||
	    fired - collect->events_count > collect->cut_short)
		return;
	for (size_t i = 0; i < collect->events_count; i++)
		if (collect->events[i].rule < PLAN_RULES_MAX)
			events[collect->events[i].rule]++;
	memcpy(evidence->fired, events, sizeof(events));
	evidence->events_lost = 0;
}

void collect_close(struct collect *collect, struct evidence *evidence)
{
	struct process *slots =
		collect->state ? collect->state->processes : NULL;

	if (!collect->open)
		return;
	pthread_mutex_lock(&collect->lock);
	collect->closing = true;
	pthread_mutex_unlock(&collect->lock);
	pthread_join(collect->thread, NULL);
	pthread_mutex_destroy(&collect->lock);
	collect->open = false;

	drain(collect, true);
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		if (in_use(atomic_load(&slots[i].status)))
			slot_fold(collect, &slots[i]);
	books_close(collect, evidence);
	books_amend(collect, evidence);
	evidence->events = collect->events;
	evidence->events_count = collect->events_count;
	evidence->processes = collect->processes;
	evidence->processes_count = collect->processes_count;
}

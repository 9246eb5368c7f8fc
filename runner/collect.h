/* collect.h - the reader's side of the books: events, slots, sums.
 *
 * A thread drains the ring; the slots of processes that have gone are folded
 * into the sums and released when the table runs full. */
#ifndef MISHAP_RUNNER_COLLECT_H
#define MISHAP_RUNNER_COLLECT_H

#include "runner/shared_file.h"
#include "runner/tree.h"

#define COLLECT_EVENTS_MAX    (4u << 20)
#define COLLECT_PROCESSES_MAX 65536

struct collect {
	pthread_mutex_t lock;
	pthread_t thread;
	bool open, closing;
	struct state *state; /* borrowed */
	struct tree *tree;   /* borrowed */
	struct event *events;
	size_t events_count, events_room;
	_Atomic uint64_t threads; /* of folded processes */
	uint64_t cut_short; /* threads that died before their event was out */
	uint64_t events_lost;
	uint64_t stuck_at, stuck_since_ns; /* of the ring's tail */
	struct process_seen *processes;	   /* folded */
	size_t processes_count;
	uint64_t calls[CALL_COUNT];
	uint64_t matched_most[PLAN_RULES_MAX]; /* of any one process */
	bool seen_process;
};

int collect_open(struct state *state, struct tree *tree,
		 struct collect *ret_collect);
/* collect_close - all writers are gone: drain, fold every slot, and move
 * everything into the evidence. */
void collect_close(struct collect *collect, struct evidence *evidence);
/* collect_threads - that the library saw made; before collect_close(). */
uint64_t collect_threads(const struct collect *collect);
/* collect_fired - decisions taken so far, over all rules. */
uint64_t collect_fired(const struct state *state);

#endif

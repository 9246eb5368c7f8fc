/* enumerate.h - the states that a power loss may leave, under one model.
 *
 * In this order, so that a budget is spent on what finds most: everything
 * there, only what is durable, all but one, durable and one more, torn writes,
 * names without data, random closed sets.  Seeded: the same log and seed give
 * the same states.  Trees that were seen with as many acknowledgements are
 * passed over. */
#ifndef MISHAP_RUNNER_POWERCUT_ENUMERATE_H
#define MISHAP_RUNNER_POWERCUT_ENUMERATE_H

#include "runner/powercut/shape.h"

enum strategy {
	STRATEGY_ALL,
	STRATEGY_DURABLE,
	STRATEGY_BUT_ONE,
	STRATEGY_ONE,
	STRATEGY_TORN,
	STRATEGY_NAMES,
	STRATEGY_RANDOM,
	STRATEGY_COUNT,
};

extern const char *const strategy_names[STRATEGY_COUNT];

struct cut_state {
	struct oplog_hash tree;
	uint64_t *set; /* owned by the list */
	uint32_t cut;  /* the last operation that had begun */
	uint32_t acks; /* ledger lines issued by then */
	uint8_t strategy;
};

struct states {
	struct cut_state *items;
	uint32_t count, room;
	uint64_t sets; /* looked at, duplicates too */
	bool bounded;  /* a limit ended it */
	uint32_t *map; /* of trees, by hash */
	size_t map_room;
	uint64_t *seen; /* sets, by hash */
	size_t seen_room, seen_count;
};

struct enumerate {
	const struct dag *dag;
	uint64_t seed;
	uint32_t first_cut; /* no earlier ones */
	uint64_t sets_max;  /* 0: no limit */
	uint32_t states_max;
	uint32_t random;   /* how many random sets */
	uint64_t until_ns; /* CLOCK_MONOTONIC; 0: no limit */
};

/* enumerate_states - 0 or -ENOMEM; *ret_states is the caller's. */
int enumerate_states(const struct enumerate *enumerate,
		     struct states *ret_states);
void states_clear(struct states *states);
/* states_find - of a tree; NULL. */
const struct cut_state *states_find(const struct states *states,
				    struct oplog_hash tree);
/* cut_sets - full: all that was issued by the end of operation cut; mini: what
 * is durable by then.  Buffers of dag->words. */
void cut_sets(const struct dag *dag, uint32_t cut, uint64_t *full,
	      uint64_t *mini);

#endif

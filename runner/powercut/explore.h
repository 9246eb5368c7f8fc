/* explore.h - enumerate under each model, judge each distinct tree once, hold
 * what was said against what had been promised. */
#ifndef MISHAP_RUNNER_POWERCUT_EXPLORE_H
#define MISHAP_RUNNER_POWERCUT_EXPLORE_H

#include "runner/powercut/builtin.h"
#include "runner/powercut/enumerate.h"
#include "runner/powercut/evaluate.h"

#define EXPLORE_STATES	 20000	    /* distinct trees of a model, by default */
#define EXPLORE_UNJUDGED (1u << 31) /* a bit beside those of violations */

struct tree_row { /* a distinct tree that was, or will be, judged */
	struct oplog_hash tree;
	struct outcome outcome;
	struct answer answer;
	bool again; /* it was bad, and was looked at once more */
};

struct explored {
	const struct model *model;
	struct dag dag;
	struct shape shape;
	struct states states;
	unsigned *found; /* by state: bits; EXPLORE_UNJUDGED */
	uint32_t judged, bad;
	uint32_t classes[VIOLATION_COUNT]; /* states that show each */
};

struct explore {
	/* Filled by the caller. */
	const struct history *history;
	struct judge judge;
	bool has_checker; /* else the built-in oracle */
	struct promise promise;
	uint64_t seed;
	uint32_t states_max, random;
	uint32_t shard, shards; /* this one of so many; 0 of 1 */
	/* Filled by explore_*(). */
	struct ledger ledger;
	struct evaluation evaluation;
	uint32_t evaluation_room;
	struct builtin builtin;
	struct dag plain; /* posix-min: for trees that are whole */
	struct shape plain_shape;
	uint32_t unstable;  /* trees on which the checker was of two minds */
	uint32_t first_cut; /* before it even a whole tree is bad */
	struct explored models[MODEL_COUNT];
	unsigned models_count;
	struct tree_row *trees;
	uint32_t trees_count, trees_room;
	uint32_t *map;
	size_t map_room;
	char why[SANDBOX_WHY_MAX]; /* what went wrong in judging */
};

int explore_open(struct explore *explore);
void explore_close(struct explore *explore);
/* explore_add - enumerate under one more model; nothing is judged. */
int explore_add(struct explore *explore, const struct model *model,
		uint64_t until_ns);
/* explore_judge - all trees that aren't yet, most telling first, until
 * until_ns; then evaluate all states. */
int explore_judge(struct explore *explore, uint64_t until_ns);
/* explore_batch - judge these trees, if they aren't.  Of one dag. */
int explore_batch(struct explore *explore, const struct dag *dag,
		  const struct cut_state *states, uint32_t count,
		  uint64_t until_ns);
/* explore_bits - violations of one state, or EXPLORE_UNJUDGED. */
unsigned explore_bits(struct explore *explore, struct shape *shape,
		      const struct cut_state *state, char **says);

/* Is the checker to be trusted?  On the tree as the program left it, it must
 * be content; on spoiled ones it must not. */
struct control {
	struct answer before, after; /* the answers to whole trees */
	struct outcome outcomes[5];
	bool toothless; /* it passed every spoiled tree */
};
int explore_control(struct explore *explore, struct control *ret_control);
/* explore_first - the tree before isn't good: since which operation is it, and
 * was that promised, by an acknowledgement or by the program's end?
 * Sets explore->first_cut, which explore_add() heeds. */
int explore_first(struct explore *explore);
void control_clear(struct control *control);

#endif

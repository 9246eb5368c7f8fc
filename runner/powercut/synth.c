/* synth.c - the missing barrier: try every fsync that a programmer could add,
 * at all places of its kind, and see which leaves no bad state.
 *
 * What a barrier leaves is enumerated anew under the model; its trees were
 * mostly judged before, the rest is judged for the winner. */
#include "runner/powercut/synth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/interrupt.h"

#define TRY_SETS    20000
#define TRY_RANDOM  400
#define ALL_CLASSES ((1u << VIOLATION_COUNT) - 1)

/* ---- trying ---------------------------------------------------------------
 */
struct amended { /* operations with barriers among them */
	struct op *ops;
	uint32_t count;
};

static int by_place(const void *a, const void *b)
{
	const struct barrier_spot *x = a, *y = b;

	return (x->before > y->before) - (x->before < y->before);
}

/* Issued once all before had returned, and over before what follows began. */
static struct op barrier_op(const struct history *history, uint32_t before,
			    uint32_t node)
{
	const struct op *last = before ? &history->ops[before - 1] : NULL;

	return (struct op){
		.kind = OPLOG_FSYNC,
		.node = node,
		.other = NONE,
		.slot = NONE,
		.slot2 = NONE,
		.issued = last ? last->returned + 1 : 1,
		.returned = last ? last->returned + 1 : 1,
		.time_ns = last ? last->time_ns : 0,
	};
}

/* All that were chosen, and one more to be tried; NULL: none. */
static int plan_make(const struct synth *synth, const struct candidate *one,
		     struct amended *ret_plan)
{
	const struct history *history = synth->explore->history;
	uint32_t n = 0, at = 0, k = 0;
	struct barrier_spot *spots;

	for (uint32_t i = 0; i < synth->count; i++)
		if (synth->candidates[i].used || &synth->candidates[i] == one)
			n += synth->candidates[i].count;
	spots = calloc((size_t)n + 1, sizeof(*spots));
	ret_plan->ops =
		calloc((size_t)history->ops_count + n + 1, sizeof(struct op));
	if (!spots || !ret_plan->ops) {
		free(spots);
		free(ret_plan->ops);
		return -ENOMEM;
	}
	n = 0;
	for (uint32_t i = 0; i < synth->count; i++) {
		const struct candidate *candidate = &synth->candidates[i];

		if (!candidate->used && candidate != one)
			continue;
		memcpy(spots + n, candidate->spots,
		       candidate->count * sizeof(*spots));
		n += candidate->count;
	}
	qsort(spots, n, sizeof(*spots), by_place);
	for (uint32_t i = 0; i <= history->ops_count; i++) {
		for (; k < n && spots[k].before == i; k++)
			ret_plan->ops[at++] =
				barrier_op(history, i, spots[k].node);
		if (i < history->ops_count)
			ret_plan->ops[at++] = history->ops[i];
	}
	ret_plan->count = at;
	free(spots);
	return 0;
}

/* What isn't on the disk in the bad state where least is missing: only a
 * barrier on that can help against it. */
struct culprit {
	uint32_t least;
	uint64_t *full, *mini;
	uint32_t cut;
};

static void culprit_take(struct synth *synth, struct culprit *culprit,
			 const struct dag *dag, const struct cut_state *state)
{
	const struct history *history = synth->explore->history;
	uint32_t missing = 0;

	if (culprit->cut != state->cut)
		cut_sets(dag, culprit->cut = state->cut, culprit->full,
			 culprit->mini);
	for (uint32_t w = 0; w < dag->words; w++)
		missing += (uint32_t)__builtin_popcountll(culprit->full[w] &
							  ~state->set[w]);
	if (missing >= culprit->least)
		return;
	culprit->least = missing;
	memset(synth->relevant, 0, history->nodes_count);
	for (uint32_t id = 0; id < dag->count; id++) {
		const struct micro *micro = &dag->micros[id];

		if (!set_has(culprit->full, id) || set_has(state->set, id))
			continue;
		if (micro->node != NONE)
			synth->relevant[micro->node] = true;
		for (int c = 0; c < micro->changes; c++)
			synth->relevant[history->slots[micro->slot[c]].dir] =
				true;
	}
}

static bool time_is_up(const struct synth *synth)
{
	return interrupt_signal() || clock_now_ns() >= synth->until_ns;
}

static int states_count(struct synth *synth, const struct dag *dag,
			struct shape *shape, const struct states *states,
			uint32_t stop_at, uint32_t *ret_bad,
			uint32_t *ret_checked)
{
	size_t bytes = ((size_t)dag->words + 1) * sizeof(uint64_t);
	struct culprit culprit = { .least = UINT32_MAX,
				   .full = malloc(bytes),
				   .mini = malloc(bytes),
				   .cut = NONE };
	int error = culprit.full && culprit.mini ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < states->count && !error && *ret_bad < stop_at;
	     i++) {
		unsigned bits = explore_bits(synth->explore, shape,
					     &states->items[i], NULL);

		if (bits == EXPLORE_UNJUDGED)
			continue;
		bits &= synth->mask;
		++*ret_checked;
		*ret_bad += bits != 0;
		if (bits && stop_at == UINT32_MAX)
			culprit_take(synth, &culprit, dag, &states->items[i]);
	}
	free(culprit.full);
	free(culprit.mini);
	return error;
}

/* The first cut, where barriers stand among the operations. */
static uint32_t cut_moved(const struct synth *synth, const struct amended *plan)
{
	uint32_t first = synth->explore->first_cut, at = 0;

	for (uint32_t i = 0; i < plan->count; i++)
		if (plan->ops[i].returned <
		    synth->explore->history->ops[first].returned)
			at = i + 1;
	return first ? at : 0;
}

/* Bad states under a plan.  judge: have the unknown ones judged, too.  Without
 * a limit (UINT32_MAX) synth->relevant is filled. */
static int plan_try(struct synth *synth, const struct amended *plan, bool judge,
		    uint32_t stop_at, uint32_t *ret_bad, uint32_t *ret_checked)
{
	struct explore *explore = synth->explore;
	struct dag dag = { 0 };
	struct shape shape = { 0 };
	struct states states = { 0 };
	struct enumerate enumerate = {
		.dag = &dag,
		.seed = explore->seed,
		.first_cut = cut_moved(synth, plan),
		.sets_max = judge ? 0 : TRY_SETS,
		.states_max = explore->states_max,
		.random = judge ? explore->random : TRY_RANDOM,
		.until_ns = synth->until_ns,
	};
	int error = dag_make(explore->history, plan->ops, plan->count,
			     synth->model->model, &dag);

	*ret_bad = *ret_checked = 0;
	if (!error)
		error = shape_make(&dag, &shape);
	if (!error)
		error = enumerate_states(&enumerate, &states);
	if (!error && judge)
		error = explore_batch(explore, &dag, states.items, states.count,
				      synth->until_ns);
	if (!error)
		error = states_count(synth, &dag, &shape, &states, stop_at,
				     ret_bad, ret_checked);
	states_clear(&states);
	if (shape.dag)
		shape_clear(&shape);
	if (dag.history)
		dag_clear(&dag);
	return error;
}

static bool is_relevant(const struct synth *synth,
			const struct candidate *candidate)
{
	for (uint32_t i = 0; i < candidate->count; i++)
		if (synth->relevant[candidate->spots[i].node])
			return true;
	return false;
}

/* The candidate that leaves least; NULL: none is any better. */
static int best_find(struct synth *synth, uint32_t now,
		     struct candidate **ret_best, uint32_t *ret_left)
{
	struct candidate *best = NULL;
	uint32_t least = now, bad, checked;
	int error = 0;

	for (uint32_t i = 0; i < synth->count && !error && least; i++) {
		struct candidate *candidate = &synth->candidates[i];
		struct amended plan;

		if (candidate->used || time_is_up(synth) ||
		    !is_relevant(synth, candidate))
			continue;
		error = plan_make(synth, candidate, &plan);
		if (error)
			break;
		error = plan_try(synth, &plan, false, least, &bad, &checked);
		free(plan.ops);
		if (!error && bad < least && !time_is_up(synth)) {
			least = bad;
			best = candidate;
		}
	}
	*ret_best = best;
	*ret_left = least;
	return error;
}

static int round_verify(struct synth *synth, struct barriers *barriers,
			uint32_t *bad, uint32_t *ret_all)
{
	uint32_t checked;
	struct amended plan;
	int error = plan_make(synth, NULL, &plan);

	if (error)
		return error;
	/* All classes count in what is reported, those that are worked on in
	 * what comes next. */
	error = plan_try(synth, &plan, true, UINT32_MAX, bad, &checked);
	barriers->checked = checked;
	if (!error && synth->mask != ALL_CLASSES) {
		unsigned mask = synth->mask;

		synth->mask = ALL_CLASSES;
		error = plan_try(synth, &plan, false, UINT32_MAX - 1, ret_all,
				 &checked);
		synth->mask = mask;
	} else {
		*ret_all = *bad;
	}
	free(plan.ops);
	return error;
}

static int rounds(struct synth *synth, struct barriers *barriers)
{
	unsigned most = barriers->count + BARRIERS_MAX / 2;
	uint32_t bad, checked, left;
	struct amended plan;
	int error = plan_make(synth, NULL, &plan);

	if (error)
		return error;
	/* The same measure for all: what a short enumeration finds. */
	error = plan_try(synth, &plan, false, UINT32_MAX, &bad, &checked);
	free(plan.ops);
	while (!error && bad && barriers->count < most && !time_is_up(synth)) {
		unsigned at = barriers->count;
		struct candidate *best;

		error = best_find(synth, bad, &best, &left);
		if (error || !best)
			break;
		best->used = true;
		barriers->texts[at] = strdup(best->text);
		barriers->count++;
		error = round_verify(synth, barriers, &bad,
				     &barriers->after[at]);
	}
	return error;
}

/* A barrier that another one makes needless isn't worth its price. */
static int thin_out(struct synth *synth, struct barriers *barriers)
{
	uint32_t bad, checked;

	for (unsigned k = 0; k + 1 < barriers->count; k++) {
		struct candidate *candidate = NULL;
		struct amended plan;
		int error;

		if (barriers->after[barriers->count - 1] || time_is_up(synth))
			return 0;
		for (uint32_t i = 0; i < synth->count; i++)
			if (synth->candidates[i].used &&
			    !strcmp(synth->candidates[i].text,
				    barriers->texts[k]))
				candidate = &synth->candidates[i];
		if (!candidate)
			continue;
		candidate->used = false;
		error = plan_make(synth, NULL, &plan);
		if (error)
			return error;
		error = plan_try(synth, &plan, true, 1, &bad, &checked);
		free(plan.ops);
		if (error)
			return error;
		if (bad) {
			candidate->used = true;
			continue;
		}
		free(barriers->texts[k]);
		for (unsigned i = k; i + 1 < barriers->count; i++) {
			barriers->texts[i] = barriers->texts[i + 1];
			barriers->after[i] = barriers->after[i + 1];
		}
		barriers->count--;
		k--;
	}
	return 0;
}

int barriers_find(struct explore *explore, unsigned model, uint64_t until_ns,
		  struct barriers *ret_barriers)
{
	struct synth synth = { .explore = explore,
			       .model = &explore->models[model],
			       .until_ns = until_ns };
	int error;

	ret_barriers->tried = true;
	ret_barriers->before = synth.model->bad;
	synth.candidates = calloc(CANDIDATES_MAX, sizeof(*synth.candidates));
	synth.relevant = calloc((size_t)explore->history->nodes_count + 1, 1);
	if (!synth.candidates || !synth.relevant) {
		free(synth.candidates);
		free(synth.relevant);
		return -ENOMEM;
	}
	error = candidates_find(&synth);
	/* What is broken first, then what is only not there any more. */
	synth.mask = ALL_CLASSES & ~(1u << VIOLATION_LOST);
	if (!error)
		error = rounds(&synth, ret_barriers);
	synth.mask = ALL_CLASSES;
	if (!error)
		error = rounds(&synth, ret_barriers);
	if (!error)
		error = thin_out(&synth, ret_barriers);
	for (uint32_t i = 0; i < synth.count; i++)
		free(synth.candidates[i].spots);
	free(synth.candidates);
	free(synth.relevant);
	ret_barriers->in_time = !time_is_up(&synth);
	return error;
}

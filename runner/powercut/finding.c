/* finding.c - choose, then shrink: as much as possible on the disk. */
#include "runner/powercut/finding.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/interrupt.h"

#define SHRINK_ROUNDS 6
#define SHRINK_TRIES  24

struct shrink {
	struct explore *explore;
	struct explored *model;
	enum violation class;
	uint64_t *full, *mini;
	uint64_t until_ns;
};

static uint32_t missing_count(const struct dag *dag, const uint64_t *full,
			      const uint64_t *set)
{
	uint32_t n = 0;

	for (uint32_t w = 0; w < dag->words; w++)
		n += (uint32_t)__builtin_popcountll(full[w] & ~set[w]);
	return n;
}

/* The state with the least missing; of those the earliest. */
static const struct cut_state *smallest(const struct shrink *shrink,
					uint32_t *ret_states)
{
	const struct explored *model = shrink->model;
	const struct cut_state *best = NULL;
	uint32_t least = UINT32_MAX, cut = NONE;

	*ret_states = model->classes[shrink->class];
	for (uint32_t i = 0; i < model->states.count; i++) {
		const struct cut_state *state = &model->states.items[i];
		uint32_t missing;

		if (model->found[i] == EXPLORE_UNJUDGED ||
		    !(model->found[i] >> shrink->class & 1))
			continue;
		if (state->cut != cut)
			cut_sets(&model->dag, cut = state->cut, shrink->full,
				 shrink->mini);
		missing = missing_count(&model->dag, shrink->full, state->set);
		if (missing < least ||
		    (missing == least && state->cut < best->cut)) {
			least = missing;
			best = state;
		}
	}
	return best;
}

static void add_needed(const struct dag *dag, uint64_t *set, uint32_t id)
{
	set_add(set, id);
	for (uint32_t e = dag->needs_at[id]; e < dag->needs_at[id + 1]; e++)
		if (!set_has(set, dag->needs[e]))
			add_needed(dag, set, dag->needs[e]);
}

/* States with one of the missing back; at most SHRINK_TRIES. */
static uint32_t tries_make(struct shrink *shrink, const struct cut_state *from,
			   struct cut_state *tries)
{
	const struct dag *dag = &shrink->model->dag;
	size_t bytes = dag->words * sizeof(uint64_t);
	uint32_t n = 0;

	for (uint32_t id = 0; id < dag->count && n < SHRINK_TRIES; id++) {
		if (!set_has(shrink->full, id) || set_has(from->set, id))
			continue;
		tries[n] = *from;
		tries[n].set = malloc(bytes + 1);
		if (!tries[n].set)
			break;
		memcpy(tries[n].set, from->set, bytes);
		add_needed(dag, tries[n].set, id);
		tries[n].tree = shape_hash(&shrink->model->shape, tries[n].set);
		n++;
	}
	return n;
}

static int shrink_once(struct shrink *shrink, struct cut_state *state,
		       bool *more)
{
	const struct dag *dag = &shrink->model->dag;
	struct cut_state tries[SHRINK_TRIES] = { 0 };
	uint32_t n = tries_make(shrink, state, tries), best = NONE;
	uint32_t least = missing_count(dag, shrink->full, state->set);
	int error =
		explore_batch(shrink->explore, dag, tries, n, shrink->until_ns);

	for (uint32_t i = 0; i < n && !error; i++) {
		unsigned bits =
			explore_bits(shrink->explore, &shrink->model->shape,
				     &tries[i], NULL);
		uint32_t missing =
			missing_count(dag, shrink->full, tries[i].set);

		if (bits != EXPLORE_UNJUDGED && bits >> shrink->class & 1 &&
		    missing < least) {
			least = missing;
			best = i;
		}
	}
	*more = best != NONE;
	if (best != NONE) {
		uint64_t *set = state->set;

		*state = tries[best];
		tries[best].set = set;
	}
	for (uint32_t i = 0; i < n; i++)
		free(tries[i].set);
	return error;
}

static int words_make(struct shrink *shrink, struct cut_finding *finding)
{
	const struct dag *dag = &shrink->model->dag;

	explore_bits(shrink->explore, &shrink->model->shape, &finding->state,
		     &finding->says);
	for (uint32_t id = 0; id < dag->count; id++) {
		if (!set_has(shrink->full, id) ||
		    set_has(finding->state.set, id) ||
		    dag->micros[id].kind == MICRO_ALLOC)
			continue;
		if (finding->missing_count == MISSING_MAX) {
			finding->missing_more++;
			continue;
		}
		finding->missing[finding->missing_count] = dag_say(dag, id);
		if (!finding->missing[finding->missing_count++])
			return -ENOMEM;
	}
	return 0;
}

static int finding_make(struct shrink *shrink, unsigned model,
			struct cut_finding *finding)
{
	const struct dag *dag = &shrink->model->dag;
	size_t bytes = dag->words * sizeof(uint64_t);
	const struct cut_state *state = smallest(shrink, &finding->states);
	bool more = true;
	int error = 0;

	finding->model = model;
	finding->class = shrink->class;
	finding->state = *state;
	finding->state.set = malloc(bytes + 1);
	if (!finding->state.set)
		return -ENOMEM;
	memcpy(finding->state.set, state->set, bytes);
	cut_sets(dag, state->cut, shrink->full, shrink->mini);
	for (int i = 0;
	     i < SHRINK_ROUNDS && more && !error && !interrupt_signal() &&
	     clock_now_ns() < shrink->until_ns;
	     i++)
		error = shrink_once(shrink, &finding->state, &more);
	return error ? error : words_make(shrink, finding);
}

static int model_findings(struct explore *explore, unsigned m,
			  uint64_t until_ns, struct cut_findings *findings)
{
	struct explored *model = &explore->models[m];
	size_t bytes = ((size_t)model->dag.words + 1) * sizeof(uint64_t);
	struct shrink shrink = { .explore = explore,
				 .model = model,
				 .full = malloc(bytes),
				 .mini = malloc(bytes),
				 .until_ns = until_ns };
	int error = shrink.full && shrink.mini ? 0 : -ENOMEM;

	for (int c = 0; c < VIOLATION_COUNT && !error; c++) {
		if (!model->classes[c])
			continue;
		shrink.class = (enum violation)c;
		error = finding_make(&shrink, m,
				     &findings->items[findings->count++]);
	}
	free(shrink.full);
	free(shrink.mini);
	return error;
}

/* An equal part for each that is still to come. */
static uint64_t share_end(uint64_t until_ns, unsigned parts)
{
	uint64_t now = clock_now_ns();

	return until_ns > now ? now + (until_ns - now) / (parts ? parts : 1)
			      : now;
}

int findings_make(struct explore *explore, uint64_t until_ns,
		  struct cut_findings *findings)
{
	unsigned bad = 0, left;
	int error = 0;

	for (unsigned m = 0; m < explore->models_count; m++)
		bad += explore->models[m].bad != 0;
	left = 3 * bad; /* barriers are worth more than small examples */
	for (unsigned m = 0; m < explore->models_count && !error; m++)
		if (explore->models[m].bad)
			error = model_findings(explore, m,
					       share_end(until_ns, left--),
					       findings);
	left = bad;
	for (unsigned m = 0; m < explore->models_count && !error; m++)
		if (explore->models[m].bad && !interrupt_signal())
			error = barriers_find(explore, m,
					      share_end(until_ns, left--),
					      &findings->barriers[m]);
	return error;
}

void findings_clear(struct cut_findings *findings)
{
	for (unsigned i = 0; i < findings->count; i++) {
		struct cut_finding *finding = &findings->items[i];

		free(finding->state.set);
		free(finding->says);
		for (unsigned k = 0; k < finding->missing_count; k++)
			free(finding->missing[k]);
	}
	for (unsigned m = 0; m < MODEL_COUNT; m++)
		for (unsigned k = 0; k < findings->barriers[m].count; k++)
			free(findings->barriers[m].texts[k]);
	*findings = (struct cut_findings){ 0 };
}

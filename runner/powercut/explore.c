/* explore.c - the loop from states to verdicts. */
#include "runner/powercut/explore.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/interrupt.h"

#define FIRST_TRIES 64
#define RETRY_MAX   512 /* bad trees that are judged twice */

/* ---- trees --------------------------------------------------------------- */
static size_t tree_place(const struct explore *explore, struct oplog_hash tree)
{
	size_t at = tree.a & (explore->map_room - 1);

	while (explore->map[at] != NONE &&
	       (explore->trees[explore->map[at]].tree.a != tree.a ||
		explore->trees[explore->map[at]].tree.b != tree.b))
		at = (at + 1) & (explore->map_room - 1);
	return at;
}

static int trees_grow(struct explore *explore)
{
	size_t room = explore->map_room ? 2 * explore->map_room : 4096;
	uint32_t *map;

	if (explore->trees_count == explore->trees_room) {
		uint32_t more =
			explore->trees_room ? 2 * explore->trees_room : 1024;
		struct tree_row *trees =
			reallocarray(explore->trees, more, sizeof(*trees));

		if (!trees)
			return -ENOMEM;
		explore->trees = trees;
		explore->trees_room = more;
		/* Answers point to their outcomes, which have moved. */
		for (uint32_t i = 0; i < explore->trees_count; i++)
			trees[i].answer.outcome = &trees[i].outcome;
	}
	if (2 * explore->trees_count < explore->map_room)
		return 0;
	map = malloc(room * sizeof(*map));
	if (!map)
		return -ENOMEM;
	memset(map, 0xff, room * sizeof(*map));
	free(explore->map);
	explore->map = map;
	explore->map_room = room;
	for (uint32_t i = 0; i < explore->trees_count; i++)
		map[tree_place(explore, explore->trees[i].tree)] = i;
	return 0;
}

static struct tree_row *tree_find(const struct explore *explore,
				  struct oplog_hash tree)
{
	size_t at;

	if (!explore->trees_count)
		return NULL;
	at = tree_place(explore, tree);
	return explore->map[at] == NONE ? NULL
					: &explore->trees[explore->map[at]];
}

static int tree_add(struct explore *explore, struct oplog_hash tree)
{
	int error = trees_grow(explore);

	if (error)
		return error;
	explore->map[tree_place(explore, tree)] = explore->trees_count;
	explore->trees[explore->trees_count] =
		(struct tree_row){ .tree = tree };
	explore->trees[explore->trees_count].answer.outcome =
		&explore->trees[explore->trees_count].outcome;
	explore->trees_count++;
	return 0;
}

/* ---- judging ------------------------------------------------------------- */
static int answer_take(struct explore *explore, struct oplog_hash tree,
		       struct outcome *outcome)
{
	struct tree_row *row = tree_find(explore, tree);
	int error;

	if (!row) {
		error = tree_add(explore, tree);
		if (error)
			return error;
		row = tree_find(explore, tree);
	}
	if (row->outcome.kind != OUTCOME_NONE) {
		free(outcome->text);
		return 0;
	}
	row->outcome = *outcome;
	if (outcome->kind == OUTCOME_NONE || outcome->kind == OUTCOME_BROKEN)
		return 0;
	return answer_read(&explore->ledger, &row->outcome, &row->answer);
}

static int items_judge(struct explore *explore, const struct judge_item *items,
		       const struct oplog_hash *trees, uint32_t count,
		       uint64_t until_ns)
{
	struct outcome *outcomes = calloc((size_t)count + 1, sizeof(*outcomes));
	int error;

	if (!outcomes)
		return -ENOMEM;
	error = judge_batch(&explore->judge, items, count, until_ns, outcomes,
			    explore->why);
	for (uint32_t i = 0; i < count; i++) {
		int taken = answer_take(explore, trees[i], &outcomes[i]);

		error = error ? error : taken;
	}
	free(outcomes);
	return error;
}

static bool is_wanted(const struct explore *explore, struct oplog_hash tree)
{
	const struct tree_row *row = tree_find(explore, tree);

	return !row || row->outcome.kind == OUTCOME_NONE;
}

int explore_batch(struct explore *explore, const struct dag *dag,
		  const struct cut_state *states, uint32_t count,
		  uint64_t until_ns)
{
	struct judge_item *items = calloc((size_t)count + 1, sizeof(*items));
	struct oplog_hash *trees = calloc((size_t)count + 1, sizeof(*trees));
	uint32_t n = 0;
	int error = items && trees ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < count && !error; i++) {
		if (!explore->has_checker ||
		    !is_wanted(explore, states[i].tree))
			continue;
		items[n].dag = dag;
		items[n].set = states[i].set;
		trees[n++] = states[i].tree;
	}
	if (!error && n)
		error = items_judge(explore, items, trees, n, until_ns);
	free(items);
	free(trees);
	return error;
}

static bool is_ours(const struct explore *explore, struct oplog_hash tree)
{
	return explore->shards <= 1 ||
	       tree.b % explore->shards == explore->shard;
}

/* All models' trees, by strategy, and within one by how many models were asked
 * before: each once. */
static uint32_t items_collect(struct explore *explore, struct judge_item *items,
			      struct oplog_hash *trees)
{
	uint32_t n = 0;

	for (int strategy = 0; strategy < STRATEGY_COUNT; strategy++)
		for (unsigned m = 0; m < explore->models_count; m++) {
			const struct explored *model = &explore->models[m];

			for (uint32_t i = 0; i < model->states.count; i++) {
				const struct cut_state *state =
					&model->states.items[i];

				if (state->strategy != strategy ||
				    !is_ours(explore, state->tree) ||
				    tree_find(explore, state->tree))
					continue;
				if (tree_add(explore, state->tree) < 0)
					return n;
				items[n].dag = &model->dag;
				items[n].set = state->set;
				trees[n++] = state->tree;
			}
		}
	return n;
}

/* The built-in oracle reads every file: it has a bound, too. */
static bool is_over(const struct explore *explore, uint64_t until_ns)
{
	return !explore->has_checker &&
	       (interrupt_signal() || (until_ns && clock_now_ns() > until_ns));
}

static void evaluate_all(struct explore *explore, uint64_t until_ns)
{
	for (unsigned m = 0; m < explore->models_count; m++) {
		struct explored *model = &explore->models[m];

		model->judged = model->bad = 0;
		memset(model->classes, 0, sizeof(model->classes));
		for (uint32_t i = 0; i < model->states.count; i++) {
			unsigned bits = EXPLORE_UNJUDGED;

			if (!is_over(explore, until_ns))
				bits = explore_bits(explore, &model->shape,
						    &model->states.items[i],
						    NULL);

			model->found[i] = bits;
			if (bits == EXPLORE_UNJUDGED)
				continue;
			model->judged++;
			model->bad += bits != 0;
			for (int c = 0; c < VIOLATION_COUNT; c++)
				model->classes[c] += bits >> c & 1;
		}
	}
}

struct retry { /* a bad tree, by one of its states */
	struct explored *model;
	const struct cut_state *state;
};

/* Bad trees, each once, at most RETRY_MAX. */
static uint32_t bad_collect(struct explore *explore, struct retry *retries)
{
	uint32_t n = 0;

	for (unsigned m = 0; m < explore->models_count; m++) {
		struct explored *model = &explore->models[m];

		for (uint32_t i = 0; i < model->states.count; i++) {
			const struct cut_state *state = &model->states.items[i];
			struct tree_row *row = tree_find(explore, state->tree);

			if (!model->found[i] ||
			    model->found[i] == EXPLORE_UNJUDGED || !row ||
			    row->again || n == RETRY_MAX)
				continue;
			row->again = true;
			retries[n++] = (struct retry){ model, state };
		}
	}
	return n;
}

/* The second outcome stands in for the first, if it is another verdict. */
static int outcome_replace(struct explore *explore, const struct retry *retry,
			   struct outcome *now)
{
	struct tree_row *row = tree_find(explore, retry->state->tree);
	struct outcome before = row->outcome;
	struct answer answer = row->answer;
	unsigned bits =
		explore_bits(explore, &retry->model->shape, retry->state, NULL);
	int error;

	if (now->kind == OUTCOME_NONE || now->kind == OUTCOME_BROKEN) {
		free(now->text);
		return 0;
	}
	row->outcome = *now;
	error = answer_read(&explore->ledger, &row->outcome, &row->answer);
	if (!error && explore_bits(explore, &retry->model->shape, retry->state,
				   NULL) != bits)
		explore->unstable++;
	answer_clear(&answer);
	free(before.text);
	return error;
}

/* A checker may depend on time, or on chance: who finds a tree bad is asked
 * again, and what it then says counts. */
static int judge_again(struct explore *explore, uint64_t until_ns)
{
	struct judge_item *items = calloc(RETRY_MAX, sizeof(*items));
	struct retry *retries = calloc(RETRY_MAX, sizeof(*retries));
	struct outcome *outcomes = calloc(RETRY_MAX, sizeof(*outcomes));
	int error = items && retries && outcomes ? 0 : -ENOMEM;
	uint32_t n = error ? 0 : bad_collect(explore, retries);

	for (uint32_t i = 0; i < n; i++) {
		items[i].dag = &retries[i].model->dag;
		items[i].set = retries[i].state->set;
	}
	if (!error)
		error = judge_batch(&explore->judge, items, n, until_ns,
				    outcomes, explore->why);
	for (uint32_t i = 0; i < n && !error; i++)
		error = outcome_replace(explore, &retries[i], &outcomes[i]);
	free(items);
	free(retries);
	free(outcomes);
	return error;
}

int explore_judge(struct explore *explore, uint64_t until_ns)
{
	uint64_t start = clock_now_ns();
	struct judge_item *items;
	struct oplog_hash *trees;
	uint32_t count = 0;
	int error = 0;

	for (unsigned m = 0; m < explore->models_count; m++)
		count += explore->models[m].states.count;
	items = calloc((size_t)count + 1, sizeof(*items));
	trees = calloc((size_t)count + 1, sizeof(*trees));
	if (!items || !trees)
		error = -ENOMEM;
	if (!error && explore->has_checker) {
		count = items_collect(explore, items, trees);
		error = items_judge(explore, items, trees, count, until_ns);
	}
	free(items);
	free(trees);
	if (!error)
		evaluate_all(explore, until_ns);
	if (!error && explore->has_checker && !interrupt_signal()) {
		/* Half as long again, if the time was used up. */
		uint64_t now = clock_now_ns();

		error = judge_again(
			explore,
			now + (until_ns > start ? (until_ns - start) / 2 : 0));
		if (!error && explore->unstable)
			evaluate_all(explore, until_ns);
	}
	return error;
}

unsigned explore_bits(struct explore *explore, struct shape *shape,
		      const struct cut_state *state, char **says)
{
	const struct tree_row *row;

	if (!is_ours(explore, state->tree))
		return EXPLORE_UNJUDGED;
	if (!explore->has_checker)
		return builtin_judge(&explore->builtin, shape, state, says);
	row = tree_find(explore, state->tree);
	if (!row || row->outcome.kind == OUTCOME_NONE ||
	    row->outcome.kind == OUTCOME_BROKEN)
		return EXPLORE_UNJUDGED;
	if (explore->evaluation_room <= explore->ledger.keys_count) {
		uint32_t room = 2 * explore->ledger.keys_count + 64;
		uint8_t *present = realloc(explore->evaluation.present, room);

		if (!present)
			return EXPLORE_UNJUDGED;
		explore->evaluation.present = present;
		explore->evaluation_room = room;
	}
	return evaluate(&explore->evaluation, &row->answer, state->acks,
			shape->dag->ops[state->cut].time_ns, says);
}

/* ---- models -------------------------------------------------------------- */
int explore_open(struct explore *explore)
{
	int error = ledger_read(explore->history, &explore->ledger);

	if (!error && !explore->has_checker)
		error = builtin_make(explore->history, &explore->builtin);
	if (!error)
		error = dag_make(explore->history, explore->history->ops,
				 explore->history->ops_count,
				 &model_table[MODEL_POSIX_MIN],
				 &explore->plain);
	if (!error)
		error = shape_make(&explore->plain, &explore->plain_shape);
	explore->evaluation.ledger = &explore->ledger;
	explore->evaluation.promise = explore->promise;
	return error;
}

int explore_add(struct explore *explore, const struct model *model,
		uint64_t until_ns)
{
	struct explored *explored = &explore->models[explore->models_count];
	struct enumerate enumerate = {
		.dag = &explored->dag,
		.seed = explore->seed,
		.first_cut = explore->first_cut,
		.states_max = explore->states_max,
		.random = explore->random,
		.until_ns = until_ns,
	};
	int error =
		dag_make(explore->history, explore->history->ops,
			 explore->history->ops_count, model, &explored->dag);

	if (error)
		return error;
	explored->model = model;
	explore->models_count++;
	error = shape_make(&explored->dag, &explored->shape);
	if (!error)
		error = enumerate_states(&enumerate, &explored->states);
	if (!error) {
		explored->found = calloc((size_t)explored->states.count + 1,
					 sizeof(*explored->found));
		error = explored->found ? 0 : -ENOMEM;
	}
	return error;
}

void explore_close(struct explore *explore)
{
	for (unsigned m = 0; m < explore->models_count; m++) {
		struct explored *model = &explore->models[m];

		states_clear(&model->states);
		if (model->shape.dag)
			shape_clear(&model->shape);
		dag_clear(&model->dag);
		free(model->found);
	}
	for (uint32_t i = 0; i < explore->trees_count; i++) {
		free(explore->trees[i].outcome.text);
		answer_clear(&explore->trees[i].answer);
	}
	if (explore->plain_shape.dag)
		shape_clear(&explore->plain_shape);
	if (explore->plain.history)
		dag_clear(&explore->plain);
	free(explore->trees);
	free(explore->map);
	free(explore->evaluation.present);
	ledger_clear(&explore->ledger);
	if (explore->builtin.history)
		builtin_clear(&explore->builtin);
}

/* ---- control ------------------------------------------------------------- */
int explore_control(struct explore *explore, struct control *ret_control)
{
	const struct dag *dag = &explore->plain;
	uint64_t *full = calloc((size_t)dag->words + 1, sizeof(*full));
	uint64_t *mini = calloc((size_t)dag->words + 1, sizeof(*mini));
	struct judge_item items[5] = { 0 };
	struct control control = { 0 };
	int error = full && mini ? 0 : -ENOMEM;

	if (!error && dag->ops_count)
		cut_sets(dag, dag->ops_count - 1, full, mini);
	if (!error)
		memset(mini, 0, dag->words * sizeof(*mini));
	for (int i = 0; i < 5; i++) {
		items[i].dag = dag;
		items[i].set = i ? full : mini; /* before; after; spoiled */
		items[i].tamper = i < 2 ? TAMPER_NOT
					: (enum tamper)(TAMPER_EMPTY + i - 2);
	}
	if (!error)
		error = judge_batch(&explore->judge, items, 5, 0,
				    control.outcomes, explore->why);
	if (!error)
		error = answer_read(&explore->ledger, &control.outcomes[0],
				    &control.before);
	if (!error)
		error = answer_read(&explore->ledger, &control.outcomes[1],
				    &control.after);
	if (!error)
		ledger_before(&explore->ledger, &control.before);
	free(full);
	free(mini);
	*ret_control = control;
	return error;
}

/* The first acknowledgement; else the end, which is one, too. */
static uint32_t first_promise(const struct history *history)
{
	for (uint32_t i = 0; i < history->ops_count; i++)
		if (history->ops[i].kind == OPLOG_LEDGER &&
		    history->ops[i].text_bytes > 4 &&
		    !memcmp(history->ops[i].text, "ack ", 4))
			return i;
	return history->ops_count ? history->ops_count - 1 : 0;
}

/* Whole trees after some of the operations, the first that is good. */
int explore_first(struct explore *explore)
{
	const struct dag *dag = &explore->plain;
	uint32_t n =
		dag->ops_count < FIRST_TRIES ? dag->ops_count : FIRST_TRIES;
	size_t bytes = ((size_t)dag->words + 1) * sizeof(uint64_t);
	uint64_t *mini = malloc(bytes);
	struct cut_state states[FIRST_TRIES] = { 0 };
	int error = mini ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < n && !error; i++) {
		states[i].cut =
			(uint32_t)((uint64_t)(i + 1) * dag->ops_count / n) - 1;
		states[i].set = malloc(bytes);
		if (!states[i].set) {
			error = -ENOMEM;
			break;
		}
		cut_sets(dag, states[i].cut, states[i].set, mini);
		states[i].tree =
			shape_hash(&explore->plain_shape, states[i].set);
	}
	if (!error)
		error = explore_batch(explore, dag, states, n, 0);
	for (uint32_t i = 0; i < n && !error; i++) {
		unsigned bits = explore_bits(explore, &explore->plain_shape,
					     &states[i], NULL);

		explore->first_cut = states[i].cut;
		if (!bits)
			break;
	}
	if (explore->first_cut < first_promise(explore->history))
		explore->first_cut = first_promise(explore->history);
	for (uint32_t i = 0; i < n; i++)
		free(states[i].set);
	free(mini);
	return error;
}

void control_clear(struct control *control)
{
	answer_clear(&control->before);
	answer_clear(&control->after);
	outcomes_clear(control->outcomes, 5);
}

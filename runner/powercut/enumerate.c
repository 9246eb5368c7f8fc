/* enumerate.c - closed sets, most telling first. */
#include "runner/powercut/enumerate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/interrupt.h"

#define PENDING_MAX 256 /* tried one by one at one cut; more: a sample */
#define CLOCK_EVERY 32	/* one set may be of large files */

const char *const strategy_names[STRATEGY_COUNT] = {
	"all",	"durable only", "all but one", "durable and one",
	"torn", "names only",	"random",
};

struct work {
	const struct enumerate *enumerate;
	const struct dag *dag;
	struct shape shape;
	struct states *states;
	uint64_t *full, *mini, *set, *rest; /* of dag->words */
	struct ids pending;		    /* full without mini, ascending */
	struct ids stack;
	uint32_t cut, acks;
	uint64_t random; /* state of the generator */
	uint64_t cut_of; /* states added at this cut by now */
	int error;
	bool over;
};

/* splitmix64 */
static uint64_t draw(struct work *work)
{
	uint64_t z = work->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

void cut_sets(const struct dag *dag, uint32_t cut, uint64_t *full,
	      uint64_t *mini)
{
	memset(full, 0, dag->words * sizeof(*full));
	memset(mini, 0, dag->words * sizeof(*mini));
	for (uint32_t id = 0; id < dag->first[cut + 1]; id++) {
		const struct micro *micro = &dag->micros[id];

		if (micro->failed)
			continue;
		set_add(full, id);
		if (micro->durable <= cut)
			set_add(mini, id);
	}
}

/* ---- keeping ------------------------------------------------------------- */
static bool grow_seen(struct states *states)
{
	size_t room = states->seen_room ? 2 * states->seen_room : 8192;
	uint64_t *old = states->seen;

	if (2 * states->seen_count < states->seen_room)
		return true;
	states->seen = calloc(room, sizeof(*old));
	if (!states->seen) {
		states->seen = old;
		return false;
	}
	for (size_t i = 0; i < states->seen_room; i++) {
		size_t at = old[i] & (room - 1);

		if (!old[i])
			continue;
		while (states->seen[at])
			at = (at + 1) & (room - 1);
		states->seen[at] = old[i];
	}
	states->seen_room = room;
	free(old);
	return true;
}

/* Was this very set looked at before, with as many acknowledgements? */
static bool set_is_new(struct work *work, const uint64_t *set)
{
	struct states *states = work->states;
	uint64_t key = oplog_hash(set, work->dag->words * sizeof(*set)).a ^
		       work->acks * 0x9e3779b97f4a7c15ull;
	size_t at;

	if (!grow_seen(states)) {
		work->error = -ENOMEM;
		return false;
	}
	key += !key;
	for (at = key & (states->seen_room - 1); states->seen[at];
	     at = (at + 1) & (states->seen_room - 1))
		if (states->seen[at] == key)
			return false;
	states->seen[at] = key;
	states->seen_count++;
	return true;
}

static size_t tree_place(const struct states *states, struct oplog_hash tree)
{
	size_t at = tree.a & (states->map_room - 1);

	while (states->map[at] != NONE &&
	       (states->items[states->map[at]].tree.a != tree.a ||
		states->items[states->map[at]].tree.b != tree.b))
		at = (at + 1) & (states->map_room - 1);
	return at;
}

static bool grow_map(struct states *states)
{
	size_t room = states->map_room ? 2 * states->map_room : 4096;
	uint32_t *map;

	if (2 * states->count < states->map_room)
		return true;
	map = malloc(room * sizeof(*map));
	if (!map)
		return false;
	memset(map, 0xff, room * sizeof(*map));
	free(states->map);
	states->map = map;
	states->map_room = room;
	for (uint32_t i = 0; i < states->count; i++)
		map[tree_place(states, states->items[i].tree)] = i;
	return true;
}

const struct cut_state *states_find(const struct states *states,
				    struct oplog_hash tree)
{
	size_t at;

	if (!states->count)
		return NULL;
	at = tree_place(states, tree);
	return states->map[at] == NONE ? NULL : &states->items[states->map[at]];
}

static struct cut_state *state_add(struct work *work)
{
	struct states *states = work->states;
	struct cut_state *state;

	if (states->count == states->room) {
		uint32_t room = states->room ? 2 * states->room : 256;
		struct cut_state *items =
			reallocarray(states->items, room, sizeof(*items));

		if (!items)
			return NULL;
		states->items = items;
		states->room = room;
	}
	state = &states->items[states->count];
	state->set = malloc(work->dag->words * sizeof(*state->set) + 1);
	return state->set ? state : NULL;
}

static void keep(struct work *work, const uint64_t *set, enum strategy strategy)
{
	struct states *states = work->states;
	size_t bytes = work->dag->words * sizeof(*set), at;
	struct oplog_hash tree;
	struct cut_state *state;

	states->sets++;
	if (work->enumerate->sets_max &&
	    states->sets >= work->enumerate->sets_max)
		work->over = true;
	if (states->sets % CLOCK_EVERY == 0 &&
	    (interrupt_signal() ||
	     (work->enumerate->until_ns &&
	      clock_now_ns() > work->enumerate->until_ns)))
		work->over = true;
	if (work->error || !set_is_new(work, set) || work->error)
		return;
	tree = shape_hash(&work->shape, set);
	if (!grow_map(states)) {
		work->error = -ENOMEM;
		return;
	}
	at = tree_place(states, tree);
	if (states->map[at] != NONE) {
		state = &states->items[states->map[at]];
		if (state->acks >= work->acks)
			return; /* the same tree, and no more was promised */
	} else if (states->count == work->enumerate->states_max) {
		work->over = true;
		return;
	} else {
		state = state_add(work);
		if (!state) {
			work->error = -ENOMEM;
			return;
		}
		states->map[at] = states->count++;
		state->strategy = (uint8_t)strategy;
	}
	state->tree = tree;
	state->cut = work->cut;
	state->acks = work->acks;
	memcpy(state->set, set, bytes);
}

/* ---- closures ------------------------------------------------------------ */
static void push(struct work *work, uint32_t id)
{
	if (!work->error)
		work->error = ids_add(&work->stack, id);
}

/* id and all that needs it leave the set; what is durable stays. */
static void drop_up(struct work *work, uint64_t *set, uint32_t id)
{
	const struct dag *dag = work->dag;

	work->stack.count = 0;
	push(work, id);
	while (work->stack.count && !work->error) {
		uint32_t at = work->stack.at[--work->stack.count];

		if (!set_has(set, at) || set_has(work->mini, at))
			continue;
		set_drop(set, at);
		for (uint32_t e = dag->needed_at[at];
		     e < dag->needed_at[at + 1]; e++)
			push(work, dag->needed[e]);
	}
}

/* id and all that it needs come into the set.  What it needs was issued
 * before, so that it is within every full set that id is in. */
static void add_down(struct work *work, uint64_t *set, uint32_t id)
{
	const struct dag *dag = work->dag;

	work->stack.count = 0;
	push(work, id);
	while (work->stack.count && !work->error) {
		uint32_t at = work->stack.at[--work->stack.count];

		if (set_has(set, at))
			continue;
		set_add(set, at);
		for (uint32_t e = dag->needs_at[at]; e < dag->needs_at[at + 1];
		     e++)
			push(work, dag->needs[e]);
	}
}

static void copy(struct work *work, const uint64_t *from)
{
	memcpy(work->set, from, work->dag->words * sizeof(*from));
}

/* ---- strategies ---------------------------------------------------------- */
static void cut_enter(struct work *work, uint32_t cut, const uint32_t *acks)
{
	work->cut = cut;
	work->acks = acks[cut];
	cut_sets(work->dag, cut, work->full, work->mini);
	work->pending.count = 0;
	for (uint32_t w = 0; w < work->dag->words; w++) {
		uint64_t bits = work->full[w] & ~work->mini[w];

		for (; bits && !work->error; bits &= bits - 1)
			work->error = ids_add(
				&work->pending,
				w * 64 + (uint32_t)__builtin_ctzll(bits));
	}
}

static void try_all(struct work *work)
{
	keep(work, work->full, STRATEGY_ALL);
}

static void try_durable(struct work *work)
{
	keep(work, work->mini, STRATEGY_DURABLE);
}

/* The n-th that is tried at this cut, of `of`: all, or a spread sample whose
 * last are always in it. */
static uint32_t sampled(const struct work *work, uint32_t n, uint32_t of)
{
	uint32_t count = work->pending.count;

	if (of == count)
		return work->pending.at[count - 1 - n];
	if (n < of / 2)
		return work->pending.at[count - 1 - n];
	return work->pending
		.at[(uint64_t)(n - of / 2) * (count - of / 2) / (of - of / 2)];
}

static uint32_t tries(const struct work *work)
{
	return work->pending.count < PENDING_MAX ? work->pending.count
						 : PENDING_MAX;
}

static void try_one(struct work *work)
{
	uint32_t of = tries(work);

	for (uint32_t n = 0; n < of && !work->over && !work->error; n++) {
		copy(work, work->mini);
		add_down(work, work->set, sampled(work, n, of));
		keep(work, work->set, STRATEGY_ONE);
	}
}

static void try_but_one(struct work *work)
{
	uint32_t of = tries(work);

	for (uint32_t n = 0; n < of && !work->over && !work->error; n++) {
		copy(work, work->full);
		drop_up(work, work->set, sampled(work, n, of));
		keep(work, work->set, STRATEGY_BUT_ONE);
	}
}

/* The first pieces of the last write, and all but the first. */
static void try_torn(struct work *work)
{
	const struct dag *dag = work->dag;
	uint32_t from = dag->first[work->cut], to = dag->first[work->cut + 1];
	const uint32_t parts[] = { 1, (to - from) / 2, to - from - 1 };

	if (dag->ops[work->cut].kind != OPLOG_WRITE || to - from < 2)
		return;
	for (size_t p = 0; p < 3 && !work->error; p++) {
		copy(work, work->full);
		for (uint32_t id = from + parts[p]; id < to; id++)
			drop_up(work, work->set, id);
		keep(work, work->set, STRATEGY_TORN);
	}
	copy(work, work->full);
	for (uint32_t id = from; id < from + parts[0]; id++)
		drop_up(work, work->set, id);
	keep(work, work->set, STRATEGY_TORN);
}

/* All names and lengths that don't need the data. */
static void try_names(struct work *work)
{
	const struct dag *dag = work->dag;

	copy(work, work->full);
	for (uint32_t i = 0; i < work->pending.count && !work->error; i++)
		if (!dag->micros[work->pending.at[i]].meta)
			drop_up(work, work->set, work->pending.at[i]);
	keep(work, work->set, STRATEGY_NAMES);
}

static void try_random(struct work *work)
{
	static const uint64_t odds[] = { UINT64_MAX / 10, UINT64_MAX / 10 * 3,
					 UINT64_MAX / 2 };
	bool adds = draw(work) & 1;
	uint64_t odd = odds[draw(work) % 3];

	if (work->pending.count < 2)
		return;
	copy(work, adds ? work->mini : work->full);
	for (uint32_t i = 0; i < work->pending.count && !work->error; i++) {
		uint32_t id = work->pending.at[i];

		if (draw(work) >= odd)
			continue;
		if (adds)
			add_down(work, work->set, id);
		else
			drop_up(work, work->set, id);
	}
	keep(work, work->set, STRATEGY_RANDOM);
}

/* Cuts from the last on, then spread over the whole log, so that a limit
 * leaves no part unseen: n-th of `of`, a permutation. */
static uint32_t spread(uint32_t n, uint32_t of)
{
	uint32_t step = (uint32_t)((double)of * 0.6180339887498949);
	uint32_t a = of, b;

	for (step = step ? step : 1;; step++) {
		uint32_t x = step;

		for (a = of, b = x; b;) {
			uint32_t r = a % b;

			a = b;
			b = r;
		}
		if (a == 1)
			break;
	}
	return of - 1 - (uint32_t)((uint64_t)n * step % of);
}

/* Where power may go: after each operation that leaves anything behind, is a
 * barrier, or promises something. */
static int cuts_find(const struct dag *dag, uint32_t first,
		     struct ids *ret_cuts)
{
	int error = 0;

	for (uint32_t i = first; i < dag->ops_count && !error; i++) {
		const struct op *op = &dag->ops[i];

		if (dag->first[i + 1] > dag->first[i] || op_is_barrier(op) ||
		    op->kind == OPLOG_LEDGER || i + 1 == dag->ops_count)
			error = ids_add(ret_cuts, i);
	}
	return error;
}

static void go_through(struct work *work, const struct ids *cuts,
		       const uint32_t *acks)
{
	static void (*const tiers[])(struct work *) = {
		try_all, try_durable, try_but_one, try_one, try_torn, try_names,
	};

	for (size_t t = 0; t < sizeof(tiers) / sizeof(*tiers); t++)
		for (uint32_t n = 0;
		     n < cuts->count && !work->over && !work->error; n++) {
			cut_enter(work, cuts->at[spread(n, cuts->count)], acks);
			tiers[t](work);
		}
	for (uint32_t n = 0; cuts->count && n < work->enumerate->random &&
			     !work->over && !work->error;) {
		cut_enter(work, cuts->at[draw(work) % cuts->count], acks);
		for (int i = 0; i < 8 && !work->over; i++, n++)
			try_random(work);
	}
}

static void work_clear(struct work *work)
{
	shape_clear(&work->shape);
	free(work->full);
	free(work->mini);
	free(work->set);
	free(work->pending.at);
	free(work->stack.at);
}

int enumerate_states(const struct enumerate *enumerate,
		     struct states *ret_states)
{
	const struct dag *dag = enumerate->dag;
	struct states states = { 0 };
	struct work work = { .enumerate = enumerate,
			     .dag = dag,
			     .states = &states,
			     .random = enumerate->seed };
	size_t bytes = ((size_t)dag->words + 1) * sizeof(uint64_t);
	uint32_t *acks = calloc((size_t)dag->ops_count + 1, sizeof(*acks));
	struct ids cuts = { 0 };
	int error = shape_make(dag, &work.shape);

	work.full = malloc(bytes);
	work.mini = malloc(bytes);
	work.set = malloc(bytes);
	if (!error)
		error = cuts_find(dag, enumerate->first_cut, &cuts);
	if (!error && (!acks || !work.full || !work.mini || !work.set))
		error = -ENOMEM;
	for (uint32_t i = 0, n = 0; !error && i < dag->ops_count; i++)
		acks[i] = n += dag->ops[i].kind == OPLOG_LEDGER;
	if (!error && dag->ops_count)
		go_through(&work, &cuts, acks);
	error = error ? error : work.error;
	states.bounded = work.over;
	free(acks);
	free(cuts.at);
	work_clear(&work);
	free(states.seen);
	states.seen = NULL;
	if (error) {
		states_clear(&states);
		return error;
	}
	*ret_states = states;
	return 0;
}

void states_clear(struct states *states)
{
	for (uint32_t i = 0; i < states->count; i++)
		free(states->items[i].set);
	free(states->items);
	free(states->map);
	free(states->seen);
	*states = (struct states){ 0 };
}

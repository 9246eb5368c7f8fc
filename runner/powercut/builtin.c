/* builtin.c - replay once, note every whole content; then look each one up. */
#include "runner/powercut/builtin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/powercut/evaluate.h"

struct replay {
	struct builtin *builtin;
	struct dag dag;
	struct shape shape;
	uint64_t *set;	 /* what was done so far */
	uint32_t *child; /* node behind each slot now */
	bool *dirty;	 /* by node: written since it was whole */
};

static int whole_add(struct wholes *wholes, uint32_t op, struct oplog_hash hash,
		     uint64_t size)
{
	if (wholes->count && wholes->items[wholes->count - 1].hash.a == hash.a)
		return 0;
	if (wholes->count == wholes->room) {
		uint32_t room = wholes->room ? 2 * wholes->room : 4;
		struct whole *items =
			reallocarray(wholes->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		wholes->items = items;
		wholes->room = room;
	}
	wholes->items[wholes->count++] =
		(struct whole){ .op = op, .hash = hash, .size = size };
	return 0;
}

/* The node is whole now, under every name that it has. */
static int node_whole(struct replay *replay, uint32_t op, uint32_t node)
{
	const struct history *history = replay->builtin->history;
	struct oplog_hash hash;
	const uint8_t *bytes;
	uint64_t size;
	bool known = false;
	int error = 0;

	if (history->nodes[node].kind != NODE_FILE)
		return 0;
	replay->dirty[node] = false;
	for (uint32_t s = 0; s < history->slots_count && !error; s++) {
		if (replay->child[s] != node)
			continue;
		if (!known) {
			size = shape_content(&replay->shape, replay->set, node,
					     &bytes);
			hash = oplog_hash(bytes, size);
			known = true;
		}
		error = whole_add(&replay->builtin->of_slot[s], op, hash, size);
	}
	return error;
}

static void op_replay(struct replay *replay, uint32_t at)
{
	const struct op *op = &replay->builtin->history->ops[at];

	for (uint32_t id = replay->dag.first[at];
	     id < replay->dag.first[at + 1]; id++) {
		const struct micro *micro = &replay->dag.micros[id];

		set_add(replay->set, id);
		for (int c = 0; c < micro->changes; c++)
			replay->child[micro->slot[c]] = micro->child[c];
	}
	if (op->kind == OPLOG_WRITE || op->kind == OPLOG_TRUNCATE)
		replay->dirty[op->node] = true;
}

static int op_note(struct replay *replay, uint32_t at)
{
	const struct op *op = &replay->builtin->history->ops[at];

	switch (op->kind) {
	case OPLOG_CLOSE:
	case OPLOG_FSYNC:
	case OPLOG_FDATASYNC:
		return node_whole(replay, at, op->node);
	case OPLOG_RENAME:
	case OPLOG_EXCHANGE:
	case OPLOG_LINK:
		if (op->other != NONE && op->kind == OPLOG_EXCHANGE &&
		    node_whole(replay, at, op->other) < 0)
			return -ENOMEM;
		return node_whole(replay, at, op->node);
	case OPLOG_WRITE:
		if (op->flags & OPLOG_APPEND)
			return node_whole(replay, at, op->node);
	}
	return 0;
}

static int replay_all(struct replay *replay)
{
	struct builtin *builtin = replay->builtin;
	const struct history *history = builtin->history;
	int error = 0;

	for (uint32_t s = 0; s < history->slots_count && !error; s++) {
		uint32_t node = history->slots[s].first;

		replay->child[s] = node;
		builtin->lasting[s] = node != NONE;
		if (node != NONE && history->nodes[node].kind == NODE_FILE &&
		    (history->slots[s].touched ||
		     replay->dag.of_node[node].count))
			error = whole_add(&builtin->of_slot[s], 0,
					  shape_content_hash(&replay->shape,
							     replay->set, node),
					  history->nodes[node].size);
	}
	for (uint32_t i = 0; i < history->ops_count && !error; i++) {
		op_replay(replay, i);
		error = op_note(replay, i);
	}
	for (uint32_t s = 0; s < history->slots_count && !error; s++) {
		uint32_t node = replay->child[s];

		if (node == NONE)
			continue;
		builtin->lasting[s] = 1;
		if (replay->dirty[node]) /* still open at the end */
			error = node_whole(replay, history->ops_count, node);
	}
	return error;
}

int builtin_make(const struct history *history, struct builtin *ret_builtin)
{
	struct builtin builtin = { .history = history };
	struct replay replay = { .builtin = &builtin };
	uint32_t slots = history->slots_count;
	int error = dag_make(history, history->ops, history->ops_count,
			     &model_table[MODEL_POSIX_MIN], &replay.dag);

	if (error)
		return error;
	error = shape_make(&replay.dag, &replay.shape);
	builtin.of_slot = calloc(slots + 1, sizeof(*builtin.of_slot));
	builtin.lasting = calloc(slots + 1, 1);
	replay.set = calloc((size_t)replay.dag.words + 1, sizeof(uint64_t));
	replay.child = calloc(slots + 1, sizeof(uint32_t));
	replay.dirty = calloc(history->nodes_count + 1, 1);
	if (!error && (!builtin.of_slot || !builtin.lasting || !replay.set ||
		       !replay.child || !replay.dirty))
		error = -ENOMEM;
	if (!error)
		error = replay_all(&replay);
	if (replay.shape.child)
		shape_clear(&replay.shape);
	dag_clear(&replay.dag);
	free(replay.set);
	free(replay.child);
	free(replay.dirty);
	if (error) {
		builtin_clear(&builtin);
		return error;
	}
	*ret_builtin = builtin;
	return 0;
}

void builtin_clear(struct builtin *builtin)
{
	for (uint32_t s = 0;
	     builtin->of_slot && s < builtin->history->slots_count; s++)
		free(builtin->of_slot[s].items);
	free(builtin->of_slot);
	free(builtin->lasting);
	*builtin = (struct builtin){ 0 };
}

static unsigned slot_judge(const struct builtin *builtin, struct shape *shape,
			   const struct cut_state *state, uint32_t slot,
			   char **says)
{
	const struct wholes *wholes = &builtin->of_slot[slot];
	uint32_t node = shape->child[slot];
	struct oplog_hash hash;
	const uint8_t *bytes;
	bool nul = false, torn;
	uint64_t size, end;
	char *path;

	if (!wholes->count || wholes->items[0].op > state->cut)
		return 0; /* not whole yet */
	hash = shape_content_hash(shape, state->set, node);
	for (uint32_t i = 0; i < wholes->count; i++)
		if (wholes->items[i].hash.a == hash.a &&
		    wholes->items[i].hash.b == hash.b)
			return 0;
	size = shape_content(shape, state->set, node, &bytes);
	for (end = size; end && !bytes[end - 1]; end--)
		nul = true;
	torn = size && !nul;
	path = history_path(builtin->history, slot);
	if (says && !*says &&
	    asprintf(says,
		     !size ? "%s is empty"
		     : nul ? "%s ends in %llu NUL bytes that nobody wrote"
			   : "%s holds %llu bytes that are neither its old "
			     "nor its new content",
		     path, (unsigned long long)(nul ? size - end : size)) < 0)
		*says = NULL;
	free(path);
	return 1u << (torn ? VIOLATION_NON_ATOMIC : VIOLATION_CORRUPT);
}

unsigned builtin_judge(const struct builtin *builtin, struct shape *shape,
		       const struct cut_state *state, char **says)
{
	const struct history *history = builtin->history;
	unsigned found = 0;

	shape_hash(shape, state->set);
	for (uint32_t s = 0; s < history->slots_count; s++) {
		uint32_t node = shape->child[s];

		if (node == NONE || !builtin->lasting[s] ||
		    history->nodes[node].kind != NODE_FILE ||
		    !builtin->of_slot[s].count ||
		    !shape->reached[history->slots[s].dir])
			continue;
		found |= slot_judge(builtin, shape, state, s, says);
	}
	return found;
}

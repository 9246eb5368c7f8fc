/* shape.c - names, contents and hashes of a state. */
#include "runner/powercut/shape.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHAPE_MEMO 65536 /* a power of two */

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)(a ^ 0x9e3779b97f4a7c15ull) *
			      (b ^ 0xe7037ed1a0b428dbull);

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* A directory is looked at if operations change names in it, or in one that
 * stands or may come to stand below it. */
static bool mark_ancestors(const struct dag *dag, bool *looked)
{
	const struct history *history = dag->history;
	bool more = false;

	for (uint32_t s = 0; s < history->slots_count; s++) {
		const struct slot *slot = &history->slots[s];

		if (slot->first != NONE && looked[slot->first] &&
		    !looked[slot->dir])
			more = looked[slot->dir] = true;
	}
	for (uint32_t i = 0; i < dag->names.count; i++) {
		const struct micro *micro = &dag->micros[dag->names.at[i]];

		for (int c = 0; c < micro->changes; c++) {
			uint32_t dir = history->slots[micro->slot[c]].dir;

			if (!looked[dir])
				more = looked[dir] = true;
		}
	}
	return more;
}

static int watch(struct shape *shape)
{
	const struct history *history = shape->dag->history;
	bool *looked = calloc(history->nodes_count + 1, 1);
	int error = looked ? 0 : -ENOMEM;

	for (uint32_t i = 0; !error && i < history->slots_count; i++)
		if (history->slots[i].touched)
			looked[history->slots[i].dir] = true;
	while (!error && mark_ancestors(shape->dag, looked))
		;
	/* Files of the base whose content changes are looked at, too. */
	for (uint32_t s = 0; !error && s < history->slots_count; s++) {
		uint32_t node = history->slots[s].first;

		if (node != NONE && shape->dag->of_node[node].count)
			looked[node] = looked[history->slots[s].dir] = true;
	}
	while (!error && mark_ancestors(shape->dag, looked))
		;
	for (uint32_t s = 0; !error && s < history->slots_count; s++) {
		const struct slot *slot = &history->slots[s];

		if (slot->touched)
			error = ids_add(&shape->touched, s);
		if (!error && looked[slot->dir] &&
		    (slot->touched ||
		     (slot->first != NONE && looked[slot->first])))
			error = ids_add(&shape->watched[slot->dir], s);
	}
	free(looked);
	return error;
}

int shape_make(const struct dag *dag, struct shape *ret_shape)
{
	const struct history *history = dag->history;
	struct shape shape = { .dag = dag };
	uint32_t slots = history->slots_count, nodes = history->nodes_count;
	int error = 0;

	shape.child = calloc(slots + 1, sizeof(*shape.child));
	shape.watched = calloc(nodes + 1, sizeof(*shape.watched));
	shape.name_hash = calloc(slots + 1, sizeof(*shape.name_hash));
	shape.base_hash = calloc(nodes + 1, sizeof(*shape.base_hash));
	shape.base_known = calloc(nodes + 1, 1);
	shape.reached = calloc(nodes + 1, 1);
	shape.memo = calloc(SHAPE_MEMO, sizeof(*shape.memo));
	if (!shape.child || !shape.watched || !shape.name_hash ||
	    !shape.base_hash || !shape.base_known || !shape.memo ||
	    !shape.reached)
		error = -ENOMEM;
	for (uint32_t i = 0; !error && i < slots; i++) {
		const struct slot *slot = &history->slots[i];

		shape.child[i] = slot->first;
		shape.name_hash[i] = oplog_hash(slot->name, slot->name_bytes).a;
	}
	if (!error)
		error = watch(&shape);
	if (error) {
		shape_clear(&shape);
		return error;
	}
	*ret_shape = shape;
	return 0;
}

void shape_clear(struct shape *shape)
{
	for (uint32_t i = 0;
	     shape->watched && i < shape->dag->history->nodes_count; i++)
		free(shape->watched[i].at);
	free(shape->watched);
	free(shape->child);
	free(shape->touched.at);
	free(shape->name_hash);
	free(shape->base_hash);
	free(shape->base_known);
	free(shape->memo);
	free(shape->reached);
	free(shape->bytes);
	free(shape->stack.at);
	free(shape->paths);
	*shape = (struct shape){ 0 };
}

void shape_take(struct shape *shape, const uint64_t *set)
{
	const struct dag *dag = shape->dag;

	for (uint32_t i = 0; i < shape->touched.count; i++) {
		uint32_t slot = shape->touched.at[i];

		shape->child[slot] = dag->history->slots[slot].first;
	}
	for (uint32_t i = 0; i < dag->names.count; i++) {
		uint32_t id = dag->names.at[i];
		const struct micro *micro = &dag->micros[id];

		if (!set_has(set, id))
			continue;
		for (int c = 0; c < micro->changes; c++)
			shape->child[micro->slot[c]] = micro->child[c];
	}
}

static bool room_for(struct shape *shape, uint64_t bytes)
{
	uint64_t room = shape->room ? shape->room : 65536;
	uint8_t *more;

	if (bytes <= shape->room)
		return true;
	while (room < bytes)
		room *= 2;
	more = realloc(shape->bytes, room);
	if (!more)
		return false;
	shape->bytes = more;
	shape->room = room;
	return true;
}

/* What no data was written to reads as NUL. */
static bool fill_to(struct shape *shape, uint64_t *filled, uint64_t end)
{
	if (!room_for(shape, end))
		return false;
	if (end > *filled) {
		memset(shape->bytes + *filled, 0, end - *filled);
		*filled = end;
	}
	return true;
}

static uint64_t content_make(struct shape *shape, const uint64_t *set,
			     uint32_t node)
{
	const struct dag *dag = shape->dag;
	const struct node *base = &dag->history->nodes[node];
	const struct ids *own = &dag->of_node[node];
	uint64_t size = base->size, filled = size;

	if (!room_for(shape, size))
		return 0;
	if (size)
		memcpy(shape->bytes, base->data, size);
	for (uint32_t i = 0; i < own->count; i++) {
		const struct micro *micro = &dag->micros[own->at[i]];
		uint64_t end = micro->offset + micro->size;

		if (!set_has(set, own->at[i]))
			continue;
		switch (micro->kind) {
		case MICRO_DATA:
		case MICRO_APPEND:
			if (!fill_to(shape, &filled, end))
				return 0;
			memcpy(shape->bytes + micro->offset, micro->data,
			       micro->size);
			if (micro->kind == MICRO_APPEND && end > size)
				size = end;
			break;
		case MICRO_SIZE:
			size = micro->size > size ? micro->size : size;
			break;
		case MICRO_TRUNCATE:
			size = micro->size;
			filled = filled > size ? size : filled;
			break;
		}
	}
	return fill_to(shape, &filled, size) ? size : 0;
}

uint64_t shape_content(struct shape *shape, const uint64_t *set, uint32_t node,
		       const uint8_t **ret_bytes)
{
	const struct node *base = &shape->dag->history->nodes[node];
	uint64_t size;

	if (!set || !shape->dag->of_node[node].count) {
		*ret_bytes = base->data;
		return base->size;
	}
	size = content_make(shape, set, node);
	*ret_bytes = shape->bytes;
	return size;
}

struct oplog_hash shape_content_hash(struct shape *shape, const uint64_t *set,
				     uint32_t node)
{
	const struct ids *own = &shape->dag->of_node[node];
	uint64_t key = node + 1, size;
	struct shape_memo *memo;
	const uint8_t *bytes;

	for (uint32_t i = 0; i < own->count; i++)
		if (set_has(set, own->at[i]))
			key = mix(key, own->at[i] + 1);
	if (key == node + 1 && shape->base_known[node])
		return shape->base_hash[node];
	memo = &shape->memo[key & (SHAPE_MEMO - 1)];
	if (key != node + 1 && memo->key == key)
		return memo->hash;
	size = shape_content(shape, set, node, &bytes);
	if (key == node + 1) {
		shape->base_known[node] = true;
		shape->base_hash[node] = oplog_hash(bytes, size);
		return shape->base_hash[node];
	}
	memo->key = key;
	memo->hash = oplog_hash(bytes, size);
	return memo->hash;
}

static void enter_dir(struct shape *shape, uint32_t dir, uint64_t path)
{
	if (ids_add(&shape->stack, dir) < 0)
		return;
	if (shape->paths_room < shape->stack.room) {
		uint64_t *paths = reallocarray(shape->paths, shape->stack.room,
					       sizeof(*paths));

		if (!paths) {
			shape->stack.count--;
			return;
		}
		shape->paths = paths;
		shape->paths_room = shape->stack.room;
	}
	shape->paths[shape->stack.count - 1] = path;
}

uint64_t shape_path(uint64_t path, uint64_t name_hash)
{
	return mix(path, name_hash);
}

void shape_add(struct oplog_hash *hash, uint64_t path, struct oplog_hash part,
	       enum node_kind kind)
{
	hash->a += mix(path, part.a + kind);
	hash->b += mix(path + 1, part.b + kind);
}

static void hash_slot(struct shape *shape, const uint64_t *set, uint32_t slot,
		      uint64_t path, struct oplog_hash *hash)
{
	uint32_t child = shape->child[slot];
	const struct node *node;
	struct oplog_hash part;

	if (child == NONE)
		return;
	node = &shape->dag->history->nodes[child];
	path = shape_path(path, shape->name_hash[slot]);
	switch (node->kind) {
	case NODE_FILE:
		part = shape_content_hash(shape, set, child);
		break;
	case NODE_SYMLINK:
		part = oplog_hash(node->target, node->target_bytes);
		break;
	default:
		part = SHAPE_DIR;
		if (node->base) /* more may stand in it than is looked at */
			part.a = part.b = child + 7;
		enter_dir(shape, child, path);
	}
	shape_add(hash, path, part, node->kind);
}

struct oplog_hash shape_hash(struct shape *shape, const uint64_t *set)
{
	uint32_t steps = 0, most = 4 * shape->dag->history->nodes_count + 16;
	struct oplog_hash hash = SHAPE_NOTHING;

	shape_take(shape, set);
	shape->stack.count = 0;
	memset(shape->reached, 0, shape->dag->history->nodes_count);
	enter_dir(shape, 0, 1);
	while (shape->stack.count && steps++ < most) {
		uint32_t dir = shape->stack.at[--shape->stack.count];
		uint64_t path = shape->paths[shape->stack.count];
		const struct ids *slots = &shape->watched[dir];

		shape->reached[dir] = true;
		for (uint32_t i = 0; i < slots->count; i++)
			hash_slot(shape, set, slots->at[i], path, &hash);
	}
	return hash;
}

/* barrier.c - what fsync(2) and its kin make durable, by model. */
#include "runner/powercut/build.h"

#include <stdlib.h>

static const struct op *op_at(const struct build *build, uint32_t op)
{
	return &build->dag->ops[op];
}

/* Had it returned before the barrier was asked for? */
static bool is_covered(const struct build *build, uint32_t id, uint32_t op)
{
	const struct micro *micro = &build->dag->micros[id];

	return !micro->failed &&
	       op_at(build, micro->op)->returned < op_at(build, op)->issued;
}

static void push(struct build *build, uint32_t id)
{
	if (!build->error)
		build->error = ids_add(&build->stack, id);
}

void build_durable(struct build *build, uint32_t id, uint32_t op, bool order)
{
	struct micro *micros = build->dag->micros;

	if (!is_covered(build, id, op))
		return;
	build->stack.count = 0;
	push(build, id);
	while (build->stack.count && !build->error) {
		uint32_t at = build->stack.at[--build->stack.count];

		if (micros[at].failed || micros[at].durable <= op)
			continue;
		micros[at].durable = op;
		for (uint32_t i = 0; i < build->hard[at].count; i++)
			push(build, build->hard[at].at[i]);
		for (uint32_t i = 0; order && i < build->chain[at].count; i++)
			push(build, build->chain[at].at[i]);
	}
}

static void durable_all(struct build *build, const struct ids *ids, uint32_t op,
			bool order)
{
	for (uint32_t i = 0; i < ids->count; i++)
		build_durable(build, ids->at[i], op, order);
}

static bool is_pending(const struct build *build, uint32_t id)
{
	return build->dag->micros[id].durable == NONE;
}

static bool any_pending(const struct build *build, const struct ids *ids)
{
	for (uint32_t i = 0; i < ids->count; i++)
		if (is_pending(build, ids->at[i]))
			return true;
	return false;
}

/* fs/ext4/fsync.c: nothing is committed for an inode that isn't dirty.  For
 * fdatasync only creation, lengths and extents make it so. */
static bool ext4_commits(const struct build *build, const struct op *op)
{
	const struct build_node *node = &build->nodes[op->node];
	const struct ids *own = &build->dag->of_node[op->node];
	const struct micro *micros = build->dag->micros;

	if (build->dag->history->nodes[op->node].kind == NODE_DIR)
		return any_pending(build, &node->dents) ||
		       any_pending(build, &node->named);
	if (op->kind == OPLOG_FSYNC)
		return any_pending(build, own) ||
		       any_pending(build, &node->named);
	for (uint32_t i = 0; i < own->count; i++)
		if (is_pending(build, own->at[i]) &&
		    micros[own->at[i]].kind != MICRO_DATA)
			return true;
	for (uint32_t i = 0; i < node->named.count; i++) {
		uint32_t id = node->named.at[i];
		uint16_t kind = op_at(build, micros[id].op)->kind;

		if (is_pending(build, id) &&
		    (kind == OPLOG_CREATE || kind == OPLOG_MKDIR))
			return true;
	}
	return false;
}

/* The last change of metadata that had returned by then, and all before it. */
static void durable_journal(struct build *build, uint32_t op)
{
	for (uint32_t id = build->last_meta; id != NONE; id--) {
		if (build->dag->micros[id].journaled &&
		    is_covered(build, id, op)) {
			build_durable(build, id, op, true);
			return;
		}
		if (id == 0)
			return;
	}
}

static void fsync_log(struct build *build, const struct op *op, uint32_t at)
{
	const struct build_node *node = &build->nodes[op->node];
	const struct ids *own = &build->dag->of_node[op->node];
	const struct ids *lists[] = { &node->dents, own, &node->named };
	bool is_dir = build->dag->history->nodes[op->node].kind == NODE_DIR;
	uint32_t last = NONE;

	for (size_t n = is_dir ? 0 : 1; n < 3; n++)
		for (uint32_t i = 0; i < lists[n]->count; i++) {
			uint32_t id = lists[n]->at[i];

			if (build->dag->micros[id].meta &&
			    is_covered(build, id, at) &&
			    (last == NONE || id > last))
				last = id;
		}
	if (last != NONE)
		build_durable(build, last, at, true);
}

/* fs/btrfs/tree-log.c btrfs_log_all_parents(): the names of what is logged,
 * and the directories that they stand in. */
static void tree_ancestors(struct build *build, uint32_t node, uint32_t at,
			   bool *seen)
{
	const struct micro *micros = build->dag->micros;
	struct ids todo = { 0 };

	build->error = build->error ? build->error : ids_add(&todo, node);
	while (todo.count && !build->error) {
		uint32_t y = todo.at[--todo.count];
		const struct ids *named = &build->nodes[y].named;

		if (seen[y])
			continue;
		seen[y] = true;
		for (uint32_t i = 0; i < named->count; i++) {
			const struct micro *micro = &micros[named->at[i]];
			bool last = i + 1 == named->count ||
				    op_at(build, micro->op)->kind == OPLOG_LINK;

			build_durable(build, named->at[i], at, false);
			for (int c = 0; last && c < micro->changes; c++)
				if (micro->child[c] != NONE)
					build->error |= ids_add(
						&todo,
						build->dag->history
							->slots[micro->slot[c]]
							.dir);
		}
	}
	free(todo.at);
}

/* log_new_dir_dentries(): new children of a logged directory may ride along,
 * ahead of what the commit holds back. */
static void tree_children(struct build *build, uint32_t node, uint32_t at,
			  bool *seen)
{
	const struct dag *dag = build->dag;
	struct ids todo = { 0 };

	build->error = build->error ? build->error : ids_add(&todo, node);
	while (todo.count && !build->error) {
		uint32_t y = todo.at[--todo.count];
		const struct ids *dents = &build->nodes[y].dents;

		if (seen[y])
			continue;
		seen[y] = true;
		for (uint32_t i = 0; i < dents->count; i++) {
			const struct micro *micro = &dag->micros[dents->at[i]];

			if (y == node)
				build_durable(build, dents->at[i], at, false);
			else
				build->chain[dents->at[i]].count = 0;
			for (int c = 0; c < micro->changes; c++) {
				uint32_t child = micro->child[c];
				const struct ids *named;

				if (child == NONE)
					continue;
				named = &build->nodes[child].named;
				for (uint32_t k = 0; k < named->count; k++)
					build->chain[named->at[k]].count = 0;
				if (!dag->history->nodes[child].base &&
				    dag->history->nodes[child].kind == NODE_DIR)
					build->error |= ids_add(&todo, child);
			}
		}
	}
	free(todo.at);
}

static void fsync_tree(struct build *build, const struct op *op, uint32_t at)
{
	struct build_node *node = &build->nodes[op->node];
	uint32_t nodes = build->dag->history->nodes_count;
	bool is_dir = build->dag->history->nodes[op->node].kind == NODE_DIR;
	bool *seen = calloc(2, nodes);

	if (!seen) {
		build->error = -1;
		return;
	}
	if (is_dir)
		durable_all(build, &node->dents, at, false);
	node->logged = true;
	durable_all(build, &build->log_names, at, false);
	build->log_names.count = 0;
	tree_ancestors(build, op->node, at, seen);
	if (is_dir)
		tree_children(build, op->node, at, seen + nodes);
	free(seen);
}

/* What is durable has blocks: a later append may start within them. */
static void note_allocated(struct build *build, uint32_t node)
{
	const struct ids *own = &build->dag->of_node[node];
	uint64_t size = build->nodes[node].allocated;

	for (uint32_t i = 0; i < own->count; i++) {
		const struct micro *micro = &build->dag->micros[own->at[i]];

		if (micro->kind == MICRO_APPEND &&
		    micro->offset + micro->size > size)
			size = micro->offset + micro->size;
		else if (micro->kind == MICRO_SIZE && micro->size > size)
			size = micro->size;
		else if (micro->kind == MICRO_TRUNCATE && micro->size < size)
			size = micro->size;
	}
	build->nodes[node].allocated = size;
}

static void fsync_file(struct build *build, const struct op *op, uint32_t at)
{
	const struct model *model = build->dag->model;
	const struct ids *own = &build->dag->of_node[op->node];
	bool is_dir = build->dag->history->nodes[op->node].kind == NODE_DIR;
	bool order = model->fsync == FSYNC_JOURNAL || model->fsync == FSYNC_LOG;
	bool commits = model->fsync == FSYNC_JOURNAL && ext4_commits(build, op);

	durable_all(build, own, at, order);
	switch (model->fsync) {
	case FSYNC_INODE:
		if (is_dir)
			durable_all(build, &build->nodes[op->node].dents, at,
				    false);
		break;
	case FSYNC_JOURNAL:
		if (commits)
			durable_journal(build, at);
		break;
	case FSYNC_LOG:
		fsync_log(build, op, at);
		break;
	case FSYNC_TREE:
		fsync_tree(build, op, at);
		break;
	}
	if (!is_dir)
		note_allocated(build, op->node);
}

/* The kernel reports a failed write once and marks the pages clean: what was
 * to be written is gone unless it is written again, fsync(2) "Errors". */
static void fsync_fails(struct build *build, uint32_t node)
{
	const struct ids *own = &build->dag->of_node[node];

	for (uint32_t i = 0; i < own->count; i++) {
		struct micro *micro = &build->dag->micros[own->at[i]];

		if (micro->durable == NONE &&
		    (micro->kind == MICRO_DATA || micro->kind == MICRO_APPEND))
			micro->failed = true;
	}
}

void build_barrier(struct build *build, uint32_t at)
{
	const struct op *op = op_at(build, at);

	if (op->kind == OPLOG_SYNC) {
		for (uint32_t id = 0; id < build->dag->count; id++)
			build_durable(build, id, at, true);
	} else if (op->kind == OPLOG_FSYNC_FAILED) {
		fsync_fails(build, op->node);
	} else {
		fsync_file(build, op, at);
	}
}

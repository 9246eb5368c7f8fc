/* dag.c - cut operations into micro-operations, and order them by a model. */
#include "runner/powercut/build.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 2048 /* of one file's writes; more: larger pieces */

int ids_add(struct ids *ids, uint32_t id)
{
	if (ids->count == ids->room) {
		uint32_t room = ids->room ? 2 * ids->room : 4;
		uint32_t *at = reallocarray(ids->at, room, sizeof(*at));

		if (!at)
			return -ENOMEM;
		ids->at = at;
		ids->room = room;
	}
	ids->at[ids->count++] = id;
	return 0;
}

static void link_to(struct build *build, struct ids *links, uint32_t id)
{
	if (!build->error)
		build->error = ids_add(links, id);
}

static bool links_grow(struct build *build)
{
	uint32_t room = build->room ? 2 * build->room : 1024;
	struct micro *micros =
		reallocarray(build->dag->micros, room, sizeof(*micros));
	struct ids *hard, *chain;

	if (micros)
		build->dag->micros = micros;
	hard = reallocarray(build->hard, room, sizeof(*hard));
	if (hard)
		build->hard = hard;
	chain = reallocarray(build->chain, room, sizeof(*chain));
	if (chain)
		build->chain = chain;
	if (!micros || !hard || !chain)
		return false;
	memset(hard + build->room, 0, (room - build->room) * sizeof(*hard));
	memset(chain + build->room, 0, (room - build->room) * sizeof(*chain));
	build->room = room;
	return true;
}

/* A new micro-operation; NULL: build->error says why. */
static struct micro *add(struct build *build, uint32_t op, enum micro_kind kind,
			 uint32_t node)
{
	struct dag *dag = build->dag;
	struct micro *micro;

	if (build->error)
		return NULL;
	if (dag->count == DAG_MICROS_MAX) {
		build->error = -E2BIG;
		return NULL;
	}
	if (dag->count == build->room && !links_grow(build)) {
		build->error = -ENOMEM;
		return NULL;
	}
	micro = &dag->micros[dag->count++];
	*micro = (struct micro){
		.kind = (uint8_t)kind, .op = op, .node = node, .durable = NONE
	};
	micro->meta = kind != MICRO_DATA && kind != MICRO_APPEND;
	return micro;
}

static uint32_t id_of(const struct build *build, const struct micro *micro)
{
	return (uint32_t)(micro - build->dag->micros);
}

static void own(struct build *build, uint32_t node, uint32_t id)
{
	if (!build->error)
		build->error = ids_add(&build->dag->of_node[node], id);
}

/* Metadata goes to the journal in the order in which it was made. */
static void journal(struct build *build, uint32_t id)
{
	if (build->error || !build->dag->model->journal)
		return;
	if (build->last_meta != NONE)
		link_to(build, &build->chain[id], build->last_meta);
	build->last_meta = id;
	build->dag->micros[id].journaled = true;
}

/* Lengths of one file persist in order. */
static void after_last_length(struct build *build, uint32_t node, uint32_t id)
{
	const struct ids *list = &build->dag->of_node[node];

	for (uint32_t i = list->count; i-- > 0;) {
		uint8_t kind = build->dag->micros[list->at[i]].kind;

		if (kind == MICRO_SIZE || kind == MICRO_TRUNCATE) {
			link_to(build, &build->hard[id], list->at[i]);
			return;
		}
	}
}

/* ---- data ---------------------------------------------------------------- */
static size_t page_place(const struct build *build, uint64_t key)
{
	size_t at = (key * 0x9e3779b97f4a7c15ull) >> 17;

	for (at &= build->pages_room - 1;
	     build->pages[2 * at] != UINT64_MAX && build->pages[2 * at] != key;
	     at = (at + 1) & (build->pages_room - 1))
		;
	return at;
}

static void pages_grow(struct build *build)
{
	size_t room = build->pages_room ? 2 * build->pages_room : 4096;
	uint64_t *old = build->pages;
	size_t old_room = build->pages_room;

	if (2 * build->pages_count < build->pages_room)
		return;
	build->pages = malloc(room * 2 * sizeof(*old));
	if (!build->pages) {
		build->pages = old;
		build->error = -ENOMEM;
		return;
	}
	memset(build->pages, 0xff, room * 2 * sizeof(*old));
	build->pages_room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[2 * i] != UINT64_MAX) {
			size_t at = page_place(build, old[2 * i]);

			build->pages[2 * at] = old[2 * i];
			build->pages[2 * at + 1] = old[2 * i + 1];
		}
	free(old);
}

/* A page is written back as it is: what was written to it before goes with
 * it.  O_DIRECT has no page. */
static void same_page(struct build *build, const struct op *op, uint64_t offset,
		      uint32_t id)
{
	uint64_t page = offset >> build->nodes[op->node].page_shift;
	uint64_t key = (uint64_t)op->node << 40 ^ page;
	size_t at;

	if (build->error || op->flags & OPLOG_DIRECT)
		return;
	pages_grow(build);
	if (build->error)
		return;
	at = page_place(build, key);
	if (build->pages[2 * at] == key) {
		link_to(build, &build->hard[id],
			(uint32_t)build->pages[2 * at + 1]);
	} else {
		build->pages[2 * at] = key;
		build->pages_count++;
	}
	build->pages[2 * at + 1] = id;
}

/* Length first, data later: both may be on the disk without the other. */
static struct micro *append_apart(struct build *build, uint32_t at,
				  uint64_t end)
{
	const struct model *model = build->dag->model;
	uint32_t node = build->dag->ops[at].node, data, size;
	struct micro *micro = add(build, at, MICRO_DATA, node);

	if (!micro)
		return NULL;
	data = id_of(build, micro);
	micro = add(build, at, MICRO_SIZE, node);
	if (!micro)
		return NULL;
	micro->size = end;
	size = id_of(build, micro);
	after_last_length(build, node, size);
	if (model->journal && build->last_meta != NONE)
		link_to(build, &build->chain[size], build->last_meta);
	if (model->size == SIZE_EARLY)
		link_to(build, &build->nodes[node].early, size);
	own(build, node, size);
	return &build->dag->micros[data];
}

static struct micro *append_whole(struct build *build, uint32_t at)
{
	uint32_t node = build->dag->ops[at].node, id;
	struct micro *micro = add(build, at, MICRO_APPEND, node);

	if (!micro)
		return NULL;
	id = id_of(build, micro);
	if (build->dag->model->journal && build->last_meta != NONE)
		link_to(build, &build->chain[id], build->last_meta);
	if (build->nodes[node].last_append != NONE)
		link_to(build, &build->hard[id],
			build->nodes[node].last_append);
	build->nodes[node].last_append = id;
	return micro;
}

static void piece(struct build *build, uint32_t at, uint64_t offset,
		  uint64_t bytes, uint64_t allocated)
{
	const struct model *model = build->dag->model;
	const struct op *op = &build->dag->ops[at];
	struct micro *micro;

	if (offset + bytes <= op->old_size)
		micro = add(build, at, MICRO_DATA, op->node);
	else if (model->size != SIZE_DELAYED ||
		 (model->tail_size_first && offset + bytes <= allocated))
		micro = append_apart(build, at, offset + bytes);
	else
		micro = append_whole(build, at);
	if (!micro)
		return;
	micro->offset = offset;
	micro->size = bytes;
	micro->data = op->data + (offset - op->offset);
	same_page(build, op, offset, id_of(build, micro));
	own(build, op->node, id_of(build, micro));
}

static void op_write(struct build *build, uint32_t at)
{
	const struct op *op = &build->dag->ops[at];
	const struct build_node *node = &build->nodes[op->node];
	uint64_t unit = 1ull << node->page_shift;
	uint64_t allocated =
		(node->allocated + DAG_PAGE - 1) / DAG_PAGE * DAG_PAGE;

	for (uint64_t done = 0; done < op->size && !build->error;) {
		uint64_t offset = op->offset + done;
		uint64_t bytes = unit - offset % unit;

		if (bytes > op->size - done)
			bytes = op->size - done;
		if (offset < op->old_size && op->old_size < offset + bytes)
			bytes = op->old_size - offset;
		piece(build, at, offset, bytes, allocated);
		done += bytes;
	}
}

static void op_truncate(struct build *build, uint32_t at)
{
	const struct op *op = &build->dag->ops[at];
	struct build_node *node = &build->nodes[op->node];
	bool cuts = op->size < op->old_size;
	struct micro *micro =
		add(build, at, cuts ? MICRO_TRUNCATE : MICRO_SIZE, op->node);
	uint32_t id;

	if (!micro)
		return;
	id = id_of(build, micro);
	micro->size = op->size;
	if (build->dag->model->size == SIZE_APART)
		after_last_length(build, op->node, id);
	journal(build, id);
	if (cuts && op->size < node->allocated)
		node->allocated = op->size;
	if (op->size == 0)
		node->truncated = true;
	if (cuts)
		node->last_append = NONE;
	own(build, op->node, id);
}

/* ---- names --------------------------------------------------------------- */
static void names_fill(const struct build *build, const struct op *op,
		       struct micro *micro)
{
	(void)build;
	micro->slot[0] = op->slot;
	micro->changes = 1;
	micro->child[0] = op->node;
	if (op->kind == OPLOG_UNLINK || op->kind == OPLOG_RMDIR)
		micro->child[0] = NONE;
	if (op->slot2 == NONE)
		return;
	micro->changes = 2;
	micro->child[0] = op->kind == OPLOG_EXCHANGE ? op->other : NONE;
	micro->slot[1] = op->slot2;
	micro->child[1] = op->node;
}

/* fs/ext4/namei.c ext4_rename(): the new file's data is flushed before. */
static void replaces(struct build *build, const struct op *op, uint32_t id)
{
	const struct ids *list = &build->dag->of_node[op->node];
	const struct ids *early = &build->nodes[op->node].early;

	for (uint32_t i = 0; i < early->count; i++)
		link_to(build, &build->hard[id], early->at[i]);
	for (uint32_t i = 0; i < list->count; i++)
		if (build->dag->micros[list->at[i]].kind == MICRO_APPEND)
			link_to(build, &build->hard[id], list->at[i]);
}

/* A directory never stands in two places: its moves persist in order. */
static void one_place(struct build *build, const struct op *op, uint32_t id)
{
	const struct ids *named = &build->nodes[op->node].named;

	if (build->dag->history->nodes[op->node].kind == NODE_DIR &&
	    named->count)
		link_to(build, &build->hard[id], named->at[named->count - 1]);
}

static void op_names(struct build *build, uint32_t at)
{
	const struct history *history = build->dag->history;
	const struct model *model = build->dag->model;
	const struct op *op = &build->dag->ops[at];
	struct micro *micro = add(build, at, MICRO_NAMES, op->node);
	bool gone = op->kind == OPLOG_UNLINK || op->kind == OPLOG_RMDIR;
	uint32_t id, dir, dir2;

	if (!micro)
		return;
	id = id_of(build, micro);
	names_fill(build, op, micro);
	journal(build, id);
	if (op->kind == OPLOG_RENAME && op->other != NONE &&
	    model->rename_flushes)
		replaces(build, op, id);
	if (model->fsync == FSYNC_TREE &&
	    (op->kind == OPLOG_RENAME || op->kind == OPLOG_LINK) &&
	    build->nodes[op->node].logged)
		link_to(build, &build->log_names, id);
	dir = history->slots[op->slot].dir;
	link_to(build, &build->nodes[dir].dents, id);
	dir2 = op->slot2 != NONE ? history->slots[op->slot2].dir : dir;
	if (dir2 != dir)
		link_to(build, &build->nodes[dir2].dents, id);
	one_place(build, op, id);
	if (!gone || model->unlink_is_inode)
		link_to(build, &build->nodes[op->node].named, id);
	link_to(build, &build->dag->names, id);
}

/* ---- what only orders ---------------------------------------------------- */
static void op_allocates(struct build *build, uint32_t at,
			 const struct ids *what)
{
	uint32_t node = build->dag->ops[at].node, id;
	struct micro *micro;

	if (!what->count)
		return;
	micro = add(build, at, MICRO_ALLOC, node);
	if (!micro)
		return;
	id = id_of(build, micro);
	journal(build, id);
	for (uint32_t i = 0; i < what->count; i++)
		link_to(build, &build->hard[id], what->at[i]);
	own(build, node, id);
}

/* fs/ext4/file.c ext4_release_file(): a file that was truncated is flushed
 * when it is closed. */
static void op_close(struct build *build, uint32_t at)
{
	uint32_t node = build->dag->ops[at].node;
	const struct ids *list = &build->dag->of_node[node];
	const struct ids *early = &build->nodes[node].early;
	struct ids what = { 0 };

	if (!build->dag->model->close_flushes || !build->nodes[node].truncated)
		return;
	build->nodes[node].truncated = false;
	for (uint32_t i = 0; i < list->count; i++)
		if (build->dag->micros[list->at[i]].kind == MICRO_APPEND)
			link_to(build, &what, list->at[i]);
	for (uint32_t i = 0; i < early->count; i++)
		link_to(build, &what, early->at[i]);
	op_allocates(build, at, &what);
	free(what.at);
}

/* sync_file_range(2), "Warning": no metadata is written, no cache flushed. */
static void op_sync_range(struct build *build, uint32_t at)
{
	uint32_t node = build->dag->ops[at].node;
	const struct ids *list = &build->dag->of_node[node];
	struct ids what = { 0 };

	if (!build->dag->model->journal)
		return;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct micro *micro = &build->dag->micros[list->at[i]];

		if (micro->durable == NONE && micro->kind != MICRO_TRUNCATE &&
		    micro->kind != MICRO_ALLOC)
			link_to(build, &what, list->at[i]);
	}
	op_allocates(build, at, &what);
	free(what.at);
}

static void op_build(struct build *build, uint32_t at)
{
	const struct op *op = &build->dag->ops[at];

	switch (op->kind) {
	case OPLOG_WRITE:
		op_write(build, at);
		break;
	case OPLOG_TRUNCATE:
		op_truncate(build, at);
		break;
	case OPLOG_CLOSE:
		op_close(build, at);
		break;
	case OPLOG_SYNC_RANGE:
		op_sync_range(build, at);
		break;
	case OPLOG_FSYNC:
	case OPLOG_FDATASYNC:
	case OPLOG_FSYNC_FAILED:
	case OPLOG_SYNC:
		build_barrier(build, at);
		break;
	default:
		if (op->slot != NONE)
			op_names(build, at);
	}
}

/* A page that is dirtied again takes what a failed write had dropped along. */
static void failed_again(struct build *build)
{
	struct dag *dag = build->dag;

	for (uint32_t id = dag->count; id-- > 0;) {
		if (dag->micros[id].failed)
			continue;
		for (uint32_t i = 0; i < build->hard[id].count; i++) {
			struct micro *before =
				&dag->micros[build->hard[id].at[i]];

			if (before->failed &&
			    before->node == dag->micros[id].node &&
			    !dag->micros[id].meta)
				before->failed = false;
		}
	}
}

/* Large files are cut into larger pieces, or nobody could go through them. */
static int nodes_make(struct build *build)
{
	const struct history *history = build->dag->history;
	uint32_t n = history->nodes_count;
	uint64_t *bytes = calloc(n + 1, sizeof(*bytes));

	build->nodes = calloc(n + 1, sizeof(*build->nodes));
	build->dag->of_node = calloc(n + 1, sizeof(struct ids));
	if (!bytes || !build->nodes || !build->dag->of_node) {
		free(bytes);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < build->dag->ops_count; i++)
		if (build->dag->ops[i].kind == OPLOG_WRITE)
			bytes[build->dag->ops[i].node] +=
				build->dag->ops[i].size;
	for (uint32_t i = 0; i < n; i++) {
		struct build_node *node = &build->nodes[i];

		node->last_append = NONE;
		node->allocated = history->nodes[i].size;
		node->page_shift = 12;
		while (bytes[i] >> node->page_shift > PIECES_MAX)
			node->page_shift++;
	}
	free(bytes);
	return 0;
}

static void build_clear(struct build *build)
{
	for (uint32_t i = 0; i < build->dag->history->nodes_count; i++)
		if (build->nodes) {
			free(build->nodes[i].dents.at);
			free(build->nodes[i].named.at);
			free(build->nodes[i].early.at);
		}
	for (uint32_t i = 0; i < build->room; i++) {
		free(build->hard[i].at);
		free(build->chain[i].at);
	}
	free(build->nodes);
	free(build->hard);
	free(build->chain);
	free(build->pages);
	free(build->stack.at);
	free(build->log_names.at);
}

int dag_make(const struct history *history, const struct op *ops,
	     uint32_t ops_count, const struct model *model, struct dag *ret_dag)
{
	struct dag dag = { .history = history,
			   .model = model,
			   .ops = ops,
			   .ops_count = ops_count };
	struct build build = { .dag = &dag, .last_meta = NONE };

	dag.first = calloc((size_t)ops_count + 1, sizeof(uint32_t));
	build.error = dag.first ? nodes_make(&build) : -ENOMEM;
	for (uint32_t i = 0; i < ops_count && !build.error; i++) {
		dag.first[i] = dag.count;
		op_build(&build, i);
	}
	if (!build.error) {
		dag.first[ops_count] = dag.count;
		failed_again(&build);
		build.error = build_finish(&build);
	}
	build_clear(&build);
	if (build.error) {
		dag_clear(&dag);
		return build.error < 0 ? build.error : -ENOMEM;
	}
	*ret_dag = dag;
	return 0;
}

void dag_clear(struct dag *dag)
{
	for (uint32_t i = 0; dag->of_node && i < dag->history->nodes_count; i++)
		free(dag->of_node[i].at);
	free(dag->of_node);
	free(dag->names.at);
	free(dag->micros);
	free(dag->first);
	free(dag->needs_at);
	free(dag->needs);
	free(dag->needed_at);
	free(dag->needed);
	*dag = (struct dag){ 0 };
}

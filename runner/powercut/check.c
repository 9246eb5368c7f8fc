/* check.c - does the log lead to the tree that was really there? */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/powercut/check.h"
#include "runner/powercut/shape.h"

struct checking {
	const struct history *history;
	struct dag dag;
	struct shape shape;
	uint64_t *set;
	uint32_t seen; /* FINAL_* records */
	char *why;
};

/* Node behind a path of the last tree; NONE. */
static uint32_t path_find(const struct checking *checking, const char *path,
			  uint32_t bytes)
{
	const char *at = path, *end = path + bytes;
	uint32_t node = 0;

	while (at < end) {
		const char *slash = memchr(at, '/', (size_t)(end - at));
		uint32_t n = (uint32_t)((slash ? slash : end) - at);
		uint32_t slot = history_slot(checking->history, node, at, n);

		if (slot == NONE || checking->shape.child[slot] == NONE)
			return NONE;
		node = checking->shape.child[slot];
		at += n + 1;
	}
	return node;
}

static void differs(struct checking *checking, const struct oplog_view *view,
		    const char *how)
{
	if (!checking->why &&
	    asprintf(&checking->why, "%.*s %s", (int)view->record->name_bytes,
		     view->name, how) < 0)
		checking->why = NULL;
}

static void final_check(struct checking *checking,
			const struct oplog_view *view)
{
	static const enum oplog_kind kinds[] = {
		[NODE_FILE] = OPLOG_FINAL_FILE,
		[NODE_DIR] = OPLOG_FINAL_DIR,
		[NODE_SYMLINK] = OPLOG_FINAL_SYMLINK,
	};
	const struct oplog_record *record = view->record;
	uint32_t node = path_find(checking, view->name, record->name_bytes);
	const struct node *found;
	const uint8_t *bytes;
	uint64_t size;

	checking->seen++;
	if (node == NONE) {
		differs(checking, view,
			"was there, and the log has no such "
			"name");
		return;
	}
	found = &checking->history->nodes[node];
	if (kinds[found->kind] != (enum oplog_kind)record->kind) {
		differs(checking, view, "is of another kind in the log");
		return;
	}
	if (found->kind == NODE_SYMLINK &&
	    (found->target_bytes != record->name2_bytes ||
	     memcmp(found->target, view->name2, record->name2_bytes)))
		differs(checking, view, "leads elsewhere in the log");
	if (found->kind != NODE_FILE)
		return;
	size = shape_content(&checking->shape, checking->set, node, &bytes);
	if (size != record->size)
		differs(checking, view, "has another length in the log");
	else if (oplog_hash(bytes, size).a != record->offset)
		differs(checking, view, "has another content in the log");
}

/* How many names the replayed tree has. */
static uint32_t names_count(struct checking *checking, uint32_t dir, int depth)
{
	const struct node *node = &checking->history->nodes[dir];
	uint32_t count = 0;

	for (uint32_t i = 0; depth < 128 && i < node->slots_count; i++) {
		uint32_t child = checking->shape.child[node->slots[i]];

		if (child == NONE)
			continue;
		count++;
		if (checking->history->nodes[child].kind == NODE_DIR)
			count += names_count(checking, child, depth + 1);
	}
	return count;
}

static void finals_check(struct checking *checking)
{
	const struct history *history = checking->history;
	struct oplog_view view;
	size_t at = 0;

	shape_take(&checking->shape, checking->set);
	while (oplog_next(history->log, history->log_bytes, &at, &view) > 0)
		if (view.record->kind >= OPLOG_FINAL_DIR)
			final_check(checking, &view);
	if (!checking->why && names_count(checking, 0, 0) != checking->seen)
		checking->why = strdup("the log has names that weren't there");
}

int history_check(const struct history *history, char **ret_why)
{
	struct checking checking = { .history = history };
	int error = dag_make(history, history->ops, history->ops_count,
			     &model_table[MODEL_POSIX_MIN], &checking.dag);

	if (error)
		return error;
	error = shape_make(&checking.dag, &checking.shape);
	checking.set =
		calloc((size_t)checking.dag.words + 1, sizeof(*checking.set));
	if (!error && !checking.set)
		error = -ENOMEM;
	if (!error) {
		for (uint32_t id = 0; id < checking.dag.count; id++)
			set_add(checking.set, id);
		finals_check(&checking);
		shape_clear(&checking.shape);
	}
	dag_clear(&checking.dag);
	free(checking.set);
	if (!error)
		*ret_why = checking.why;
	return error;
}

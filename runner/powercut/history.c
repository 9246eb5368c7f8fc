/* history.c - from records to nodes, slots and operations. */
#include "runner/powercut/history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reading {
	struct history *history;
	uint32_t nodes_room, slots_room, ops_room;
	struct ino_row {
		uint64_t ino;
		uint32_t node;
	} * inos; /* open addressing; node NONE: free */
	size_t inos_room, inos_count;
	uint32_t *now; /* node behind each slot at this point */
	size_t now_room;
};

static int grow(void **items, uint32_t *room, uint32_t count, size_t bytes)
{
	uint32_t more = *room ? 2 * *room : 256;
	void *grown;

	if (count < *room)
		return 0;
	grown = reallocarray(*items, more, bytes);
	if (!grown)
		return -ENOMEM;
	*items = grown;
	*room = more;
	return 0;
}

static size_t ino_place(const struct reading *reading, uint64_t ino)
{
	size_t at = (ino * 0x9e3779b97f4a7c15ull) >> 20;

	for (at &= reading->inos_room - 1;
	     reading->inos[at].node != NONE && reading->inos[at].ino != ino;
	     at = (at + 1) & (reading->inos_room - 1))
		;
	return at;
}

static int inos_grow(struct reading *reading)
{
	struct ino_row *old = reading->inos;
	size_t old_room = reading->inos_room,
	       room = old_room ? 2 * old_room : 1024;

	if (2 * reading->inos_count < old_room)
		return 0;
	reading->inos = malloc(room * sizeof(*old));
	if (!reading->inos) {
		reading->inos = old;
		return -ENOMEM;
	}
	memset(reading->inos, 0xff, room * sizeof(*old));
	reading->inos_room = room;
	for (size_t i = 0; i < old_room; i++)
		if (old[i].node != NONE)
			reading->inos[ino_place(reading, old[i].ino)] = old[i];
	free(old);
	return 0;
}

static uint32_t node_find(const struct reading *reading, uint64_t ino)
{
	return reading->inos[ino_place(reading, ino)].node;
}

static int node_add(struct reading *reading, uint64_t ino, enum node_kind kind,
		    uint32_t *ret_node)
{
	struct history *history = reading->history;
	size_t at;

	if (grow((void **)&history->nodes, &reading->nodes_room,
		 history->nodes_count, sizeof(*history->nodes)) < 0 ||
	    inos_grow(reading) < 0)
		return -ENOMEM;
	at = ino_place(reading, ino);
	if (reading->inos[at].node != NONE)
		return -EBADMSG;
	reading->inos[at] = (struct ino_row){ ino, history->nodes_count };
	reading->inos_count++;
	history->nodes[history->nodes_count] =
		(struct node){ .kind = kind, .slot = NONE };
	*ret_node = history->nodes_count++;
	return 0;
}

static size_t slot_hash(uint32_t dir, const char *name, uint32_t n)
{
	uint64_t hash = 0xcbf29ce484222325ull ^ dir;

	for (uint32_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)name[i]) * 0x100000001b3ull;
	return hash ^ hash >> 29;
}

static size_t slot_place(const struct history *history, uint32_t dir,
			 const char *name, uint32_t n)
{
	size_t at = slot_hash(dir, name, n);

	for (;; at++) {
		const struct slot *slot;

		at &= history->map_room - 1;
		if (history->map[at] == NONE)
			return at;
		slot = &history->slots[history->map[at]];
		if (slot->dir == dir && slot->name_bytes == n &&
		    !memcmp(slot->name, name, n))
			return at;
	}
}

uint32_t history_slot(const struct history *history, uint32_t dir,
		      const char *name, uint32_t bytes)
{
	if (!history->map_room)
		return NONE;
	return history->map[slot_place(history, dir, name, bytes)];
}

static int map_grow(struct history *history)
{
	size_t room = history->map_room ? 2 * history->map_room : 1024;
	uint32_t *old = history->map;

	if (2 * history->slots_count < history->map_room)
		return 0;
	history->map = malloc(room * sizeof(*old));
	if (!history->map) {
		history->map = old;
		return -ENOMEM;
	}
	memset(history->map, 0xff, room * sizeof(*old));
	history->map_room = room;
	for (uint32_t i = 0; i < history->slots_count; i++) {
		const struct slot *slot = &history->slots[i];

		history->map[slot_place(history, slot->dir, slot->name,
					slot->name_bytes)] = i;
	}
	free(old);
	return 0;
}

static int dir_gains(struct node *dir, uint32_t slot)
{
	uint32_t n = dir->slots_count, *slots;

	if (!n || !(n & (n - 1))) {
		slots = reallocarray(dir->slots, n ? 2 * n : 1, sizeof(*slots));
		if (!slots)
			return -ENOMEM;
		dir->slots = slots;
	}
	dir->slots[dir->slots_count++] = slot;
	return 0;
}

/* The slot of a name in a directory; made if it is new. */
static int slot_get(struct reading *reading, uint64_t dir_ino, const char *name,
		    uint32_t n, uint32_t *ret_slot)
{
	struct history *history = reading->history;
	uint32_t dir = node_find(reading, dir_ino), slot;
	size_t at;

	if (dir == NONE || history->nodes[dir].kind != NODE_DIR || !n)
		return -EBADMSG;
	if (map_grow(history) < 0)
		return -ENOMEM;
	at = slot_place(history, dir, name, n);
	if (history->map[at] != NONE) {
		*ret_slot = history->map[at];
		return 0;
	}
	if (grow((void **)&history->slots, &reading->slots_room,
		 history->slots_count, sizeof(*history->slots)) < 0)
		return -ENOMEM;
	if (history->slots_count >= reading->now_room) {
		size_t room = 2 * reading->now_room + 256;
		uint32_t *now = reallocarray(reading->now, room, sizeof(*now));

		if (!now)
			return -ENOMEM;
		reading->now = now;
		reading->now_room = room;
	}
	slot = history->slots_count++;
	history->slots[slot] = (struct slot){
		.dir = dir, .name = name, .name_bytes = n, .first = NONE
	};
	reading->now[slot] = NONE;
	history->map[at] = slot;
	*ret_slot = slot;
	return dir_gains(&history->nodes[dir], slot);
}

static int base_read(struct reading *reading, const struct oplog_view *view)
{
	static const enum node_kind kinds[] = {
		[OPLOG_BASE_DIR] = NODE_DIR,
		[OPLOG_BASE_FILE] = NODE_FILE,
		[OPLOG_BASE_SYMLINK] = NODE_SYMLINK,
	};
	const struct oplog_record *record = view->record;
	struct history *history = reading->history;
	uint32_t node, slot;
	int error;

	if (record->kind == OPLOG_BASE_LINK)
		node = node_find(reading, record->ino);
	else if ((error = node_add(reading, record->ino, kinds[record->kind],
				   &node)) < 0)
		return error;
	if (node == NONE)
		return -EBADMSG;
	if (record->kind != OPLOG_BASE_LINK) {
		struct node *made = &history->nodes[node];

		made->base = true;
		made->mode = (uint32_t)record->size;
		made->data = view->data;
		made->size = made->end_size = record->data_bytes;
		made->target = view->name2;
		made->target_bytes = record->name2_bytes;
	}
	if (!record->name_bytes) /* the root */
		return node == 0 && record->kind == OPLOG_BASE_DIR ? 0
								   : -EBADMSG;
	error = slot_get(reading, record->dir, view->name, record->name_bytes,
			 &slot);
	if (error < 0)
		return error;
	history->slots[slot].first = reading->now[slot] = node;
	history->nodes[node].slot = slot;
	return 0;
}

static int op_makes(struct reading *reading, const struct oplog_view *view,
		    struct op *op)
{
	enum node_kind kind = op->kind == OPLOG_MKDIR	  ? NODE_DIR
			      : op->kind == OPLOG_SYMLINK ? NODE_SYMLINK
							  : NODE_FILE;
	struct node *node;
	int error = node_add(reading, view->record->ino, kind, &op->node);

	if (error < 0)
		return error;
	node = &reading->history->nodes[op->node];
	node->mode = (uint32_t)view->record->size;
	node->target = view->name2;
	node->target_bytes = view->record->name2_bytes;
	op->size = 0;
	return 0;
}

/* What a change of names does to what every slot leads to. */
static int op_renames(struct reading *reading, struct op *op)
{
	struct history *history = reading->history;
	uint32_t from = reading->now[op->slot];

	if (from == NONE)
		return -EBADMSG;
	op->node = from;
	if (op->kind == OPLOG_UNLINK || op->kind == OPLOG_RMDIR) {
		reading->now[op->slot] = NONE;
		return 0;
	}
	op->other = reading->now[op->slot2];
	reading->now[op->slot2] = from;
	reading->now[op->slot] = op->kind == OPLOG_EXCHANGE ? op->other : NONE;
	history->nodes[from].slot = op->slot2;
	if (op->kind == OPLOG_EXCHANGE && op->other != NONE)
		history->nodes[op->other].slot = op->slot;
	return 0;
}

static int op_names(struct reading *reading, const struct oplog_view *view,
		    struct op *op)
{
	const struct oplog_record *record = view->record;
	bool moves = op->kind == OPLOG_RENAME || op->kind == OPLOG_EXCHANGE;
	struct history *history = reading->history;
	int error = slot_get(reading, record->dir, view->name,
			     record->name_bytes, &op->slot);

	if (!error && moves)
		error = slot_get(reading, record->dir2, view->name2,
				 record->name2_bytes, &op->slot2);
	if (error < 0)
		return error;
	history->slots[op->slot].touched = true;
	if (moves)
		history->slots[op->slot2].touched = true;
	if (moves || op->kind == OPLOG_UNLINK || op->kind == OPLOG_RMDIR)
		return op_renames(reading, op);
	op->other = reading->now[op->slot];
	reading->now[op->slot] = op->node;
	history->nodes[op->node].slot = op->slot;
	return 0;
}

static void op_sizes(struct history *history, struct op *op)
{
	struct node *node = &history->nodes[op->node];

	op->old_size = node->end_size;
	if (op->kind == OPLOG_TRUNCATE)
		node->end_size = op->size;
	else if (op->offset + op->size > node->end_size)
		node->end_size = op->offset + op->size;
}

static int op_fill(struct reading *reading, const struct oplog_view *view,
		   struct op *op)
{
	int error = 0;

	switch (op->kind) {
	case OPLOG_CREATE:
	case OPLOG_TMPFILE:
	case OPLOG_MKDIR:
	case OPLOG_SYMLINK:
		error = op_makes(reading, view, op);
		break;
	case OPLOG_SYNC:
	case OPLOG_LEDGER:
	case OPLOG_UNLINK:
	case OPLOG_RMDIR:
	case OPLOG_RENAME:
	case OPLOG_EXCHANGE:
		break;
	default:
		op->node = node_find(reading, view->record->ino);
		if (op->node == NONE)
			return -EBADMSG;
	}
	if (!error && view->record->name_bytes && op->kind != OPLOG_LEDGER &&
	    op->kind != OPLOG_TMPFILE)
		error = op_names(reading, view, op);
	if (error < 0)
		return error;
	if (op->kind == OPLOG_WRITE || op->kind == OPLOG_TRUNCATE)
		op_sizes(reading->history, op);
	if (op->kind == OPLOG_CHMOD)
		reading->history->nodes[op->node].mode = (uint32_t)op->size;
	return 0;
}

static int op_read(struct reading *reading, const struct oplog_view *view)
{
	const struct oplog_record *record = view->record;
	struct history *history = reading->history;
	struct op *op;

	if (history->ops_count == HISTORY_OPS_MAX)
		return -E2BIG;
	if (grow((void **)&history->ops, &reading->ops_room, history->ops_count,
		 sizeof(*history->ops)) < 0)
		return -ENOMEM;
	op = &history->ops[history->ops_count];
	*op = (struct op){
		.kind = (uint16_t)record->kind,
		.flags = (uint16_t)record->flags,
		.pid = record->pid,
		.node = NONE,
		.other = NONE,
		.slot = NONE,
		.slot2 = NONE,
		.issued = record->issued,
		.returned = record->returned,
		.time_ns = record->time_ns,
		.offset = record->offset,
		.size = record->kind == OPLOG_WRITE ? record->data_bytes
						    : record->size,
		.data = view->data,
		.text = view->name,
		.text_bytes = record->name_bytes,
		.site = record->site,
	};
	history->ops_count++;
	return op_fill(reading, view, op);
}

/* Numbered from 1 on, in order. */
static int site_read(struct history *history, const struct oplog_view *view)
{
	uint32_t n = history->sites_count ? history->sites_count : 1;
	struct call_site *sites;

	if (view->record->size != n)
		return -EBADMSG;
	sites = reallocarray(history->sites, n + 1, sizeof(*sites));
	if (!sites)
		return -ENOMEM;
	sites[n].text = view->name;
	sites[n].bytes = view->record->name_bytes;
	history->sites = sites;
	history->sites_count = n + 1;
	return 0;
}

const struct call_site *history_site(const struct history *history,
				     const struct op *op)
{
	if (!op->site || op->site >= history->sites_count)
		return NULL;
	return &history->sites[op->site];
}

static int record_read(struct reading *reading, const struct oplog_view *view,
		       bool *ended)
{
	struct history *history = reading->history;
	uint32_t kind = view->record->kind;

	if (*ended)
		return -EBADMSG;
	if (kind == OPLOG_END) {
		*ended = true;
		history->status = (int)view->record->size;
		return 0;
	}
	if (kind == OPLOG_SITE)
		return site_read(history, view);
	if (kind == OPLOG_UNSOUND) {
		if (!history->unsound)
			history->unsound =
				strndup(view->name, view->record->name_bytes);
		return 0;
	}
	if (kind >= OPLOG_FINAL_DIR)
		return 0;
	if (kind <= OPLOG_BASE_LINK)
		return base_read(reading, view);
	return op_read(reading, view);
}

int history_read(const void *log, size_t bytes, struct history *ret_history)
{
	struct history history = { .log = log, .log_bytes = bytes };
	struct reading reading = { .history = &history };
	struct oplog_view view;
	int error = oplog_check(log, bytes), more = 0;
	bool ended = false;
	size_t at = 0;

	if (!error)
		error = inos_grow(&reading);
	while (!error && (more = oplog_next(log, bytes, &at, &view)) > 0)
		error = record_read(&reading, &view, &ended);
	if (!error && more < 0)
		error = more;
	if (!error && (!ended || !history.nodes_count))
		error = -EBADMSG;
	free(reading.inos);
	free(reading.now);
	history.root = ((const struct oplog_header *)log)->root;
	if (error < 0) {
		history_clear(&history);
		return error;
	}
	*ret_history = history;
	return 0;
}

void history_clear(struct history *history)
{
	for (uint32_t i = 0; i < history->nodes_count; i++)
		free(history->nodes[i].slots);
	free(history->nodes);
	free(history->slots);
	free(history->ops);
	free(history->map);
	free(history->sites);
	free(history->unsound);
	*history = (struct history){ 0 };
}

struct op *history_insert(const struct op *ops, uint32_t count, uint32_t at,
			  const struct op *op)
{
	struct op *more = malloc(((size_t)count + 1) * sizeof(*more));

	if (!more)
		return NULL;
	memcpy(more, ops, at * sizeof(*more));
	more[at] = *op;
	memcpy(more + at + 1, ops + at, (count - at) * sizeof(*more));
	return more;
}

char *history_path(const struct history *history, uint32_t slot)
{
	char *path = strdup("");

	for (int depth = 0; path && slot != NONE && depth < 64; depth++) {
		const struct slot *part = &history->slots[slot];
		char *longer;

		if (asprintf(&longer, "%.*s%s%s", (int)part->name_bytes,
			     part->name, *path ? "/" : "", path) < 0)
			longer = NULL;
		free(path);
		path = longer;
		slot = history->nodes[part->dir].slot;
	}
	return path;
}

char *history_name(const struct history *history, uint32_t node)
{
	if (node == 0)
		return strdup(".");
	if (history->nodes[node].slot == NONE)
		return strdup("(unnamed file)");
	return history_path(history, history->nodes[node].slot);
}

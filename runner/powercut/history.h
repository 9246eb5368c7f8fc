/* history.h - a log read into nodes, names and operations.
 *
 * A node is a file, directory or symbolic link; node 0 is the tree's root.  A
 * slot is one name in one directory, whatever stands behind it; a tree is what
 * every slot leads to.  Contents are borrowed from the log, which must stay.
 * The log was written by somebody who watched: nothing in it is believed until
 * history_check() (check.h) has found that it leads to the tree that was really
 * there.
 */
#ifndef MISHAP_RUNNER_POWERCUT_HISTORY_H
#define MISHAP_RUNNER_POWERCUT_HISTORY_H

#include <stdbool.h>

#include "core/oplog.h"

#define NONE		UINT32_MAX
#define HISTORY_OPS_MAX 1000000

enum node_kind { NODE_FILE, NODE_DIR, NODE_SYMLINK };

struct node {
	enum node_kind kind;
	bool base;		 /* it was there before */
	uint32_t mode;		 /* at the end: modes aren't cut */
	const uint8_t *data;	 /* of a base file */
	uint64_t size, end_size; /* before; at the end */
	const char *target;	 /* of a symbolic link */
	uint32_t target_bytes;
	uint32_t slot;	 /* the last name it had; NONE */
	uint32_t *slots; /* of a directory: its names */
	uint32_t slots_count;
};

struct slot {
	uint32_t dir; /* node */
	const char *name;
	uint32_t name_bytes;
	uint32_t first; /* node before; NONE */
	bool touched;	/* an operation changes it */
};

struct op {
	uint16_t kind; /* enum oplog_kind */
	uint16_t flags;
	uint32_t pid;
	uint32_t node, other; /* acted on; replaced or exchanged, or NONE */
	uint32_t slot, slot2; /* names it changes; NONE */
	uint64_t issued, returned, time_ns;
	uint64_t offset, size, old_size;
	const uint8_t *data;
	const char *text; /* of a ledger line */
	uint32_t text_bytes;
	uint32_t site; /* in sites; 0: not known */
};

struct history {
	const char *root; /* the tree's path */
	struct node *nodes;
	struct slot *slots;
	struct op *ops;
	uint32_t nodes_count, slots_count, ops_count;
	struct call_site {
		const char *text; /* \"save (store.c:12)\", in the log */
		uint32_t bytes;
	} * sites; /* [0] is none */
	uint32_t sites_count;
	int status;	 /* of the program, wait(2) */
	char *unsound;	 /* why no verdict can rest on it; NULL */
	const void *log; /* borrowed */
	size_t log_bytes;
	uint32_t *map; /* of slots, by hash */
	size_t map_room;
};

/* history_read - 0; -EPROTO no log; -EBADMSG torn; -ENOMEM; -E2BIG. */
int history_read(const void *log, size_t bytes, struct history *ret_history);
void history_clear(struct history *history);
/* history_slot - of a name in a directory; NONE. */
uint32_t history_slot(const struct history *history, uint32_t dir,
		      const char *name, uint32_t bytes);
/* history_insert - a copy of ops with one more before index `at`; owned by the
 * caller; borrows everything else. */
struct op *history_insert(const struct op *ops, uint32_t count, uint32_t at,
			  const struct op *op);
/* history_path - of a slot, below the root, malloc'd; names as they were
 * last. */
char *history_path(const struct history *history, uint32_t slot);
/* history_name - of a node, for people: its last path; malloc'd. */
char *history_name(const struct history *history, uint32_t node);

/* history_site - where an operation was called from; NULL: not known. */
const struct call_site *history_site(const struct history *history,
				     const struct op *op);

static inline bool op_changes_names(const struct op *op)
{
	return op->slot != NONE && op->kind != OPLOG_CLOSE;
}

static inline bool op_is_barrier(const struct op *op)
{
	return op->kind == OPLOG_FSYNC || op->kind == OPLOG_FDATASYNC ||
	       op->kind == OPLOG_SYNC;
}

#endif

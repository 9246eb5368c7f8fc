/* shape.h - the tree that a set of micro-operations leaves on the disk.
 *
 * One thread each: a shape holds scratch.  Hashes are of what can be seen from
 * the root: names, kinds, contents, where links lead. */
#ifndef MISHAP_RUNNER_POWERCUT_SHAPE_H
#define MISHAP_RUNNER_POWERCUT_SHAPE_H

#include "runner/powercut/dag.h"

struct shape_memo {
	uint64_t key;
	struct oplog_hash hash;
};

struct shape {
	const struct dag *dag;
	uint32_t *child;     /* node behind each slot; NONE */
	struct ids touched;  /* slots that operations change */
	bool *reached;	     /* by directory: shape_hash() has come there */
	struct ids *watched; /* by directory: slots to be looked at */
	uint64_t *name_hash; /* by slot */
	struct oplog_hash *base_hash; /* of contents before; by node */
	bool *base_known;
	struct shape_memo *memo; /* contents; SHAPE_MEMO of them */
	uint8_t *bytes;		 /* of the content made last */
	uint64_t room;
	struct ids stack;
	uint64_t *paths; /* beside stack: hashes of directories' paths */
	uint32_t paths_room;
};

/* How a tree is hashed, for who walks one that is really there: path of the
 * root is 1; shape_path() of a name in it; shape_add() of what stands there,
 * part: of a file's content, a link's target, or SHAPE_DIR. */
#define SHAPE_DIR     ((struct oplog_hash){ 3, 3 })
#define SHAPE_NOTHING ((struct oplog_hash){ 1, 1 })
uint64_t shape_path(uint64_t path, uint64_t name_hash);
void shape_add(struct oplog_hash *hash, uint64_t path, struct oplog_hash part,
	       enum node_kind kind);

int shape_make(const struct dag *dag, struct shape *ret_shape);
void shape_clear(struct shape *shape);
/* shape_take - shape->child becomes what set leaves. */
void shape_take(struct shape *shape, const uint64_t *set);
/* shape_hash - of the tree; takes set first. */
struct oplog_hash shape_hash(struct shape *shape, const uint64_t *set);
/* shape_content - of a file; *ret_bytes is shape's until the next call.
 * NULL set: as it was before.  Returns its length. */
uint64_t shape_content(struct shape *shape, const uint64_t *set, uint32_t node,
		       const uint8_t **ret_bytes);
struct oplog_hash shape_content_hash(struct shape *shape, const uint64_t *set,
				     uint32_t node);

#endif

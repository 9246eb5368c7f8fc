/* dag.h - operations cut into what persists as one, and the order in which a
 * model lets it persist.
 *
 * A micro-operation is a piece of data within one page, a length, a group of
 * names that change together, or an allocation.  It may be on the disk only
 * when all that it needs is.  A state that a power loss after operation k may
 * leave is a set of micro-operations of the first k+1 operations that is
 * closed under `needs` and holds everything durable by k.
 */
#ifndef MISHAP_RUNNER_POWERCUT_DAG_H
#define MISHAP_RUNNER_POWERCUT_DAG_H

#include "runner/powercut/history.h"
#include "runner/powercut/model.h"

#define DAG_PAGE       4096
#define DAG_MICROS_MAX 200000

enum micro_kind {
	MICRO_DATA,	/* bytes within the file's length, or behind it */
	MICRO_SIZE,	/* the file is at least so long */
	MICRO_APPEND,	/* bytes and length together */
	MICRO_TRUNCATE, /* the file is so long */
	MICRO_NAMES,	/* one or two slots change together */
	MICRO_ALLOC,	/* order only */
};

struct micro {
	uint8_t kind, changes;
	bool meta, journaled; /* a link of the journal's order */
	bool failed;	      /* a failed fsync has dropped it */
	uint32_t op, node;
	uint32_t slot[2], child[2]; /* of MICRO_NAMES; child NONE: gone */
	uint64_t offset, size;	    /* size: of data; or the length */
	const uint8_t *data;
	uint32_t durable; /* by the end of that operation; NONE: never */
};

struct ids { /* a growing list */
	uint32_t *at;
	uint32_t count, room;
};

struct dag {
	const struct history *history;
	const struct model *model;
	const struct op *ops; /* history's, or with barriers added */
	uint32_t ops_count;
	struct micro *micros;
	uint32_t count;
	uint32_t *first;	      /* of operation i; [ops_count] is count */
	uint32_t *needs_at, *needs;   /* needs[needs_at[i]..needs_at[i + 1]] */
	uint32_t *needed_at, *needed; /* the other way round */
	struct ids *of_node;	      /* data, sizes, truncations; by node */
	struct ids names;	      /* MICRO_NAMES */
	uint32_t words;		      /* of a set: 64 micro-operations each */
};

/* dag_make - ops: borrowed, as history is.  0, -ENOMEM, -E2BIG. */
int dag_make(const struct history *history, const struct op *ops,
	     uint32_t ops_count, const struct model *model,
	     struct dag *ret_dag);
void dag_clear(struct dag *dag);
/* dag_say - one micro-operation in words; malloc'd. */
char *dag_say(const struct dag *dag, uint32_t micro);

int ids_add(struct ids *ids, uint32_t id);

static inline bool set_has(const uint64_t *set, uint32_t id)
{
	return set[id >> 6] >> (id & 63) & 1;
}

static inline void set_add(uint64_t *set, uint32_t id)
{
	set[id >> 6] |= 1ull << (id & 63);
}

static inline void set_drop(uint64_t *set, uint32_t id)
{
	set[id >> 6] &= ~(1ull << (id & 63));
}

#endif

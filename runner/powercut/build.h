/* build.h - what dag.c and barrier.c share while a dag is made. */
#ifndef MISHAP_RUNNER_POWERCUT_BUILD_H
#define MISHAP_RUNNER_POWERCUT_BUILD_H

#include "runner/powercut/dag.h"

struct build_node {
	struct ids dents; /* of a directory: changes of its names */
	struct ids named; /* changes of names that lead here */
	struct ids early; /* lengths that may persist before their data */
	uint32_t last_append;
	uint64_t allocated;  /* bytes known to have blocks */
	unsigned page_shift; /* tear unit: larger for large files */
	bool truncated, logged, trunc_lost;
};

struct build {
	struct dag *dag;
	uint32_t room;
	struct build_node *nodes;
	struct ids *hard, *chain; /* by micro-operation */
	uint32_t links_room;
	uint32_t last_meta;
	struct ids log_names; /* btrfs: names to go with the next log */
	uint64_t *pages;      /* (node, page) and who wrote it last */
	size_t pages_room, pages_count;
	struct ids stack; /* scratch of closures */
	int error;	  /* the first; all else is skipped then */
};

/* build_durable - id and all it needs are durable once operation `op` is
 * over; order: by the journal, too.  Only what had returned before op was
 * issued counts. */
void build_durable(struct build *build, uint32_t id, uint32_t op, bool order);
/* build_barrier - fsync, fdatasync, sync, a failed fsync. */
void build_barrier(struct build *build, uint32_t op);
/* build_finish - dag_finish.c: needs and needed, both ways.  0 or -ENOMEM. */
int build_finish(struct build *build);

#endif

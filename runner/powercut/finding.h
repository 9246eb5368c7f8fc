/* finding.h - the smallest counterexample of each class, and the barrier that
 * is missing. */
#ifndef MISHAP_RUNNER_POWERCUT_FINDING_H
#define MISHAP_RUNNER_POWERCUT_FINDING_H

#include "runner/powercut/explore.h"

#define FINDINGS_MAX (MODEL_COUNT * VIOLATION_COUNT)
#define BARRIERS_MAX 4
#define MISSING_MAX  64 /* said of one finding */

struct barriers { /* of one model; texts are malloc'd */
	char *texts[BARRIERS_MAX];
	uint32_t after[BARRIERS_MAX]; /* bad states that are left */
	unsigned count;
	uint32_t before;  /* bad states without any */
	uint32_t checked; /* states that were looked at to be sure */
	bool tried, in_time;
};

struct cut_finding {
	unsigned model; /* of explore->models */
	enum violation class;
	struct cut_state state; /* its set is owned */
	uint32_t states;	/* that show it */
	char *says;		/* what is wrong with the tree */
	char *missing[MISSING_MAX];
	unsigned missing_count, missing_more;
};

struct cut_findings {
	struct cut_finding items[FINDINGS_MAX];
	unsigned count;
	struct barriers barriers[MODEL_COUNT]; /* as explore->models */
};

/* findings_make - of all that explore found; more is judged for it, until
 * until_ns.  0 or -errno. */
int findings_make(struct explore *explore, uint64_t until_ns,
		  struct cut_findings *findings);
void findings_clear(struct cut_findings *findings);
/* barriers_find - synth.c: which fsync, and before what, leaves no bad state
 * under models[model]? */
int barriers_find(struct explore *explore, unsigned model, uint64_t until_ns,
		  struct barriers *ret_barriers);

#endif

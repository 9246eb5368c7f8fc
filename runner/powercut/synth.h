/* synth.h - places where a barrier could be added. */
#ifndef MISHAP_RUNNER_POWERCUT_SYNTH_H
#define MISHAP_RUNNER_POWERCUT_SYNTH_H

#include "runner/powercut/finding.h"

#define CANDIDATES_MAX 2048

struct barrier_spot {
	uint32_t before, node; /* an operation's index; what is synced */
};

struct candidate {
	char key[512];
	char text[512];
	struct barrier_spot *spots;
	uint32_t count, room;
	bool used;
};

struct synth {
	struct explore *explore;
	struct explored *model;
	struct candidate *candidates;
	uint32_t count;
	uint32_t places;
	uint64_t until_ns;
	unsigned mask;	/* of violations that are counted */
	bool *relevant; /* by node: missing in the smallest bad state */
};

/* candidates_find - every fsync of what is dirty, before every call that could
 * want it; grouped by kinds of names.  0 or -ENOMEM. */
int candidates_find(struct synth *synth);

#endif

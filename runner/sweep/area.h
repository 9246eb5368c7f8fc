/* area.h - a worker's own shared file: state and sweep, beside the run's. */
#ifndef MISHAP_RUNNER_SWEEP_AREA_H
#define MISHAP_RUNNER_SWEEP_AREA_H

#include "core/sweep.h"
#include "runner/late.h"
#include "runner/shared_file.h"

struct area {
	struct shared_file file; /* dir is empty: it is the run's */
	struct sweep_area *sweep;
	char *envp_shared; /* MISHAP_SHARED=… */
	struct late late;
};

/* area_open - file `number` in the run's own directory.  *ret_area must not
 * move.  Removed with the directory; area_close() unmaps. */
int area_open(const struct shared_file *run, unsigned number,
	      struct area *ret_area);
void area_close(struct area *area);
/* area_reset - as if no target had ever been here; what was learnt of modules'
 * patch plans is kept. */
void area_reset(struct area *area);
/* area_arm - have all calls of a sweep looked at, or none. */
void area_arm(struct area *area, bool all);
/* area_learn - of modules, what another has learnt. */
void area_learn(struct area *area, const struct area *from);

#endif

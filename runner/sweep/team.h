/* team.h - workers in their sandboxes, several at a time. */
#ifndef MISHAP_RUNNER_SWEEP_TEAM_H
#define MISHAP_RUNNER_SWEEP_TEAM_H

#include "runner/sweep/sweep.h"

/* Each returns 0 or -errno, and why says at what: SANDBOX_WHY_MAX bytes. */

/* team_baseline - fills sweep->base by clean runs, and leaves area 0 as the
 * listing run left it. */
int team_baseline(struct sweep *sweep, char *why);
/* team_cells - try cells, in this order, until then; results are in
 * sweep->results. */
int team_cells(struct sweep *sweep, const uint32_t *order, uint32_t count,
	       uint64_t until_ns, const char *doing, char *why);
/* team_portrait - one cell once more, looked into as it dies or hangs; the
 * stacks are left in run_dir. */
int team_portrait(struct sweep *sweep, uint32_t cell, const char *run_dir,
		  char *why);

/* team_debugger - the cell in gdb, which has the terminal. */
int team_debugger(struct sweep *sweep, uint32_t cell, char *why);

#endif

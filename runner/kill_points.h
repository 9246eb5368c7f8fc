/* kill_points.h - the same scenario, killed at one call after the other. */
#ifndef MISHAP_RUNNER_KILL_POINTS_H
#define MISHAP_RUNNER_KILL_POINTS_H

#include "runner/session.h"

/* kill_points_run - how many calls match is counted in a run without a kill;
 * options->kill_points of them are tried in order.  Where one fails, the
 * smallest that does is looked for between it and the last that held.
 * Returns an exit code where one came to nothing, else 0; *sessions and *count
 * are those that were killed, or the one that shows why none was. */
int kill_points_run(struct options *options, struct session **sessions,
		    size_t *count);

#endif

/* scratch.h - what killed runners leave behind of their targets' scratch. */
#ifndef MISHAP_RUNNER_SCRATCH_H
#define MISHAP_RUNNER_SCRATCH_H

#include <stdbool.h>

/* scratch_is_used - does any process that we may look at work below it: as
 * its directory, its root, its program or an open file? */
bool scratch_is_used(const char *path);
/* scratch_sweep - remove it, if it is a scratch directory of ours and nobody
 * uses it.  A target that outlived its runner keeps it.
 * false: it is still used, ask again later. */
bool scratch_sweep(const char *path);

#endif

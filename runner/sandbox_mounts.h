/* sandbox_mounts.h - the walls themselves; in the keeper, before it serves. */
#ifndef MISHAP_RUNNER_SANDBOX_MOUNTS_H
#define MISHAP_RUNNER_SANDBOX_MOUNTS_H

#include "runner/sandbox_keeper.h"

/* mounts_make - in namespaces of our own: build the sandbox's file system and
 * make it our root.  Failure: error, step and name of *status. */
void mounts_make(const struct keeper *keeper, struct keeper_status *status);

#endif

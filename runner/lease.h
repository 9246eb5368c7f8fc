/* lease.h - the runner's side of the lease: faults hold while it lives.
 *
 * The main thread owns a robust mutex in the shared state, so the kernel marks
 * its death within milliseconds; a thread beats every SHARED_HEARTBEAT_NS, so
 * a stopped runner shows too.  lease_holds() in core/ is the other side. */
#ifndef MISHAP_RUNNER_LEASE_H
#define MISHAP_RUNNER_LEASE_H

#include "core/shared.h"

struct lease {
	struct state *state; /* borrowed; NULL: not taken */
	pthread_t beat;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stop;
};

/* lease_take - call from the thread that lives as long as the run, and give it
 * back from the same one.  *ret_lease must not move in between. */
int lease_take(struct state *state, struct lease *ret_lease);
void lease_give_back(struct lease *lease);

#endif

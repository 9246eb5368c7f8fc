/* late.h - patch plans for what targets meet on their way: libraries that they
 * load later, programs that they start.  They ask by the shared state; a thread
 * answers. */
#ifndef MISHAP_RUNNER_LATE_H
#define MISHAP_RUNNER_LATE_H

#include <sys/types.h>

#include "core/shared.h"

struct late {
	pthread_t thread;
	bool open;
	_Atomic bool closing;
	struct state *state;   /* borrowed */
	const char *sites_dir; /* borrowed */
	pid_t root_pid;	       /* whose files targets see; 0: ours */
};

/* late_open - begin to answer.  *ret_late must not move until late_close(). */
int late_open(struct state *state, const char *sites_dir, pid_t root_pid,
	      struct late *ret_late);
void late_close(struct late *late); /* one that was never opened is fine */

#endif

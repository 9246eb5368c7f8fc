/* watch.h - the runner's half of the probes: starts mishap-watch, tells it whom
 * to follow and which phase it is, reads what it saw.
 *
 * Nothing here ever makes a run fail.  Where the program is missing, has no
 * rights, dies, stalls or loses records, that is written into struct watched,
 * and what rests on it is INCONCLUSIVE.  One thread reads; the others are the
 * engine's own calls, from one thread.  Times: CLOCK_MONOTONIC, ns.
 */
#ifndef MISHAP_RUNNER_WATCH_H
#define MISHAP_RUNNER_WATCH_H

#include <pthread.h>

#include "runner/launch.h"
#include "runner/watch_fold.h"

#define WATCH_BYTES_MAX (1u << 16) /* of records, read at once */

struct watch_input {	 /* all borrowed until watch_close() */
	unsigned groups; /* mask of 1 << enum watch_group */
	const char *sites_dir;
	const char *data; /* directory, as we see it; NULL: none */
	char *const *envp;
	const char *run_dir; /* watch.log, what it says of itself */
	bool looks_often;    /* rates are asked for: a look every 100 ms */
};

struct watch {
	struct watch_input input;
	struct watched *watched; /* the evidence's; borrowed */
	struct watch_fold *fold;
	struct tree *tree;
	struct tree_process *process;
	int command_fd, record_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below, and of the fold */
	pthread_cond_t changed;
	bool open, ready, ended, broken;
	uint64_t asked, done; /* ids of commands */
	int done_error;
	uint64_t next_look_ns;
};

/* watch_open - start it; returns at once.  Whatever goes wrong is in watched.
 */
void watch_open(struct watch *watch, struct tree *tree,
		const struct watch_input *input, struct watched *watched);
/* watch_await_ready - probes are attached, or won't be. */
bool watch_await_ready(struct watch *watch);
/* watch_follow - a process that has not become the program yet; as
 * launch->before_exec. */
void watch_follow(pid_t pid, void *watch);
/* watch_phase - a new phase begins: what was seen so far was of the last one.
 * PLAN_PHASES_MAX: none. */
void watch_phase(struct watch *watch, unsigned phase);
/* watch_look - take a look if one is due. */
void watch_look(struct watch *watch);
/* watch_close - the target is gone: a last look, and the end.  passed, threads:
 * as of watch_fold_finish(). */
void watch_close(struct watch *watch, const uint64_t *passed, uint64_t threads);

#endif

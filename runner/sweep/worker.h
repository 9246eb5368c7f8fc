/* worker.h - a process that takes cells, one after the other. */
#ifndef MISHAP_RUNNER_SWEEP_WORKER_H
#define MISHAP_RUNNER_SWEEP_WORKER_H

#include "runner/sweep/cage.h"

enum task { TASK_FIRST, TASK_SECOND, TASK_CELLS, TASK_PORTRAIT, TASK_DEBUGGER };

struct board { /* shared by all */
	_Atomic uint32_t next, done, stop;
	_Atomic int error;
	_Atomic uint32_t step;
	_Atomic uint32_t hangs, hangs_seen; /* of a portrait */
	_Atomic uint8_t hang_kinds[SWEEP_HANG_KINDS];
};

struct worker {
	struct sweep *sweep;
	struct board *board;
	enum task task;
	unsigned number;
	const uint32_t *order;
	uint32_t count;
	uint64_t until_ns;
	int sights_fd;
	struct cage cage;
};

_Noreturn void sweep_worker_run(struct worker *worker);
_Noreturn void sweep_worker_give_up(struct worker *worker, int error);

#endif

/* worker.c - clean runs, cells, portraits; in the sandbox. */
#include "runner/sweep/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/lease.h"

#define BASELINE_NS    (120 * NS_PER_S)
#define HANG_LOOK_NS   (6 * NS_PER_S)
#define SEED	       1
#define OTHER_SEED     2
#define RERUN_LEAST_NS (2 * NS_PER_S)
#define LOOK_EVERY_US  2000

_Noreturn void sweep_worker_give_up(struct worker *worker, int error)
{
	int none = 0;

	if (atomic_compare_exchange_strong(&worker->board->error, &none, error))
		atomic_store(&worker->board->step, worker->cage.step);
	atomic_store(&worker->board->stop, 1);
	_exit(1);
}

/* ---- in the worker ------------------------------------------------------ */

static struct cage_run run_of(const struct worker *worker, uint32_t mode)
{
	const struct sweep *sweep = worker->sweep;

	return (struct cage_run){
		.mode = mode,
		.seed = SEED,
		.armed = mode != SWEEP_CLEAN,
		.argv = sweep->options->argv,
		.path = sweep->program,
		.timeout_ns =
			sweep->timeout_ns ? sweep->timeout_ns : BASELINE_NS,
	};
}

/* What looks at the clock of a file must see another second. */
static void next_second(const struct sight *sight)
{
	struct timespec now;

	if (!sight->files.count)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	usleep((useconds_t)((NS_PER_S - (uint64_t)now.tv_nsec) / 1000 + 1000));
}

static void baseline_run(struct worker *worker, uint32_t mode, uint64_t seed,
			 bool again)
{
	struct cage_run run = run_of(worker, mode);
	struct sight sight = { 0 };
	int error = 0;

	run.seed = seed;
	if (!again)
		error = cage_fresh(&worker->cage);
	if (!error)
		error = cage_run(&worker->cage, &run, &sight);
	if (!error)
		error = sight_write(&sight, worker->sights_fd);
	if (error)
		sweep_worker_give_up(worker, error);
	if (mode == SWEEP_CLEAN && seed == SEED && !again)
		next_second(&sight);
	sight_clear(&sight);
}

static void baseline_stale(struct worker *worker)
{
	int error = cage_stale(&worker->cage);

	if (error)
		sweep_worker_give_up(worker, error);
}

/* Two workers, so that what depends on the copy (inodes, times) shows; other
 * random bytes, so that what depends on them does.  The listing run is the
 * last, and the area is left as it was then. */
static void baseline_first(struct worker *worker)
{
	baseline_run(worker, SWEEP_CLEAN, SEED, false);
	baseline_run(worker, SWEEP_CLEAN, SEED, true);
	baseline_stale(worker);
}

static void baseline_second(struct worker *worker)
{
	baseline_run(worker, SWEEP_CLEAN, OTHER_SEED, false);
	baseline_stale(worker);
	baseline_run(worker, SWEEP_LIST, SEED, false);
}

/* The user's own judge, unfaulted, where the target ran. */
static bool check_fails(struct worker *worker, struct cell_result *result)
{
	char *argv[] = { "sh", "-c", (char *)worker->sweep->options->check,
			 NULL };
	struct cage_run run = run_of(worker, SWEEP_CLEAN);
	struct sight sight = { 0 };
	bool fails;

	run.argv = argv;
	run.path = "/bin/sh";
	if (run.timeout_ns < RERUN_LEAST_NS)
		run.timeout_ns = RERUN_LEAST_NS;
	if (cage_run(&worker->cage, &run, &sight) < 0)
		return false;
	fails = sight.hung || sight.signal || sight.status;
	if (fails)
		snprintf(result->what, sizeof(result->what),
			 "the check %s%d on what was left behind",
			 sight.hung	? "hangs; after "
			 : sight.signal ? "is killed by signal "
					: "ends with ",
			 sight.hung	? 0
			 : sight.signal ? sight.signal
					: sight.status);
	sight_clear(&sight);
	return fails;
}

/* Once the fault is over, the same command must work on what it left. */
static bool again_fails(struct worker *worker, const struct sight *left,
			struct cell_result *result)
{
	const struct sweep *sweep = worker->sweep;
	struct cage_run run = run_of(worker, SWEEP_CLEAN);
	struct sight sight = { 0 };
	bool fails;

	if (!sweep->rerun_ok || !left->files.count ||
	    (result->class != CLASS_REPORTED && result->class != CLASS_MUTE))
		return false;
	if (cage_run(&worker->cage, &run, &sight) < 0)
		return false;
	fails = sight.hung || sight.signal ||
		sight.status != sweep->base[0].status;
	if (fails)
		snprintf(result->what, sizeof(result->what),
			 "run again on what was left behind, it %s",
			 sight.hung	? "hangs"
			 : sight.signal ? "crashes"
					: "fails");
	else if (sweep->rerun_same &&
		 !sight_same_files(&sight, &sweep->base[0])) {
		struct difference difference;

		sight_compare(&sweep->baseline, &sight, &difference);
		fails = difference.files && !difference.extra_only;
		if (fails)
			snprintf(result->what, sizeof(result->what),
				 "run again on what was left behind: %.150s",
				 difference.what);
	}
	sight_clear(&sight);
	return fails;
}

/* Of those that hang alike a few are enough. */
static _Atomic uint8_t *hang_kind(const struct worker *worker,
				  const struct cell *cell)
{
	const struct spot *site = &worker->sweep->sites[cell->site];
	uint64_t key = site->own * 31 + site->seen.call * 7 + site->seen.object;

	return &worker->board->hang_kinds[(key ^ key >> 17) % SWEEP_HANG_KINDS];
}

static void one_cell(struct worker *worker, uint32_t at)
{
	struct sweep *sweep = worker->sweep;
	const struct cell *cell = &sweep->cells[at];
	struct cell_result result = { 0 };
	struct cage_run run = run_of(worker, SWEEP_FAULT);
	struct sweep_cell filled;
	struct sight sight = { 0 };
	int error;

	if (worker->task == TASK_CELLS &&
	    atomic_load(hang_kind(worker, cell)) >= SWEEP_HANGS_MAX) {
		sweep->results[at].skipped = true;
		return;
	}
	cell_fill(sweep, cell, &filled);
	run.cell = &filled;
	error = cage_fresh(&worker->cage);
	if (!error)
		error = cage_run(&worker->cage, &run, &sight);
	if (error)
		sweep_worker_give_up(worker, error);
	judge_cell(sweep, cell, &sight, worker->cage.area->sweep, &result);
	if (result.class == CLASS_HUNG)
		atomic_fetch_add(hang_kind(worker, cell), 1);
	if (worker->task == TASK_CELLS && result.class != CLASS_UNREACHED) {
		if ((sweep->options->check && check_fails(worker, &result)) ||
		    again_fails(worker, &sight, &result))
			result.class = CLASS_CORRUPTED;
	}
	sight_clear(&sight);
	error = cage_stale(&worker->cage);
	if (error)
		sweep_worker_give_up(worker, error);
	result.confirmed = sweep->results[at].class == result.class;
	sweep->results[at] = result;
	atomic_fetch_add(&worker->board->done, 1);
}

static void cells_all(struct worker *worker)
{
	while (!atomic_load(&worker->board->stop)) {
		uint32_t at = atomic_fetch_add(&worker->board->next, 1);

		if (at >= worker->count || clock_now_ns() > worker->until_ns)
			break;
		one_cell(worker, worker->order[at]);
	}
}

/* The runner looks at the stacks meanwhile. */
static void hang_show(void *arg)
{
	struct worker *worker = arg;
	uint64_t until = clock_now_ns() + HANG_LOOK_NS;
	uint32_t seen = atomic_load(&worker->board->hangs_seen);

	atomic_fetch_add(&worker->board->hangs, 1);
	while (atomic_load(&worker->board->hangs_seen) == seen &&
	       clock_now_ns() < until)
		usleep(LOOK_EVERY_US);
}

static void portrait(struct worker *worker)
{
	struct lease lease;
	bool leased = !lease_take(worker->cage.area->file.state, &lease);

	worker->cage.on_hang = hang_show;
	worker->cage.arg = worker;
	one_cell(worker, worker->order[0]);
	if (leased)
		lease_give_back(&lease);
}

static void debugger(struct worker *worker)
{
	const struct sweep *sweep = worker->sweep;
	struct cage_run run = run_of(worker, SWEEP_FAULT);
	struct sweep_cell filled;
	int error;

	cell_fill(sweep, &sweep->cells[worker->order[0]], &filled);
	run.cell = &filled;
	error = cage_fresh(&worker->cage);
	if (!error)
		error = cage_debug(&worker->cage, &run);
	if (error)
		sweep_worker_give_up(worker, error);
	cage_stale(&worker->cage);
}

_Noreturn void sweep_worker_run(struct worker *worker)
{
	struct sweep *sweep = worker->sweep;
	struct area *area = &sweep->areas[worker->number];
	size_t n = 0;
	int error;

	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	umask(0);
	while (sweep->envp[n])
		n++;
	worker->cage.sweep = sweep;
	worker->cage.sandbox = sweep->sandboxes[worker->number];
	worker->cage.area = area;
	worker->cage.envp = calloc(n + 2, sizeof(char *));
	if (!worker->cage.envp)
		sweep_worker_give_up(worker, -ENOMEM);
	memcpy(worker->cage.envp, sweep->envp, n * sizeof(char *));
	worker->cage.envp[n] = area->envp_shared;
	error = cage_open(&worker->cage);
	if (error)
		sweep_worker_give_up(worker, error);
	switch (worker->task) {
	case TASK_FIRST:
		baseline_first(worker);
		break;
	case TASK_SECOND:
		baseline_second(worker);
		break;
	case TASK_CELLS:
		cells_all(worker);
		break;
	case TASK_PORTRAIT:
		portrait(worker);
		break;
	case TASK_DEBUGGER:
		debugger(worker);
		break;
	}
	_exit(0);
}

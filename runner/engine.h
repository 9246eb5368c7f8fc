/* engine.h - one run's moving parts, for the files that make up the engine.
 *
 *   engine.c        the order of things, and their undoing
 *   engine_start.c  programs: prepare, services, target, readiness
 *   engine_end.c    from what was seen to evidence
 *   phases.c        arm, wait, disarm; workloads
 *   engine_ledger.c what is written down, and read after recovery
 *   engine_notify.c which door the target gets
 *   limits.c        what ends a run early
 */
#ifndef MISHAP_RUNNER_ENGINE_H
#define MISHAP_RUNNER_ENGINE_H

#include "runner/capture.h"
#include "runner/collect.h"
#include "runner/coroner.h"
#include "runner/late.h"
#include "runner/launch.h"
#include "runner/lease.h"
#include "runner/notify.h"
#include "runner/stall.h"
#include "runner/steady.h"
#include "runner/watch.h"

#define ENGINE_TICK_NS	    (10 * NS_PER_MS)
#define ENGINE_RESTARTS_MAX 100
#define ENGINE_CLIENTS_MAX  256

struct engine_workload {
	struct tree_process *clients[ENGINE_CLIENTS_MAX];
	size_t count;
	bool over; /* all have ended, or were stopped */
	bool timed_out;
};

struct engine_ledger {
	bool expected; /* an expectation is about it */
	bool by_path;  /* stat("/.mishap/...") is heard */
	int fd;	       /* MISHAP_LEDGER_FD of workloads and target; -1: none */
	struct shared_file shared; /* of workloads; state NULL: none */
};

struct engine {
	const struct scenario *scenario; /* borrowed */
	const struct options *options;	 /* borrowed */
	bool bare;
	bool to_completion; /* it ends by itself; armed before it starts */
	struct evidence *evidence;

	char *library, *exe;
	char **env_plain, **env_target;
	void *plan_bytes;
	size_t plan_size;
	struct plan plan;
	struct shared_file shared;
	struct lease lease;
	struct tree tree;
	struct capture capture;
	struct engine_ledger ledger;
	struct collect collect;
	struct coroner *coroner; /* NULL: there will be no stacks */
	struct late late;
	struct notify notify;	  /* channel -1: the door isn't needed */
	bool counted[CALL_COUNT]; /* by a `calls` expectation */
	struct steady_set steady;
	bool steady_open;
	struct stall stall;
	struct watch watch;
	char *watch_data; /* the directory that it watches */
	struct sandbox *sandbox;
	struct tree_process *keeper, *target;
	struct tree_process *services[SCENARIO_ITEMS_MAX];
	struct engine_workload *workloads; /* by scenario order */

	bool kill_point_met; /* of --kill-points: it is disarmed since */
	bool looked_into;      /* its stacks were taken as of a hang */
	uint64_t deadline_ns;  /* limits.time */
	uint64_t next_look_ns; /* at limits that cost something */
	unsigned phase;
};

/* engine_fail - say why there is no evidence; returns error. */
int engine_fail(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* engine_look_into - the target hangs: have its stacks taken, once. */
void engine_look_into(struct engine *engine, const char *why);

/* engine_start.c */
int engine_prepare(struct engine *engine, const struct program *program);
int engine_services_start(struct engine *engine);
int engine_target_start(struct engine *engine);
/* engine_await_ready - fills evidence->ready, ready_ns, ready_why. */
void engine_await_ready(struct engine *engine);
/* engine_tick - sleep a little; restart a crashed target; look at the limits.
 * false: the run is aborted. */
bool engine_tick(struct engine *engine, uint64_t until_ns);
struct probe_context engine_probe_context(struct engine *engine);
/* engine_program_cwd - absolute, malloc'd. */
char *engine_program_cwd(const struct program *program);

/* engine_recover - faults are over: start the target again if it is down, and
 * wait until it is ready.  false: it isn't; evidence->no_recovery says why. */
bool engine_recover(struct engine *engine);

/* engine_ledger.c */
bool engine_ledger_is_expected(const struct scenario *scenario);
int engine_ledger_open(struct engine *engine);
void engine_ledger_end(struct engine *engine);
/* engine_ledger_arm - calls that may say a line of it. */
void engine_ledger_arm(const struct engine *engine, uint8_t *armed_nr);
void engine_ledger_read(struct engine *engine);

/* watch_run.c - the probes of a run; never a reason for it to fail. */
void engine_watch_open(struct engine *engine);
/* engine_watch_arm - before the target starts. */
void engine_watch_arm(struct engine *engine);
void engine_watch_close(struct engine *engine);
/* engine_watch_full - are all system calls counted, by us and by the kernel? */
bool engine_watch_full(const struct engine *engine);

/* engine_end.c */
void engine_books(struct engine *engine);
void engine_endings(struct engine *engine);

/* engine_notify.c */
int engine_door_open(struct engine *engine);
/* engine_door_close - the target is gone: the books are settled. */
void engine_door_close(struct engine *engine);
void engine_guardian_wait(struct engine *engine);

/* phases.c */
/* engine_counted - calls that a `calls` expectation wants counted. */
void engine_counted(const struct scenario *scenario,
		    bool ret_counted[CALL_COUNT]);
void engine_arm(struct engine *engine, unsigned phase);
void engine_disarm(struct engine *engine);
void engine_phases(struct engine *engine);
void engine_workloads_end(struct engine *engine);

/* limits.c */
bool limits_hold(struct engine *engine);
/* limits_interrupted - were we told to end?  Then the run is aborted. */
bool limits_interrupted(struct engine *engine);
void engine_abort(struct engine *engine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

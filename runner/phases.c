#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arm.h"
#include "runner/clock.h"
#include "runner/engine.h"
#include "runner/interrupt.h"

#define WORKLOAD_STOP_NS (2 * NS_PER_S)

/* A `calls` expectation wants its call counted though no rule names it. */
static void arm_call(unsigned id, uint8_t *armed_nr, uint8_t *armed_call)
{
	armed_call[id] = 1;
	for (size_t nr = 0; nr < CALL_NR_MAX; nr++)
		if (call_kernel_table[nr].id == id ||
		    (call_kernel_table[nr].other_arg &&
		     call_kernel_table[nr].other_id == id))
			armed_nr[nr] = 1;
}

void engine_counted(const struct scenario *scenario,
		    bool ret_counted[CALL_COUNT])
{
	memset(ret_counted, 0, CALL_COUNT * sizeof(*ret_counted));
	for (size_t i = 0; i < scenario->expects_count; i++) {
		const struct expect *expect = &scenario->expects[i];
		unsigned id;

		if (expect->subject != EXPECT_calls || !expect->args.count)
			continue;
		id = call_find(expect->args.items[0],
			       strlen(expect->args.items[0]));
		if (id != CALL_NONE)
			ret_counted[id] = true;
	}
}

static bool phase_has_rules(const struct plan *plan, unsigned phase)
{
	for (uint32_t i = 0; i < plan->header->rules_count; i++)
		if (plan->rules[i].phases & (1u << phase))
			return true;
	return false;
}

/* Where the kernel counts every system call, so do we: the doors never close.
 * Returns whether that is so. */
static bool arm_books(const struct engine *engine, uint8_t *armed_nr)
{
	if (!engine_watch_full(engine))
		return false;
	memset(armed_nr, NR_COUNTED, CALL_NR_MAX);
	return true;
}

/* Halted or interrupted while we were arming?  Then it stays disarmed. */
static void arm_unless_over(struct state *state)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&state->halted) || interrupt_signal())
		shared_state_disarm(state);
}

/* What a rule keeps for all processes ends with the last of its phases. */
static void rules_forget(const struct plan *plan, unsigned phase,
			 struct state *state)
{
	for (uint32_t r = 0; r < plan->header->rules_count; r++)
		for (unsigned i = 0; i < 4; i++)
			if (!(plan->rules[r].phases & (1u << phase)))
				atomic_store(&state->slot[r][i], 0);
}

void engine_arm(struct engine *engine, unsigned phase)
{
	struct state *state = engine->shared.state;
	uint8_t armed_nr[CALL_NR_MAX], armed_call[sizeof(state->armed_call)];

	engine->phase = phase;
	if (engine->bare || engine->options->disarmed)
		return;
	memset(armed_call, 0, sizeof(armed_call));
	plan_arm(&engine->plan, phase, armed_nr, armed_call);
	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (engine->counted[id])
			arm_call(id, armed_nr, armed_call);
	arm_books(engine, armed_nr);
	engine_ledger_arm(engine, armed_nr);
	rules_forget(&engine->plan, phase, state);
	atomic_store(&state->phase, phase);
	atomic_store(&state->phase_ns, clock_now_ns());
	atomic_store(&state->armed, phase_has_rules(&engine->plan, phase));
	memcpy(state->armed_call, armed_call, sizeof(armed_call));
	memcpy(state->armed_nr, armed_nr, sizeof(armed_nr));
	arm_unless_over(state);
}

void engine_disarm(struct engine *engine)
{
	struct state *state = engine->shared.state;

	if (!state || engine->bare)
		return;
	if (arm_books(engine, state->armed_nr)) {
		atomic_store(&state->armed, 0);
		memset(state->armed_call, 0, sizeof(state->armed_call));
	} else {
		shared_state_disarm(state);
		plan_arm_nothing(state->armed_nr);
	}
	engine_ledger_arm(engine, state->armed_nr);
	arm_unless_over(state);
}

static int workload_start(struct engine *engine, size_t index, int out, int err)
{
	const struct workload *workload = &engine->scenario->workloads[index];
	struct engine_workload *run = &engine->workloads[index];
	unsigned clients = workload->clients ? workload->clients : 1;
	char *ledger_env[] = { (char[32]){ 0 }, NULL };
	struct strings set = { .items = ledger_env, .count = 1 };
	struct launch launch = { .argv = workload->run.items,
				 .cwd = engine->evidence->cwd,
				 .in = -1,
				 .out = out,
				 .err = err,
				 .ledger_fd = engine->ledger.fd,
				 .role = TREE_WORKLOAD,
				 .sandbox = engine->sandbox };
	bool hears = engine->ledger.shared.state;
	char **envp;
	int error = 0;

	sprintf(ledger_env[0], "MISHAP_LEDGER_FD=%d", LAUNCH_LEDGER_FD);
	envp = hears ? launch_environment(&set, engine->library,
					  engine->ledger.shared.path)
		     : launch_environment(&set, NULL, NULL);
	if (!envp)
		return -ENOMEM;
	launch.envp = envp;
	if (clients > ENGINE_CLIENTS_MAX)
		clients = ENGINE_CLIENTS_MAX;
	while (run->count < clients && !error) {
		error = launch_start(&engine->tree, &launch,
				     &run->clients[run->count]);
		run->count += !error;
	}
	launch_environment_free(envp);
	return error;
}

static void workload_open(struct engine *engine, size_t index)
{
	const struct workload *workload = &engine->scenario->workloads[index];
	struct evidence *evidence = engine->evidence;
	char path[4096];
	int out = -1, err = -1, error;

	snprintf(path, sizeof(path), "%s/workload-%zu.out", evidence->run_dir,
		 index + 1);
	error = capture_add_ledger(&engine->capture, path,
				   &evidence->workload_outs[index], &out);
	snprintf(path, sizeof(path), "%s/workload-%zu.err", evidence->run_dir,
		 index + 1);
	if (!error)
		error = capture_add(&engine->capture, path, NULL, &err);
	if (!error)
		error = workload_start(engine, index, out, err);
	if (error)
		engine_abort(engine, "workload %s can't be started: %s",
			     workload->name ? workload->name
					    : workload->run.items[0],
			     strerror(-error));
	if (out >= 0)
		close(out);
	if (err >= 0)
		close(err);
}

static void workloads_start(struct engine *engine)
{
	for (size_t i = 0; i < engine->scenario->workloads_count; i++)
		workload_open(engine, i);
}

static void workload_stop(struct engine *engine, struct engine_workload *run)
{
	uint64_t until = clock_now_ns() + WORKLOAD_STOP_NS;

	for (size_t i = 0; i < run->count; i++)
		tree_signal(&engine->tree, run->clients[i], SIGTERM);
	for (size_t i = 0; i < run->count; i++)
		if (!tree_wait(&engine->tree, run->clients[i], until)) {
			tree_signal(&engine->tree, run->clients[i], SIGKILL);
			tree_wait(&engine->tree, run->clients[i],
				  clock_now_ns() + WORKLOAD_STOP_NS);
		}
	run->over = true;
}

/* Have all ended?  One that is past its timeout is stopped. */
static bool workloads_over(struct engine *engine)
{
	bool over = true;

	for (size_t i = 0; i < engine->scenario->workloads_count; i++) {
		const struct workload *workload =
			&engine->scenario->workloads[i];
		struct engine_workload *run = &engine->workloads[i];
		bool ended = true;

		for (size_t k = 0; k < run->count; k++)
			ended &= tree_ended(&engine->tree, run->clients[k]);
		run->over |= ended;
		if (!run->over && workload->timeout.set &&
		    clock_now_ns() - run->clients[0]->start_ns >
			    workload->timeout.ns) {
			run->timed_out = true;
			workload_stop(engine, run);
		}
		over &= run->over;
	}
	return over;
}

/* After the last phase: one that has a timeout may use it up. */
void engine_workloads_end(struct engine *engine)
{
	for (size_t i = 0;
	     engine->workloads && i < engine->scenario->workloads_count; i++) {
		struct engine_workload *run = &engine->workloads[i];

		while (!run->over &&
		       engine->scenario->workloads[i].timeout.set &&
		       !workloads_over(engine) &&
		       engine_tick(engine, UINT64_MAX))
			;
		if (!run->over)
			workload_stop(engine, run);
	}
}

static bool target_gone(struct engine *engine)
{
	return tree_ended(&engine->tree, engine->target) &&
	       !tree_alive(&engine->tree, TREE_TARGET);
}

/* Is there nobody left whom a longer phase would tell anything? */
static bool nobody_left(struct engine *engine)
{
	if (engine->to_completion)
		return tree_ended(&engine->tree, engine->target);
	return target_gone(engine) && !engine->steady.count &&
	       (!engine->scenario->workloads_count || workloads_over(engine));
}

static bool phase_is_over(struct engine *engine, unsigned index,
			  struct phase_seen *seen)
{
	const struct scenario *scenario = engine->scenario;
	const struct phase *phase = &scenario->phases[index];
	bool is_last = index + 1 == scenario->phases_count;
	uint64_t now = clock_now_ns();
	bool done = workloads_over(engine);

	if (phase->within.set) {
		seen->steady_again |=
			steady_reached(&engine->steady, &seen->steady_ns);
		return seen->steady_again ||
		       now >= seen->start_ns + phase->within.ns;
	}
	if (phase->lasts.set)
		return now >= seen->start_ns + phase->lasts.ns;
	if (scenario->workloads_count && (phase->until_workload || is_last))
		return done;
	return false; /* until the target ends, or its timeout */
}

static uint64_t target_deadline_ns(const struct engine *engine)
{
	const struct duration *timeout = &engine->scenario->target.timeout;

	if (engine->scenario->workloads_count)
		return UINT64_MAX; /* they have theirs */
	return engine->target->start_ns + timeout->ns;
}

static void phase_say(struct engine *engine, unsigned index,
		      const struct phase_seen *seen)
{
	const char *name = engine->scenario->phases[index].name;
	uint64_t fired = collect_fired(engine->shared.state);

	progress_live("%s %s %.1fs, %llu fault%s so far",
		      engine->scenario->name
			      ? engine->scenario->name
			      : engine->scenario->target.run.items[0],
		      name && engine->scenario->phases_written ? name : "runs",
		      (double)(clock_now_ns() - seen->start_ns) / 1e9,
		      (unsigned long long)fired, fired == 1 ? "" : "s");
}

/* false: no further phase. */
static bool phase_run(struct engine *engine, unsigned index)
{
	const struct phase *phase = &engine->scenario->phases[index];
	struct phase_seen *seen = &engine->evidence->phases[index];
	bool timed = phase->within.set || phase->lasts.set, go_on = true;
	uint64_t fired = collect_fired(engine->shared.state);

	watch_phase(&engine->watch, index);
	if (!engine->to_completion || index > 0)
		engine_arm(engine, index);
	if (phase->within.set)
		steady_expect(&engine->steady);
	atomic_store(&engine->steady.phase, (uint16_t)index);
	seen->reached = true;
	seen->start_ns = clock_now_ns();
	if (engine->to_completion && index == 0) {
		seen->start_ns = engine->evidence->start_ns;
		fired = 0; /* it was armed before it was started */
	}
	if (index == 0)
		workloads_start(engine);
	while (go_on && !phase_is_over(engine, index, seen)) {
		if (nobody_left(engine))
			go_on = false;
		else if (!timed && clock_now_ns() > target_deadline_ns(engine))
			break;
		else
			go_on = engine_tick(engine, UINT64_MAX);
		phase_say(engine, index, seen);
	}
	seen->end_ns = clock_now_ns();
	seen->fired = collect_fired(engine->shared.state) - fired;
	if (engine->scenario->phases_written)
		progress_say("phase %s: %.1fs, %llu fault%s%s", phase->name,
			     (double)(seen->end_ns - seen->start_ns) / 1e9,
			     (unsigned long long)seen->fired,
			     seen->fired == 1 ? "" : "s",
			     phase->within.set ? seen->steady_again
							 ? ", steady again"
							 : ", not steady"
					       : "");
	return go_on;
}

void engine_phases(struct engine *engine)
{
	for (unsigned i = 0; i < engine->scenario->phases_count; i++)
		if (!phase_run(engine, i))
			break;
}

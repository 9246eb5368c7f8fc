#include "runner/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/doors.h"
#include "runner/sites.h"

#define STOP_ASK_NS (5 * NS_PER_S)
#define ORPHANS_NS  (1 * NS_PER_S)

int engine_fail(int error, const char *format, ...)
{
	va_list args;

	progress_live("%s", "");
	va_start(args, format);
	fputs("mishap: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return error;
}

static uint64_t stop_within_ns(const struct program *program)
{
	return program->stop_within.set ? program->stop_within.ns : STOP_ASK_NS;
}

static int stop_signal(const struct program *program)
{
	return program->stop_signal ? program->stop_signal : SIGTERM;
}

/* What must be known before anything is made: the program, the plan. */
static int inputs_find(struct engine *engine)
{
	const struct scenario *scenario = engine->scenario;
	const struct program *target = &scenario->target;
	struct evidence *evidence = engine->evidence;
	int error;

	evidence->cwd = engine_program_cwd(target);
	engine->env_plain = launch_environment(&target->env, NULL, NULL);
	if (!evidence->cwd || !engine->env_plain)
		return -ENOMEM;
	if (!target->run.count)
		return engine_fail(-EINVAL, "there is no program to run");
	error = launch_find(target->run.items[0], evidence->cwd,
			    engine->env_plain, &engine->exe);
	/* A prepare command may yet make it. */
	if (error && !target->prepare_count)
		return engine_fail(error, "%s: %s", target->run.items[0],
				   error == -ENOENT ? "no such program"
						    : strerror(-error));
	error = launch_library(&engine->library);
	if (error)
		return engine_fail(error, access("/proc/self", F_OK) == 0
						  ? "libmishap.so isn't beside "
						    "mishap"
						  : "/proc isn't mounted");
	return 0;
}

static int plan_make(struct engine *engine, const struct replay_input *replay)
{
	struct evidence *evidence = engine->evidence;
	int error;

	error = scenario_compile(
		engine->scenario, evidence->seed, evidence->cwd,
		replay ? replay->decisions : NULL, replay ? replay->count : 0,
		replay != NULL, &engine->plan_bytes, &engine->plan_size);
	if (error)
		return engine_fail(error, "the plan can't be made: %s",
				   strerror(-error));
	evidence->is_replay = replay != NULL;
	evidence->replay_recorded = replay ? replay->count : 0;
	return 0;
}

static int shared_make(struct engine *engine)
{
	char *lent = NULL;
	uint32_t doors;
	int error;

	if (doors_wanted(&doors) < 0)
		return engine_fail(
			-EINVAL, DOORS_ENV "=%s: wants best, symbols or notify",
			getenv(DOORS_ENV));
	shared_dirs_sweep();
	error = shared_file_create(engine->plan_bytes, engine->plan_size,
				   engine->library, &engine->shared);
	if (error == -ENOENT)
		return engine_fail(error, "no tmpfs to meet the target in: "
					  "/dev/shm is missing or not ours");
	if (error == -EFBIG)
		return engine_fail(error, "the limit of a file's size is too "
					  "small for the run's memory: ulimit "
					  "-f wants at least 16384");
	if (error)
		return engine_fail(error,
				   "no room to meet the target in "
				   "(/dev/shm): %s",
				   strerror(-error));
	engine->shared.header->doors = doors;
	if (!engine->options->keep_scratch)
		shared_file_note_scratch(&engine->shared,
					 engine->evidence->scratch);
	error = shared_file_lend_library(&engine->shared, engine->library,
					 &lent);
	if (error)
		return engine_fail(error, "libmishap.so can't be lent: %s",
				   strerror(-error));
	free(engine->library);
	engine->library = lent;
	error = plan_open(shared_file_plan(&engine->shared), engine->plan_size,
			  &engine->plan);
	if (error)
		return engine_fail(error, "the plan isn't whole: %s",
				   strerror(-error));
	return 0;
}

/* What commands name by its whole path must be seen inside. */
static void bound_add(const char *bound[SANDBOX_BOUND_MAX + 1], size_t *count,
		      const struct strings *argv)
{
	for (size_t i = 0; i < argv->count && *count < SANDBOX_BOUND_MAX; i++)
		if (argv->items[i][0] == '/' &&
		    access(argv->items[i], F_OK) == 0)
			bound[(*count)++] = argv->items[i];
}

static void bound_all(const struct engine *engine,
		      const char *bound[SANDBOX_BOUND_MAX + 1])
{
	const struct scenario *scenario = engine->scenario;
	size_t count = 0;

	bound[count++] = engine->library;
	bound[count++] = engine->exe;
	bound_add(bound, &count, &scenario->target.run);
	for (size_t i = 0; i < scenario->workloads_count; i++)
		bound_add(bound, &count, &scenario->workloads[i].run);
	for (size_t i = 0; i < scenario->services_count; i++)
		bound_add(bound, &count, &scenario->services[i].run);
	bound[count] = NULL;
}

static int sandbox_make(struct engine *engine)
{
	const struct scenario *scenario = engine->scenario;
	const struct options *options = engine->options;
	const char *bound[SANDBOX_BOUND_MAX + 1];
	struct sandbox_input input = {
		.cwd = engine->evidence->cwd,
		.scratch = engine->evidence->scratch,
		.shared_dir = engine->shared.dir,
		.bound = bound,
		.argv = scenario->target.run.items,
		.stdin_path = scenario->target.stdin_path,
		.no_network = options->no_network || scenario->target.no_network
	};
	char why[SANDBOX_WHY_MAX] = "";
	int error;

	if (!options->sandbox && !scenario->target.sandbox) {
		if (geteuid() == 0 && !engine->bare)
			progress_say("the target runs as root without "
				     "--sandbox: under a fault it may damage "
				     "any file of this machine");
		return 0;
	}
	bound_all(engine, bound);
	tree_begin(&engine->tree);
	error = sandbox_open(&input, &engine->sandbox, why);
	if (error)
		tree_add(&engine->tree, 0, TREE_SANDBOX, &engine->keeper);
	else
		error = tree_add(&engine->tree, sandbox_pid(engine->sandbox),
				 TREE_SANDBOX, &engine->keeper);
	if (error)
		return engine_fail(error, "%s", why);
	engine->evidence->sandbox_pid = sandbox_pid(engine->sandbox);
	return 0;
}

/* Of the target: who keeps a ledger is told where. */
static int environment_make(struct engine *engine)
{
	const struct strings *env = &engine->scenario->target.env;
	char ledger[] = "MISHAP_LEDGER_FD=9", **items;
	struct strings set = { 0 };

	_Static_assert(LAUNCH_LEDGER_FD == 9, "as written above");
	items = calloc(env->count + 2, sizeof(*items));
	if (!items)
		return -ENOMEM;
	set.items = items;
	for (size_t i = 0; i < env->count; i++)
		items[set.count++] = env->items[i];
	if (engine_ledger_is_expected(engine->scenario))
		items[set.count++] = ledger;
	engine->env_target = engine->bare
				     ? launch_environment(&set, NULL, NULL)
				     : launch_environment(&set, engine->library,
							  engine->shared.path);
	free(items);
	return engine->env_target ? 0 : -ENOMEM;
}

static int machinery_open(struct engine *engine)
{
	int error = environment_make(engine);

	if (error)
		return error;
	error = coroner_open(&engine->shared, engine->evidence->run_dir,
			     &engine->coroner);
	if (error)
		progress_say("a crash will have no stack: %s",
			     strerror(-error));
	error = tree_open(&engine->tree);
	if (!error)
		error = capture_open(&engine->capture,
				     engine->scenario->limits.output_bytes);
	if (!error)
		error = lease_take(engine->shared.state, &engine->lease);
	if (!error)
		error = collect_open(engine->shared.state, &engine->tree,
				     &engine->collect);
	if (error)
		return engine_fail(error, "the run can't be set up: %s",
				   strerror(-error));
	interrupt_watch(engine->shared.state);
	return 0;
}

static int tables_make(struct engine *engine)
{
	size_t count = engine->scenario->workloads_count;
	struct evidence *evidence = engine->evidence;

	if (!count)
		return 0;
	engine->workloads = calloc(count, sizeof(*engine->workloads));
	evidence->workloads = calloc(count, sizeof(*evidence->workloads));
	evidence->workload_outs =
		calloc(count, sizeof(*evidence->workload_outs));
	return engine->workloads && evidence->workloads &&
			       evidence->workload_outs
		       ? 0
		       : -ENOMEM;
}

/* Patch plans for what the target will load, once it is known. */
static int reach_prepare(struct engine *engine)
{
	const struct program *target = &engine->scenario->target;
	int error = 0;

	if (!engine->exe)
		error = launch_find(target->run.items[0], engine->evidence->cwd,
				    engine->env_plain, &engine->exe);
	if (error)
		return engine_fail(error, "%s: %s", target->run.items[0],
				   strerror(-error));
	if (engine->bare)
		return 0;
	error = engine_door_open(engine);
	if (error || engine->evidence->unreachable)
		return error;
	error = late_open(engine->shared.state, engine->shared.sites_dir,
			  engine->evidence->sandbox_pid, &engine->late);
	return error ? engine_fail(error, "the run can't be set up: %s",
				   strerror(-error))
		     : 0;
}

/* Others fork and wait for commands of their own meanwhile. */
static int gather(struct engine *engine, int (*how)(struct evidence *))
{
	int error;

	tree_pause(&engine->tree, true);
	error = how(engine->evidence);
	tree_pause(&engine->tree, false);
	return error;
}

static int set_up(struct engine *engine, const struct replay_input *replay)
{
	int error;

	error = rundir_create(engine->options, engine->bare, engine->evidence);
	if (error)
		return error;
	/* limits.time runs from the target's start; each step before it has a
	 * bound of its own. */
	engine->deadline_ns = UINT64_MAX;
	error = inputs_find(engine);
	if (!error)
		error = plan_make(engine, replay);
	if (!error)
		error = tables_make(engine);
	if (!error)
		error = shared_make(engine);
	if (!error)
		error = machinery_open(engine);
	if (!error)
		error = engine_ledger_open(engine);
	if (!error)
		error = sandbox_make(engine);
	if (!error)
		error = engine_services_start(engine);
	if (!error)
		error = engine_prepare(engine, &engine->scenario->target);
	if (!error)
		engine_watch_open(engine);
	if (!error)
		error = reach_prepare(engine);
	if (!error)
		error = gather(engine, oracles_gather_before);
	return error;
}

static int steady_begin(struct engine *engine)
{
	struct probe_context context = engine_probe_context(engine);
	int error;

	error = steady_open(engine->scenario, &context, &engine->steady);
	engine->steady_open = true;
	return error;
}

/* A run-to-completion target is given its time; then it hangs.  Children that
 * it leaves behind are given a little. */
static void await_end(struct engine *engine)
{
	uint64_t until =
		engine->target->start_ns + engine->scenario->target.timeout.ns;

	while (!tree_ended(&engine->tree, engine->target)) {
		if (clock_now_ns() > until) {
			engine->evidence->target.timed_out = true;
			engine_look_into(engine, "still ran after its time");
			return;
		}
		if (!engine_tick(engine, until + NS_PER_MS))
			return;
	}
	until = clock_now_ns() + ORPHANS_NS;
	while (tree_alive(&engine->tree, TREE_TARGET) > 0 &&
	       clock_now_ns() < until && engine_tick(engine, until))
		;
}

static int go(struct engine *engine)
{
	const struct scenario *scenario = engine->scenario;
	struct evidence *evidence = engine->evidence;
	int error;

	engine->to_completion = scenario->target.ready.kind == PROBE_NONE &&
				!scenario->workloads_count &&
				!scenario->steadies_count;
	stall_open(scenario, &engine->stall);
	evidence->start_ns = clock_now_ns();
	engine->deadline_ns =
		scenario->limits.time.ns
			? evidence->start_ns + scenario->limits.time.ns
			: UINT64_MAX;
	if (!limits_hold(engine))
		return 0;
	engine_watch_arm(engine);
	if (engine->to_completion)
		engine_arm(engine, 0);
	error = engine_target_start(engine);
	if (error)
		return error;
	evidence->target.started = true;
	engine_await_ready(engine);
	if (!evidence->ready) {
		engine_look_into(engine, "never became ready");
		return 0;
	}
	if (!engine->to_completion)
		evidence->at_ready = tree_growth(&engine->tree, TREE_TARGET);
	error = steady_begin(engine);
	if (error)
		return engine_fail(error, "steady probes: %s",
				   strerror(-error));
	engine_phases(engine);
	if (engine->to_completion && !evidence->aborted)
		await_end(engine);
	return 0;
}

void engine_look_into(struct engine *engine, const char *why)
{
	pid_t pids[CORONER_DEATHS_MAX];
	size_t count;

	if (engine->looked_into)
		return; /* it was told why it hangs; one look is enough */
	engine->looked_into = true;
	count = tree_pids(&engine->tree, TREE_TARGET, pids, CORONER_DEATHS_MAX);
	for (size_t i = 0; i < count; i++)
		coroner_hang(engine->coroner, pids[i], why);
}

static void hang_seen(void *arg)
{
	engine_look_into(arg, "didn't stop when it was told to");
}

/* Faults are over, and it still doesn't answer. */
static void silence_look(struct engine *engine)
{
	const struct evidence *evidence = engine->evidence;
	size_t count = evidence->samples_count;

	if (count && !evidence->samples[count - 1].ok)
		engine_look_into(engine, "gave no healthy answer any more");
}

static void wind_down(struct engine *engine)
{
	const struct program *target = &engine->scenario->target;
	struct evidence *evidence = engine->evidence;

	engine_disarm(engine);
	if (engine->target && !evidence->aborted)
		engine_workloads_end(engine);
	evidence->end_ns = clock_now_ns();
	watch_phase(&engine->watch, PLAN_PHASES_MAX);
	if (engine->target)
		evidence->at_end = tree_growth(&engine->tree, TREE_TARGET);
	if (engine->steady_open)
		steady_close(&engine->steady, &evidence->samples,
			     &evidence->samples_count);
	silence_look(engine);
	engine_ledger_read(engine);
	engine->tree.before_kill = hang_seen;
	engine->tree.before_kill_arg = engine;
	tree_stop(&engine->tree, TREE_TARGET, engine->target,
		  stop_signal(target), stop_within_ns(target));
	engine->tree.before_kill = NULL;
	engine_watch_close(engine);
	tree_stop(&engine->tree, TREE_WORKLOAD | TREE_COMMAND, NULL, SIGTERM,
		  NS_PER_S);
	engine_door_close(engine);
	engine_books(engine);
	engine_endings(engine);
	engine_ledger_end(engine);
}

static void services_stop(struct engine *engine)
{
	for (size_t i = engine->scenario->services_count; i-- > 0;) {
		const struct program *service = &engine->scenario->services[i];

		if (!engine->services[i])
			continue;
		tree_signal(&engine->tree, engine->services[i],
			    stop_signal(service));
		tree_wait(&engine->tree, engine->services[i],
			  clock_now_ns() + stop_within_ns(service));
	}
	tree_kill(&engine->tree, TREE_SERVICE);
}

static void take_down(struct engine *engine)
{
	if (engine->tree.open) {
		services_stop(engine);
		tree_kill(&engine->tree,
			  ~(unsigned)(TREE_SANDBOX | TREE_GUARDIAN));
		engine_guardian_wait(engine);
	}
	if (engine->sandbox)
		sandbox_close(engine->sandbox);
	engine->evidence->sandbox_pid = 0;
	tree_close(&engine->tree);
	coroner_close(engine->coroner);
	capture_close(&engine->capture);
	interrupt_close();
	lease_give_back(&engine->lease);
	shared_file_unmap(&engine->ledger.shared);
	shared_file_remove(&engine->shared);
	launch_environment_free(engine->env_plain);
	launch_environment_free(engine->env_target);
	free(engine->plan_bytes);
	free(engine->workloads);
	free(engine->library);
	free(engine->exe);
}

int engine_run(const struct scenario *scenario, const struct options *options,
	       uint64_t seed, const struct replay_input *replay, bool bare,
	       struct evidence **ret_evidence)
{
	struct evidence *evidence = calloc(1, sizeof(*evidence));
	struct engine *engine = calloc(1, sizeof(*engine));
	struct sigaction pipe_before;
	int error = evidence && engine ? 0 : -ENOMEM;

	if (error) {
		free(evidence);
		free(engine);
		return error;
	}
	evidence->scenario = scenario;
	evidence->seed = seed;
	*engine = (struct engine){ .scenario = scenario,
				   .options = options,
				   .bare = bare,
				   .evidence = evidence,
				   .deadline_ns = UINT64_MAX,
				   .shared.owner_fd = -1,
				   .notify.channel = -1 };
	launch_signals_keep();
	sigaction(SIGPIPE, NULL, &pipe_before);
	signal(SIGPIPE, SIG_IGN);
	probe_init();
	interrupt_open();
	error = set_up(engine, replay);
	if (!error)
		error = go(engine);
	if (engine->collect.open)
		wind_down(engine);
	late_close(&engine->late);
	if (engine->shared.state)
		sites_count(engine->shared.sites_dir, evidence->sites,
			    evidence->sites_left);
	if (!error)
		error = gather(engine, oracles_gather_after);
	if (!error)
		limits_interrupted(engine);
	take_down(engine);
	free(engine);
	sigaction(SIGPIPE, &pipe_before, NULL);
	if (!error) {
		*ret_evidence = evidence;
		return 0;
	}
	evidence_free(evidence);
	return error;
}

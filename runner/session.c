#include "runner/session.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "runner/interrupt.h"
#include "runner/launch.h"
#include "runner/options.h"
#include "runner/ports.h"
#include "runner/report/report.h"

#define VALUE_BYTES 24
#define OWN_VARS    12 /* scratch, run, port, port1 … port9 */

static bool var_is_own(const char *name)
{
	return strcmp(name, "scratch") == 0 || strcmp(name, "run") == 0 ||
	       strcmp(name, "port") == 0 ||
	       (strncmp(name, "port", 4) == 0 && name[4] >= '1' &&
		name[4] <= '9' && !name[5]);
}

/* vars_make - what the user gave and what the place says, in one list. */
static int vars_make(const struct options *options, struct session *session)
{
	const struct scenario_extra *given = &options->extra;
	struct scenario_extra *extra = &session->options.extra;
	const struct place *place = &session->options.place;
	size_t count = 0;

	session->vars =
		calloc(given->vars_count + OWN_VARS, sizeof(*session->vars));
	session->values = calloc(20, VALUE_BYTES);
	if (!session->vars || !session->values)
		return -ENOMEM;
	for (size_t i = 0; i < given->vars_count; i++)
		if (!var_is_own(given->vars[i].name))
			session->vars[count++] = given->vars[i];
	session->vars[count++] = (struct variable){ .name = (char *)"scratch",
						    .value = place->scratch };
	session->vars[count++] =
		(struct variable){ .name = (char *)"run",
				   .value = (char *)place->id };
	for (unsigned i = 0; i < 10; i++) { /* ${port} is ${port1} */
		char *name = session->values + 2 * i * VALUE_BYTES;
		char *value = name + VALUE_BYTES;

		snprintf(name, VALUE_BYTES, i ? "port%u" : "port", i);
		snprintf(value, VALUE_BYTES, "%u", place->ports[i ? i : 1]);
		session->vars[count++] =
			(struct variable){ .name = name, .value = value };
	}
	extra->vars = session->vars;
	extra->vars_count = count;
	return 0;
}

/* scenario_get - read it, from source if there is one, and let the command
 * line's limits stand in place of its own. */
static int scenario_get(struct session *session, const char *source)
{
	const struct options *options = &session->options;
	struct scenario *scenario;
	int error;

	if (source && options->scenario_path)
		error = scenario_parse(options->scenario_path, source,
				       strlen(source), &options->extra, stderr,
				       &session->scenario);
	else
		error = scenario_load(options->scenario_path, &options->extra,
				      stderr, &session->scenario);
	if (error < 0)
		return error;
	scenario = session->scenario;
	if (options->kill_at && !scenario_kill_at(scenario, options->kill_at)) {
		fputs("mishap: --kill-points wants a rule that kills, such as "
		      "-f 'write,fsync path=data/** kill=KILL'\n",
		      stderr);
		return -EINVAL;
	}
	if (options->timeout_ns)
		scenario->target.timeout =
			(struct duration){ .ns = options->timeout_ns,
					   .set = true };
	if (options->limit_time_ns)
		scenario->limits.time =
			(struct duration){ .ns = options->limit_time_ns,
					   .set = true };
	if (options->limit_faults)
		scenario->limits.faults = options->limit_faults;
	if (options->limit_rss_bytes)
		scenario->limits.rss_bytes = options->limit_rss_bytes;
	return 0;
}

static int seed_choose(struct session *session, uint64_t add)
{
	struct options *options = &session->options;
	uint32_t chance;

	if (!options->seed_set && session->scenario->seed_set) {
		options->seed = session->scenario->seed;
	} else if (!options->seed_set) {
		if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
			return -errno;
		options->seed = chance; /* short enough to be typed */
	}
	options->seed += add;
	options->seed_set = true;
	return 0;
}

/* program_check - is there such a program, as seen from cwd?  role: what it
 * is for, NULL: it is the target. */
static int program_check(const char *role, const char *name, const char *cwd,
			 const struct strings *env)
{
	char **envp = launch_environment(env, NULL, NULL);
	_cleanup_words_ char *found = NULL;
	bool by_path = strchr(name, '/');
	int error;

	if (!envp)
		return -ENOMEM;
	error = launch_find(name, cwd, envp, &found);
	launch_environment_free(envp);
	if (error == -ENOENT)
		fprintf(stderr,
			"mishap: %s%s%s: no such program\n"
			"  it is looked for %s%s\n",
			role ? role : "", role ? ": " : "", name,
			by_path ? "from " : "in PATH", by_path ? cwd : "");
	else if (error < 0)
		fprintf(stderr, "mishap: %s%s%s: %s\n", role ? role : "",
			role ? ": " : "", name, strerror(-error));
	return error;
}

static int helpers_check(const struct scenario *scenario, const char *cwd)
{
	const struct strings none = { 0 };
	const struct strings *ready = &scenario->target.ready.command;
	int error = 0;

	if (ready->count)
		error = program_check("ready", ready->items[0], cwd,
				      &scenario->target.env);
	for (size_t i = 0; i < scenario->workloads_count && !error; i++)
		error = program_check(scenario->workloads[i].name,
				      scenario->workloads[i].run.items[0], cwd,
				      &none);
	for (size_t i = 0; i < scenario->steadies_count && !error; i++) {
		const struct strings *command =
			&scenario->steadies[i].probe.command;

		if (command->count)
			error = program_check(scenario->steadies[i].name,
					      command->items[0], cwd,
					      &scenario->target.env);
	}
	return error;
}

/* programs_check - are all programs there, before anything is made?  Where
 * something is prepared, that may yet make them. */
static int programs_check(const struct scenario *scenario)
{
	const struct program *target = &scenario->target;
	_cleanup_words_ char *cwd = NULL;
	bool prepared = target->prepare_count;
	int error;

	if (!target->run.count) {
		fprintf(stderr, "mishap: there is no program to run: give the "
				"scenario a target, or a command after --\n");
		return -EINVAL;
	}
	for (size_t i = 0; i < scenario->services_count; i++)
		prepared |= scenario->services[i].prepare_count > 0;
	if (prepared)
		return 0;
	cwd = target->cwd ? strdup(target->cwd) : getcwd(NULL, 0);
	if (!cwd)
		return -ENOMEM;
	error = program_check(NULL, target->run.items[0], cwd, &target->env);
	return error ? error : helpers_check(scenario, cwd);
}

static int place_make(const struct options *options, struct session *session)
{
	const char *runs_dir =
		options->runs_dir ? options->runs_dir : RUNDIR_DEFAULT;
	struct place *place = &session->options.place;
	int error;

	*place = (struct place){ 0 };
	error = rundir_name(runs_dir, place);
	if (!error)
		error = ports_find(place->ports + 1, 9);
	if (error < 0)
		fprintf(stderr, "mishap: can't name the run: %s\n",
			strerror(-error));
	return error;
}

static int place_check(const struct options *options)
{
	const char *runs_dir =
		options->runs_dir ? options->runs_dir : RUNDIR_DEFAULT;
	_cleanup_words_ char *at = NULL;
	int error = rundir_check(runs_dir, &at);

	if (error < 0)
		fprintf(stderr,
			"mishap: can't keep the run in %s: %s: %s\n"
			"  --run-dir DIR keeps it elsewhere\n",
			runs_dir, at ? at : runs_dir, strerror(-error));
	return error;
}

static bool bare_is_needed(const struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->expects_count; i++)
		if (scenario->expects[i].subject == EXPECT_silent ||
		    scenario->expects[i].subject == EXPECT_mute)
			return scenario->rules_count > 0;
	return false;
}

static int error_code(int error)
{
	return error == -ENOMEM || error == -EIO || error == -EPROTO ||
			       error == -EBADMSG
		       ? EXIT_CODE_INVALID
		       : EXIT_CODE_USAGE;
}

/* go - the fault-free run where an oracle asks for one, then the real one. */
static int go(struct session *session, const struct replay_input *replay)
{
	struct options *options = &session->options;
	int error = 0;

	progress_open(options->quiet, options_color(options, stderr), stderr);
	if (bare_is_needed(session->scenario)) {
		progress_say("first without faults, to compare with");
		error = engine_run(session->scenario, options, options->seed,
				   NULL, true, &session->bare);
		tree_remove(options->place.scratch);
	}
	if (!error && session->bare && session->bare->aborted_signal) {
		progress_close();
		return 128 + session->bare->aborted_signal;
	}
	if (!error)
		error = engine_run(session->scenario, options, options->seed,
				   replay, false, &session->evidence);
	progress_close();
	if (error < 0)
		return error_code(error);
	session->evidence->bare = session->bare;
	return 0;
}

/* replay_count - how many of the recorded decisions came again. */
static void replay_count(struct evidence *evidence,
			 const struct replay_input *replay);

static int conclude(struct session *session, const struct replay_input *replay)
{
	struct evidence *evidence = session->evidence;
	int error;

	if (replay)
		replay_count(evidence, replay);
	error = verdict_reach(evidence, &session->judgement);
	if (error < 0) {
		fprintf(stderr, "mishap: no verdict could be reached: %s\n",
			strerror(-error));
		return EXIT_CODE_INVALID;
	}
	error = rundir_save(evidence, &session->options, session->judgement);
	if (error < 0) {
		fprintf(stderr, "mishap: warning: %s is not complete: %s\n",
			evidence->run_dir, strerror(-error));
		session->unsaved = true;
	}
	return 0;
}

int session_run(const struct options *options, const char *source,
		const struct replay_input *replay, uint64_t seed_add,
		struct session *ret_session)
{
	struct session *session = ret_session;
	int code = EXIT_CODE_USAGE;

	*session = (struct session){ .options = *options };
	if (place_make(options, session) < 0 ||
	    vars_make(options, session) < 0 ||
	    scenario_get(session, source) < 0 ||
	    seed_choose(session, seed_add) < 0 ||
	    programs_check(session->scenario) < 0 || place_check(options) < 0)
		return EXIT_CODE_USAGE;
	code = go(session, replay);
	if (!session->options.keep_scratch)
		tree_remove(session->options.place.scratch);
	if (!code)
		code = conclude(session, replay);
	if (!session->judgement) {
		rundir_discard(&session->options.place);
		if (interrupt_signal()) /* nothing to judge: end as told */
			raise(interrupt_signal());
		return code;
	}
	return session_exit_code(session, false);
}

int session_find(const struct options *options, const char *operand,
		 char **ret_dir)
{
	const char *runs =
		options->runs_dir ? options->runs_dir : RUNDIR_DEFAULT;
	const char *name = operand ? operand : "last";
	int error = rundir_find(runs, name, ret_dir);

	if (!error)
		return 0;
	if (error == -ENOTUNIQ)
		fprintf(stderr,
			"mishap: several runs in %s begin with '%s'\n"
			"  give more of its id; ls %s shows them\n",
			runs, name, runs);
	else if (error == -ENOENT && !operand)
		fprintf(stderr, "mishap: there is no run in %s yet\n", runs);
	else if (error == -ENOENT)
		fprintf(stderr,
			"mishap: no run '%s' in %s\n"
			"  ls %s shows what there is; --run-dir DIR looks "
			"elsewhere\n",
			name, runs, runs);
	else
		fprintf(stderr, "mishap: %s: %s\n", name, strerror(-error));
	return EXIT_CODE_USAGE;
}

int session_load(const char *run_dir, struct session *ret_session)
{
	_cleanup_words_ char *path = words_say("%s/scenario.yaml", run_dir);
	_cleanup_words_ char *source = NULL;
	struct command_record record;
	struct session session = { 0 };
	int error = command_load(run_dir, &record);

	if (!error) {
		session.options = record.options;
		session.options.place = (struct place){ 0 };
		if (record.options.scenario_path && path)
			error = words_read(path, SCENARIO_BYTES_MAX, &source,
					   NULL);
	}
	if (!error)
		error = scenario_get(&session, source);
	if (!error)
		error = evidence_load(run_dir, session.scenario,
				      &session.evidence);
	if (!error) {
		session.bare = (struct evidence *)session.evidence->bare;
		error = verdict_reach(session.evidence, &session.judgement);
	}
	command_clear(&record);
	session.options.extra = (struct scenario_extra){ 0 };
	session.options.scenario_path = NULL;
	if (error < 0) {
		fprintf(stderr, "mishap: %s can't be read back: %s\n", run_dir,
			error == -EBADMSG ? "it isn't what mishap wrote"
					  : strerror(-error));
		session_clear(&session);
		return error == -ENOMEM ? EXIT_CODE_INVALID : EXIT_CODE_USAGE;
	}
	*ret_session = session;
	return 0;
}

void session_clear(struct session *session)
{
	judgement_free(session->judgement);
	evidence_free(session->evidence);
	evidence_free(session->bare);
	if (session->scenario)
		scenario_free(session->scenario);
	place_clear(&session->options.place);
	free(session->vars);
	free(session->values);
	*session = (struct session){ 0 };
}

int session_exit_code(const struct session *session, bool unwritten)
{
	int code = judgement_exit_code(session->judgement, session->evidence);

	return code == EXIT_CODE_PASS && (unwritten || session->unsaved)
		       ? EXIT_CODE_INVALID
		       : code;
}

/* ---- decisions --------------------------------------------------------- */

static int by_decision(const void *a, const void *b)
{
	const struct plan_decision *x = a, *y = b;

	if (x->rule != y->rule)
		return x->rule < y->rule ? -1 : 1;
	if (x->stream != y->stream)
		return x->stream < y->stream ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

int session_decisions(const struct evidence *evidence,
		      struct replay_input *ret_replay)
{
	struct plan_decision *decisions =
		calloc(evidence->events_count + 1, sizeof(*decisions));
	size_t count = 0, kept = 0;

	if (!decisions)
		return -ENOMEM;
	for (size_t i = 0; i < evidence->events_count; i++) {
		const struct event *event = &evidence->events[i];

		if (!(event->flags & EVENT_LAPSED))
			decisions[count++] = (struct plan_decision){
				.rule = event->rule,
				.stream = event->stream,
				.index = event->thread_index,
			};
	}
	qsort(decisions, count, sizeof(*decisions), by_decision);
	for (size_t i = 0; i < count; i++)
		if (!kept ||
		    by_decision(&decisions[kept - 1], &decisions[i]) != 0)
			decisions[kept++] = decisions[i];
	*ret_replay = (struct replay_input){
		.decisions = decisions,
		.count = kept,
		.seed = evidence->seed,
	};
	return 0;
}

static void replay_count(struct evidence *evidence,
			 const struct replay_input *replay)
{
	struct replay_input again;

	evidence->is_replay = true;
	evidence->replay_recorded = replay->count;
	evidence->replay_agreed = 0;
	if (session_decisions(evidence, &again) < 0)
		return;
	for (size_t i = 0; i < again.count; i++)
		if (replay->count &&
		    bsearch(&again.decisions[i], replay->decisions,
			    replay->count, sizeof(*replay->decisions),
			    by_decision))
			evidence->replay_agreed++;
	free(again.decisions);
}

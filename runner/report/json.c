/* report.json: the contract is docs/JSON.md. */
#include "runner/doors.h"
#include "runner/report/report.h"

#include <errno.h>
#include <string.h>

/* put - value is taken; NULL (no memory) is passed on. */
static int put(json_t *object, const char *key, json_t *value)
{
	return value && json_object_set_new(object, key, value) == 0 ? 0
								     : -ENOMEM;
}

static json_t *strings_json(const struct strings *strings)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < strings->count; i++) {
		if (json_array_append_new(
			    array, words_json_string(strings->items[i])) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *seconds(uint64_t ns)
{
	return json_real((double)ns / 1e9);
}

/* For latencies: null where there was none. */
static json_t *milliseconds(uint64_t ns)
{
	return ns ? json_real((double)ns / 1e6) : json_null();
}

static json_t *target_json(const struct evidence *evidence)
{
	const struct ending *target = &evidence->target;
	bool exited = target->ended && !target->signal && !target->timed_out;
	json_t *json = json_object();
	char name[WORDS_SHORT_MAX];
	int error = 0;

	if (!json)
		return NULL;
	error |= put(json, "argv",
		     strings_json(&evidence->scenario->target.run));
	error |= put(json, "exit",
		     exited ? json_integer(target->status) : json_null());
	error |= put(json, "signal",
		     target->signal
			     ? json_string(words_signal(target->signal, name))
			     : json_null());
	error |= put(json, "core", json_boolean(target->core));
	error |= put(json, "ready", json_boolean(evidence->ready));
	error |= put(json, "timed_out", json_boolean(target->timed_out));
	error |=
		put(json, "stopped_by_us", json_boolean(target->stopped_by_us));
	error |= put(json, "killed_by_rule",
		     json_boolean(target->killed_by_rule));
	error |= put(json, "restarts", json_integer(evidence->restarts));
	error |= put(json, "crashes",
		     json_integer((json_int_t)evidence->crashes_count));
	if (!error)
		return json;
	json_decref(json);
	return NULL;
}

/* mark_put - file and line; line 0 is the command line, file its option. */
static int mark_put(json_t *json, const struct mark *mark)
{
	return put(json, "file",
		   words_json_string(mark && mark->file ? mark->file : NULL)) |
	       put(json, "line", json_integer(mark ? mark->line : 0));
}

static json_t *rule_json(const struct evidence *evidence, size_t index)
{
	const struct rule *rule = &evidence->scenario->rules[index];
	bool never = !evidence->fired[index];
	_cleanup_words_ char *why =
		never ? books_rule_why(evidence, index) : NULL;
	json_t *json = json_object();
	int error = 0;

	if (!json)
		return NULL;
	error |= put(json, "text", words_json_string(rule->written));
	error |= put(json, "expanded", words_json_string(rule->text));
	error |= mark_put(json, &rule->mark);
	error |= put(json, "matched",
		     json_integer((json_int_t)evidence->matched[index]));
	error |= put(json, "fired",
		     json_integer((json_int_t)evidence->fired[index]));
	error |= put(json, "why", words_json_string(why));
	if (!error)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *finding_json(const struct evidence *evidence,
			    const struct finding *finding)
{
	static const char *const trials[] = {
		[TRIAL_NOT_NEEDED] = "not needed",
		[TRIAL_BITES] = "bites",
		[TRIAL_TOOTHLESS] = "toothless",
	};
	const struct expect *expect = finding->expect;
	json_t *json = json_object();
	int error = 0;

	if (!json)
		return NULL;
	error |= put(json, "text", words_json_string(finding->name));
	error |= mark_put(json, finding->mark);
	error |= put(json, "verdict",
		     json_string(verdict_name(finding->verdict)));
	error |= put(json, "expected", words_json_string(finding->expected));
	error |= put(json, "seen", words_json_string(finding->seen));
	error |= put(json, "since", words_json_string(finding->since));
	error |= put(json, "site", words_json_string(finding->site));
	if (expect) {
		error |= put(json, "expanded", words_json_string(expect->text));
		error |= put(json, "phase",
			     words_json_string(
				     expect->phase < 0
					     ? NULL
					     : evidence->scenario
						       ->phases[expect->phase]
						       .name));
		error |=
			put(json, "trial", json_string(trials[finding->trial]));
	}
	if (!error)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *phase_json(const struct evidence *evidence, size_t index)
{
	const struct phase_seen *seen = &evidence->phases[index];
	const struct phase *phase = &evidence->scenario->phases[index];
	struct report_phase stats;
	json_t *json = json_object();
	int error;

	if (!json)
		return NULL;
	error = report_phase(evidence, index, &stats);
	error |= put(json, "name", words_json_string(phase->name));
	error |= put(json, "reached", json_boolean(seen->reached));
	error |=
		put(json, "start_s",
		    seen->reached ? seconds(seen->start_ns - evidence->start_ns)
				  : json_null());
	error |= put(json, "lasted_s", seconds(stats.lasted_ns));
	error |= put(json, "faults", json_integer((json_int_t)seen->fired));
	error |= put(json, "samples", json_integer((json_int_t)stats.samples));
	error |= put(json, "healthy", json_integer((json_int_t)stats.healthy));
	error |= put(json, "p50_ms", milliseconds(stats.p50_ns));
	error |= put(json, "p95_ms", milliseconds(stats.p95_ns));
	error |= put(json, "p99_ms", milliseconds(stats.p99_ns));
	error |= put(json, "steady_again_s",
		     seen->steady_again && seen->steady_ns > seen->start_ns
			     ? seconds(seen->steady_ns - seen->start_ns)
			     : json_null());
	if (!error)
		return json;
	json_decref(json);
	return NULL;
}

/* Calls that rules name, whose share isn't known: by their symbols alone. */
static json_t *unknown_json(const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;
	json_t *unknown = json_array();
	bool named[CALL_COUNT] = { false };

	for (size_t i = 0; i < scenario->rules_count; i++)
		for (size_t k = 0; k < scenario->rules[i].calls_count; k++)
			named[scenario->rules[i].calls[k]] = true;
	for (unsigned id = 0; unknown && id < CALL_COUNT; id++)
		if (named[id] && call_table[id].has_kernel &&
		    doors_by_symbols(evidence))
			json_array_append_new(unknown,
					      json_string(call_table[id].name));
	return unknown;
}

/* By which doors calls were seen, and what passed one of them by. */
static int doors_put(json_t *json, const struct evidence *evidence,
		     bool has_sites)
{
	json_t *doors = json_array();
	uint64_t undone = 0;
	int error = 0;

	for (size_t i = 0; i < evidence->scenario->rules_count; i++)
		undone += evidence->undone[i];
	if (has_sites)
		error |= json_array_append_new(doors, json_string("sites"));
	if (doors_by_symbols(evidence))
		error |= json_array_append_new(doors, json_string("symbols"));
	if (report_notified(evidence))
		error |= json_array_append_new(doors, json_string("notify"));
	error |= put(json, "doors", doors);
	error |= put(json, "unknown", unknown_json(evidence));
	error |= put(json, "undone", json_integer((json_int_t)undone));
	error |= put(json, "foreign",
		     json_integer((json_int_t)evidence->foreign));
	return error | put(json, "uring_refused",
			   json_integer((json_int_t)evidence->uring_refused));
}

static json_t *coverage_json(const struct evidence *evidence)
{
	uint64_t patched, left;
	json_t *json;
	json_t *calls = json_object(), *unpatched = json_object();

	for (unsigned i = 0; unpatched && i < CALL_COUNT; i++)
		if (evidence->sites_left[i] &&
		    put(unpatched, call_table[i].name,
			json_integer((json_int_t)evidence->sites_left[i])) < 0)
			return NULL;
	report_sites(evidence, &patched, &left);
	for (unsigned i = 0; calls && i < CALL_COUNT; i++)
		if (evidence->calls[i] &&
		    put(calls, call_table[i].name,
			json_integer((json_int_t)evidence->calls[i])) < 0)
			return NULL;
	json = json_pack("{so sI sI sI sI so? so so?}", "reached",
			 json_boolean(!evidence->unreachable &&
				      evidence->processes_count),
			 "processes", (json_int_t)evidence->processes_count,
			 "sites_patched", (json_int_t)patched, "sites_left",
			 (json_int_t)left, "modules_missed",
			 (json_int_t)evidence->late_missed, "ratio",
			 patched + left ? json_real((double)patched /
						    (double)(patched + left))
					: NULL,
			 "unpatched", unpatched, "calls", calls);
	if (json && doors_put(json, evidence, patched + left > 0) == 0)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *books_json(const struct evidence *evidence)
{
	return json_pack("{sI sI sI sI sI sI}", "events",
			 (json_int_t)evidence->events_count, "events_lost",
			 (json_int_t)evidence->events_lost, "lapses",
			 (json_int_t)evidence->lapses, "unresolved",
			 (json_int_t)evidence->unresolved, "processes_lost",
			 (json_int_t)evidence->processes_lost, "fired",
			 (json_int_t)report_fired(evidence));
}

/* The lists: rules, expectations, our own checks but for rules, phases. */
static int lists_put(json_t *json, const struct evidence *evidence,
		     const struct judgement *judgement)
{
	const struct scenario *scenario = evidence->scenario;
	json_t *rules = json_array(), *expectations = json_array();
	json_t *checks = json_array(), *phases = json_array();
	int error = 0;

	for (size_t i = 0; i < scenario->rules_count; i++)
		error |= json_array_append_new(rules, rule_json(evidence, i));
	for (size_t i = 0; i < judgement->findings.count; i++) {
		const struct finding *finding = &judgement->findings.items[i];

		if (finding->rule < 0)
			error |= json_array_append_new(
				finding->expect ? expectations : checks,
				finding_json(evidence, finding));
	}
	for (size_t i = 0; i < scenario->phases_count; i++)
		error |= json_array_append_new(phases, phase_json(evidence, i));
	error |= put(json, "rules", rules);
	error |= put(json, "expectations", expectations);
	error |= put(json, "checks", checks);
	return error | put(json, "phases", phases);
}

json_t *report_json(const struct evidence *evidence,
		    const struct judgement *judgement)
{
	const struct scenario *scenario = evidence->scenario;
	_cleanup_words_ char *title = report_title(evidence);
	json_t *json = json_object();
	int error = 0;

	if (!json)
		return NULL;
	error |= put(json, "version", json_integer(REPORT_VERSION));
	error |= put(json, "command", json_string("run"));
	error |= put(json, "mishap", json_string(MISHAP_VERSION));
	error |= put(json, "id", words_json_string(evidence->id));
	error |= put(json, "name", words_json_string(title));
	error |= put(json, "scenario", words_json_string(scenario->path));
	error |= put(json, "verdict",
		     json_string(verdict_name(judgement->verdict)));
	error |= put(json, "exit",
		     json_integer(judgement_exit_code(judgement, evidence)));
	error |= put(json, "seed", json_integer((json_int_t)evidence->seed));
	error |= put(json, "replay", words_json_string(judgement->replay));
	error |= put(json, "run_dir", words_json_string(evidence->run_dir));
	error |= put(json, "lasted_s",
		     seconds(evidence->end_ns > evidence->start_ns
				     ? evidence->end_ns - evidence->start_ns
				     : 0));
	error |= put(json, "target", target_json(evidence));
	error |= lists_put(json, evidence, judgement);
	error |= put(json, "deaths", report_deaths_json(evidence));
	error |= put(json, "call_sites", report_call_sites(evidence));
	error |= put(json, "coverage", coverage_json(evidence));
	error |= put(json, "books", books_json(evidence));
	error |= put(json, "watch", report_watch_json(evidence));
	error |= put(json, "aborted", words_json_string(evidence->aborted));
	error |= put(json, "replayed",
		     evidence->is_replay
			     ? json_pack("{sI sI}", "decisions",
					 (json_int_t)evidence->replay_recorded,
					 "came_again",
					 (json_int_t)evidence->replay_agreed)
			     : json_null());
	error |= put(json, "reasons", strings_json(&judgement->reasons));
	if (!error)
		return json;
	json_decref(json);
	return NULL;
}

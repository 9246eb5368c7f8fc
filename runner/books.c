#include "runner/verdict.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "runner/doors.h"
#include "runner/oracles/oracle.h"

#define add books_add

int books_add(struct findings *findings, enum verdict verdict, const char *name,
	      const struct mark *mark, int rule, char *expected, char *seen)
{
	struct finding finding = {
		.verdict = verdict,
		.name = strdup(name),
		.mark = mark,
		.rule = rule,
		.expected = expected,
		.seen = seen,
	};

	if (!finding.name || !expected || !seen) {
		finding_clear(&finding);
		return -ENOMEM;
	}
	return findings_add(findings, &finding);
}

/* When the last finding's trouble began. */
static int since(const struct evidence *evidence, uint64_t at_ns,
		 struct findings *findings)
{
	return oracle_since(&findings->items[findings->count - 1], evidence,
			    at_ns);
}

/* ---- rules ------------------------------------------------------------- */

/* rule_words - those words of a rule's text that start with one of keys. */
static char *rule_words(const char *text, const char *const *keys)
{
	char *words = strdup("");

	while (words && *text) {
		size_t n = 0;
		char quote = '\0';

		text += strspn(text, " ");
		for (; text[n] && (quote || text[n] != ' '); n++)
			if (text[n] == '"' || text[n] == '\'')
				quote = quote ? quote == text[n] ? '\0' : quote
					      : text[n];
		for (size_t i = 0; keys[i]; i++) {
			char *more;

			if (strncmp(text, keys[i], strlen(keys[i])) != 0)
				continue;
			more = words_say("%s%s%.*s", words, *words ? " " : "",
					 (int)n, text);
			free(words);
			words = more;
			break;
		}
		text += n;
	}
	return words;
}

static uint64_t rule_calls(const struct evidence *evidence,
			   const struct rule *rule)
{
	uint64_t calls = 0;

	for (size_t i = 0; i < rule->calls_count; i++)
		calls += evidence->calls[rule->calls[i]];
	return calls;
}

static bool rule_phase_reached(const struct evidence *evidence,
			       const struct rule *rule)
{
	for (size_t i = 0; i < evidence->scenario->phases_count; i++)
		if (rule->phases >> i & 1 && evidence->phases[i].reached)
			return true;
	return false;
}

/* The rule's first word: "write", "read,write", "file". */
static int calls_word(const struct rule *rule)
{
	return (int)strcspn(rule->text, " ");
}

/* These spoil what a call has done by itself; `fail` does so to close alone. */
static bool needs_success(const struct rule *rule)
{
	switch (rule->plan.fault) {
	case FAULT_late:
	case FAULT_corrupt:
		return true;
	case FAULT_fail:
		return call_table[rule->calls[0]].flags & CALL_RELEASES_FD;
	}
	return false;
}

char *books_rule_why(const struct evidence *evidence, size_t index)
{
	static const char *const selectors[] = {
		"path=",   "peer=", "host=", "fd=",    "size=",
		"thread=", "exe=",  "side=", "frame=", NULL
	};
	static const char *const triggers[] = { "nth=", "p=", "after=",
						"times=", NULL };
	const struct rule *rule = &evidence->scenario->rules[index];
	unsigned long long matched = evidence->matched[index];
	unsigned long long calls = rule_calls(evidence, rule);
	_cleanup_words_ char *which = rule_words(rule->text, selectors);
	_cleanup_words_ char *when = rule_words(rule->text, triggers);
	_cleanup_words_ char *undone = books_notify_why(evidence, index);

	if (!which || !when)
		return NULL;
	if (undone)
		return words_say("never fired: %s", undone);
	if (!rule_phase_reached(evidence, rule))
		return words_say("never fired: its phase was never reached");
	if (matched && *when)
		return words_say("never fired: it matched %llu call%s, but %s "
				 "never held",
				 matched, matched == 1 ? "" : "s", when);
	if (matched && needs_success(rule))
		return words_say(
			"never fired: it matched %llu call%s, and none "
			"of them came to a success that it could spoil",
			matched, matched == 1 ? "" : "s");
	if (!matched && calls && fault_table[rule->plan.fault]->is_model)
		return words_say("never fired: %llu call%s came that it is "
				 "about, and none that it had to act on",
				 calls, calls == 1 ? "" : "s");
	if (matched)
		return words_say("never fired, though it matched %llu call%s",
				 matched, matched == 1 ? "" : "s");
	if (!calls && doors_by_symbols(evidence))
		return words_say("never fired: no %.*s came by its symbol "
				 "while it held",
				 calls_word(rule), rule->text);
	if (!calls)
		return words_say("never fired: the target never called %.*s "
				 "while it held",
				 calls_word(rule), rule->text);
	if (evidence->vfork_skipped)
		return words_say(
			"never fired: %llu call%s that a rule asks for "
			"came from vfork children, who are let be",
			(unsigned long long)evidence->vfork_skipped,
			evidence->vfork_skipped == 1 ? "" : "s");
	return words_say("never matched: %llu call%s of %.*s, none with %s",
			 calls, calls == 1 ? "" : "s", calls_word(rule),
			 rule->text, *which ? which : "what it asks for");
}

static int judge_rules(const struct evidence *evidence,
		       struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;

	for (size_t i = 0; i < scenario->rules_count; i++) {
		const struct rule *rule = &scenario->rules[i];
		unsigned long long fired = evidence->fired[i];
		int error = add(findings,
				fired ? VERDICT_PASS : VERDICT_INCONCLUSIVE,
				rule->written, &rule->mark, (int)i,
				words_say("the rule fires"),
				fired ? words_say("fired %llu time%s", fired,
						  fired == 1 ? "" : "s")
				      : books_rule_why(evidence, i));

		if (error < 0)
			return error;
	}
	return 0;
}

/* ---- were we there? ---------------------------------------------------- */

/* Do the rules need the site door?  A call that comes by a symbol alone
 * doesn't. */
static bool sites_are_needed(const struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->rules_count; i++)
		for (size_t k = 0; k < scenario->rules[i].calls_count; k++) {
			const struct call_info *call =
				&call_table[scenario->rules[i].calls[k]];

			if (call->has_kernel && !call->has_symbol)
				return true;
		}
	return false;
}

/* What libc does inside itself passes the symbols by, and nobody counts it. */
static int judge_by_symbols(const struct evidence *evidence,
			    const struct process_seen *process,
			    const char *refused, struct findings *findings)
{
	uint32_t min_ppm = evidence->scenario->min_coverage_ppm;

	if (!min_ppm)
		return 0;
	return add(findings, VERDICT_INCONCLUSIVE, "calls seen", NULL, -1,
		   words_say("at least %.4g%% of the calls that rules name are "
			     "seen",
			     min_ppm / 1e4),
		   words_say("process %u (%s): %s, so system calls are seen by "
			     "their symbols, but not those that libc makes "
			     "inside itself (stdio, getaddrinfo, opendir). "
			     "mishap doctor --coverage -- COMMAND says how "
			     "many those are; " DOORS_ENV "=notify sees them",
			     process->pid,
			     *process->exe ? process->exe : "a program",
			     refused));
}

static int judge_process(const struct evidence *evidence,
			 const struct process_seen *process,
			 struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;
	const char *refused = doors_refused_words(process->sites);
	uint64_t sites = (uint64_t)process->sites_patched + process->sites_left;
	const char *exe = *process->exe ? process->exe : "a program";
	int error = 0;

	if (process->status == PROCESS_LOST)
		error = add(findings, VERDICT_INCONCLUSIVE, "target kept", NULL,
			    -1,
			    words_say("every program that the target becomes "
				      "loads the library"),
			    words_say("process %u became %s, which never "
				      "checked in (static, setuid, or without "
				      "LD_PRELOAD)%s",
				      process->pid, exe,
				      evidence->notify ? ""
						       : "; --notify enters "
							 "static ones"));
	if (error || !sites_are_needed(scenario))
		return error;
	if (refused)
		return judge_by_symbols(evidence, process, refused, findings);
	if (sites && (uint64_t)process->sites_patched * 1000000 <
			     sites * scenario->min_coverage_ppm)
		return add(findings, VERDICT_INCONCLUSIVE, "sites patched",
			   NULL, -1,
			   words_say("at least %.4g%% of system call sites "
				     "patched",
				     scenario->min_coverage_ppm / 1e4),
			   words_say("process %u (%s): %u of %llu",
				     process->pid, exe, process->sites_patched,
				     (unsigned long long)sites));
	return 0;
}

/* A call that a rule names, and that isn't patched wherever it is made. */
static int judge_call(const struct evidence *evidence, unsigned id,
		      struct findings *findings)
{
	uint32_t min_ppm = evidence->scenario->min_coverage_ppm;
	unsigned long long sites = evidence->sites[id];
	unsigned long long left = evidence->sites_left[id];

	if (!left || (sites - left) * 1000000 >= sites * min_ppm)
		return 0;
	return add(findings, VERDICT_INCONCLUSIVE, "sites patched", NULL, -1,
		   words_say("at least %.4g%% of the places that make %s "
			     "patched",
			     min_ppm / 1e4, call_table[id].name),
		   words_say("%llu of %llu can't be: faults on %s pass them by",
			     left, sites, call_table[id].name));
}

static int judge_calls(const struct evidence *evidence,
		       struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;
	bool judged[CALL_COUNT] = { false };
	int error = 0;

	for (size_t i = 0; i < scenario->rules_count; i++)
		for (size_t k = 0; k < scenario->rules[i].calls_count; k++)
			judged[scenario->rules[i].calls[k]] = true;
	for (unsigned id = 0; id < CALL_COUNT && !error; id++)
		if (judged[id] && call_table[id].has_kernel)
			error = judge_call(evidence, id, findings);
	return error;
}

/* The same thing of a hundred children is said once. */
static bool process_is_new(const struct evidence *evidence, size_t index)
{
	const struct process_seen *process = &evidence->processes[index];

	for (size_t i = 0; i < index; i++) {
		const struct process_seen *other = &evidence->processes[i];

		if (other->status == process->status &&
		    other->sites == process->sites &&
		    other->sites_patched == process->sites_patched &&
		    strcmp(other->exe, process->exe) == 0)
			return false;
	}
	return true;
}

/* seccomp(2): where a rule may match, the library makes calls of its own, and
 * the target's filter may not know them. */
static int judge_filter(const struct evidence *evidence,
			struct findings *findings)
{
	for (size_t i = 0; i < evidence->crashes_count; i++)
		if (evidence->crashes[i].signal == SIGSYS &&
		    !evidence->crashes[i].killed_by_rule)
			return add(findings, VERDICT_INCONCLUSIVE,
				   "target's filter", NULL, -1,
				   words_say("no seccomp filter stops what "
					     "mishap itself calls"),
				   words_say("process %u was killed by SIGSYS: "
					     "a filter of the target's own, "
					     "and maybe through our calls",
					     evidence->crashes[i].pid));
	return 0;
}

static int judge_presence(const struct evidence *evidence,
			  struct findings *findings)
{
	int error = 0;

	if (!evidence->scenario->rules_count)
		return 0;
	if (evidence->unreachable)
		return add(findings, VERDICT_INCONCLUSIVE, "target reached",
			   NULL, -1, words_say("we are in the target"),
			   words_say("we couldn't get into it: %s",
				     evidence->unreachable));
	if (!evidence->processes_count && evidence->target.started)
		return add(findings, VERDICT_INCONCLUSIVE, "target reached",
			   NULL, -1, words_say("we are in the target"),
			   words_say("the library never checked in"));
	error = judge_calls(evidence, findings);
	for (size_t i = 0; i < evidence->processes_count && !error; i++)
		if (process_is_new(evidence, i))
			error = judge_process(evidence, &evidence->processes[i],
					      findings);
	return error ? error : judge_filter(evidence, findings);
}

/* ---- the course of the run --------------------------------------------- */

static int judge_ready(const struct evidence *evidence,
		       struct findings *findings)
{
	const struct probe *probe = &evidence->scenario->target.ready;
	_cleanup_words_ char *again = NULL;
	char within[WORDS_SHORT_MAX];
	int error;

	if (evidence->ready)
		return 0;
	if (evidence->restarts)
		again = words_say(", though it was started again %u time%s",
				  evidence->restarts,
				  evidence->restarts == 1 ? "" : "s");
	if (evidence->aborted)
		return 0; /* there was no time to become ready */
	words_duration(probe->within.ns, within);
	error = add(findings, VERDICT_FAIL, "ready",
		    probe->kind ? &probe->mark : NULL, -1,
		    words_say("the target becomes ready within %s", within),
		    words_say("it never did%s%s%s", again ? again : "",
			      evidence->ready_why ? ": " : "",
			      evidence->ready_why ? evidence->ready_why : ""));
	return error ? error : since(evidence, evidence->start_ns, findings);
}

/* What was seen without it may be its absence, not the target's doing. */
static int judge_services(const struct evidence *evidence,
			  struct findings *findings)
{
	if (!evidence->service_gone)
		return 0;
	return add(findings, VERDICT_INCONCLUSIVE, "services stay up", NULL, -1,
		   words_say("every service lives as long as the run"),
		   words_say("%s", evidence->service_gone));
}

static int judge_workloads(const struct evidence *evidence,
			   struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;

	if (!evidence->ready || evidence->aborted)
		return 0;
	for (size_t i = 0; i < scenario->workloads_count; i++) {
		const struct workload *workload = &scenario->workloads[i];
		int error;

		if (evidence->workloads && evidence->workloads[i].started)
			continue;
		error = add(findings, VERDICT_INCONCLUSIVE, "workload ran",
			    &workload->mark, -1,
			    words_say("every workload runs"),
			    words_say("%s never ran",
				      workload->name ? workload->name : "it"));
		if (error < 0)
			return error;
	}
	return 0;
}

static int judge_phases(const struct evidence *evidence,
			struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;

	if (!evidence->ready || evidence->aborted)
		return 0;
	for (size_t i = 0; i < scenario->phases_count; i++) {
		const struct phase *phase = &scenario->phases[i];
		const struct phase_seen *seen = &evidence->phases[i];
		char within[WORDS_SHORT_MAX];
		int error = 0;

		words_duration(phase->within.ns, within);
		if (!seen->reached)
			error = add(findings, VERDICT_INCONCLUSIVE,
				    "phase reached", &phase->mark, -1,
				    words_say("phase %s begins", phase->name),
				    words_say("it was never reached"));
		else if (phase->within.set && !seen->steady_again)
			error = add(findings, VERDICT_FAIL, "steady again",
				    &phase->mark, -1,
				    words_say("phase %s: steady again within "
					      "%s",
					      phase->name, within),
				    words_say("it was not")) ||
				since(evidence, seen->start_ns, findings);
		if (error < 0)
			return error;
	}
	return 0;
}

static int judge_anything(const struct evidence *evidence,
			  struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;

	if (scenario->expects_count || scenario->rules_count)
		return 0;
	return add(findings, VERDICT_INCONCLUSIVE, "something expected", NULL,
		   -1, words_say("a rule or an expectation"),
		   words_say("nothing was expected, so nothing was shown"));
}

/* ---- the books --------------------------------------------------------- */

static int judge_losses(const struct evidence *evidence,
			struct findings *findings)
{
	const struct {
		uint64_t count;
		const char *name, *expected, *what;
	} losses[] = {
		{ evidence->events_lost, "events kept",
		  "every decision is recorded", "decisions weren't recorded" },
		{ evidence->lapses, "lease held",
		  "faults hold for the whole run",
		  "decisions were held back, because the runner had stalled" },
		{ evidence->unresolved, "selectors resolved",
		  "every selector can be told",
		  "calls were let go in doubt of what they were about" },
		{ evidence->processes_lost, "processes counted",
		  "every process has its place in the books",
		  "processes found no place in the books" },
	};
	int error = 0;

	if (evidence->late_missed && sites_are_needed(evidence->scenario))
		error = add(
			findings, VERDICT_INCONCLUSIVE, "modules patched", NULL,
			-1,
			words_say("every module with system calls of its "
				  "own is patched"),
			words_say("%llu of the target's weren't: no plan "
				  "could be made in time",
				  (unsigned long long)evidence->late_missed));
	for (size_t i = 0; i < sizeof(losses) / sizeof(*losses) && !error; i++)
		if (losses[i].count)
			error = add(
				findings, VERDICT_INCONCLUSIVE, losses[i].name,
				NULL, -1, words_say("%s", losses[i].expected),
				words_say("%llu %s",
					  (unsigned long long)losses[i].count,
					  losses[i].what));
	return error;
}

/* Was anything of the target killed from outside, between two lines of a
 * book?  Then a line may be missing, and that is a loss, not a lie. */
static bool killed_midway(const struct evidence *evidence)
{
	return evidence->target.signal || evidence->crashes_count ||
	       evidence->target.timed_out || evidence->aborted ||
	       evidence->restarts;
}

static int judge_balance(const struct evidence *evidence,
			 struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;
	uint64_t counted[PLAN_RULES_MAX] = { 0 };
	uint64_t fired = 0, by_process = 0;
	_cleanup_words_ char *wrong = NULL;
	bool loss = true;

	for (size_t i = 0; i < evidence->events_count; i++) {
		const struct event *event = &evidence->events[i];

		if (event->rule < PLAN_RULES_MAX &&
		    !(event->flags & EVENT_LAPSED))
			counted[event->rule]++;
	}
	for (size_t i = 0; i < evidence->processes_count; i++)
		by_process += evidence->processes[i].fired;
	for (size_t i = 0; i < scenario->rules_count; i++) {
		unsigned long long f = evidence->fired[i], c = counted[i];

		fired += f;
		if (!wrong && (c > f || f > evidence->matched[i] ||
			       (c < f && !evidence->events_lost)))
			wrong = words_say(
				"rule %zu matched %llu, fired %llu, "
				"%llu events",
				i + 1, (unsigned long long)evidence->matched[i],
				f, c);
		loss = loss && c <= f;
	}
	if (!wrong && (by_process > fired + evidence->cut_short ||
		       (by_process < fired && !evidence->processes_lost)))
		wrong = words_say("rules fired %llu times, processes say %llu",
				  (unsigned long long)fired,
				  (unsigned long long)by_process);
	if (!wrong)
		return 0;
	return add(findings,
		   loss && killed_midway(evidence) ? VERDICT_INCONCLUSIVE
						   : VERDICT_INVALID,
		   "books balance", NULL, -1,
		   words_say("rules, events and processes agree"),
		   words_say("%s", wrong));
}

int books_judge(const struct evidence *evidence, struct findings *findings)
{
	static int (*const all[])(const struct evidence *,
				  struct findings *) = {
		judge_ready,	    judge_presence,  judge_rules,
		judge_services,	    judge_workloads, judge_phases,
		judge_losses,	    judge_balance,   books_judge_watch,
		books_notify_judge, judge_anything,
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		int error = all[i](evidence, findings);

		if (error < 0)
			return error;
	}
	return 0;
}

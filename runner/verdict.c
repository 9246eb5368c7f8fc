#include "runner/verdict.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/oracles/oracle.h"

static char *none_words[] = { (char *)"none", NULL };

/* Judged where a scenario expects nothing. */
#define DEFAULT(which)                                                         \
	{                                                                      \
		.subject = EXPECT_##which, .op = OP_EQ,                        \
		.text = (char *)#which "==none",                               \
		.written = (char *)#which "==none",                            \
		.mark = { .file = "default" },                                 \
		.values = { .items = none_words, .count = 1 }, .phase = -1,    \
	}
static const struct expect defaults[] = { DEFAULT(crash), DEFAULT(hang) };

void finding_clear(struct finding *finding)
{
	free(finding->name);
	free(finding->expected);
	free(finding->seen);
	free(finding->since);
	free(finding->site);
	*finding = (struct finding){ .rule = -1 };
}

int findings_add(struct findings *findings, const struct finding *finding)
{
	struct finding *items = reallocarray(
		findings->items, findings->count + 1, sizeof(*items));
	struct finding taken = *finding;

	if (!items) {
		finding_clear(&taken);
		return -ENOMEM;
	}
	items[findings->count++] = taken;
	findings->items = items;
	return 0;
}

/* The decision that a failure most likely comes from: the last before it, of
 * the process that crashed if we know it.  NULL: it began before any. */
static const struct event *event_behind(const struct evidence *evidence,
					const struct finding *finding)
{
	const struct ending *crash = NULL;
	const struct event *last = NULL, *of_pid = NULL;
	uint64_t until_ns;
	uint32_t pid;

	if (finding->expect && finding->expect->subject == EXPECT_crash)
		for (size_t i = evidence->crashes_count; i-- > 0;)
			if (!evidence->crashes[i].killed_by_rule)
				crash = &evidence->crashes[i];
	until_ns = crash	       ? crash->end_ns
		   : finding->since_ns ? finding->since_ns
				       : UINT64_MAX;
	pid = crash ? crash->pid : 0;
	for (size_t i = 0; i < evidence->events_count; i++) {
		const struct event *event = &evidence->events[i];

		if (event->flags & EVENT_LAPSED || event->time_ns > until_ns)
			continue;
		if (!last || event->time_ns >= last->time_ns)
			last = event;
		if (pid && event->pid == pid &&
		    (!of_pid || event->time_ns >= of_pid->time_ns))
			of_pid = event;
	}
	return of_pid ? of_pid : last;
}

/* since and site of a failure, where its oracle didn't say. */
static int failure_place(const struct evidence *evidence,
			 struct finding *finding)
{
	const struct event *event = event_behind(evidence, finding);
	_cleanup_words_ char *where = NULL;
	const char *what;

	if (!event && !finding->since) /* it came of itself */
		return oracle_since(finding, evidence,
				    evidence->target.ended
					    ? evidence->target.end_ns
					    : evidence->end_ns);
	if (!event || finding->site)
		return 0;
	if (!finding->since &&
	    oracle_since(finding, evidence, event->time_ns) < 0)
		return -ENOMEM;
	if (event->call >= CALL_COUNT || event->fault >= FAULT_COUNT)
		return 0;
	if (event->stack && evidence->run_dir)
		where = symbolize_site(evidence->run_dir, event->stack);
	what = event->error ? error_name(event->error) : NULL;
	finding->site = words_say("%s %s%s%s", call_table[event->call].name,
				  what ? what : fault_table[event->fault]->name,
				  where ? " at " : "", where ? where : "");
	return finding->site ? 0 : -ENOMEM;
}

/* stands - a FAIL that no longer run could have mended. */
static bool stands(const struct expect *expect, const struct evidence *evidence,
		   const struct finding *finding)
{
	const struct oracle *oracle = oracle_table[expect->subject];

	return evidence->ready && finding->verdict == VERDICT_FAIL &&
	       oracle->settled && oracle->settled(expect, evidence);
}

/* cut_short - what only a whole run can show isn't shown by this one. */
static int cut_short(const struct evidence *evidence, struct finding *finding)
{
	const char *why = evidence->aborted ? "the run was cut short"
					    : "the target never became ready";

	finding_clear(finding);
	return oracle_unknown(finding, "%s", why);
}

/* no_fault - the opposite of what a fault should bring about, where there were
 * rules and none of them ever acted: that shows nothing of the target. */
static int no_fault(struct finding *finding)
{
	_cleanup_words_ char *seen = finding->seen;

	finding->seen = NULL;
	return oracle_unknown(finding, "%s, but no fault came to pass", seen);
}

static bool fault_fired(const struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->scenario->rules_count; i++)
		if (evidence->fired[i])
			return true;
	return !evidence->scenario->rules_count; /* none was wanted */
}

static int judge_one(const struct evidence *evidence,
		     const struct expect *expect, struct findings *findings)
{
	const struct oracle *oracle = oracle_table[expect->subject];
	struct finding finding = { .rule = -1 };
	int error = oracle->judge(expect, evidence, &finding);

	if (!error && oracle->whole &&
	    (evidence->aborted || !evidence->ready) &&
	    !stands(expect, evidence, &finding))
		error = cut_short(evidence, &finding);
	if (!error && finding.verdict == VERDICT_FAIL && oracle->by_fault &&
	    oracle->by_fault(expect) && !fault_fired(evidence))
		error = no_fault(&finding);
	finding.expect = expect;
	finding.mark = &expect->mark;
	finding.name = strdup(expect->written);
	if (!error && finding.verdict == VERDICT_PASS)
		error = trial_hold(evidence, &finding);
	if (!error && finding.trial == TRIAL_TOOTHLESS) {
		_cleanup_words_ char *seen = finding.seen;

		finding.verdict = VERDICT_INCONCLUSIVE;
		finding.seen = words_say("%s; but it would have passed on "
					 "spoiled evidence too: it can't fail",
					 seen);
	}
	if (!error && !finding.expected)
		finding.expected = strdup(expect->text);
	if (!error && finding.verdict == VERDICT_FAIL)
		error = failure_place(evidence, &finding);
	if (!error && (!finding.name || !finding.expected || !finding.seen))
		error = -ENOMEM;
	if (error) {
		finding_clear(&finding);
		return error;
	}
	return findings_add(findings, &finding);
}

static int judge_expects(const struct evidence *evidence,
			 struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;
	const struct expect *expects = scenario->expects;
	size_t count = scenario->expects_count;
	int error = 0;

	if (!count) {
		expects = defaults;
		count = sizeof(defaults) / sizeof(*defaults);
	}
	for (size_t i = 0; i < count && !error; i++)
		error = judge_one(evidence, &expects[i], findings);
	return error;
}

static int judge_aborted(const struct evidence *evidence,
			 struct findings *findings)
{
	struct finding finding = {
		.verdict = VERDICT_ABORTED,
		.rule = -1,
		.name = strdup("run completed"),
		.expected = strdup("the run comes to its end"),
		.seen = words_say("aborted: %s", evidence->aborted),
	};

	if (!finding.name || !finding.expected || !finding.seen) {
		finding_clear(&finding);
		return -ENOMEM;
	}
	return findings_add(findings, &finding);
}

static bool path_has_us(void)
{
	_cleanup_words_ char *path =
		strdup(getenv("PATH") ? getenv("PATH") : "");
	struct stat us, other;

	if (!path || stat("/proc/self/exe", &us) < 0)
		return false;
	for (char *save, *dir = strtok_r(path, ":", &save); dir;
	     dir = strtok_r(NULL, ":", &save)) {
		_cleanup_words_ char *file = words_say("%s/mishap", dir);

		if (file && access(file, X_OK) == 0 && stat(file, &other) == 0)
			return other.st_dev == us.st_dev &&
			       other.st_ino == us.st_ino;
	}
	return false;
}

/* program_words - how a shell calls us again from here: as we were called,
 * but plainly where PATH has us. */
static char *program_words(void)
{
	char *name = program_invocation_name;
	struct strings one = { .items = &name, .count = 1 };
	_cleanup_words_ char *whole = NULL;

	if (strcmp(program_invocation_short_name, "mishap") != 0 ||
	    !strchr(program_invocation_name, '/') || path_has_us())
		return strdup("mishap");
	if (access(name, X_OK) < 0) { /* a replay runs in its own directory */
		whole = realpath("/proc/self/exe", NULL);
		name = whole ? whole : name;
	}
	return words_join(&one);
}

/* "mishap replay ID"; a directory where the id alone wouldn't find it. */
static char *replay_words(const struct evidence *evidence)
{
	_cleanup_words_ char *cwd = getcwd(NULL, 0);
	_cleanup_words_ char *usual =
		words_say("%s/.mishap/runs/%s", cwd ? cwd : "", evidence->id);
	_cleanup_words_ char *program = program_words();
	const char *dir = evidence->run_dir;
	struct strings one = { .items = (char *[]){ (char *)dir, NULL },
			       .count = 1 };
	_cleanup_words_ char *quoted = NULL;

	if (!usual || !program)
		return NULL;
	if (!dir || strcmp(dir, usual) == 0)
		return words_say("%s replay %s", program, evidence->id);
	quoted = words_join(&one);
	return quoted ? words_say("%s replay %s", program, quoted) : NULL;
}

static int join(const struct evidence *evidence, struct judgement *judgement)
{
	judgement->verdict = VERDICT_PASS;
	for (size_t i = 0; i < judgement->findings.count; i++) {
		const struct finding *finding = &judgement->findings.items[i];

		judgement->verdict =
			verdict_worse(judgement->verdict, finding->verdict);
		if (finding->verdict != VERDICT_PASS &&
		    words_push(&judgement->reasons,
			       words_say("%s: %s", finding->name,
					 finding->seen)) < 0)
			return -ENOMEM;
	}
	judgement->replay = replay_words(evidence);
	return judgement->replay ? 0 : -ENOMEM;
}

int verdict_reach(const struct evidence *evidence,
		  struct judgement **ret_judgement)
{
	struct judgement *judgement = calloc(1, sizeof(*judgement));
	int error;

	if (!judgement)
		return -ENOMEM;
	error = judge_expects(evidence, &judgement->findings);
	if (!error)
		error = books_judge(evidence, &judgement->findings);
	if (!error)
		error = books_excuse(evidence, &judgement->findings);
	if (!error && evidence->aborted)
		error = judge_aborted(evidence, &judgement->findings);
	if (!error)
		error = join(evidence, judgement);
	if (error) {
		judgement_free(judgement);
		return error;
	}
	*ret_judgement = judgement;
	return 0;
}

void judgement_free(struct judgement *judgement)
{
	if (!judgement)
		return;
	for (size_t i = 0; i < judgement->findings.count; i++)
		finding_clear(&judgement->findings.items[i]);
	free(judgement->findings.items);
	words_clear(&judgement->reasons);
	free(judgement->replay);
	free(judgement);
}

const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_PASS] = "PASS",
		[VERDICT_INCONCLUSIVE] = "INCONCLUSIVE",
		[VERDICT_ABORTED] = "ABORTED",
		[VERDICT_FAIL] = "FAIL",
		[VERDICT_INVALID] = "INVALID",
	};

	return names[verdict];
}

int verdict_exit_code(enum verdict verdict)
{
	static const int codes[] = {
		[VERDICT_PASS] = EXIT_CODE_PASS,
		[VERDICT_INCONCLUSIVE] = EXIT_CODE_INCONCLUSIVE,
		[VERDICT_ABORTED] = EXIT_CODE_ABORTED,
		[VERDICT_FAIL] = EXIT_CODE_FAIL,
		[VERDICT_INVALID] = EXIT_CODE_INVALID,
	};

	return codes[verdict];
}

int judgement_exit_code(const struct judgement *judgement,
			const struct evidence *evidence)
{
	if (judgement->verdict == VERDICT_ABORTED && evidence->aborted_signal)
		return 128 + evidence->aborted_signal;
	return verdict_exit_code(judgement->verdict);
}

enum verdict verdict_worse(enum verdict a, enum verdict b)
{
	return a > b ? a : b; /* enum verdict is in order of precedence */
}

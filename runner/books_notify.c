/* books_notify.c - what the notify door couldn't do, or kept from happening. */
#include <errno.h>
#include <string.h>

#include "runner/notify.h"
#include "runner/oracles/oracle.h"
#include "runner/verdict.h"

static int add(struct findings *findings, enum verdict verdict,
	       const char *name, const struct rule *rule, int index,
	       char *expected, char *seen)
{
	struct finding finding = {
		.verdict = verdict,
		.name = strdup(name),
		.mark = rule ? &rule->mark : NULL,
		.rule = index,
		.expected = expected,
		.seen = seen,
	};

	if (!finding.name || !expected || !seen) {
		finding_clear(&finding);
		return -ENOMEM;
	}
	return findings_add(findings, &finding);
}

/* A process that was asked about, and that the rule's exe= means. */
static const struct process_seen *process_meant(const struct evidence *evidence,
						const struct rule *rule)
{
	for (size_t i = 0; i < evidence->processes_count; i++) {
		const struct process_seen *process = &evidence->processes[i];

		if (process->sites == SITES_NOTIFIED &&
		    (!rule->exe || glob_match(rule->exe, process->exe)))
			return process;
	}
	return NULL;
}

/* Why the rule can't act on one of its calls, and which. */
static const char *cannot(const struct rule *rule, bool kernel_only,
			  unsigned *ret_id)
{
	for (size_t i = 0; i < rule->calls_count; i++) {
		const char *why = notify_cannot(&rule->plan, rule->calls[i]);
		bool has_kernel = call_table[rule->calls[i]].has_kernel;

		if (why && (has_kernel || !kernel_only)) {
			*ret_id = rule->calls[i];
			return why;
		}
	}
	return NULL;
}

char *books_notify_why(const struct evidence *evidence, size_t index)
{
	const struct rule *rule = &evidence->scenario->rules[index];
	const struct process_seen *process = process_meant(evidence, rule);
	unsigned long long undone = evidence->undone[index];
	const char *why = NULL;
	unsigned id = 0;

	if (!process)
		return NULL;
	if (undone) {
		why = cannot(rule, true, &id);
		return words_say("%llu matching call%s let go through the "
				 "notify door: %s",
				 undone, undone == 1 ? " was" : "s were",
				 why ? why
				     : "this descriptor's transfers can't be "
				       "cut from outside");
	}
	why = cannot(rule, false, &id);
	if (!why || call_table[id].has_kernel)
		return NULL;
	return words_say("%s of %s isn't seen through the notify door: %s",
			 call_table[id].name, process->exe, why);
}

static int judge_rule(const struct evidence *evidence, size_t index,
		      struct findings *findings)
{
	const struct rule *rule = &evidence->scenario->rules[index];
	char *why;

	if (!evidence->fired[index])
		return 0; /* that it never fired is said, and why */
	why = books_notify_why(evidence, index);
	if (!why)
		return 0;
	return add(findings, VERDICT_INCONCLUSIVE, rule->written, rule,
		   (int)index,
		   words_say("the rule can act wherever it matches"), why);
}

int books_notify_judge(const struct evidence *evidence,
		       struct findings *findings)
{
	int error = 0;

	if (evidence->notify_lost)
		error = add(findings, VERDICT_INVALID, "guardian kept", NULL,
			    -1,
			    words_say("the notify door's guardian lives as "
				      "long as the run"),
			    words_say("it was gone before the end: calls of "
				      "the target may have failed with "
				      "ENOSYS"));
	if (!error && evidence->foreign && evidence->scenario->rules_count)
		error = add(findings, VERDICT_INCONCLUSIVE, "one ABI", NULL, -1,
			    words_say("every system call is of the x86-64 ABI"),
			    words_say("%llu call%s of another (i386, x32) "
				      "passed by",
				      (unsigned long long)evidence->foreign,
				      evidence->foreign == 1 ? "" : "s"));
	for (size_t i = 0; i < evidence->scenario->rules_count && !error; i++)
		error = judge_rule(evidence, i, findings);
	return error;
}

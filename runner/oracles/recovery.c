/* recovery - from the end of the last fault to the answer of the first of three
 * healthy samples in a row, for every probe (or the one that is named). */
#include "runner/oracles/oracle.h"

#define IN_A_ROW 3

/* fault_end - when the last phase with a rule in it was over; where the user
 * wrote no phases, when the last fault fired.  0: there is no such time. */
static uint64_t fault_end(const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;
	uint64_t end_ns = 0;

	if (!scenario->phases_written)
		return evidence->fault_last_ns;
	for (size_t i = 0; i < scenario->phases_count; i++) {
		if (!evidence->phases[i].reached)
			continue;
		for (size_t k = 0; k < scenario->rules_count; k++)
			if (scenario->rules[k].phases >> i & 1 &&
			    evidence->phases[i].end_ns > end_ns)
				end_ns = evidence->phases[i].end_ns;
	}
	return end_ns;
}

/* One probe's recovery.  0: *ret_ns is set; -EAGAIN: never, in the time that
 * was watched (*ret_ns); -ENODATA: no sample after the fault. */
static int recovery_of(const struct evidence *evidence, size_t steady,
		       uint64_t from_ns, uint64_t *ret_ns)
{
	const struct sample *first = NULL;
	uint64_t watched_ns = 0;
	unsigned row = 0;

	for (size_t i = 0; i < evidence->samples_count; i++) {
		const struct sample *sample = &evidence->samples[i];

		if (sample->steady != steady || sample->due_ns < from_ns)
			continue;
		watched_ns = sample->due_ns - from_ns;
		if (!sample->ok) {
			row = 0;
			continue;
		}
		if (row++ == 0)
			first = sample;
		if (row < IN_A_ROW)
			continue;
		*ret_ns = first->due_ns + first->latency_ns - from_ns;
		return 0;
	}
	if (!watched_ns && !row)
		return -ENODATA;
	*ret_ns = watched_ns;
	return -EAGAIN;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct scenario *scenario = evidence->scenario;
	uint64_t from_ns = fault_end(evidence), worst_ns = 0;
	char took[WORDS_SHORT_MAX];
	size_t count = 0;

	if (!from_ns)
		return oracle_unknown(ret_finding, "no fault came to its end");
	for (size_t i = 0; i < scenario->steadies_count; i++) {
		const char *name = scenario->steadies[i].name;
		uint64_t ns;
		int error;

		if (expect->args.count &&
		    strcmp(name, expect->args.items[0]) != 0)
			continue;
		count++;
		error = recovery_of(evidence, i, from_ns, &ns);
		if (error == -ENODATA)
			return oracle_unknown(ret_finding,
					      "%s wasn't sampled after the "
					      "last fault",
					      name);
		words_duration(ns, took);
		if (error && (double)ns / 1e9 < expect->number)
			return oracle_unknown(
				ret_finding,
				"%s hadn't recovered when watching ended, %s "
				"after the last fault",
				name, took);
		if (error && oracle_since(ret_finding, evidence, from_ns) < 0)
			return -ENOMEM;
		if (error)
			return oracle_fail(
				ret_finding,
				words_say("recovery %s%s",
					  oracle_op_words(expect->op),
					  oracle_value(expect)),
				"%s was not healthy again within %s", name,
				took);
		worst_ns = ns > worst_ns ? ns : worst_ns;
	}
	if (!count)
		return oracle_unknown(ret_finding, "no steady-state probe");
	words_duration(worst_ns, took);
	if (oracle_since(ret_finding, evidence, from_ns) < 0)
		return -ENOMEM;
	return oracle_answer(ret_finding,
			     oracle_compare(expect->op, (double)worst_ns / 1e9,
					    expect->number),
			     words_say("recovery %s%s",
				       oracle_op_words(expect->op),
				       oracle_value(expect)),
			     "healthy again after %s", took);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->samples_count; i++) {
		struct sample *sample = &evidence->samples[i];

		sample->latency_ns += (uint64_t)(expect->number * 1e9) + 1;
	}
	return 0;
}

const struct oracle oracle_recovery = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};

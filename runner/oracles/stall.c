/* stall - the longest time in which no thread of the target ran, though there
 * was work for it; with the stacks of all of them. */
#include "runner/oracles/oracle.h"

#define LINES_MAX 12 /* of the stacks, in a finding */

/* The first lines of the stacks, in one; the rest is in evidence.json. */
static char *stacks_words(const struct strings *stacks)
{
	char *said = strdup(stacks->count ? ": " : "");

	for (size_t i = 0; said && i < stacks->count && i < LINES_MAX; i++) {
		char *more = words_say("%s%s%s", said, i ? "; " : "",
				       stacks->items[i]);

		free(said);
		said = more;
	}
	if (said && stacks->count > LINES_MAX) {
		char *more = words_say("%s; +%zu more", said,
				       stacks->count - LINES_MAX);

		free(said);
		said = more;
	}
	return said;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct stall_seen *stall = &evidence->stall;
	double longest = (double)stall->longest_ns / 1e9;
	bool good = oracle_compare(expect->op, longest, expect->number);
	_cleanup_words_ char *stacks =
		good ? strdup("") : stacks_words(&stall->stacks);
	char took[WORDS_SHORT_MAX];

	if (!stall->known)
		return oracle_unknown(ret_finding,
				      "nobody saw it at work: no workload, no "
				      "steady probe, or its threads couldn't "
				      "be read");
	if (!stacks ||
	    (!good && oracle_since(ret_finding, evidence, stall->since_ns) < 0))
		return -ENOMEM;
	words_duration(stall->longest_ns, took);
	return oracle_answer(ret_finding, good,
			     words_say("no thread runs for %s%s at a time",
				       oracle_op_words(expect->op),
				       oracle_value(expect)),
			     "no thread ran for %s%s", took, stacks);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	evidence->stall.longest_ns = (uint64_t)(expect->number * 1e9) + 1000000;
	evidence->stall.since_ns = evidence->start_ns;
	return 0;
}

const struct oracle oracle_stall = { .judge = judge, .tamper = tamper };

/* calls - calls of CALL seen while armed, as a number or, with /s, a rate. */
#include "runner/oracles/oracle.h"

/* What the doors watched: from ready until the end. */
static double watched_s(const struct evidence *evidence)
{
	uint64_t from_ns =
		evidence->ready_ns ? evidence->ready_ns : evidence->start_ns;

	return evidence->end_ns > from_ns
		       ? (double)(evidence->end_ns - from_ns) / 1e9
		       : 0;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const char *name = expect->args.items[0];
	unsigned id = call_find(name, strlen(name));
	double seconds = watched_s(evidence), value;
	uint64_t count;

	if (id >= CALL_COUNT)
		return oracle_unknown(ret_finding, "no call named %s", name);
	count = evidence->calls[id];
	if (evidence->unreachable || !evidence->processes_count)
		return oracle_unknown(ret_finding,
				      "we weren't in the target to count");
	if (expect->per_second && seconds <= 0)
		return oracle_unknown(ret_finding, "no time went by");
	value = expect->per_second ? (double)count / seconds : (double)count;
	return oracle_answer(
		ret_finding, oracle_compare(expect->op, value, expect->number),
		words_say("%s%s of %s", oracle_op_words(expect->op),
			  oracle_value(expect), name),
		"%llu call%s in %.3gs, %.3g/s", (unsigned long long)count,
		count == 1 ? "" : "s", seconds,
		seconds > 0 ? (double)count / seconds : 0);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	const char *name = expect->args.items[0];
	unsigned id = call_find(name, strlen(name));
	double limit = expect->number;

	if (id >= CALL_COUNT)
		return -ENOTSUP;
	if (expect->per_second)
		limit *= watched_s(evidence);
	if (expect->op == OP_GE || expect->op == OP_GT)
		evidence->calls[id] = 0;
	else
		evidence->calls[id] = 2 * (uint64_t)limit + 2;
	return 0;
}

const struct oracle oracle_calls = {
	.judge = judge,
	.tamper = tamper,
};

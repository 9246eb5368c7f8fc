/* exit - the exit status of the target; death by a signal has none. */
#include "runner/oracles/oracle.h"

static bool status_is_wanted(const struct expect *expect, int status)
{
	if (expect->op != OP_IN && expect->op != OP_EQ && expect->op != OP_NE)
		return oracle_compare(expect->op, status,
				      atof(oracle_value(expect)));
	for (size_t i = 0; i < expect->values.count; i++)
		if (atoi(expect->values.items[i]) == status)
			return expect->op != OP_NE;
	return expect->op == OP_NE;
}

static char *expected_words(const struct expect *expect)
{
	char *values = words_join(&expect->values);
	char *said = values ? words_say("exit status %s%s",
					oracle_op_words(expect->op), values)
			    : NULL;

	free(values);
	return said;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct ending *target = &evidence->target;
	_cleanup_words_ char *seen = words_ending(target);
	_cleanup_words_ char *sender = watched_sender_words(
		&evidence->watched, target->outer_pid, target->signal);

	if (!seen || !sender)
		return -ENOMEM;
	if (!target->started || (!target->ended && !target->timed_out))
		return oracle_unknown(
			ret_finding, "the target's exit wasn't seen: %s", seen);
	if (target->timed_out)
		return oracle_fail(ret_finding, expected_words(expect), "%s",
				   seen);
	if (target->signal && (target->killed_by_rule || target->stopped_by_us))
		return oracle_unknown(ret_finding,
				      "there is no exit status: %s", seen);
	if (target->signal)
		return oracle_fail(ret_finding, expected_words(expect), "%s%s",
				   seen, sender);
	return oracle_answer(ret_finding,
			     status_is_wanted(expect, target->status),
			     expected_words(expect), "%s", seen);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	evidence->target.signal = 0;
	for (int status = 0; status < 256; status++) {
		if (status_is_wanted(expect, status))
			continue;
		evidence->target.status = status;
		return 0;
	}
	return -ENOTSUP; /* every status is welcome */
}

/* Success is what comes of itself. */
static bool by_fault(const struct expect *expect)
{
	return !status_is_wanted(expect, 0);
}

static bool settled(const struct expect *expect,
		    const struct evidence *evidence)
{
	(void)expect;
	return oracle_ended(&evidence->target, evidence);
}

const struct oracle oracle_exit = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
	.settled = settled,
	.by_fault = by_fault,
};

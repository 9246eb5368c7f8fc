/* signal - the signal that ended the target; those that we sent don't count. */
#include "runner/oracles/oracle.h"

#include <signal.h>

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct ending *target = &evidence->target;
	_cleanup_words_ char *seen = words_ending(target);
	_cleanup_words_ char *sender = watched_sender_words(
		&evidence->watched, target->outer_pid, target->signal);
	int wanted = oracle_wants(expect, "none")
			     ? 0
			     : words_signal_find(oracle_value(expect));
	int got = target->signal;

	if (!seen || !sender)
		return -ENOMEM;
	if (!target->started || (!target->ended && !target->timed_out))
		return oracle_unknown(ret_finding,
				      "the target's end wasn't seen: %s", seen);
	if (target->stopped_by_us || target->killed_by_rule ||
	    target->timed_out)
		got = 0;
	if (got != target->signal && wanted == target->signal)
		return oracle_unknown(ret_finding, "%s: ours aren't counted",
				      seen);
	return oracle_answer(
		ret_finding, (got == wanted) == (expect->op == OP_EQ),
		words_say("ended by %s%s",
			  expect->op == OP_NE ? "other than " : "",
			  wanted ? oracle_value(expect) : "no signal"),
		"%s%s", seen, sender);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct ending *target = &evidence->target;
	bool none = oracle_wants(expect, "none");

	target->stopped_by_us = target->killed_by_rule = false;
	target->timed_out = false;
	target->ended = true;
	if (expect->op == OP_EQ)
		target->signal = none ? SIGSEGV : 0;
	else
		target->signal =
			none ? 0 : words_signal_find(oracle_value(expect));
	return 0;
}

static bool by_fault(const struct expect *expect)
{
	return oracle_wants(expect, "none") == (expect->op == OP_NE);
}

static bool settled(const struct expect *expect,
		    const struct evidence *evidence)
{
	(void)expect;
	return oracle_ended(&evidence->target, evidence);
}

const struct oracle oracle_signal = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
	.settled = settled,
	.by_fault = by_fault,
};

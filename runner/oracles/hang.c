/* hang - the target ended in its time; a service answered again once faults
 * were over, and stopped when it was told to. */
#include "runner/oracles/oracle.h"

#include <signal.h>

/* Is a rule on in the last phase that was reached?  Then silence at the end
 * is the fault's doing, not a hang. */
static bool fault_holds_at_end(const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;
	int last = -1;

	for (size_t i = 0; i < scenario->phases_count; i++)
		if (evidence->phases[i].reached)
			last = (int)i;
	for (size_t i = 0; last >= 0 && i < scenario->rules_count; i++)
		if (scenario->rules[i].phases >> last & 1)
			return true;
	return last < 0;
}

static const struct sample *sample_healthy_last(const struct evidence *evidence)
{
	for (size_t i = evidence->samples_count; i-- > 0;)
		if (evidence->samples[i].ok)
			return &evidence->samples[i];
	return NULL;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct ending *target = &evidence->target;
	const struct sample *healthy = sample_healthy_last(evidence);
	const struct sample *last =
		evidence->samples_count
			? &evidence->samples[evidence->samples_count - 1]
			: NULL;
	_cleanup_words_ char *seen = words_ending(target);
	char *expected = words_say("the target ends or answers in its time");

	if (!seen || !expected) {
		free(expected);
		return -ENOMEM;
	}
	if (oracle_wants(expect, "none") && target->timed_out) {
		if (oracle_since(ret_finding, evidence,
				 evidence->fault_first_ns
					 ? evidence->fault_first_ns
					 : target->start_ns) < 0) {
			free(expected);
			return -ENOMEM;
		}
		return oracle_fail(ret_finding, expected, "%s", seen);
	}
	if (target->stopped_by_us && target->signal == SIGKILL)
		return oracle_fail(ret_finding, expected,
				   "it didn't stop when told to, only SIGKILL "
				   "ended it");
	if (target->stopped_by_us && last && !last->ok &&
	    !fault_holds_at_end(evidence)) {
		if (oracle_since(ret_finding, evidence,
				 healthy ? healthy->due_ns : target->start_ns) <
		    0) {
			free(expected);
			return -ENOMEM;
		}
		return oracle_fail(ret_finding, expected,
				   "no healthy answer %s",
				   healthy ? "since then" : "was ever given");
	}
	if (!oracle_wants(expect, "none") || !target->started ||
	    !target->ended) {
		free(expected);
		return oracle_unknown(
			ret_finding, "%s",
			oracle_wants(expect, "none")
				? seen
				: "hang knows only the value none");
	}
	return oracle_pass(ret_finding, expected, "%s", seen);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	(void)expect;
	evidence->target.timed_out = true;
	return 0;
}

const struct oracle oracle_hang = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};

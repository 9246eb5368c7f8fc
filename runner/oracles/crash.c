/* crash - no process of the target's tree died by a signal that wasn't ours. */
#include "runner/oracles/oracle.h"

#include <signal.h>

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct ending *crash = evidence->crashes;
	char name[WORDS_SHORT_MAX];

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "crash knows only the value none");
	if (!evidence->target.started)
		return oracle_unknown(ret_finding,
				      "the target was never started");
	if (!evidence->crashes_count)
		return oracle_pass(ret_finding, words_say("no crash"),
				   "no process died by a signal");
	if (oracle_since(ret_finding, evidence, crash->end_ns) < 0)
		return -ENOMEM;
	words_signal(crash->signal, name);
	return oracle_fail(ret_finding, words_say("no crash"),
			   "%zu process%s died, the first by %s%s",
			   evidence->crashes_count,
			   evidence->crashes_count == 1 ? "" : "es", name,
			   crash->core ? " (core dumped)" : "");
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct ending *crashes = calloc(1, sizeof(*crashes));

	(void)expect;
	if (!crashes)
		return -ENOMEM;
	*crashes = evidence->target;
	crashes->signal = SIGSEGV;
	free(evidence->crashes);
	evidence->crashes = crashes;
	evidence->crashes_count = 1;
	return 0;
}

const struct oracle oracle_crash = {
	.judge = judge,
	.tamper = tamper,
};

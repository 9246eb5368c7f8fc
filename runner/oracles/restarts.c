/* restarts - how often the target was started again after a crash. */
#include "runner/oracles/oracle.h"

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	if (!evidence->target.started)
		return oracle_unknown(ret_finding,
				      "the target was never started");
	return oracle_answer(
		ret_finding,
		oracle_compare(expect->op, evidence->restarts, expect->number),
		words_say("%s%s restart%s", oracle_op_words(expect->op),
			  oracle_value(expect), expect->number == 1 ? "" : "s"),
		"%u restart%s", evidence->restarts,
		evidence->restarts == 1 ? "" : "s");
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	evidence->restarts = (unsigned)expect->number + 1;
	return 0;
}

const struct oracle oracle_restarts = {
	.judge = judge,
	.tamper = tamper,
};

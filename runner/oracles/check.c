/* check - a command after the target has ended: 0 good, 3 inconclusive. */
#include "runner/oracles/oracle.h"

#define EXIT_INCONCLUSIVE 3

static int after(const struct expect *expect, struct evidence *evidence)
{
	return oracle_command_run(expect, evidence, ORACLE_CHECK_BYTES);
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct command_seen *seen = oracle_command(evidence, expect);
	_cleanup_words_ char *how = NULL;
	const char *said;
	int said_bytes;

	if (!seen)
		return oracle_unknown(ret_finding, "it wasn't run");
	how = words_ending(&seen->ending);
	if (!how)
		return -ENOMEM;
	said = seen->output ? seen->output : "";
	said_bytes = (int)strcspn(said, "\n");
	if (said_bytes > ORACLE_QUOTE_BYTES)
		said_bytes = ORACLE_QUOTE_BYTES;
	if (!seen->ending.started)
		return oracle_unknown(ret_finding, "it couldn't be run: %.*s",
				      said_bytes, said);
	if (seen->ending.timed_out)
		return oracle_unknown(ret_finding, "%s", how);
	if (!seen->ending.signal && seen->ending.status == EXIT_INCONCLUSIVE)
		return oracle_unknown(ret_finding,
				      "it can't tell (exit status 3)%s%.*s",
				      said_bytes ? ": " : "", said_bytes, said);
	return oracle_answer(ret_finding,
			     !seen->ending.signal && !seen->ending.status,
			     words_say("exit status 0"), "%s%s%.*s", how,
			     said_bytes ? ": " : "", said_bytes, said);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct command_seen *seen = oracle_command(evidence, expect);

	if (!seen)
		return -ENOTSUP;
	seen->ending.status = 1;
	return 0;
}

const struct oracle oracle_check = {
	.after = after,
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};

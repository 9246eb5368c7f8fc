/* crash - no process of the target's tree died by a signal that wasn't ours. */
#include "runner/oracles/oracle.h"

#include <signal.h>

/* crash_first - the first death that neither a rule nor we asked for. */
static const struct ending *crash_first(const struct evidence *evidence,
					size_t *ret_count)
{
	const struct ending *first = NULL;

	*ret_count = 0;
	for (size_t i = 0; i < evidence->crashes_count; i++) {
		const struct ending *crash = &evidence->crashes[i];

		if (crash->killed_by_rule || crash->stopped_by_us)
			continue;
		first = first ? first : crash;
		++*ret_count;
	}
	return first;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct ending *crash;
	_cleanup_words_ char *sender = NULL;
	char name[WORDS_SHORT_MAX];
	size_t count;

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "crash knows only the value none");
	if (!evidence->target.started)
		return oracle_unknown(ret_finding,
				      "the target was never started");
	crash = crash_first(evidence, &count);
	if (!crash)
		return oracle_pass(ret_finding, words_say("no crash"),
				   "no process died by a signal that wasn't "
				   "ours");
	sender = watched_sender_words(&evidence->watched, crash->outer_pid,
				      crash->signal);
	if (!sender || oracle_since(ret_finding, evidence, crash->end_ns) < 0)
		return -ENOMEM;
	words_signal(crash->signal, name);
	return oracle_fail(ret_finding, words_say("no crash"),
			   "%zu process%s died, the first by %s%s%s", count,
			   count == 1 ? "" : "es", name,
			   crash->core ? " (core dumped)" : "", sender);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct ending *crashes = calloc(1, sizeof(*crashes));

	(void)expect;
	if (!crashes)
		return -ENOMEM;
	*crashes = evidence->target;
	crashes->signal = SIGSEGV;
	crashes->killed_by_rule = crashes->stopped_by_us = false;
	free(evidence->crashes);
	evidence->crashes = crashes;
	evidence->crashes_count = 1;
	return 0;
}

const struct oracle oracle_crash = {
	.judge = judge,
	.tamper = tamper,
};

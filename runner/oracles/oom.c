/* oom - did the kernel kill anything of the target for lack of memory? */
#include "runner/oracles/oracle.h"

#include <signal.h>

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct watched *watched = &evidence->watched;
	_cleanup_words_ char *missing =
		watched_missing(watched, 1 << WATCHED_life);
	const struct watched_exit *first = NULL;
	size_t count = 0;

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "oom knows only the value none");
	for (size_t i = 0; i < watched->exits_count; i++) {
		if (!watched->exits[i].oom)
			continue;
		first = first ? first : &watched->exits[i];
		count++;
	}
	if (!count && missing)
		return oracle_unknown(ret_finding, "%s", missing);
	if (!count)
		return oracle_pass(ret_finding, words_say("no OOM kill"),
				   "the kernel killed nothing of it");
	if (oracle_since(ret_finding, evidence, first->at_ns) < 0)
		return -ENOMEM;
	return oracle_fail(ret_finding, words_say("no OOM kill"),
			   "the kernel killed %zu process%s for lack of "
			   "memory, first %.16s (pid %u)",
			   count, count == 1 ? "" : "es", first->comm,
			   first->pid);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct watched *watched = &evidence->watched;
	struct watched_exit *exits = reallocarray(
		watched->exits, watched->exits_count + 1, sizeof(*exits));

	(void)expect;
	if (!exits)
		return -ENOMEM;
	watched->exits = exits;
	exits[watched->exits_count++] =
		(struct watched_exit){ .at_ns = evidence->end_ns,
				       .pid = evidence->target.pid,
				       .signal = SIGKILL,
				       .oom = true };
	return 0;
}

const struct oracle oracle_oom = { .judge = judge, .tamper = tamper };

/* exits - how every process of the target's tree ended, as the kernel says. */
#include "runner/oracles/oracle.h"

#include <signal.h>

/* Those that the run itself made die say nothing: stopped at the end, killed
 * by a rule, or still there when everything was stopped. */
static bool is_ours(const struct watched_exit *exit,
		    const struct evidence *evidence)
{
	if (exit->at_ns >= evidence->end_ns ||
	    (exit->signal && exit->sender_is_runner))
		return true;
	if (exit->pid == evidence->target.outer_pid &&
	    evidence->target.killed_by_rule)
		return true;
	for (size_t i = 0; i < evidence->crashes_count; i++)
		if (evidence->crashes[i].outer_pid == exit->pid &&
		    evidence->crashes[i].killed_by_rule)
			return true;
	return false;
}

static bool is_asked_for(const struct expect *expect,
			 const struct watched_exit *exit)
{
	return !expect->args.count || strncmp(expect->args.items[0], exit->comm,
					      WATCHED_COMM_MAX - 1) == 0;
}

static bool is_wanted(const struct expect *expect,
		      const struct watched_exit *exit)
{
	if (exit->signal)
		return false;
	for (size_t i = 0; i < expect->values.count; i++)
		if (atoi(expect->values.items[i]) == exit->status)
			return true;
	return false;
}

static char *expected_words(const struct expect *expect)
{
	_cleanup_words_ char *values = words_join(&expect->values);

	return values ? words_say("every %s ends with exit status %s%s",
				  expect->args.count ? expect->args.items[0]
						     : "process",
				  oracle_op_words(expect->op), values)
		      : NULL;
}

/* fail - the first one that ended otherwise, and how many there were. */
static int fail(const struct expect *expect, const struct evidence *evidence,
		const struct watched_exit *first, size_t bad, size_t all,
		struct finding *ret_finding)
{
	_cleanup_words_ char *how = watched_exit_words(first);

	if (!how || oracle_since(ret_finding, evidence, first->at_ns) < 0)
		return -ENOMEM;
	return oracle_fail(ret_finding, expected_words(expect),
			   "%zu of %zu ended otherwise, first %.16s (pid %u): "
			   "%s",
			   bad, all, first->comm, first->pid, how);
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct watched *watched = &evidence->watched;
	_cleanup_words_ char *missing =
		watched_missing(watched, 1 << WATCHED_life);
	const struct watched_exit *first = NULL;
	size_t all = 0, bad = 0;

	if (missing)
		return oracle_unknown(ret_finding, "%s", missing);
	for (size_t i = 0; i < watched->exits_count; i++) {
		const struct watched_exit *exit = &watched->exits[i];

		if (is_ours(exit, evidence) || !is_asked_for(expect, exit))
			continue;
		all++;
		if (is_wanted(expect, exit))
			continue;
		bad++;
		if (!first || exit->at_ns < first->at_ns)
			first = exit;
	}
	if (bad)
		return fail(expect, evidence, first, bad, all, ret_finding);
	if (!all)
		return oracle_unknown(
			ret_finding, "no process%s%s ended by itself",
			expect->args.count ? " called " : "",
			expect->args.count ? expect->args.items[0] : "");
	return oracle_pass(ret_finding, expected_words(expect),
			   "%zu process%s did", all, all == 1 ? "" : "es");
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct watched *watched = &evidence->watched;

	for (size_t i = 0; i < watched->exits_count; i++) {
		if (is_ours(&watched->exits[i], evidence) ||
		    !is_asked_for(expect, &watched->exits[i]))
			continue;
		watched->exits[i].signal = SIGSEGV;
		return 0;
	}
	return -ENOTSUP;
}

const struct oracle oracle_exits = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};

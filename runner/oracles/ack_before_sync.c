/* ack_before_sync - answers on accepted connections that left while writes to
 * the data directory weren't synced: what a power cut would take back. */
#include "runner/oracles/oracle.h"

static struct watched_acks sum(const struct expect *expect,
			       const struct evidence *evidence)
{
	const struct watched_acks *acks = evidence->watched.acks;
	struct watched_acks all = { 0 };

	if (expect->phase >= 0)
		return acks[1 + expect->phase];
	for (size_t i = 0; i <= PLAN_PHASES_MAX; i++) {
		all.acks += acks[i].acks;
		all.dirty += acks[i].dirty;
		all.writes += acks[i].writes;
		all.syncs += acks[i].syncs;
		all.sync_errors += acks[i].sync_errors;
		if (acks[i].window_max_ns > all.window_max_ns)
			all.window_max_ns = acks[i].window_max_ns;
		if (acks[i].first_ns &&
		    (!all.first_ns || acks[i].first_ns < all.first_ns))
			all.first_ns = acks[i].first_ns;
	}
	return all;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	_cleanup_words_ char *missing =
		watched_missing(&evidence->watched, 1 << WATCHED_durable);
	struct watched_acks acks = sum(expect, evidence);
	_cleanup_words_ char *more = NULL;
	bool good =
		oracle_compare(expect->op, (double)acks.dirty, expect->number);

	if (missing)
		return oracle_unknown(ret_finding, "%s", missing);
	if (!evidence->watched.data ||
	    strcmp(evidence->watched.data, expect->args.items[0]) != 0)
		return oracle_unknown(ret_finding,
				      "one directory can be watched in a run, "
				      "and it was %s",
				      evidence->watched.data
					      ? evidence->watched.data
					      : "none");
	if (!acks.acks)
		return oracle_unknown(ret_finding,
				      "nothing was ever answered on an "
				      "accepted connection");
	if (!acks.writes)
		return oracle_unknown(ret_finding,
				      "nothing was written below %s",
				      expect->args.items[0]);
	more = acks.dirty ? words_say(", for up to %.1f ms",
				      (double)acks.window_max_ns / 1e6)
			  : words_say("; %llu writes, %llu syncs",
				      (unsigned long long)acks.writes,
				      (unsigned long long)acks.syncs);
	if (!more)
		return -ENOMEM;
	if (!good && oracle_since(ret_finding, evidence, acks.first_ns) < 0)
		return -ENOMEM;
	return oracle_answer(
		ret_finding, good,
		words_say("%s%s answers before their data is synced",
			  oracle_op_words(expect->op), oracle_value(expect)),
		"%llu of %llu answers left while data was unsynced%s",
		(unsigned long long)acks.dirty, (unsigned long long)acks.acks,
		more);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct watched_acks *acks = &evidence->watched.acks[1 + expect->phase];

	acks->dirty = acks->acks = acks->writes = (uint64_t)expect->number + 1;
	acks->first_ns = evidence->start_ns;
	acks->window_max_ns = 1000000;
	return 0;
}

const struct oracle oracle_ack_before_sync = {
	.judge = judge,
	.tamper = tamper,
};

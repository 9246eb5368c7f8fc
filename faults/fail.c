/* fail=ERROR: the call isn't made, and reports the error.
 *
 * close and its kin are made and fail then, because Linux releases the
 * descriptor whatever it reports (close(2), "Dealing with error returns").
 * EAGAIN on a descriptor that blocks is no match: see call_may_say(). */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	if (call_table[call_id].flags & CALL_NEVER_FAILS)
		return "it has no way to report a failure";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	return call_table[call_id].flags & CALL_RELEASES_FD
		       ? EFFECT_EXECUTED_THEN_FAILED
		       : EFFECT_NOT_EXECUTED;
}

static bool applies(const struct call *call, const struct fault_arg *arg)
{
	return call_may_say(call, (int)(int64_t)arg->v[0]);
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)rng;
	if (call_table[call->id].flags & CALL_RELEASES_FD)
		call->after = true;
	else
		call->skip = true;
	call->error = (int)(int64_t)arg->v[0];
}

FAULT_DEFINE(fail, .says = "the call reports this error, and isn't made",
	     .example = "write path=**/data.db fail=ENOSPC nth=2",
	     .arg = ARG_ERROR, .refuses = refuses, .effect = effect,
	     .applies = applies, .may_force = true, .judge = judge);

/* fail=ERROR: the call isn't made, and reports the error.
 *
 * close and its kin are made and fail then, because Linux releases the
 * descriptor whatever it reports (close(2), "Dealing with error returns").
 * EAGAIN and EINPROGRESS say "would block", which only a non-blocking
 * descriptor ever says where the call waits for data; fork's or mmap's EAGAIN
 * says "out of something" and fits always. */
#include "core/fault.h"

#include <errno.h>

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
	const unsigned moves =
		CALL_MOVES_IN | CALL_MOVES_OUT | CALL_MOVES_WHOLE;
	unsigned flags = call_table[call->id].flags;
	int64_t error = (int64_t)arg->v[0];

	if (error == EINPROGRESS)
		return call->nonblocking;
	if (error != EAGAIN || !(flags & CALL_BLOCKS))
		return true;
	if (flags & moves || call->id == CALL_accept)
		return call->nonblocking;
	return true;
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

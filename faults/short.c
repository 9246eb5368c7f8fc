/* short=BYTES: the call moves at most so many bytes.
 *
 * It is cut before it is made, so the rest is still there to be read, or was
 * never written: read(2) and write(2), RETURN VALUE, allow that any time.
 * A call that asks for no more than BYTES can't be cut by it and doesn't
 * match; so a call is never cut to 0, which would mean end of file. */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	unsigned flags = call_table[call_id].flags;

	(void)arg;
	if (flags & CALL_MOVES_WHOLE)
		return "its records come whole or not at all";
	if (!(flags & (CALL_MOVES_IN | CALL_MOVES_OUT)))
		return "it moves no bytes that could be cut";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_PARTIAL;
}

static bool applies(const struct call *call, const struct fault_arg *arg)
{
	return call->len > arg->v[0];
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)rng;
	if (call->len > arg->v[0] && arg->v[0] > 0)
		call->len_max = arg->v[0];
}

FAULT_DEFINE(short, .says = "the call moves at most so many bytes",
	     .example = "write short=1 p=10%", .arg = ARG_BYTES,
	     .refuses = refuses, .effect = effect, .applies = applies,
	     .judge = judge);

/* eof: the call reports the end of the file or of the stream.
 *
 * The call isn't made and its result is 0: a truncated file, a peer that has
 * closed in good order.  A read of 0 bytes gives 0 anyway and doesn't match. */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	if (!(call_table[call_id].flags & CALL_MOVES_IN))
		return "it reads no bytes that could come to an end";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_NOT_EXECUTED;
}

static bool applies(const struct call *call, const struct fault_arg *arg)
{
	(void)arg;
	return call->len > 0;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call->skip = true;
	call->has_result = true;
	call->result = 0;
}

FAULT_DEFINE(eof, .says = "the call reports the end of file or stream",
	     .example = "recv peer=127.0.0.1:6379 eof nth=3", .arg = ARG_NONE,
	     .refuses = refuses, .effect = effect, .applies = applies,
	     .judge = judge);

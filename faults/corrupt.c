/* corrupt=BITS: bits are flipped in the bytes that the call moves.
 *
 * What is read is bent after it has come; what is written is bent in a copy,
 * never in the target's own buffer.  The length stays.  Which bits is drawn
 * from the rule's own stream, so a replay flips the same. */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	if (!(call_table[call_id].flags & (CALL_MOVES_IN | CALL_MOVES_OUT)))
		return "it moves no bytes that could be bent";
	if (!call_has_buffer(call_id))
		return "its bytes never pass through the target's memory";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_EXECUTED;
}

static bool applies(const struct call *call, const struct fault_arg *arg)
{
	(void)arg;
	return call->len > 0;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	if (call->len == 0)
		return;
	call->corrupt_bits = (uint32_t)arg->v[0];
	call->corrupt_seed = rng_next(rng);
}

FAULT_DEFINE(corrupt, .says = "bits are flipped in the bytes that are moved",
	     .example = "read path=**/*.db corrupt=1bit nth=random(1..100)",
	     .arg = ARG_BITS, .refuses = refuses, .effect = effect,
	     .applies = applies, .judge = judge);

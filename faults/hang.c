/* hang: the call never returns.
 *
 * It isn't made, so a lost reply and a dead disk look alike.  Signals are
 * still handled; the hook lets go when the lease ends. */
#include "core/fault.h"

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_NOT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call->hang = true;
}

FAULT_DEFINE(hang, .says = "the call isn't made and never returns",
	     .example = "fsync path=/var/lib/** hang nth=3", .arg = ARG_NONE,
	     .effect = effect, .judge = judge);

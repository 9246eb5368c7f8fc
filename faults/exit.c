/* exit=STATUS: the process ends at once with this status, exit_group(2).
 *
 * No atexit handler runs and no stdio buffer is flushed, as with _exit(2).
 * Before the call, unless at=after. */
#include "core/fault.h"

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_ENDS_PROCESS;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)rng;
	call->exit_status = (int)arg->v[0];
}

FAULT_DEFINE(exit, .says = "the process ends with this status, unflushed",
	     .example = "connect peer=127.0.0.1:5432 exit=1 nth=2",
	     .arg = ARG_STATUS, .may_be_after = true, .effect = effect,
	     .judge = judge);

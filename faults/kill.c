/* kill=SIGNAL: the process gets a signal at this very call.
 *
 * Before the call, unless at=after: then what the call did has been done, and
 * the process dies before it learns of it.  A signal that the target handles
 * or ignores lets it go on, and the call is made as usual. */
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
	call->kill_signal = (int)arg->v[0];
}

FAULT_DEFINE(kill, .says = "the process gets this signal at the call",
	     .example = "rename path=**/*.tmp kill=KILL nth=1 at=after",
	     .arg = ARG_SIGNAL, .may_be_after = true, .effect = effect,
	     .judge = judge);

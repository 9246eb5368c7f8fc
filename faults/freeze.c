/* freeze: from here on the clock stands still.
 *
 * A virtual machine whose clock source has died, a suspended host.  Programs
 * that wait for the time to pass by reading it spin; absolute timeouts on that
 * clock never fall due.  As skew does, it stands from the first reading at
 * which its triggers hold. */
#include "core/fault.h"

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call->is_warped = true;
}

FAULT_DEFINE(freeze, .says = "from here on the clock stands still",
	     .example = "time freeze nth=100", .arg = ARG_NONE, .stands = true,
	     .refuses = call_tells_no_time, .effect = effect, .judge = judge);

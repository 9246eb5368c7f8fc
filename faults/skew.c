/* skew=TIME: from here on the clock is ahead by TIME, or behind by -TIME.
 *
 * A machine that was set wrong, a dead battery (skew=-20y), a step by NTP
 * (`after=5s`), a leap second gone wrong.  It begins with the first reading at
 * which the triggers hold, and stands for every process that the rule is about
 * until its phases are over.  What follows from the clock follows: absolute
 * timeouts fall due when it tells their time. */
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

FAULT_DEFINE(skew, .says = "from here on the clock is off by this much",
	     .example = "time skew=+1h after=2s", .arg = ARG_SHIFT,
	     .stands = true, .refuses = call_tells_no_time, .effect = effect,
	     .judge = judge);

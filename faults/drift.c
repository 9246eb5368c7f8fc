/* drift=SHARE: from here on the clock runs fast, or slow if negative.
 *
 * A guest whose host takes its time away, a bad crystal (50ppm), a clock that
 * is slewed.  drift=+100% tells two seconds for each that passes.  As skew
 * does, it stands from the first reading at which its triggers hold. */
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

FAULT_DEFINE(drift, .says = "from here on the clock runs fast or slow by this",
	     .example = "time drift=+10%", .arg = ARG_DRIFT, .stands = true,
	     .refuses = call_tells_no_time, .effect = effect, .judge = judge);

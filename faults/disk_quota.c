/* disk.quota path=TREE limit=BYTES: a quota with so much left.
 *
 * As disk.full, but the error is EDQUOT, and statfs(2) tells of the whole file
 * system, as it does in life.  quotactl(2). */
#include "core/fault.h"

#include <errno.h>

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call_take_room(call, EDQUOT);
}

MODEL_DEFINE(disk_quota, "disk.quota",
	     .says = "the user may write so many bytes, then EDQUOT",
	     .example = "disk.quota path=/home/app limit=1MiB",
	     .arg = ARG_LIMIT, .arg_key = "limit", .arg_optional = true,
	     .attends = call_changes_room, .refuses = call_needs_no_room,
	     .effect = call_lands_partly, .judge = judge);

/* rot=SHARE: so many of a file's 4 KiB blocks have a bit that is wrong.
 *
 * Which blocks, and which bit of each, follows from the seed, the rule and the
 * file's name: the same block is bad at each reading, whatever the reads look
 * like.  The file itself is left alone.  A read that touches no bad bit isn't
 * counted as fired. */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	const unsigned flags = call_table[call_id].flags;

	(void)arg;
	if (!(flags & CALL_MOVES_IN) ||
	    call_table[call_id].family != FAMILY_file)
		return "it reads no blocks of a file";
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
	(void)rng;
	call->rot_ppm = (uint32_t)arg->v[0];
}

FAULT_DEFINE(rot, .says = "this share of the file's blocks has a wrong bit",
	     .example = "read,pread path=**/*.db rot=1%", .arg = ARG_SHARE,
	     .refuses = refuses, .effect = effect, .applies = applies,
	     .judge = judge);

/* late=ERROR: the call is made, and then reports the error.
 *
 * The commit whose acknowledgement is lost: what was asked for has been done,
 * and the caller believes that it wasn't.  If the call fails by itself, its
 * own error stands, and the fault hasn't fired.  Not where success made
 * something that only the result names: a descriptor (fcntl's F_DUPFD makes one
 * too), memory, a child would be lost to everybody.  A recvmsg that brings
 * descriptors along still leaks them: the target isn't told that it has them.
 */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	const struct call_info *info = &call_table[call_id];

	(void)arg;
	if (info->flags & CALL_NEVER_FAILS)
		return "it has no way to report a failure";
	if (info->flags & CALL_CREATES_FD || call_id == CALL_fcntl)
		return "a descriptor that it made would leak; use `fail`";
	if (info->flags & (CALL_CREATES_PROCESS | CALL_CREATES_THREAD))
		return "the child that it made would run unknown; use `fail`";
	if (info->flags & CALL_REPLACES_IMAGE)
		return "once it is done there is nobody to tell";
	if (call_id == CALL_munmap)
		return "munmap never lies: memory reported there must be there";
	if (info->family == FAMILY_alloc || info->fails == FAILS_gai)
		return "the memory that it made or moved would be lost; use "
		       "`fail`";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_EXECUTED_THEN_FAILED;
}

static bool applies(const struct call *call, const struct fault_arg *arg)
{
	return call_may_say(call, (int)(int64_t)arg->v[0]);
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)rng;
	call->after = true;
	call->error = (int)(int64_t)arg->v[0];
}

FAULT_DEFINE(late, .says = "the call is made, and then reports this error",
	     .example = "send peer=127.0.0.1:6379 late=ECONNRESET nth=5",
	     .arg = ARG_ERROR, .refuses = refuses, .effect = effect,
	     .applies = applies, .may_force = true, .judge = judge);

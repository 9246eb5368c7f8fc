/* torn=BYTES: so many bytes are moved, and the process dies by SIGKILL.
 *
 * A record that is half there.  The decision is in the books before the process
 * is killed.  What asks for no more than BYTES can't be torn by it, and doesn't
 * match. */
#include "core/fault.h"

#include <signal.h>

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	unsigned flags = call_table[call_id].flags;

	(void)arg;
	if (flags & CALL_MOVES_WHOLE)
		return "its records come whole or not at all";
	if (!(flags & CALL_MOVES_OUT))
		return "it sends no bytes that could be torn off";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_ENDS_PROCESS;
}

static bool applies(const struct call *call, const struct fault_arg *arg)
{
	return call->len > arg->v[0];
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)rng;
	call->len_max = arg->v[0];
	call->kill_signal = SIGKILL;
	call->after = true;
}

FAULT_DEFINE(torn,
	     .says = "so many bytes are moved, then the process is killed",
	     .example = "write path=**/wal torn=100 nth=3", .arg = ARG_BYTES,
	     .refuses = refuses, .effect = effect, .applies = applies,
	     .judge = judge);

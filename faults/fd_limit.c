/* fd.limit max=NUMBER: a process may have descriptors below that number only.
 *
 * As RLIMIT_NOFILE has it, getrlimit(2): a call that would get a higher one
 * gets EMFILE, and what is open stays so. */
#include "core/fault.h"

#include <errno.h>

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	if (!(call_table[call_id].flags & CALL_CREATES_FD) &&
	    call_id != CALL_fcntl)
		return "it makes no descriptor";
	return NULL;
}

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
	call->skip = true;
	call->error = EMFILE;
}

MODEL_DEFINE(fd_limit, "fd.limit",
	     .says = "a process has descriptors below a number, then EMFILE",
	     .example = "fd.limit max=64", .arg = ARG_COUNT, .arg_key = "max",
	     .refuses = refuses, .effect = effect, .judge = judge);

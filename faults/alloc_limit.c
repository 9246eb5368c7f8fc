/* alloc.limit max=BYTES: a process may hold so many bytes of the heap.
 *
 * What malloc(3) and its kin have given out is counted from the start, by what
 * they really gave; free(3) gives it back.  An allocation that would go past it
 * gets ENOMEM.  mmap(2) by the program itself isn't counted. */
#include "core/fault.h"

#include <errno.h>

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	if (!(call_table[call_id].flags & CALL_ALLOCATES))
		return "it allocates nothing";
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
	call->error = ENOMEM;
}

MODEL_DEFINE(alloc_limit, "alloc.limit",
	     .says = "the heap may hold so many bytes, then ENOMEM",
	     .example = "alloc.limit max=64MiB", .arg = ARG_LIMIT,
	     .arg_key = "max", .refuses = refuses, .effect = effect,
	     .judge = judge);

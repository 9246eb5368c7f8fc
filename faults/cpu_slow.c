/* cpu.slow by=NUMBER: each thread has a CPU so many times slower.
 *
 * A noisy neighbour, a throttled container.  What a thread has computed since
 * its last system call is paid for at the next one, in sleep; so a loop without
 * any goes on at full speed until it makes one, and then pays for all of it. */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	const unsigned never = CALL_REPLACES_IMAGE | CALL_CREATES_PROCESS |
			       CALL_CREATES_THREAD | CALL_ALLOCATES;

	(void)arg;
	if (call_table[call_id].flags & never ||
	    !call_table[call_id].has_kernel)
		return "time is paid for at system calls";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_EXECUTED;
}

/* The hook has found out what is owed. */
static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call->delay_ns += call->owed_ns;
}

MODEL_DEFINE(cpu_slow, "cpu.slow",
	     .says = "every thread's CPU is slower by a number",
	     .example = "cpu.slow by=4", .arg = ARG_COUNT, .arg_key = "by",
	     .refuses = refuses, .effect = effect, .judge = judge);

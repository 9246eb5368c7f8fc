/* around.c - make a system call for the target from inside the hook. */
#include "preload/around.h"

#include <stdatomic.h>
#include <time.h>

#include "core/sys.h"
#include "preload/mark.h"

/* glibc's pthread->cancelhandling, nptl/descr.h: cancelled, and neither
 * disabled nor exiting nor ended. */
#define CANCEL_DISABLED 0x01
#define CANCELED	0x08
#define EXITING		0x10
#define TERMINATED	0x20

/* The funnel's arguments: the thread's cancel flags, then the call. */
typedef long funnel_function(void *flags, long nr, long a, long b, long c,
			     long d, long e, long f);

long around_sleep(const struct site_regs *regs, const struct timespec *at)
{
	if (regs && regs->stub->by_symbol && regs->stub->result)
		return ((symbol_sleep *)regs->stub->result)(at);
	return sys6(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME,
		    (long)at, 0, 0, 0);
}

bool around_is_cancelled(const struct site_regs *regs)
{
	const unsigned mask = CANCEL_DISABLED | CANCELED | EXITING | TERMINATED;
	const _Atomic unsigned *flags;

	if (!regs->stub->cancel_by_pc)
		return false;
	flags = site_cancel_flags(regs);
	return (atomic_load_explicit(flags, memory_order_relaxed) & mask) ==
	       CANCELED;
}

static MAKES_CALLS long around_here(long nr, const long arg[6])
{
	return sys6(nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

long around_call(const struct site_regs *regs)
{
	const struct site_stub *stub = regs->stub;
	long arg[6];

	if (stub->by_symbol)
		return ((symbol_make *)stub->proceed)(regs);
	for (unsigned i = 0; i < 6; i++)
		arg[i] = (long)*site_arg(regs, i + 1);
	return around_make(regs, (long)site_nr(regs), arg);
}

long around_make(const struct site_regs *regs, long nr, const long arg[6])
{
	const struct site_stub *stub = regs->stub;
	funnel_function *funnel;

	if (!stub->cancel_by_pc)
		return around_here(nr, arg);
	funnel = (funnel_function *)(uintptr_t)stub->syscall;
	return funnel(site_cancel_flags(regs), nr, arg[0], arg[1], arg[2],
		      arg[3], arg[4], arg[5]);
}

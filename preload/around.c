/* around.c - make a system call for the target from inside the hook. */
#include "preload/around.h"

#include "core/sys.h"

/* The funnel's arguments: the thread's cancel flags, then the call. */
typedef long funnel_function(void *flags, long nr, long a, long b, long c,
			     long d, long e, long f);

long around_call(const struct site_regs *regs)
{
	const struct site_stub *stub = regs->stub;
	funnel_function *funnel;
	void *flags;

	if (!stub->cancel_by_pc)
		return sys6((long)regs->rax, (long)regs->rdi, (long)regs->rsi,
			    (long)regs->rdx, (long)regs->r10, (long)regs->r8,
			    (long)regs->r9);
	/* site_amd64.S left the flags' address where the funnel would. */
	flags = *(void **)(site_regs_sp(regs) + 8);
	funnel = (funnel_function *)(uintptr_t)stub->syscall;
	return funnel(flags, (long)regs->rax, (long)regs->rdi, (long)regs->rsi,
		      (long)regs->rdx, (long)regs->r10, (long)regs->r8,
		      (long)regs->r9);
}

/* unwind_steps - single-step through a read and unwind at each instruction.
 *
 * The processor traps after every instruction of inner(); the handler asks
 * libgcc's unwinder, which is what cancels threads and throws exceptions, for
 * the stack, which must lead to main().  Says how many instructions there
 * were and at how many the way was lost; exit 1 if there was one.
 */
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define TRAP_FLAG 0x100

static volatile long steps, lost;
static uintptr_t lost_at[16];
static int ends[2];
int main(void);

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *found)
{
	if (_Unwind_FindEnclosingFunction(
		    (void *)(_Unwind_GetIP(context) - 1)) == (void *)main)
		*(int *)found = 1;
	return _URC_NO_REASON;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	const ucontext_t *at = context;
	int found = 0;

	(void)signal;
	(void)info;
	_Unwind_Backtrace(look, &found);
	steps++;
	if (!found && lost < 16)
		lost_at[lost] = (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
	lost += !found;
}

/* By frame pointer, so that pushing flags doesn't move the CFA. */
static __attribute__((noinline, optimize("no-omit-frame-pointer"))) long
inner(void)
{
	char c;
	long n;

	__asm__ volatile("sub $128, %%rsp; pushfq; orq %0, (%%rsp); popfq;"
			 "add $128, %%rsp"
			 :
			 : "i"(TRAP_FLAG)
			 : "cc", "memory");
	n = read(ends[0], &c, 1);
	__asm__ volatile("sub $128, %%rsp; pushfq; andq %0, (%%rsp); popfq;"
			 "add $128, %%rsp"
			 :
			 : "i"(~TRAP_FLAG)
			 : "cc", "memory");
	return n;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_trap,
				    .sa_flags = SA_SIGINFO };
	int found = 0;
	long n;

	if (pipe(ends) || write(ends[1], "xy", 2) != 2 ||
	    read(ends[0], &n, 1) != 1)
		return 2;
	_Unwind_Backtrace(look, &found); /* all that it loads, now */
	sigaction(SIGTRAP, &action, NULL);
	n = inner();
	signal(SIGTRAP, SIG_DFL);
	printf("read %ld, %ld steps, %ld lost\n", n, steps, lost);
	for (long i = 0; i < lost && i < 16; i++)
		fprintf(stderr, "lost at %lx\n", (unsigned long)lost_at[i]);
	return lost != 0 || !found;
}

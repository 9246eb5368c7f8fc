/* act.c - what the hook alone does: sleep, hang, kill, exit.
 *
 * Sleeps are absolute, so that a handler in between doesn't lengthen them, and
 * in slices, so that a target whose runner is gone is given back.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <time.h>

#include "preload/around.h"
#include "preload/guest.h"

#define SLICE_NS  100000000ull
#define REPEAT_NS 1000000000ull /* later it is another call, not the same */

/* glibc keeps these two for itself, nptl(7). */
#define SIGNAL_IS_LIBCS(n) ((n) == 32 || (n) == 33)

/* What a thread brings upon itself, signal(7): none of these comes while it
 * sleeps, but AddressSanitizer and runtimes handle them, without SA_RESTART. */
#define BIT(n) (1ull << ((n)-1))
#define SIGNALS_OF_FAULTS                                                      \
	(BIT(SIGSEGV) | BIT(SIGBUS) | BIT(SIGILL) | BIT(SIGFPE) |              \
	 BIT(SIGTRAP) | BIT(SIGABRT) | BIT(SIGSYS))

/* As the kernel has it, sigaction(2), "C library/kernel differences". */
struct kernel_action {
	void *handler;
	unsigned long flags;
	void *restorer;
	uint64_t mask;
};

/* A handler has run.  Would the real call have been restarted?  Which handler
 * it was can't be known: if any of them is installed without SA_RESTART the
 * call is interrupted, as signal(7) says it may be. */
bool act_interrupts(const struct flight *flight)
{
	unsigned flags = call_table[flight->call.id].flags;

	if (!flight->regs || !(flags & CALL_BLOCKS))
		return false;
	if (flags & CALL_WAITS)
		return true; /* signal(7): never restarted */
	for (int n = 1; n <= 64; n++) {
		struct kernel_action action = { 0 };

		if (SIGNAL_IS_LIBCS(n) || SIGNALS_OF_FAULTS & BIT(n) ||
		    sys6(SYS_rt_sigaction, n, 0, (long)&action, 8, 0, 0) < 0)
			continue;
		if (action.handler != (void *)SIG_DFL &&
		    action.handler != (void *)SIG_IGN &&
		    !(action.flags & SA_RESTART))
			return true;
	}
	return false;
}

static bool is_cancelled(const struct flight *flight)
{
	return flight->regs && around_is_cancelled(flight->regs);
}

static long sleep_to(const struct flight *flight, uint64_t at_ns)
{
	struct timespec at = { .tv_sec = (time_t)(at_ns / 1000000000u),
			       .tv_nsec = (long)(at_ns % 1000000000u) };

	return around_sleep(flight->regs, &at);
}

/* A delayed call that a handler interrupts is made again by most programs.
 * What was slow goes on from where it was, or a program with a fast timer would
 * never get past it. */
static void delay_cut_short(const struct flight *flight, uint64_t end_ns)
{
	guest_thread.delay_end_ns = end_ns;
	guest_thread.delay_fd = flight->call.fd;
	guest_thread.delay_call = flight->call.id;
}

uint64_t act_delay_left(const struct flight *flight, uint64_t delay_ns)
{
	uint64_t end_ns = guest_thread.delay_end_ns, now_ns;

	if (!end_ns || guest_thread.delay_fd != flight->call.fd ||
	    guest_thread.delay_call != flight->call.id)
		return delay_ns;
	guest_thread.delay_end_ns = 0;
	now_ns = clock_ns();
	if (now_ns > end_ns + REPEAT_NS)
		return delay_ns;
	return now_ns < end_ns ? end_ns - now_ns : 0;
}

bool act_sleep(const struct flight *flight, uint64_t end_ns)
{
	uint64_t now_ns = clock_ns();
	long slack = sys3(SYS_prctl, PR_GET_TIMERSLACK, 0, 0);
	bool is_interrupted = false;

	sys3(SYS_prctl, PR_SET_TIMERSLACK, 1, 0);
	while (now_ns < end_ns && lease_holds(guest_state, now_ns)) {
		uint64_t left_ns = end_ns - now_ns;

		if (is_cancelled(flight) ||
		    (sleep_to(flight,
			      now_ns + (left_ns < SLICE_NS ? left_ns
							   : SLICE_NS)) &&
		     act_interrupts(flight))) {
			is_interrupted = true;
			break;
		}
		now_ns = clock_ns();
	}
	if (slack > 0)
		sys3(SYS_prctl, PR_SET_TIMERSLACK, slack, 0);
	return is_interrupted;
}

/* true: as act_sleep(). */
static bool delay(const struct flight *flight, uint64_t delay_ns)
{
	uint64_t now_ns = clock_ns(), end_ns = now_ns + delay_ns;

	if (end_ns < now_ns)
		end_ns = UINT64_MAX;
	if (!act_sleep(flight, end_ns))
		return false;
	delay_cut_short(flight, end_ns);
	return true;
}

/* Until the lease ends or the rule's phases are over; then the call is made. */
static bool hang(const struct flight *flight)
{
	for (;;) {
		uint64_t now_ns = clock_ns();
		uint32_t phase = PEEK(guest_state->phase) % PLAN_PHASES_MAX;

		if (!lease_holds(guest_state, now_ns) ||
		    !PEEK(guest_state->armed) ||
		    !(flight->hang_phases & (1u << phase)))
			return false;
		if (is_cancelled(flight) ||
		    (sleep_to(flight, now_ns + SLICE_NS) &&
		     act_interrupts(flight)))
			return true;
	}
}

/* To this thread, so that a core file shows the call. */
static void end_process(const struct call *call)
{
	if (call->kill_signal)
		sys3(SYS_tgkill, sys0(SYS_getpid), sys0(SYS_gettid),
		     call->kill_signal);
	if (call->exit_status >= 0)
		sys3(SYS_exit_group, call->exit_status, 0, 0);
}

int act_before(struct flight *flight)
{
	struct call *call = &flight->call;

	if (call->delay_ns && delay(flight, call->delay_ns))
		return -EINTR;
	if (call->hang && hang(flight))
		return -EINTR;
	if (!call->after)
		end_process(call);
	return 0;
}

void act_after(struct flight *flight)
{
	if (flight->call.after)
		end_process(&flight->call);
}

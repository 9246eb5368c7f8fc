/* guardian_act.c - what becomes of a call, in the hook's order: delay, hang,
 * kill, the call or not, the result.
 *
 * Waits are steps of a queue.  A thread whose question was received sleeps
 * uninterruptibly but for death; signals that it has a handler for are looked
 * for in slices, and end the wait as they would end the call.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runner/guardian.h"

#define KERNEL_ERESTARTSYS 512 /* include/linux/errno.h */
#define DYING_NS	   NS_PER_S

static void answer(const struct notice *notice, int64_t result, int error,
		   uint32_t flags)
{
	struct {
		_Alignas(struct seccomp_notif_resp) char bytes[256];
	} room = { 0 };
	struct seccomp_notif_resp *response = (void *)room.bytes;

	response->id = notice->id;
	response->val = error ? 0 : result;
	response->error = -error;
	response->flags = flags;
	/* ENOENT: it died meanwhile */
	ioctl(notice->listener->source.fd, SECCOMP_IOCTL_NOTIF_SEND, response);
}

void notice_continue(const struct notice *notice)
{
	answer(notice, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
}

void notice_respond(const struct notice *notice, int64_t result, int error)
{
	answer(notice, result, error, 0);
}

/* ---- signals ------------------------------------------------------------- */

/* Does one wait that the thread has a handler for?  One sent to the process
 * may be taken by any thread that doesn't block it, and a waiting main thread
 * is the first that the kernel chooses, complete_signal(), kernel/signal.c. */
static bool has_signal(const struct notice *notice)
{
	uint64_t own = 0, shared = 0, blocked = 0, caught = 0, threads = 0;
	pid_t tid = notice->tid;

	if (!guardian_status(tid, "SigPnd", 16, &own) ||
	    !guardian_status(tid, "ShdPnd", 16, &shared) || !(own | shared) ||
	    !guardian_status(tid, "SigBlk", 16, &blocked) ||
	    !guardian_status(tid, "SigCgt", 16, &caught) ||
	    !guardian_status(tid, "Threads", 10, &threads))
		return false;
	if (threads == 1 || tid == notice->process->pid)
		own |= shared;
	return own & caught & ~blocked;
}

/* The call is interrupted: for good, where signal(7) says that it never is
 * restarted; else as its handlers were installed, which the kernel knows.  If
 * it is restarted, it asks again, and is known by its arguments. */
static bool interrupted(struct notice *notice)
{
	unsigned flags = call_table[notice->call.id].flags;
	struct guardian_thread *thread = notice->thread;
	uint64_t now_ns = clock_now_ns();
	bool is_first = !notice->look_ns;

	if (!(flags & CALL_BLOCKS) || now_ns < notice->look_ns)
		return false;
	notice->look_ns = now_ns + GUARDIAN_SLICE_NS;
	if (is_first || !has_signal(notice))
		return false;
	if (flags & CALL_WAITS || !thread) {
		notice_respond(notice, 0, EINTR);
		return true;
	}
	thread->again_until_ns = now_ns + GUARDIAN_REPEAT_NS;
	thread->again_due_ns = notice->due_ns;
	thread->again_nr = notice->nr;
	memcpy(thread->again_args, notice->args, sizeof(notice->args));
	thread->again_call = notice->call;
	thread->again_hang_phases = notice->hang_phases;
	notice_respond(notice, 0, KERNEL_ERESTARTSYS);
	return true;
}

bool notice_resume(struct notice *notice)
{
	struct guardian_thread *thread = notice->thread;

	if (thread->again_until_ns < clock_now_ns() ||
	    thread->again_nr != notice->nr ||
	    memcmp(thread->again_args, notice->args, sizeof(notice->args)) != 0)
		return false;
	thread->again_until_ns = 0;
	notice->call = thread->again_call;
	notice->hang_phases = thread->again_hang_phases;
	notice->due_ns = thread->again_due_ns;
	return true;
}

/* ---- the steps ----------------------------------------------------------- */

static bool delay_is_over(struct notice *notice, uint64_t now_ns)
{
	uint64_t slice_ns = now_ns + GUARDIAN_SLICE_NS;

	if (!notice->call.delay_ns)
		return true;
	if (!notice->due_ns)
		notice->due_ns = now_ns + notice->call.delay_ns;
	if (now_ns >= notice->due_ns ||
	    !lease_holds(notice->guardian->state, now_ns))
		return true;
	notice->wake_ns = notice->due_ns < slice_ns ? notice->due_ns : slice_ns;
	return false;
}

/* Until the lease ends or the rule's phases are over; then it is made. */
static bool hang_is_over(struct notice *notice, uint64_t now_ns)
{
	const struct state *state = notice->guardian->state;
	uint32_t phase = 1u << (atomic_load(&state->phase) % PLAN_PHASES_MAX);

	notice->wake_ns = now_ns + GUARDIAN_SLICE_NS;
	return !notice->call.hang || !lease_holds(state, now_ns) ||
	       !atomic_load(&state->armed) || !(notice->hang_phases & phase);
}

/* Would the signal end the process? signal(7), "Standard signals". */
static bool is_fatal(const struct notice *notice)
{
	int number = notice->call.kill_signal;
	uint64_t bit = 1ull << (number - 1), caught = 0, ignored = 0, mask = 0;

	switch (number) {
	case SIGKILL:
		return true;
	case SIGSTOP:
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGCONT:
	case SIGCHLD:
	case SIGURG:
	case SIGWINCH:
		return false;
	}
	guardian_status(notice->tid, "SigCgt", 16, &caught);
	guardian_status(notice->tid, "SigIgn", 16, &ignored);
	guardian_status(notice->tid, "SigBlk", 16, &mask);
	return !((caught | ignored | mask) & bit);
}

/* To this thread.  A fatal one gets no answer: the call would be made after
 * all, before the thread dies. */
static void signal_send(struct notice *notice, uint64_t now_ns)
{
	bool fatal = is_fatal(notice);

	syscall(SYS_tgkill, notice->process->pid, notice->tid,
		notice->call.kill_signal);
	notice->stage = fatal ? STAGE_DYING : STAGE_CALL;
	notice->due_ns = now_ns + DYING_NS;
}

/* What recvmsg(2) fills in where a stream has ended: nothing. */
static void message_empty(const struct notice *notice)
{
	const struct call *call = &notice->call;
	struct msghdr msg;

	if (!call->msg || !(call_table[call->id].flags & CALL_MOVES_IN) ||
	    notice_copy(notice, &msg, call->msg, sizeof(msg)) != sizeof(msg))
		return;
	msg.msg_namelen = 0;
	msg.msg_controllen = 0;
	msg.msg_flags = 0;
	notice_write(notice, call->msg, &msg, sizeof(msg));
}

/* A sleep that was never begun has all of its time left; nanosleep(2). */
static void sleep_remains(const struct notice *notice)
{
	bool is_old = notice->nr == SYS_nanosleep;
	const uint64_t *args = notice->args;
	uint64_t want = is_old ? args[0] : args[2];
	uint64_t left = is_old ? args[1] : args[3];
	struct timespec time;

	if (notice->call.id != CALL_nanosleep || !left ||
	    (!is_old && args[1] & TIMER_ABSTIME))
		return;
	if (notice_copy(notice, &time, (const void *)want, sizeof(time)) ==
	    sizeof(time))
		notice_write(notice, (void *)left, &time, sizeof(time));
}

static bool call_make(struct notice *notice)
{
	const struct call *call = &notice->call;

	if (call->skip) {
		if (call->has_result)
			message_empty(notice);
		if (call->error == EINTR)
			sleep_remains(notice);
		notice_net_act(notice);
		notice_respond(notice, call->result, call->error);
		return true;
	}
	if (call->len_max)
		return notice_short(notice);
	notice_continue(notice);
	return true;
}

/* Nobody is to wait any more: as the kernel would have it. */
static bool let_go(struct notice *notice)
{
	if (notice->stage == STAGE_DYING && notice_is_valid(notice)) {
		notice->wake_ns = clock_now_ns() + GUARDIAN_SLICE_NS;
		return false; /* never: it was sent its death */
	}
	notice_continue(notice);
	return true;
}

bool notice_advance(struct notice *notice, uint64_t now_ns)
{
	if (notice->guardian->over || notice->guardian->quiet)
		return let_go(notice);
	if (notice->stage == STAGE_DELAY) {
		if (!delay_is_over(notice, now_ns))
			return interrupted(notice);
		notice->stage = STAGE_HANG;
	}
	if (notice->stage == STAGE_HANG) {
		if (!hang_is_over(notice, now_ns))
			return interrupted(notice);
		notice->stage = STAGE_KILL;
	}
	if (notice->stage == STAGE_KILL) {
		notice->stage = STAGE_CALL;
		if (notice->call.kill_signal)
			signal_send(notice, now_ns);
	}
	if (notice->stage == STAGE_DYING) {
		notice->wake_ns = now_ns + GUARDIAN_SLICE_NS;
		if (now_ns < notice->due_ns)
			return !notice_is_valid(notice);
		notice->stage = STAGE_CALL; /* it survived: made as usual */
	}
	notice->wake_ns = now_ns + GUARDIAN_SLICE_NS;
	if (notice->stage == STAGE_IO && interrupted(notice))
		return true;
	return call_make(notice);
}

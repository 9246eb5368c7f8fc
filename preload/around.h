/* around.h - make a system call for the target from inside the hook.
 *
 * For what must happen after a call (late=, at=after, corrupted input, a
 * result that counts) the hook makes the call itself.  A thread that blocks
 * in there must be cancellable as if nobody had stepped in between:
 *  - glibc before 2.41 switches asynchronous cancellation on around the call,
 *    so the handler unwinds from wherever the thread is, through our frames;
 *  - glibc from 2.41 on, and musl, cancel only if the PC stands in their own
 *    funnel function, so around_call() calls just that function.
 */
#ifndef MISHAP_PRELOAD_AROUND_H
#define MISHAP_PRELOAD_AROUND_H

#include "preload/door.h"

/* around_call - make the call that regs describe, as bent by the hook.
 * Returns what the kernel returned, a result or -errno; -EINTR must go back
 * to the target as it is, for that is how a libc learns that it must look at
 * a cancellation.  regs is not changed.
 *
 * It may never return: when the thread is cancelled, or a signal handler
 * jumps away, the frames of the hook are unwound.  So whatever the hook has
 * set for the time of the call (a depth, a slot, a mark) must be undone
 * before, or must not need undoing; no lock may be held.
 *
 * Don't use it for what must run where it stands (execve works; a number of
 * site_is_skipped() never gets here).  Signal-safe, re-entrant; stack: under
 * 256 bytes. */
HIDDEN long around_call(const struct site_regs *regs);

/* around_make - another call than the target's, in its place; else the same.
 * Not for calls that came by a symbol. */
HIDDEN long around_make(const struct site_regs *regs, long nr,
			const long arg[6]);

/* around_sleep - sleep until a time of CLOCK_MONOTONIC, while a call waits for
 * its turn.  regs: NULL if it has none.  0, or -EINTR: a handler has run.
 * A call that came by a symbol sleeps in libc's clock_nanosleep(), which knows
 * how to cancel a thread; like around_call(), it may then never return. */
HIDDEN long around_sleep(const struct site_regs *regs,
			 const struct timespec *at);

/* around_is_cancelled - is the thread cancelled, and waits only for us?
 * For loops of the hook that sleep: glibc >= 2.41 leaves a thread alone that
 * isn't in its funnel, so the hook must ask, each time that it has slept, and
 * if so give the target -EINTR, which is where libc looks again.  Always false
 * elsewhere: there the handler unwinds the hook itself.  Signal-safe. */
HIDDEN bool around_is_cancelled(const struct site_regs *regs);

#endif

/* warp.h - the clocks that rules bend, as this process sees them.
 *
 * A rule that bends a clock begins with the first decision in any process and
 * stands for all that it is about: when it began is kept in the rule's slot of
 * the shared state, and the runner empties that when the rule's phases are
 * over.  Lock-free, signal-safe.
 */
#ifndef MISHAP_PRELOAD_WARP_H
#define MISHAP_PRELOAD_WARP_H

#include "preload/guest.h"

/* Rules of this process's that bend clocks; set at boot. */
HIDDEN extern uint64_t guest_warp_rules;
HIDDEN void warp_look(void);

/* warp_stands - has the rule begun? */
HIDDEN bool warp_stands(unsigned r);
/* warp_begin - it has, from now on. */
HIDDEN void warp_begin(unsigned r);
/* warp_announce - true once in this process for each time that it begins: then
 * that is an event of this process's. */
HIDDEN bool warp_announce(unsigned r);
/* warp_reading - bend what a successful call of the table has told; its return
 * value. */
HIDDEN intptr_t warp_reading(const struct flight *flight, intptr_t ret);

/* warp_rules - those that bend this clock now, in order; 0 when the lease has
 * ended. */
HIDDEN uint64_t warp_rules(int clock);
/* warp_told, warp_due - the time that a clock tells, and the true time at which
 * it tells told_ns; WARP_NEVER.  In ns. */
HIDDEN int64_t warp_told(uint64_t rules, int clock, int64_t true_ns);
HIDDEN int64_t warp_due(uint64_t rules, int clock, int64_t told_ns);
HIDDEN int64_t warp_clock_ns(int clock); /* the true time */

#define WARP_SLICE_NS                                                          \
	100000000ll /* a wait notices a step of the clock so soon */

/* warp_wants - is this a system call that tells a time or waits until one, and
 * no call of the table's? */
HIDDEN bool warp_wants(uint64_t nr);
/* warp_call - make it with its time bent; its result. */
HIDDEN long warp_call(struct site_regs *regs);

#endif

/* arm.h - which doors a plan wants opened in a phase.
 *
 * The runner calls it at every phase change and copies the bytes into
 * state->armed_nr and state->armed_call.  Pure, thread-safe.
 */
#ifndef MISHAP_CORE_ARM_H
#define MISHAP_CORE_ARM_H

#include "core/plan.h"

/* plan_arm - fill both tables for one phase, every byte of them.
 * armed_nr: CALL_NR_MAX bytes by kernel number; 1: the site door asks the
 * hook.  armed_call: at least CALL_COUNT bytes by call id; 1: the symbol door
 * asks it.  phase: 0..PLAN_PHASES_MAX-1.
 *
 * Beyond the calls that a rule of the phase names, it opens:
 *  - execve and execveat always, so that a scrubbed environment is repaired
 *    before the new image is started;
 *  - mmap always, so that a library that is loaded later is patched;
 *  - mmap always, so that a library that is loaded later is patched;
 *  - close, close_range, dup and connect if a rule of the phase selects by
 *    object (path, peer, host, side) or counts per fd, so that what is
 *    remembered of an fd is forgotten when the number comes to mean something
 *    else;
 *  - all calls that net_way_of() knows, in every phase, if any rule holds back
 *    what arrives at sockets;
 *  - io_uring_setup if plan_wants_uring(), so that it is refused;
 *  - getaddrinfo if a rule of the phase selects by host, so that the addresses
 *    behind a name are known when they are connected to.
 *
 * To disarm, fill armed_call with zeroes and call plan_arm_nothing() for
 * armed_nr; only a halted run leaves both all zero. */
void plan_arm(const struct plan *plan, unsigned phase,
	      uint8_t armed_nr[CALL_NR_MAX], uint8_t *armed_call);

/* plan_wants_uring - could a ring make a call that a rule of any phase names,
 * where no door sees it?  Then io_uring_setup(2) is refused. */
bool plan_wants_uring(const struct plan *plan);

/* plan_arm_nothing - no rule holds, and exec is still repaired. */
void plan_arm_nothing(uint8_t armed_nr[CALL_NR_MAX]);

#endif

/* site_quick.h - the quick pass of site_amd64.S; C and assembly.
 *
 * A call that is armed and that no rule can want, by what is known already,
 * is counted and let go on without the hook.  What is known is the row of its
 * number, and for most the row of its fd.
 */
#ifndef MISHAP_PRELOAD_SITE_QUICK_H
#define MISHAP_PRELOAD_SITE_QUICK_H

/* Of a number; 0: the hook is always asked. */
#define QUICK_PASSES  1 /* it may pass */
#define QUICK_BY_FD   2 /* ... if none of the row's rules wants its fd */
#define QUICK_NO_ADDR 4 /* ... and if it has no address as 5th argument */
#define QUICK_FORGETS 8 /* what is known of the fd is forgotten */

#define QUICK_ROW_SHIFT	   4 /* struct quick_row */
#define QUICK_ROW_RULES	   0
#define QUICK_ROW_CALL	   8
#define QUICK_ROW_FLAGS	   10
#define KNOWN_SHIFT	   5 /* struct known */
#define KNOWN_STAMP	   0
#define KNOWN_LIVES	   4
#define KNOWN_RULES	   8
#define KNOWN_COUNTS_EPOCH 16
#define KNOWN_CLIENT_IN	   20
#define KNOWN_FDS_MAX	   1024
#define STATE_NR_COUNTED   2   /* enum armed_nr */
#define STATE_ARMED_CALL   512 /* struct state */
#define STATE_PHASE	   4152
#define STATE_PHASE_NS	   4160
#define PROCESS_CALLS	   112 /* struct process */

#endif

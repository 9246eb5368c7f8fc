/* interrupt.h - Ctrl-C and its kin: faults off at once, then an orderly end.
 * A second one makes the end a quick one. */
#ifndef MISHAP_RUNNER_INTERRUPT_H
#define MISHAP_RUNNER_INTERRUPT_H

#include "core/shared.h"

/* interrupt_open - state: disarmed by the handler itself; NULL: nothing yet.
 * Signals that were ignored when we were started (nohup) stay ignored. */
void interrupt_open(void);
void interrupt_watch(struct state *state);
void interrupt_close(void);
int interrupt_signal(void); /* the first that came; 0: none */
bool interrupt_hurry(void); /* a second one came */

#endif

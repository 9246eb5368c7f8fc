/* decide.h - what a rule makes of a call that it matches, by whichever door
 * the call was seen.  Lock-free, signal-safe, no I/O. */
#ifndef MISHAP_CORE_DECIDE_H
#define MISHAP_CORE_DECIDE_H

#include "core/shared.h"

/* A rule that may act on a call, and where the call stands in its counts. */
struct decision {
	bool is_set;
	uint8_t rule;
	uint32_t index, thread_index; /* as in struct event */
	uint16_t *fired; /* by thread or fd; NULL: the process's own count */
};

/* decision_take - one of the rule's `times`, counted for the process; false:
 * there is none left.  is_done: it has come to pass already and counts all the
 * same. */
bool decision_take(const struct plan *plan, struct process *process,
		   const struct decision *decision, bool is_done);
/* decision_judge - let the rule's fault write its verdict into the call.  in:
 * as trigger_holds() was asked. */
void decision_judge(const struct plan_rule *rule,
		    const struct trigger_input *in, struct call *call);
/* decision_value - what the action's argument came to, for the event: was is
 * the call before decision_judge(). */
int64_t decision_value(const struct call *was, const struct call *call);

#endif

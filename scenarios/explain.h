/* explain.h - a scenario in plain English; shared by the explain_*.c files. */
#ifndef MISHAP_SCENARIOS_EXPLAIN_H
#define MISHAP_SCENARIOS_EXPLAIN_H

#include "scenarios/text.h"

/* explain_rule - one sentence or two: when, where, what. */
char *explain_rule(struct arena *arena, const struct scenario *scenario,
		   const struct rule *rule);

/* explain_argument - "ENOSPC (No space left on device)", "200ms, give or take
 * 50ms": the value of an action in words. */
char *explain_argument(struct arena *arena, const struct rule *rule);

enum shadow {
	SHADOW_NONE,
	SHADOW_MAYBE, /* both may match a call; the first one is tried first */
	SHADOW_WHOLE, /* the later rule never acts */
};

/* explain_shadow - what the earlier rule leaves to the later one. */
enum shadow explain_shadow(const struct rule *earlier,
			   const struct rule *later);

/* words of a command line, quoted where they need it */
void explain_argv(struct builder *out, const struct strings *argv);

#endif

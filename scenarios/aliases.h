/* aliases.h - the other words that people say for a call, from calls.def. */
#ifndef MISHAP_SCENARIOS_ALIASES_H
#define MISHAP_SCENARIOS_ALIASES_H

#include "core/call.h"

struct call_alias {
	const char *name;
	uint16_t id;
};

extern const struct call_alias call_aliases[];
extern const size_t call_aliases_count;

/* The libc symbols that stand for a call's system calls, from twins.def: by
 * them it is seen where its sites can't be patched. */
extern const struct call_alias call_twins[];
extern const size_t call_twins_count;

/* call_can_select - can this call be told by the selector (enum
 * rule_selectors)?  A malloc has no path, a sync no descriptor. */
bool call_can_select(unsigned id, unsigned selector);

#endif

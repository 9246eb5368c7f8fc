#include "core/arm.h"

static void arm_call(unsigned id, uint8_t armed_nr[CALL_NR_MAX],
		     uint8_t *armed_call)
{
	const struct call_kernel *row = call_kernel_table;

	armed_call[id] = 1;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++, row++) {
		if (row->id == id || (row->other_arg && row->other_id == id))
			armed_nr[nr] = 1;
	}
}

/* Kernel number 0 is read: only rows that name a call count. */
void plan_arm_nothing(uint8_t armed_nr[CALL_NR_MAX])
{
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		armed_nr[nr] = call_kernel_table[nr].id == CALL_execve;
}

static unsigned selectors_of(const struct plan *plan, unsigned id,
			     unsigned phase, bool *ret_held)
{
	const uint16_t *chain = plan->chain[id];
	unsigned selectors = 0;

	for (unsigned i = 0; i < chain[1]; i++) {
		const struct plan_rule *rule =
			&plan->rules[plan->index[chain[0] + i]];

		if (!(rule->phases & (1u << phase)))
			continue;
		*ret_held = true;
		selectors |= rule->selectors;
	}
	return selectors;
}

void plan_arm(const struct plan *plan, unsigned phase,
	      uint8_t armed_nr[CALL_NR_MAX], uint8_t *armed_call)
{
	static const uint16_t forgets[] = { CALL_close, CALL_close_range,
					    CALL_dup, CALL_connect };
	unsigned selectors = 0;

	plan_arm_nothing(armed_nr);
	for (unsigned id = 0; id < CALL_COUNT; id++)
		armed_call[id] = 0;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		bool held = false;

		selectors |= selectors_of(plan, id, phase, &held);
		if (held)
			arm_call(id, armed_nr, armed_call);
	}
	for (unsigned i = 0; i < sizeof(forgets) / sizeof(forgets[0]); i++) {
		if (selectors & SELECT_OBJECT)
			arm_call(forgets[i], armed_nr, armed_call);
	}
	if (selectors & SELECT_HOST)
		arm_call(CALL_getaddrinfo, armed_nr, armed_call);
}

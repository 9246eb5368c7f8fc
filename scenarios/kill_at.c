/* kill_at.c - every rule that kills, moved to one point. */
#include <string.h>

#include "scenarios/text.h"
#include "scenarios/scenario.h"

/* Its line without the words that say when, and with this one. */
static char *text_at(struct arena *arena, const char *text, uint64_t point)
{
	struct builder out = { .arena = arena };

	while (*text) {
		size_t n = strcspn(text, " ");

		if (strncmp(text, "nth=", 4) != 0 &&
		    strncmp(text, "p=", 2) != 0)
			builder_print(&out, "%s%.*s", out.count ? " " : "",
				      (int)n, text);
		text += n;
		text += strspn(text, " ");
	}
	builder_print(&out, " nth=%llu", (unsigned long long)point);
	return out.bytes;
}

unsigned scenario_kill_at(struct scenario *scenario, uint64_t point)
{
	unsigned count = 0;

	for (size_t i = 0; i < scenario->rules_count; i++) {
		struct rule *rule = &scenario->rules[i];
		struct plan_rule *plan = &rule->plan;

		if (plan->fault != FAULT_kill)
			continue;
		count++;
		plan->triggers &= ~(uint32_t)(TRIGGER_NTH_RANDOM | TRIGGER_P);
		plan->triggers |= TRIGGER_NTH;
		plan->nth_first = plan->nth_last = point;
		plan->nth_step = 1;
		rule->text = rule->written =
			text_at(scenario->arena, rule->text, point);
	}
	return count;
}

/* trigger.c - does a matching call fire its rule?  Pure. */
#include "core/plan.h"

/* Draws of different meaning must not share a stream: a fault's own draws
 * (the hook opens those with the bare seed) would follow the trigger's. */
#define DRAWS_OF_P	0x70u
#define DRAWS_OF_RANDOM 0x6e7468u

static bool was_recorded(const struct plan *plan,
			 const struct trigger_input *in)
{
	uint32_t low = 0, high = plan->header->decisions_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct plan_decision *d = &plan->decisions[middle];

		if (d->rule == in->rule && d->stream == in->stream &&
		    d->index == in->thread_index)
			return true;
		if (d->rule < in->rule ||
		    (d->rule == in->rule &&
		     (d->stream < in->stream || (d->stream == in->stream &&
						 d->index < in->thread_index))))
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}

static bool holds_nth(const struct plan_rule *rule,
		      const struct trigger_input *in)
{
	return in->index >= rule->nth_first && in->index <= rule->nth_last &&
	       (in->index - rule->nth_first) % rule->nth_step == 0;
}

/* One of nth_first, nth_first + nth_step .. nth_last, the same for the whole
 * life of a process. */
static bool holds_nth_random(const struct plan_rule *rule,
			     const struct trigger_input *in)
{
	struct rng rng = rng_open(rng_join(in->seed, DRAWS_OF_RANDOM), in->rule,
				  in->process, 0);
	uint64_t steps = (rule->nth_last - rule->nth_first) / rule->nth_step;
	uint64_t chosen = rng_below(&rng, steps + 1) * rule->nth_step;

	return in->index == rule->nth_first + chosen;
}

static bool holds_p(const struct plan_rule *rule,
		    const struct trigger_input *in)
{
	struct rng rng = rng_open(rng_join(in->seed, DRAWS_OF_P), in->rule,
				  in->stream, in->thread_index);

	return rng_below(&rng, 1000000) < rule->p_ppm;
}

bool trigger_holds(const struct plan *plan, const struct plan_rule *rule,
		   const struct trigger_input *in)
{
	uint32_t triggers = rule->triggers;

	if (plan->header->replay)
		return was_recorded(plan, in);
	if (triggers & TRIGGER_TIMES && in->fired >= rule->times)
		return false;
	if (triggers & TRIGGER_AFTER_NS && in->since_ns < rule->after_ns)
		return false;
	if (triggers & TRIGGER_AFTER_BYTES &&
	    in->bytes_before < rule->after_bytes)
		return false;
	if (triggers & TRIGGER_AFTER_CALLS && in->index <= rule->after_calls)
		return false;
	if (triggers & TRIGGER_NTH && !holds_nth(rule, in))
		return false;
	if (triggers & TRIGGER_NTH_RANDOM && !holds_nth_random(rule, in))
		return false;
	return !(triggers & TRIGGER_P) || holds_p(rule, in);
}

#include "core/decide.h"

bool decision_take(const struct plan *plan, struct process *process,
		   const struct decision *decision, bool is_done)
{
	const struct plan_rule *rule = &plan->rules[decision->rule];
	_Atomic uint64_t *all = &process->fired[decision->rule];
	uint16_t *narrow = decision->fired;
	bool is_limited = rule->triggers & TRIGGER_TIMES &&
			  !plan->header->replay && !is_done;
	uint64_t fired = atomic_load_explicit(all, memory_order_relaxed);

	if (narrow) {
		if (is_limited &&
		    (*narrow >= rule->times || *narrow == UINT16_MAX))
			return false;
		if (*narrow < UINT16_MAX)
			++*narrow;
		atomic_fetch_add_explicit(all, 1, memory_order_relaxed);
		return true;
	}
	do {
		if (is_limited && fired >= rule->times)
			return false;
	} while (!atomic_compare_exchange_weak(all, &fired, fired + 1));
	return true;
}

void decision_judge(const struct plan_rule *rule,
		    const struct trigger_input *in, struct call *call)
{
	struct rng rng =
		rng_open(in->seed, in->rule, in->stream, in->thread_index);
	bool was_skipped = call->skip;

	fault_table[rule->fault]->judge(call, &rule->arg, &rng);
	if (rule->at == AT_AFTER) {
		call->after = true;
		call->skip = was_skipped;
	}
}

int64_t decision_value(const struct call *was, const struct call *call)
{
	if (call->delay_ns != was->delay_ns)
		return (int64_t)(call->delay_ns - was->delay_ns);
	if (call->len_max != was->len_max)
		return (int64_t)call->len_max;
	if (call->kill_signal != was->kill_signal)
		return call->kill_signal;
	if (call->exit_status != was->exit_status)
		return call->exit_status;
	return call->has_result ? call->result : 0;
}

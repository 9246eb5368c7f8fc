/* fault_print.c - a rule as its canonical line. */
#include "scenarios/fault_line.h"

#include <string.h>

#include "scenarios/value.h"

typedef unsigned long long ull;

static bool set_has_family(const struct call_set *set, unsigned family)
{
	unsigned members = 0;

	for (unsigned id = 0; id < CALL_COUNT; id++) {
		if (call_table[id].family != family)
			continue;
		if (!set->has[id])
			return false;
		members++;
	}
	return members > 1;
}

/* A call whose name is a family's too is written FAMILY.CALL. */
static void print_call(struct builder *out, unsigned id)
{
	const struct call_info *call = &call_table[id];

	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		if (!strcmp(call->name, call_family_names[i]))
			builder_print(out, "%s.",
				      call_family_names[call->family]);
	builder_print(out, "%s", call->name);
}

static void print_calls(struct builder *out, const struct call_set *set)
{
	bool whole[FAMILY_COUNT];
	const char *comma = "";

	for (unsigned i = 0; i < FAMILY_COUNT; i++) {
		whole[i] = set_has_family(set, i);
		if (!whole[i])
			continue;
		builder_print(out, "%s%s", comma, call_family_names[i]);
		comma = ",";
	}
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		if (!set->has[id] || whole[call_table[id].family])
			continue;
		builder_print(out, "%s", comma);
		print_call(out, id);
		comma = ",";
	}
}

static void print_text(struct builder *out, const char *key, const char *text)
{
	if (!text)
		return;
	builder_print(out, " %s=", key);
	word_quote(out, text, "");
}

static char *print_range(struct arena *arena, const char *first,
			 const char *last, bool open)
{
	if (open)
		return arena_print(arena, "%s+", first);
	if (!strcmp(first, last))
		return arena_print(arena, "%s", first);
	return arena_print(arena, "%s..%s", first, last);
}

/* What skew and its kin are about anyway. */
static bool clock_is_implied(const struct plan_rule *plan)
{
	return fault_table[plan->fault]->stands &&
	       plan->clock == CLOCKS_REALTIME;
}

static void print_selectors(struct builder *out, const struct rule *rule)
{
	static const char *const clocks[] = { "", "realtime", "monotonic",
					      "all" };
	const struct plan_rule *plan = &rule->plan;
	struct arena *arena = out->arena;

	print_text(out, "path", rule->path);
	if (plan->selectors & SELECT_PEER)
		print_text(out, "peer", rule->peer);
	print_text(out, "host", rule->host);
	if (plan->selectors & SELECT_FD)
		builder_print(
			out, " fd=%s",
			print_range(arena,
				    arena_print(arena, "%d", plan->fd_first),
				    arena_print(arena, "%d", plan->fd_last),
				    plan->fd_last == INT32_MAX));
	if (plan->selectors & SELECT_SIZE)
		builder_print(out, " size=%s",
			      print_range(arena,
					  print_bytes(arena, plan->size_first),
					  print_bytes(arena, plan->size_last),
					  plan->size_last == UINT64_MAX));
	print_text(out, "thread", rule->thread);
	print_text(out, "exe", rule->exe);
	print_text(out, "frame", rule->frame);
	if (plan->selectors & SELECT_SIDE)
		builder_print(out, " side=%s",
			      plan->side == SIDE_CLIENT ? "client" : "server");
	if (plan->selectors & SELECT_CLOCK && !clock_is_implied(plan))
		builder_print(out, " clock=%s", clocks[plan->clock]);
}

char *fault_nth_print(struct arena *arena, const struct plan_rule *rule)
{
	ull first = rule->nth_first, last = rule->nth_last,
	    step = rule->nth_step;

	if (rule->triggers & TRIGGER_NTH_RANDOM)
		return arena_print(arena, "random(%llu..%llu)", first, last);
	if (last == NTH_FOREVER)
		return step == 1 ? arena_print(arena, "%llu+", first)
				 : arena_print(arena, "%llu+%llu", first, step);
	if (first == last && step == 1)
		return arena_print(arena, "%llu", first);
	if (step == 1)
		return arena_print(arena, "%llu..%llu", first, last);
	return arena_print(arena, "%llu..%llu+%llu", first, last, step);
}

static void print_triggers(struct builder *out, const struct plan_rule *rule)
{
	static const char *const per[] = { "process", "thread", "fd" };
	struct arena *arena = out->arena;

	if (rule->triggers & (TRIGGER_NTH | TRIGGER_NTH_RANDOM))
		builder_print(out, " nth=%s", fault_nth_print(arena, rule));
	if (rule->triggers & TRIGGER_P)
		builder_print(out, " p=%s", print_ratio(arena, rule->p_ppm));
	if (rule->triggers & TRIGGER_AFTER_BYTES)
		builder_print(out, " after=%s",
			      print_bytes(arena, rule->after_bytes));
	if (rule->triggers & TRIGGER_AFTER_NS)
		builder_print(out, " after=%s",
			      print_duration(arena, rule->after_ns));
	if (rule->triggers & TRIGGER_AFTER_CALLS)
		builder_print(out, " after=%llu", (ull)rule->after_calls);
	if (rule->triggers & TRIGGER_TIMES)
		builder_print(out, " times=%llu", (ull)rule->times);
	if (rule->at == AT_AFTER)
		builder_print(out, " at=after");
	if (rule->per != PER_PROCESS)
		builder_print(out, " per=%s", per[rule->per]);
	if (rule->also)
		builder_print(out, " also");
	if (rule->adversarial)
		builder_print(out, " adversarial");
}

static char *delay_print(struct arena *arena, const struct fault_arg *arg)
{
	const char *first = print_duration(arena, arg->v[1]);
	const char *second = print_duration(arena, arg->v[2]);

	if (arg->v[0] == DELAY_JITTER)
		return arena_print(arena, "%s+-%s", first, second);
	if (arg->v[0] == DELAY_QUANTILES)
		return arena_print(arena, "p50=%s,p99=%s", first, second);
	return arena_print(arena, "%s", first);
}

char *fault_arg_print(struct arena *arena, const struct fault *fault,
		      const struct fault_arg *arg)
{
	switch (fault->arg) {
	case ARG_NONE:
		break;
	case ARG_ERROR:
		return arena_print(arena, "%s",
				   error_name((int)(int64_t)arg->v[0]));
	case ARG_DELAY:
		return delay_print(arena, arg);
	case ARG_BYTES:
	case ARG_LIMIT:
		return arg->v[0] % 1024
			       ? arena_print(arena, "%llu", (ull)arg->v[0])
			       : print_bytes(arena, arg->v[0]);
	case ARG_SIGNAL:
		return print_signal(arena, (int)arg->v[0]);
	case ARG_STATUS:
	case ARG_COUNT:
		return arena_print(arena, "%llu", (ull)arg->v[0]);
	case ARG_BITS:
		return arena_print(arena, "%llubit%s", (ull)arg->v[0],
				   arg->v[0] == 1 ? "" : "s");
	case ARG_SHARE:
		return print_ratio(arena, (uint32_t)arg->v[0]);
	case ARG_SHIFT:
		return print_shift(arena, (int64_t)arg->v[0]);
	case ARG_DRIFT:
		return print_drift(arena, (int64_t)arg->v[0]);
	}
	return arena_print(arena, "%s", "");
}

char *fault_line_print(struct arena *arena, const struct rule *rule,
		       const struct call_set *named)
{
	struct builder out = { .arena = arena };
	const struct fault *fault = fault_table[rule->plan.fault];

	if (fault->is_model)
		builder_print(&out, "%s", fault->name);
	else
		print_calls(&out, named);
	print_selectors(&out, rule);
	if (!fault->is_model || fault->arg != ARG_NONE)
		builder_print(&out, " %s", fault_arg_word(fault));
	if (fault->arg != ARG_NONE)
		builder_print(&out, "=%s",
			      fault_arg_print(arena, fault, &rule->plan.arg));
	print_triggers(&out, &rule->plan);
	return out.bytes;
}

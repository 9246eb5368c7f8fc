/* explain_rule.c - one rule as a sentence, and which rule stands in the way of
 * which. */
#include "scenarios/explain.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "scenarios/fault_line.h"
#include "scenarios/value.h"

typedef unsigned long long ull;

#define CALLS_NAMED_MAX 8 /* more are counted */

static const char *ordinal(struct arena *arena, uint64_t n)
{
	const char *end = "th";

	if (n % 100 < 11 || n % 100 > 13)
		end = n % 10 == 1   ? "st"
		      : n % 10 == 2 ? "nd"
		      : n % 10 == 3 ? "rd"
				    : "th";
	return arena_print(arena, "%llu%s", (ull)n, end);
}

/* ---- what -------------------------------------------------------------- */

static char *delay_words(struct arena *arena, const struct fault_arg *arg)
{
	const char *first = print_duration(arena, arg->v[1]);
	const char *second = print_duration(arena, arg->v[2]);

	if (arg->v[0] == DELAY_JITTER)
		return arena_print(arena, "%s, give or take %s", first, second);
	if (arg->v[0] == DELAY_QUANTILES)
		return arena_print(arena,
				   "%s in half of the cases and over %s in one "
				   "of a hundred",
				   first, second);
	return arena_print(arena, "%s", first);
}

char *explain_argument(struct arena *arena, const struct rule *rule)
{
	const struct fault *fault = fault_table[rule->plan.fault];
	const struct fault_arg *arg = &rule->plan.arg;
	int error = (int)(int64_t)arg->v[0];

	switch (fault->arg) {
	case ARG_ERROR:
		return arena_print(arena, "%s (%s)", error_name(error),
				   error < 0 ? gai_strerror(error)
					     : strerror(error));
	case ARG_DELAY:
		return delay_words(arena, arg);
	case ARG_BYTES:
	case ARG_LIMIT:
		return arg->v[0] < 1024 ? arena_print(arena, "%llu byte%s",
						      (ull)arg->v[0],
						      arg->v[0] == 1 ? "" : "s")
					: print_bytes(arena, arg->v[0]);
	case ARG_SIGNAL:
		return arena_print(arena, "SIG%s",
				   print_signal(arena, (int)arg->v[0]));
	case ARG_STATUS:
		return arena_print(arena, "exit status %llu", (ull)arg->v[0]);
	case ARG_BITS:
		return arena_print(arena, "%llu bit%s", (ull)arg->v[0],
				   arg->v[0] == 1 ? " is" : "s are");
	case ARG_COUNT:
		return arena_print(arena, "%llu", (ull)arg->v[0]);
	case ARG_SHARE:
		return print_ratio(arena, (uint32_t)arg->v[0]);
	case ARG_SHIFT:
		return arena_print(arena, "off by %s",
				   print_shift(arena, (int64_t)arg->v[0]));
	case ARG_DRIFT:
		return arena_print(arena, "fast or slow by %s",
				   print_drift(arena, (int64_t)arg->v[0]));
	case ARG_NONE:
		break;
	}
	return arena_print(arena, "%s", "");
}

/* A fault's own sentence with the value in it.  A kind whose sentence has no
 * such words gets the value behind it. */
static char *what_words(struct arena *arena, const struct rule *rule)
{
	static const char *const blanks[] = {
		[ARG_ERROR] = "this error",
		[ARG_DELAY] = "this long",
		[ARG_BYTES] = "so many bytes",
		[ARG_SIGNAL] = "this signal",
		[ARG_STATUS] = "this status",
		[ARG_BITS] = "bits are",
		[ARG_LIMIT] = "so many bytes",
		[ARG_COUNT] = "a number",
		[ARG_SHARE] = "this share",
		[ARG_SHIFT] = "off by this much",
		[ARG_DRIFT] = "fast or slow by this",
	};
	const struct fault *fault = fault_table[rule->plan.fault];
	const char *value = explain_argument(arena, rule);
	const char *at;

	if (fault->arg == ARG_NONE)
		return arena_print(arena, "%s", fault->says);
	at = strstr(fault->says, blanks[fault->arg]);
	if (!at)
		return arena_print(arena, "%s: %s", fault->says, value);
	return arena_print(arena, "%.*s%s%s", (int)(at - fault->says),
			   fault->says, value, at + strlen(blanks[fault->arg]));
}

/* ---- where ------------------------------------------------------------- */

static void add_calls(struct builder *out, const struct rule *rule)
{
	size_t n = rule->calls_count;
	unsigned family = call_table[rule->calls[0]].family;
	bool same = true;

	for (size_t i = 0; i < n; i++)
		same = same && call_table[rule->calls[i]].family == family;
	if (n > CALLS_NAMED_MAX) {
		builder_print(out, "any of %zu %scalls (", n,
			      same ? arena_print(out->arena, "%s ",
						 call_family_names[family])
				   : "");
		for (size_t i = 0; i < 4; i++)
			builder_print(out, "%s, ",
				      call_table[rule->calls[i]].name);
		builder_print(out, "…)");
		return;
	}
	for (size_t i = 0; i < n; i++)
		builder_print(out, "%s%s",
			      !i	  ? ""
			      : i + 1 < n ? ", "
					  : " or ",
			      call_table[rule->calls[i]].name);
}

static void add_size(struct builder *out, const struct plan_rule *plan)
{
	const char *first = print_bytes(out->arena, plan->size_first);

	if (plan->size_last == UINT64_MAX)
		builder_print(out, " for %s or more", first);
	else if (plan->size_first == plan->size_last)
		builder_print(out, " for just %s", first);
	else
		builder_print(out, " for %s to %s", first,
			      print_bytes(out->arena, plan->size_last));
}

static void add_where(struct builder *out, const struct rule *rule)
{
	static const char *const clocks[] = { "any clock", "the time of day",
					      "a monotonic clock",
					      "any clock but CPU time" };
	const struct plan_rule *plan = &rule->plan;

	if (rule->path)
		builder_print(out, " on %s", rule->path);
	if (plan->selectors & SELECT_FD) {
		if (plan->fd_last == INT32_MAX)
			builder_print(out, " on descriptor %d or above",
				      plan->fd_first);
		else if (plan->fd_first == plan->fd_last)
			builder_print(out, " on descriptor %d", plan->fd_first);
		else
			builder_print(out, " on descriptors %d to %d",
				      plan->fd_first, plan->fd_last);
	}
	if (plan->selectors & SELECT_SIZE)
		add_size(out, plan);
	if (rule->host)
		builder_print(out, " about the host %s", rule->host);
	if (plan->selectors & SELECT_PEER)
		builder_print(out, " with the peer %s", rule->peer);
	if (plan->selectors & SELECT_SIDE)
		builder_print(out,
			      plan->side == SIDE_CLIENT
				      ? " on a connection that it opened"
				      : " on a connection that it accepted");
	if (rule->thread)
		builder_print(out, " in a thread named %s", rule->thread);
	if (rule->exe)
		builder_print(out, " in the program %s", rule->exe);
	if (rule->frame)
		builder_print(out, " from within %s", rule->frame);
	if (plan->selectors & SELECT_CLOCK)
		builder_print(out, " of %s", clocks[plan->clock]);
}

/* ---- when -------------------------------------------------------------- */

static void add_nth(struct builder *out, const struct plan_rule *plan)
{
	struct arena *a = out->arena;
	ull first = plan->nth_first, last = plan->nth_last;
	const char *step = ordinal(a, plan->nth_step);

	if (plan->triggers & TRIGGER_NTH_RANDOM)
		builder_print(out, "one such call, drawn from the %s to the %s",
			      ordinal(a, first), ordinal(a, last));
	else if (last == NTH_FOREVER && plan->nth_step == 1)
		builder_print(out, "from the %s such call on",
			      ordinal(a, first));
	else if (last == NTH_FOREVER)
		builder_print(out, "at every %s such call from the %s on", step,
			      ordinal(a, first));
	else if (first == last)
		builder_print(out, "at the %s such call", ordinal(a, first));
	else if (plan->nth_step == 1)
		builder_print(out, "at the %s to the %s such call",
			      ordinal(a, first), ordinal(a, last));
	else
		builder_print(out,
			      "at every %s such call from the %s to the %s",
			      step, ordinal(a, first), ordinal(a, last));
}

static void add_when(struct builder *out, const struct plan_rule *plan)
{
	static const char *const per[] = { "process", "thread", "descriptor" };
	struct builder when = { .arena = out->arena };
	uint32_t t = plan->triggers;
	const uint32_t counts = TRIGGER_NTH | TRIGGER_NTH_RANDOM |
				TRIGGER_TIMES | TRIGGER_AFTER_BYTES |
				TRIGGER_AFTER_CALLS;

	if (t & TRIGGER_AFTER_NS)
		builder_print(&when, ", once it has lasted %s",
			      print_duration(out->arena, plan->after_ns));
	if (t & TRIGGER_AFTER_BYTES)
		builder_print(&when, ", after such calls have asked for %s",
			      print_bytes(out->arena, plan->after_bytes));
	if (t & TRIGGER_AFTER_CALLS)
		builder_print(&when, ", after %llu such calls",
			      (ull)plan->after_calls);
	if (t & (TRIGGER_NTH | TRIGGER_NTH_RANDOM)) {
		builder_print(&when, ", ");
		add_nth(&when, plan);
	}
	if (t & TRIGGER_P)
		builder_print(&when, ", in %s of the cases",
			      print_ratio(out->arena, plan->p_ppm));
	if (t & TRIGGER_TIMES)
		builder_print(&when, ", at most %s",
			      plan->times == 1
				      ? "once"
				      : arena_print(out->arena, "%llu times",
						    (ull)plan->times));
	if (t & counts)
		builder_print(&when, " (counted for each %s)", per[plan->per]);
	if (!t)
		builder_print(&when, ", every time");
	builder_add(out, when.bytes, when.count);
}

static void add_phases(struct builder *out, const struct scenario *scenario,
		       uint32_t phases)
{
	if (!scenario->phases_written || phases == UINT32_MAX)
		return;
	for (size_t i = 0; i < scenario->phases_count; i++)
		if (phases & (1u << i))
			builder_print(out, "In phase '%s', when",
				      scenario->phases[i].name);
}

char *explain_rule(struct arena *arena, const struct scenario *scenario,
		   const struct rule *rule)
{
	const struct fault *fault = fault_table[rule->plan.fault];
	struct builder out = { .arena = arena };

	add_phases(&out, scenario, rule->phases);
	builder_print(&out, "%s the target calls ", out.count ? "" : "When");
	add_calls(&out, rule);
	add_where(&out, rule);
	add_when(&out, &rule->plan);
	builder_print(&out, ": %s", what_words(arena, rule));
	if (rule->plan.at == AT_AFTER)
		builder_print(&out, " once the call was made");
	builder_print(&out, ".");
	if (fault->arg == ARG_ERROR)
		for (size_t i = 0; i < rule->calls_count; i++)
			if (fault->effect(rule->calls[i]) ==
				    EFFECT_EXECUTED_THEN_FAILED &&
			    !strcmp(fault->name, "fail"))
				builder_print(&out,
					      " (%s is made and fails then: it "
					      "releases the descriptor.)",
					      call_table[rule->calls[i]].name);
	if (rule->plan.also)
		builder_print(&out,
			      " Later rules may act on the same call too.");
	return out.bytes;
}

/* ---- precedence -------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return !a || (b && !strcmp(a, b));
}

/* Does whatever the later rule selects satisfy the earlier one's selectors?
 * Only what is plainly the same counts; globs are not compared. */
static bool selects_at_least(const struct rule *a, const struct rule *b)
{
	const struct plan_rule *p = &a->plan, *q = &b->plan;

	return same_text(a->path, b->path) && same_text(a->host, b->host) &&
	       same_text(a->thread, b->thread) && same_text(a->exe, b->exe) &&
	       same_text(a->frame, b->frame) &&
	       (!(p->selectors & SELECT_PEER) ||
		(q->selectors & SELECT_PEER && same_text(a->peer, b->peer))) &&
	       p->fd_first <= q->fd_first && p->fd_last >= q->fd_last &&
	       p->size_first <= q->size_first && p->size_last >= q->size_last &&
	       (p->side == SIDE_ANY || p->side == q->side);
}

/* A kind may pass over calls that it can't act on: those are left to others. */
static bool acts_always(const struct rule *rule)
{
	const struct fault *fault = fault_table[rule->plan.fault];
	int64_t error = (int64_t)rule->plan.arg.v[0];

	if (rule->plan.triggers || rule->plan.also)
		return false;
	return !fault->applies || (fault->arg == ARG_ERROR && error != EAGAIN &&
				   error != EINPROGRESS);
}

static size_t shared_calls(const struct rule *a, const struct rule *b)
{
	size_t shared = 0;

	for (size_t i = 0; i < a->calls_count; i++)
		for (size_t j = 0; j < b->calls_count; j++)
			shared += a->calls[i] == b->calls[j];
	return shared;
}

/* Two texts that can't both hold: plain words that differ. */
static bool apart(const char *a, const char *b)
{
	return a && b && !strpbrk(a, "*?[") && !strpbrk(b, "*?[") &&
	       a[0] == '/' && b[0] == '/' && strcmp(a, b) != 0;
}

enum shadow explain_shadow(const struct rule *earlier, const struct rule *later)
{
	size_t shared = shared_calls(earlier, later);

	if (!shared || !(earlier->phases & later->phases) ||
	    earlier->plan.also || apart(earlier->path, later->path) ||
	    earlier->plan.fd_first > later->plan.fd_last ||
	    later->plan.fd_first > earlier->plan.fd_last)
		return SHADOW_NONE;
	if (shared == later->calls_count && acts_always(earlier) &&
	    selects_at_least(earlier, later) &&
	    (earlier->phases & later->phases) == later->phases)
		return SHADOW_WHOLE;
	return SHADOW_MAYBE;
}

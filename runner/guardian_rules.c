/* guardian_rules.c - which rules act on a call, and the books of it: what
 * preload/rules.c does in the target.
 *
 * Decisions are known by their process and the order in which its matching
 * calls come, not by thread: which thread of a Go program makes a call is the
 * scheduler's choice, and changes from run to run.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/guardian.h"

#define COMM_BYTES    32
#define WAIT_SLICE_NS (NS_PER_MS / 5)
#define WAIT_SLICES   25

/* ---- selectors ----------------------------------------------------------- */

static bool size_holds(const struct notice *notice,
		       const struct plan_rule *rule)
{
	const struct call *call = &notice->call;
	uint64_t size = call->size ? call->size : call->len;

	return size >= rule->size_first && size <= rule->size_last;
}

static bool thread_holds(const struct notice *notice, const char *want)
{
	char path[64], name[COMM_BYTES] = "", *end;
	unsigned long ordinal = strtoul(want, &end, 10);
	FILE *file;

	if (end != want && !*end)
		return notice->thread->ordinal == ordinal;
	snprintf(path, sizeof(path), "/proc/%d/comm", notice->tid);
	file = fopen(path, "re");
	if (!file || !fgets(name, sizeof(name), file))
		atomic_fetch_add(&notice->guardian->state->unresolved, 1);
	if (file)
		fclose(file);
	name[strcspn(name, "\n")] = '\0';
	return glob_match(want, name);
}

/* host= and frame= can't be told; the rest decides whether one is undone. */
static bool select_holds(struct notice *notice, unsigned r)
{
	const struct plan *plan = notice->guardian->plan;
	const struct plan_rule *rule = &plan->rules[r];
	unsigned want = rule->selectors;
	int fd = notice->call.fd;

	if (want & SELECT_EXE && !(notice->process->exe_rules >> r & 1))
		return false;
	if (want & SELECT_FD && (fd < rule->fd_first || fd > rule->fd_last))
		return false;
	if (want & SELECT_SIZE && !size_holds(notice, rule))
		return false;
	if (want & SELECT_OBJECT && !(want & SELECT_HOST) &&
	    !(notice_objects(notice, r) >> r & 1))
		return false;
	return !(want & SELECT_THREAD) ||
	       thread_holds(notice, plan->base + rule->thread_off);
}

/* ---- the fault ----------------------------------------------------------- */

/* Does the fault fit this very call?  *ret_undone: it does, but not here. */
static bool fault_applies(struct notice *notice, const struct plan_rule *rule,
			  bool *ret_undone)
{
	const struct fault *fault = fault_table[rule->fault];
	enum short_can can;

	if (fault->arg == ARG_ERROR &&
	    (rule->arg.v[0] == EAGAIN || rule->arg.v[0] == EINPROGRESS))
		notice_ask_nonblocking(notice);
	*ret_undone = notify_cannot(rule, notice->call.id) != NULL;
	if (rule->adversarial && fault->may_force)
		return true;
	if (fault->applies && !fault->applies(&notice->call, &rule->arg))
		return false;
	if (!notice_net_applies(notice, rule))
		return false;
	if (rule->fault != FAULT_short || *ret_undone)
		return true;
	can = notice_can_short(notice, rule->arg.v[0]);
	*ret_undone = can == SHORT_CANNOT;
	return can != SHORT_NO_MATCH;
}

/* ---- the books ----------------------------------------------------------- */

/* Where a rule with per=thread or per=fd counts; NULL: the process does. */
static struct guardian_counts *counts_of(const struct notice *notice,
					 const struct plan_rule *rule)
{
	if (rule->per == PER_THREAD)
		return &notice->thread->counts;
	if (rule->per == PER_FD)
		return guardian_fd_counts(notice->process, notice->call.fd);
	return NULL;
}

static bool rule_count(const struct notice *notice, unsigned r,
		       struct trigger_input *ret_in,
		       struct decision *ret_decision)
{
	const struct plan *plan = notice->guardian->plan;
	const struct plan_rule *rule = &plan->rules[r];
	struct guardian_counts *counts = counts_of(notice, rule);
	struct process *slot = notice->process->slot;
	const unsigned moves = CALL_MOVES_IN | CALL_MOVES_OUT;
	uint64_t all = atomic_fetch_add(&slot->matched[r], 1) + 1;
	uint64_t before = atomic_load(&slot->bytes[r]);

	atomic_fetch_add(&notice->guardian->state->matched[r], 1);
	if (rule->per == PER_FD && !counts) {
		atomic_fetch_add(&notice->guardian->state->unresolved, 1);
		return false;
	}
	if (counts) {
		before = counts->bytes[r];
		counts->matched[r]++;
	}
	*ret_decision = (struct decision){
		.is_set = true,
		.rule = (uint8_t)r,
		.index = counts ? counts->matched[r] : (uint32_t)all,
		.thread_index = (uint32_t)all,
		.fired = counts ? &counts->fired[r] : NULL,
	};
	*ret_in = (struct trigger_input){
		.seed = plan->header->seed,
		.rule = r,
		.process = slot->path,
		.stream = slot->path,
		.index = ret_decision->index,
		.thread_index = all,
		.fired = counts ? counts->fired[r]
				: atomic_load(&slot->fired[r]),
		.bytes_before = before,
	};
	/* What was moved isn't known from outside; what was asked for is. */
	if (call_table[notice->call.id].flags & moves) {
		if (counts)
			counts->bytes[r] += notice->call.len;
		else
			atomic_fetch_add(&slot->bytes[r], notice->call.len);
	}
	return true;
}

static bool may_act(const struct notice *notice, const struct plan_rule *rule,
		    struct trigger_input *in)
{
	struct guardian *guardian = notice->guardian;
	struct state *state = guardian->state;
	uint64_t now_ns = clock_now_ns();

	in->since_ns = now_ns - atomic_load(&state->phase_ns);
	if (!trigger_holds(guardian->plan, rule, in) ||
	    !atomic_load(&state->armed) || atomic_load(&state->halted))
		return false;
	if (guardian_holds(guardian, now_ns))
		return true;
	atomic_fetch_add(&state->lapses, 1);
	return false;
}

static void wait_for_reader(struct state *state)
{
	const struct ring *ring = &state->ring;

	for (int i = 0; i < WAIT_SLICES; i++) {
		if (atomic_load(&ring->head) - atomic_load(&ring->tail) <=
		    SHARED_EVENTS / 4 * 3)
			return;
		if (i == 0)
			atomic_fetch_add(&state->events_waited, 1);
		clock_sleep_until(clock_now_ns() + WAIT_SLICE_NS);
	}
}

static void publish(const struct notice *notice,
		    const struct decision *decision, int64_t value)
{
	struct state *state = notice->guardian->state;
	struct process *slot = notice->process->slot;
	const struct plan_rule *rule =
		&notice->guardian->plan->rules[decision->rule];
	struct event event = {
		.time_ns = clock_now_ns(),
		.stream = slot->path,
		.value = value,
		.pid = (uint32_t)notice->process->own_pid,
		.index = decision->index,
		.thread_index = decision->thread_index,
		.fd = notice->call.fd,
		.error = (int16_t)notice->call.error,
		.call = notice->call.id,
		.rule = decision->rule,
		.fault = (uint8_t)rule->fault,
		.flags = EVENT_NOTIFY,
		.process = (uint16_t)(slot - state->processes),
	};

	if (rule->also)
		event.flags |= EVENT_ALSO;
	if (!notice->process->had_event)
		event.flags |= EVENT_CHILD;
	notice->process->had_event = true;
	atomic_fetch_add(&state->fired[decision->rule], 1);
	wait_for_reader(state);
	ring_push(&state->ring, &event);
}

/* Asked once, before anything is counted: what died meanwhile asks for
 * nothing, and what we read may have been another's. */
static bool still_asks(struct notice *notice)
{
	if (!notice->checked)
		notice->passed = !notice_is_valid(notice);
	notice->checked = true;
	return !notice->passed;
}

static void rule_match(struct notice *notice, unsigned r)
{
	struct guardian *guardian = notice->guardian;
	const struct plan_rule *rule = &guardian->plan->rules[r];
	struct call *call = &notice->call, was;
	struct decision decision;
	struct trigger_input in;
	bool undone;

	if (!fault_applies(notice, rule, &undone) || !still_asks(notice))
		return;
	if (undone) {
		atomic_fetch_add(&guardian->state->undone[r], 1);
		return;
	}
	if (!rule_count(notice, r, &in, &decision) || notice->ended ||
	    !may_act(notice, rule, &in) ||
	    !decision_take(guardian->plan, notice->process->slot, &decision,
			   false))
		return;
	was = *call;
	decision_judge(rule, &in, call);
	if (call->hang)
		notice->hang_phases |= rule->phases;
	notice->acts = true;
	notice->ended = !rule->also;
	publish(notice, &decision, decision_value(&was, call));
}

bool notice_judge(struct notice *notice)
{
	const struct guardian *guardian = notice->guardian;
	const struct plan *plan = guardian->plan;
	const uint16_t *chain = plan->chain[notice->call.id];
	uint32_t phase =
		1u << (atomic_load(&guardian->state->phase) % PLAN_PHASES_MAX);

	if (chain[1])
		notice_fill(notice);
	for (unsigned i = 0; i < chain[1]; i++) {
		unsigned r = plan->index[chain[0] + i];

		if (plan->rules[r].phases & phase &&
		    (!plan->rules[r].selectors || select_holds(notice, r)))
			rule_match(notice, r);
	}
	return notice->acts;
}

/* rules.c - which rules act on a call, and the books of it.
 *
 * `nth` counts the calls that match all selectors, so every rule of the chain
 * counts, even after an earlier one has acted; only acting ends with the first
 * that isn't marked `also`.  Nothing here sleeps except for the ring's reader,
 * and that not for long.
 */
#include <signal.h>
#include <time.h>

#include "preload/guest.h"
#include "preload/model.h"
#include "preload/net.h"
#include "preload/stack.h"
#include "preload/sweep.h"
#include "preload/warp.h"

#define WAIT_SLICE_NS 200000
#define WAIT_SLICES   25 /* 5 ms in all */

static _Atomic uint64_t first_event_of; /* birth of who has had one */

/* The ring is nearly full: give the reader a moment, then go on anyway. */
static void wait_for_reader(struct ring *ring)
{
	const struct timespec slice = { .tv_nsec = WAIT_SLICE_NS };

	for (int i = 0; i < WAIT_SLICES; i++) {
		if (PEEK(ring->head) - PEEK(ring->tail) <=
		    SHARED_EVENTS / 4 * 3)
			return;
		if (i == 0)
			BUMP(guest_state->events_waited);
		sys3(SYS_nanosleep, (long)&slice, 0, 0);
	}
}

static void event_fill(const struct flight *flight,
		       const struct decision *decision, int64_t value,
		       struct event *ret_event)
{
	const struct plan_rule *rule = &guest_plan.rules[decision->rule];
	const struct call *call = &flight->call;
	const struct site_regs *regs = flight->regs;
	struct event event = {
		.time_ns = clock_ns(),
		.stream = thread_stream(),
		.value = value,
		.pid = (uint32_t)PEEK(guest_process->pid),
		.index = decision->index,
		.thread_index = decision->thread_index,
		.fd = call->fd,
		.error = (int16_t)call->error,
		.call = call->id,
		.rule = decision->rule,
		.fault = (uint8_t)rule->fault,
		.process = (uint16_t)(guest_process - guest_state->processes),
	};

	if (call->after)
		event.flags |= EVENT_AFTER;
	if (regs && !regs->stub->by_symbol)
		event.flags |= EVENT_SITE;
	if (rule->also)
		event.flags |= EVENT_ALSO;
	if (atomic_exchange(&first_event_of, guest_process->born_ns) !=
	    guest_process->born_ns)
		event.flags |= EVENT_CHILD;
	event.stack = event.flags & EVENT_SITE
			      ? stack_number(regs->pc, site_regs_sp(regs),
					     site_regs_bp(regs))
			      : stack_number_here();
	*ret_event = event;
}

/* The checks that cost a system call, made once per call and only when a
 * rule has matched. */
static bool first_look(struct flight *flight)
{
	if (!flight->looked) {
		flight->looked = true;
		flight->passed = !process_is_ours();
		if (flight->passed)
			BUMP(guest_state->vfork_skipped);
		else
			flight_fill(flight);
	}
	return !flight->passed;
}

/* Where the rule's moved bytes are counted. */
static _Atomic uint64_t *rule_bytes(const struct flight *flight, unsigned r)
{
	struct fdcount *row = NULL;

	if (guest_plan.rules[r].per == PER_FD)
		row = fdcount_of(flight->call.fd);
	return row ? &row->bytes[r] : &guest_process->bytes[r];
}

/* Count the match everywhere; false: `per=fd` without room for the fd. */
static bool rule_count(struct flight *flight, unsigned r,
		       struct trigger_input *ret_in,
		       struct decision *ret_decision)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	struct thread *thread = &guest_thread;
	uint64_t index = BUMP(guest_process->matched[r]) + 1;
	uint64_t fired = PEEK(guest_process->fired[r]);
	uint16_t *narrow = NULL;

	BUMP(guest_state->matched[r]);
	thread->matched[r]++;
	if (rule->per == PER_THREAD) {
		narrow = &thread->fired[r];
		index = thread->matched[r];
	} else if (rule->per == PER_FD) {
		struct fdcount *row = fdcount_of(flight->call.fd);

		if (!row) {
			BUMP(guest_state->unresolved);
			return false;
		}
		narrow = &row->fired[r];
		index = ++row->matched[r];
	}
	*ret_decision = (struct decision){
		.is_set = true,
		.rule = (uint8_t)r,
		.index = (uint32_t)index,
		.thread_index = thread->matched[r],
		.fired = narrow,
	};
	*ret_in = (struct trigger_input){
		.seed = guest_plan.header->seed,
		.rule = r,
		.process = guest_process->path,
		.stream = thread_stream(),
		.index = index,
		.thread_index = thread->matched[r],
		.fired = narrow ? *narrow : fired,
	};
	if (rule->triggers & TRIGGER_AFTER_BYTES) {
		ret_in->bytes_before = PEEK(*rule_bytes(flight, r));
		if (ret_in->bytes_before < rule->after_bytes)
			flight->weighs |= 1ull << r;
	}
	return true;
}

void rules_weigh(const struct flight *flight, long moved)
{
	const unsigned moves = CALL_MOVES_IN | CALL_MOVES_OUT;

	if (moved <= 0 || !(call_table[flight->call.id].flags & moves))
		return;
	for (unsigned r = 0; r < guest_plan.header->rules_count; r++) {
		if (flight->weighs >> r & 1)
			RAISE(*rule_bytes(flight, r), (uint64_t)moved);
	}
}

/* Does the fault fit this very call?  If not, the call doesn't match. */
static bool fault_applies(struct flight *flight, unsigned r)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	const struct fault *fault = fault_table[rule->fault];

	if (fault->arg == ARG_ERROR &&
	    (rule->arg.v[0] == EAGAIN || rule->arg.v[0] == EINPROGRESS))
		flight_ask_nonblocking(flight);
	if (rule->adversarial && fault->may_force)
		return true;
	if (fault->applies && !fault->applies(&flight->call, &rule->arg))
		return false;
	if (!net_applies(flight, rule))
		return false;
	if (fault->is_model || fault->attends)
		return model_applies(flight, r);
	return (rule->fault != FAULT_short && rule->fault != FAULT_torn) ||
	       bend_can_cut(flight, rule->arg.v[0]);
}

static bool may_act(const struct plan_rule *rule, struct trigger_input *in)
{
	bool stands = fault_table[rule->fault]->stands && warp_stands(in->rule);
	uint64_t now_ns = 0;

	if (rule->triggers & TRIGGER_AFTER_NS) {
		now_ns = clock_ns();
		in->since_ns = now_ns - PEEK(guest_state->phase_ns);
	}
	if (!stands && !trigger_holds(&guest_plan, rule, in))
		return false;
	if (!PEEK(guest_state->armed) || PEEK(guest_state->halted))
		return false; /* the doors are just being closed */
	if (!now_ns)
		now_ns = clock_ns();
	if (lease_holds(guest_state, now_ns))
		return true;
	BUMP(guest_state->lapses);
	return false;
}

/* decision_begin - one of `times`, for a decision that will come to pass; with
 * every signal held back until decision_publish, because a handler that jumps
 * away, or the one by which glibc < 2.41 cancels threads, would leave the books
 * with a fault that nobody recorded. */
static bool decision_begin(const struct decision *decision, bool is_done,
			   uint64_t *ret_mask)
{
	const uint64_t all = UINT64_MAX;

	sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)ret_mask,
	     sizeof(all), 0, 0);
	BUMP(guest_process->deciding);
	if (decision_take(&guest_plan, guest_process, decision, is_done))
		return true;
	atomic_fetch_sub(&guest_process->deciding, 1);
	sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)ret_mask, 0, sizeof(all), 0,
	     0);
	return false;
}

static void decision_publish(const struct flight *flight,
			     const struct decision *decision, int64_t value,
			     uint64_t mask)
{
	struct event event;

	BUMP(guest_state->fired[decision->rule]);
	event_fill(flight, decision, value, &event);
	wait_for_reader(&guest_state->ring);
	ring_push(&guest_state->ring, &event);
	atomic_fetch_sub(&guest_process->deciding, 1);
	/* The first of this process, and not its last. */
	if (event.flags & EVENT_CHILD && event.fault != FAULT_kill &&
	    event.fault != FAULT_torn && event.fault != FAULT_exit)
		attend_ask();
	sys6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0,
	     0);
}

/* What the outcome of the call decides: is there a success that can be
 * reported as an error, are there bytes to bend? */
static struct decision *pending_of(struct flight *flight,
				   const struct plan_rule *rule)
{
	unsigned flags = call_table[flight->call.id].flags;

	if (rule->fault == FAULT_corrupt || rule->fault == FAULT_rot)
		return &flight->pending[PENDING_BYTES];
	if (rule->fault == FAULT_late ||
	    (rule->fault == FAULT_fail && flags & CALL_RELEASES_FD))
		return &flight->pending[PENDING_ERROR];
	return NULL;
}

/* A clock is bent from now on; true: that was said of this process before, and
 * this reading needs no decision of its own. */
static bool warp_goes_on(struct flight *flight, unsigned r)
{
	if (!warp_stands(r))
		warp_begin(r);
	flight->warps |= 1ull << r;
	if (warp_announce(r))
		return false;
	flight->acts = true;
	return true;
}

/* The verdict parts of two rules on one call are joined by the faults. */
static void rule_match(struct flight *flight, unsigned r)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	struct decision decision, *pending = pending_of(flight, rule);
	struct call *call = &flight->call, was;
	struct trigger_input in;
	uint64_t mask = 0;

	if (!first_look(flight) || !fault_applies(flight, r) ||
	    !rule_count(flight, r, &in, &decision) || flight->ended ||
	    !may_act(rule, &in))
		return;
	if (fault_table[rule->fault]->stands && warp_goes_on(flight, r)) {
		flight->ended = !rule->also;
		return;
	}
	if (!pending &&
	    !decision_begin(&decision, flight->warps >> r & 1, &mask))
		return;
	was = *call;
	decision_judge(rule, &in, call);
	if (rule->fault == FAULT_delay && !was.delay_ns && flight->regs)
		call->delay_ns = act_delay_left(flight, call->delay_ns);
	if (call->hang)
		flight->hang_phases |= rule->phases;
	flight->acts = true;
	flight->ended = !rule->also;
	if (pending)
		*pending = decision;
	else
		decision_publish(flight, &decision, decision_value(&was, call),
				 mask);
}

static void judge_begins(struct flight *flight)
{
	flight->looked = flight->passed = false;
	flight->ended = flight->acts = false;
	flight->has_objects = false;
	flight->hang_phases = 0;
	flight->weighs = flight->warps = 0;
	flight->note.kind = NOTE_NONE;
	for (unsigned kind = 0; kind < PENDING_COUNT; kind++)
		flight->pending[kind].is_set = false;
}

bool rules_judge(struct flight *flight)
{
	const struct plan *plan = &guest_plan;
	const uint16_t *chain = plan->chain[flight->call.id];
	uint32_t phase = 1u << (PEEK(guest_state->phase) % PLAN_PHASES_MAX);

	judge_begins(flight);
	if (UNLIKELY(guest_sweep != NULL))
		return sweep_judge(flight);
	if (select_excludes(flight))
		return false;
	for (unsigned i = 0; i < chain[1]; i++) {
		unsigned r = plan->index[chain[0] + i];

		if (!(plan->rules[r].phases & phase) ||
		    (UNLIKELY(net_rules >> r & 1) &&
		     net_leaves_call(flight, r)))
			continue;
		if (plan->rules[r].selectors && !select_holds(flight, r))
			continue;
		rule_match(flight, r);
	}
	return flight->acts;
}

/* A rule's first call of those that receive. */
static uint16_t arrival_call(unsigned r)
{
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const uint16_t *chain = guest_plan.chain[id];
		enum net_way way = net_way_of(id);

		if (way != NET_RECEIVES && way != NET_ACCEPTS)
			continue;
		for (unsigned i = 0; i < chain[1]; i++)
			if (guest_plan.index[chain[0] + i] == r)
				return (uint16_t)id;
	}
	return CALL_recv;
}

uint64_t rules_arrival(int fd, size_t bytes, uint64_t rules)
{
	struct flight flight = {
		.filled = true,
		.call = { .fd = fd,
			  .fd2 = -1,
			  .len = bytes,
			  .exit_status = -1 },
	};

	judge_begins(&flight);
	for (; rules; rules &= rules - 1) {
		unsigned r = (unsigned)__builtin_ctzll(rules);

		flight.call.id = arrival_call(r);
		if (!guest_plan.rules[r].selectors || select_holds(&flight, r))
			rule_match(&flight, r);
	}
	return flight.call.delay_ns;
}

bool rules_settle(struct flight *flight, enum pending_kind kind, int64_t value,
		  bool is_done)
{
	struct decision *pending = &flight->pending[kind];
	uint64_t mask = 0;

	if (!pending->is_set)
		return true;
	pending->is_set = false;
	if (!decision_begin(pending, is_done, &mask))
		return false;
	decision_publish(flight, pending, value, mask);
	return true;
}

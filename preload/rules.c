/* rules.c - which rules act on a call, and the books of it.
 *
 * `nth` counts the calls that match all selectors, so every rule of the chain
 * counts, even after an earlier one has acted; only acting ends with the first
 * that isn't marked `also`.  Nothing here sleeps except for the ring's reader,
 * and that not for long.
 */
#include <time.h>

#include "preload/guest.h"
#include "preload/stack.h"

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

/* What the action's argument came to, for the event. */
static int64_t decision_value(const struct call *was, const struct call *call)
{
	if (call->delay_ns != was->delay_ns)
		return (int64_t)(call->delay_ns - was->delay_ns);
	if (call->len_max != was->len_max)
		return (int64_t)call->len_max;
	if (call->kill_signal != was->kill_signal)
		return call->kill_signal;
	if (call->exit_status != was->exit_status)
		return call->exit_status;
	if (call->corrupt_bits != was->corrupt_bits)
		return call->corrupt_bits;
	return call->has_result ? call->result : 0;
}

static void event_fill(const struct flight *flight, const struct call *was,
		       unsigned r, const struct trigger_input *in,
		       struct event *ret_event)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	const struct call *call = &flight->call;
	const struct site_regs *regs = flight->regs;
	struct event event = {
		.time_ns = clock_ns(),
		.stream = in->stream,
		.value = decision_value(was, call),
		.pid = (uint32_t)PEEK(guest_process->pid),
		.index = (uint32_t)in->index,
		.thread_index = (uint32_t)in->thread_index,
		.fd = call->fd,
		.error = (int16_t)call->error,
		.call = call->id,
		.rule = (uint8_t)r,
		.fault = (uint8_t)rule->fault,
		.process = (uint16_t)(guest_process - guest_state->processes),
	};

	if (call->after)
		event.flags |= EVENT_AFTER;
	if (regs)
		event.flags |= EVENT_SITE;
	if (rule->also)
		event.flags |= EVENT_ALSO;
	if (atomic_exchange(&first_event_of, guest_process->born_ns) !=
	    guest_process->born_ns)
		event.flags |= EVENT_CHILD;
	event.stack =
		regs ? stack_number(regs->rip, site_regs_sp(regs), regs->rbp)
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

struct counts {
	_Atomic uint64_t *process_fired;
	uint16_t *fired; /* per thread, per fd; else NULL */
};

/* Count the match everywhere; false: `per=fd` without room for the fd. */
static bool rule_count(struct flight *flight, unsigned r,
		       struct trigger_input *ret_in, struct counts *ret_counts)
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
	*ret_counts = (struct counts){
		.process_fired = &guest_process->fired[r],
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
		.bytes_before =
			RAISE(guest_process->bytes[r], flight->call.len),
	};
	return true;
}

/* Take one of the rule's `times`; false: there is none left. */
static bool times_take(const struct plan_rule *rule, struct counts *counts)
{
	bool is_limited =
		rule->triggers & TRIGGER_TIMES && !guest_plan.header->replay;
	uint64_t fired = PEEK(*counts->process_fired);

	if (counts->fired) {
		if (is_limited && (*counts->fired >= rule->times ||
				   *counts->fired == UINT16_MAX))
			return false;
		if (*counts->fired < UINT16_MAX)
			++*counts->fired;
		BUMP(*counts->process_fired);
		return true;
	}
	do {
		if (is_limited && fired >= rule->times)
			return false;
	} while (!atomic_compare_exchange_weak(counts->process_fired, &fired,
					       fired + 1));
	return true;
}

/* Does the fault fit this very call?  If not, the call doesn't match. */
static bool fault_applies(struct flight *flight, const struct plan_rule *rule)
{
	const struct fault *fault = fault_table[rule->fault];

	if (fault->arg == ARG_ERROR &&
	    (rule->arg.v[0] == EAGAIN || rule->arg.v[0] == EINPROGRESS))
		flight_ask_nonblocking(flight);
	if (rule->adversarial && fault->may_force)
		return true;
	if (fault->applies && !fault->applies(&flight->call, &rule->arg))
		return false;
	return rule->fault != FAULT_short ||
	       bend_can_cut(flight, rule->arg.v[0]);
}

static bool may_act(const struct plan_rule *rule, struct trigger_input *in)
{
	uint64_t now_ns = 0;

	if (rule->triggers & TRIGGER_AFTER_NS) {
		now_ns = clock_ns();
		in->since_ns = now_ns - PEEK(guest_state->phase_ns);
	}
	if (!trigger_holds(&guest_plan, rule, in))
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

/* The verdict parts of two rules on one call are joined by the faults; a
 * decision that turns out to be taken already is taken back. */
static void rule_match(struct flight *flight, unsigned r)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	struct call *call = &flight->call, was;
	struct trigger_input in;
	struct counts counts;
	struct event event;
	struct rng rng;

	if (!first_look(flight) || !fault_applies(flight, rule) ||
	    !rule_count(flight, r, &in, &counts) || flight->ended ||
	    !may_act(rule, &in) || !times_take(rule, &counts))
		return;
	was = *call;
	rng = rng_open(in.seed, r, in.stream, in.thread_index);
	fault_table[rule->fault]->judge(call, &rule->arg, &rng);
	if (rule->at == AT_AFTER) {
		call->after = true;
		call->skip = was.skip;
	}
	if (call->hang)
		flight->hang_phases |= rule->phases;
	BUMP(guest_state->fired[r]);
	event_fill(flight, &was, r, &in, &event);
	flight->acts = true;
	flight->ended = !rule->also;
	if (rule->fault == FAULT_corrupt && !flight->pending &&
	    call_table[call->id].flags & CALL_MOVES_IN) {
		flight->pending = true; /* there may be nothing to corrupt */
		flight->pending_rule = (uint8_t)r;
		flight->event = event;
		return;
	}
	wait_for_reader(&guest_state->ring);
	ring_push(&guest_state->ring, &event);
}

bool rules_judge(struct flight *flight)
{
	const struct plan *plan = &guest_plan;
	const uint16_t *chain = plan->chain[flight->call.id];
	uint32_t phase = 1u << (PEEK(guest_state->phase) % PLAN_PHASES_MAX);

	flight->looked = flight->passed = false;
	flight->ended = flight->acts = flight->pending = false;
	flight->has_objects = false;
	flight->hang_phases = 0;
	for (unsigned i = 0; i < chain[1]; i++) {
		unsigned r = plan->index[chain[0] + i];

		if (!(plan->rules[r].phases & phase))
			continue;
		if (plan->rules[r].selectors && !select_holds(flight, r))
			continue;
		rule_match(flight, r);
	}
	return flight->acts;
}

void rules_settle(struct flight *flight, bool has_bent)
{
	unsigned r = flight->pending_rule;

	if (!flight->pending)
		return;
	flight->pending = false;
	if (has_bent) {
		wait_for_reader(&guest_state->ring);
		ring_push(&guest_state->ring, &flight->event);
		return;
	}
	atomic_fetch_sub(&guest_process->fired[r], 1);
	atomic_fetch_sub(&guest_state->fired[r], 1);
}

#include "core/arm.h"

#include <sys/syscall.h>

#include "core/net.h"

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

void plan_arm_nothing(uint8_t armed_nr[CALL_NR_MAX])
{
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		armed_nr[nr] = call_kernel_table[nr].id == CALL_execve ||
			       nr == SYS_mmap;
}

bool plan_wants_uring(const struct plan *plan)
{
	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (plan->chain[id][1] && call_table[id].has_kernel &&
		    (call_table[id].family == FAMILY_file ||
		     call_table[id].family == FAMILY_net))
			return true;
	return false;
}

/* Where a bent clock shows though no call of the table is made. */
static const uint16_t timed_numbers[] = {
	SYS_clock_gettime,   SYS_gettimeofday, SYS_clock_nanosleep,
	SYS_timerfd_settime, SYS_mq_timedsend, SYS_mq_timedreceive,
};

/* Does a rule of the phase bend clocks? */
static bool plan_warps(const struct plan *plan, unsigned phase)
{
	for (uint32_t r = 0; r < plan->header->rules_count; r++)
		if (fault_table[plan->rules[r].fault]->stands &&
		    plan->rules[r].phases & (1u << phase))
			return true;
	return false;
}

/* What a rule of the phase makes us look at beyond the calls that it names. */
struct wants {
	bool holds, objects, hosts;
};

static struct wants wants_of(const struct plan *plan, unsigned id,
			     unsigned phase)
{
	const uint16_t *chain = plan->chain[id];
	struct wants wants = { false, false, false };

	for (unsigned i = 0; i < chain[1]; i++) {
		const struct plan_rule *rule =
			&plan->rules[plan->index[chain[0] + i]];

		if (!(rule->phases & (1u << phase)))
			continue;
		wants.holds = true;
		if (rule->selectors & SELECT_OBJECT || rule->per == PER_FD)
			wants.objects = true;
		if (rule->selectors & SELECT_HOST)
			wants.hosts = true;
	}
	return wants;
}

void plan_arm(const struct plan *plan, unsigned phase,
	      uint8_t armed_nr[CALL_NR_MAX], uint8_t *armed_call)
{
	static const uint16_t forgets[] = { CALL_close, CALL_close_range,
					    CALL_dup, CALL_connect,
					    CALL_rename };
	bool objects = false, hosts = false;

	plan_arm_nothing(armed_nr);
	for (unsigned id = 0; id < CALL_COUNT; id++)
		armed_call[id] = 0;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		struct wants wants = wants_of(plan, id, phase);

		if (wants.holds)
			arm_call(id, armed_nr, armed_call);
		objects |= wants.objects;
		hosts |= wants.hosts;
	}
	for (unsigned i = 0; i < sizeof(forgets) / sizeof(forgets[0]); i++) {
		if (objects)
			arm_call(forgets[i], armed_nr, armed_call);
	}
	for (unsigned id = 0; net_plan_rules(plan) && id < CALL_COUNT; id++) {
		if (net_way_of(id))
			arm_call(id, armed_nr, armed_call);
	}
	if (plan_warps(plan, phase))
		for (unsigned i = 0;
		     i < sizeof(timed_numbers) / sizeof(*timed_numbers); i++)
			armed_nr[timed_numbers[i]] = 1;
	if (plan_wants_uring(plan))
		armed_nr[SYS_io_uring_setup] = 1;
	if (hosts)
		arm_call(CALL_getaddrinfo, armed_nr, armed_call);
}

#include "preload/warp.h"

#include <time.h>

#define NS_PER_S 1000000000ll

uint64_t guest_warp_rules;

/* When it began, by each kind of clock; the first is set last, and 0 until
 * then. */
enum anchor { ANCHOR_MONOTONIC, ANCHOR_REALTIME, ANCHOR_BOOTTIME, ANCHOR_RAW };

/* The beginning that this process has told of. */
static _Atomic uint64_t announced[PLAN_RULES_MAX];

void warp_look(void)
{
	for (unsigned r = 0; r < guest_plan.header->rules_count; r++) {
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (fault_table[rule->fault]->stands &&
		    (!(rule->selectors & SELECT_EXE) ||
		     guest_exe_rules >> r & 1))
			guest_warp_rules |= 1ull << r;
	}
}

int64_t warp_clock_ns(int clock)
{
	struct timespec now = { 0 };

	sys3(SYS_clock_gettime, clock, (long)&now, 0);
	return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

bool warp_stands(unsigned r)
{
	return atomic_load_explicit(&guest_state->slot[r][ANCHOR_MONOTONIC],
				    memory_order_acquire) != 0;
}

static void anchor_set(unsigned r, enum anchor which, int clock)
{
	uint64_t none = 0, now = (uint64_t)warp_clock_ns(clock);

	atomic_compare_exchange_strong(&guest_state->slot[r][which], &none,
				       now);
}

/* Of two processes that begin it at once the first one's times hold. */
void warp_begin(unsigned r)
{
	anchor_set(r, ANCHOR_REALTIME, CLOCK_REALTIME);
	anchor_set(r, ANCHOR_BOOTTIME, CLOCK_BOOTTIME);
	anchor_set(r, ANCHOR_RAW, CLOCK_MONOTONIC_RAW);
	anchor_set(r, ANCHOR_MONOTONIC, CLOCK_MONOTONIC);
}

bool warp_announce(unsigned r)
{
	uint64_t began = PEEK(guest_state->slot[r][ANCHOR_MONOTONIC]);

	return atomic_exchange(&announced[r], began) != began;
}

static int64_t anchor_of(unsigned r, int clock)
{
	enum anchor which = ANCHOR_MONOTONIC;
	int64_t ahead = 0;

	switch (clock) {
	case CLOCK_TAI: /* whole seconds, whatever passes between two looks */
		ahead = warp_clock_ns(CLOCK_TAI) -
			warp_clock_ns(CLOCK_REALTIME) + NS_PER_S / 2;
		ahead -= ahead % NS_PER_S;
		which = ANCHOR_REALTIME;
		break;
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
		which = ANCHOR_REALTIME;
		break;
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		which = ANCHOR_BOOTTIME;
		break;
	case CLOCK_MONOTONIC_RAW:
		which = ANCHOR_RAW;
		break;
	}
	return (int64_t)PEEK(guest_state->slot[r][which]) + ahead;
}

static struct warp warp_of(unsigned r, int clock)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	struct warp warp = { .kind = WARP_FREEZE,
			     .by = (int64_t)rule->arg.v[0] };

	if (rule->fault == FAULT_skew)
		warp.kind = WARP_SHIFT;
	else if (rule->fault == FAULT_drift)
		warp.kind = WARP_DRIFT;
	if (warp.kind != WARP_SHIFT)
		warp.anchor_ns = anchor_of(r, clock);
	return warp;
}

int64_t warp_told(uint64_t rules, int clock, int64_t true_ns)
{
	for (; rules; rules &= rules - 1) {
		struct warp warp =
			warp_of((unsigned)__builtin_ctzll(rules), clock);

		true_ns = warp_tell(&warp, true_ns);
	}
	return true_ns;
}

/* Backwards: the last rule's time is the one that was told. */
int64_t warp_due(uint64_t rules, int clock, int64_t told_ns)
{
	while (rules && told_ns != WARP_NEVER) {
		unsigned r = 63u - (unsigned)__builtin_clzll(rules);
		struct warp warp = warp_of(r, clock);

		told_ns = warp_reach(&warp, told_ns);
		rules &= ~(1ull << r);
	}
	return told_ns;
}

uint64_t warp_rules(int clock)
{
	uint32_t phase = 1u << (PEEK(guest_state->phase) % PLAN_PHASES_MAX);
	uint64_t rules = 0;

	if (!PEEK(guest_state->armed) || PEEK(guest_state->halted))
		return 0;
	for (uint64_t left = guest_warp_rules; left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctzll(left);
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (!(rule->phases & phase) || !warp_stands(r) ||
		    !clock_is_of(clock, rule->clock))
			continue;
		rules |= 1ull << r;
		if (!rule->also)
			break;
	}
	return rules && lease_holds(guest_state, clock_ns()) ? rules : 0;
}

/* ---- readings ------------------------------------------------------------ */

static void tell_timespec(uint64_t rules, int clock, struct timespec *time)
{
	int64_t ns = (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;

	ns = warp_told(rules, clock, ns);
	time->tv_sec = ns / NS_PER_S;
	time->tv_nsec = ns % NS_PER_S;
}

static void tell_timeval(uint64_t rules, struct timeval *time)
{
	struct timespec at = { time->tv_sec, time->tv_usec * 1000 };

	tell_timespec(rules, CLOCK_REALTIME, &at);
	time->tv_sec = at.tv_sec;
	time->tv_usec = at.tv_nsec / 1000;
}

/* time(2) has dropped what is less than a second, and may tell the last one a
 * little longer than clock_gettime(2): it reads the coarse clock. */
static time_t tell_seconds(uint64_t rules)
{
	return warp_told(rules, CLOCK_REALTIME,
			 warp_clock_ns(CLOCK_REALTIME_COARSE)) /
	       NS_PER_S;
}

intptr_t warp_reading(const struct flight *flight, intptr_t ret)
{
	const struct call *call = &flight->call;

	if (call->id == CALL_clock_gettime)
		tell_timespec(flight->warps, (int)call->flags, call->buf);
	else if (call->id == CALL_gettimeofday && call->buf)
		tell_timeval(flight->warps, call->buf);
	else if (call->id == CALL_time) {
		ret = tell_seconds(flight->warps);
		if (call->buf)
			*(time_t *)call->buf = ret;
	}
	return ret;
}

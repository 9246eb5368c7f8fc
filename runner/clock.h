/* clock.h - the one clock of a run: CLOCK_MONOTONIC, ns. */
#ifndef MISHAP_RUNNER_CLOCK_H
#define MISHAP_RUNNER_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_S  1000000000ull
#define NS_PER_MS 1000000ull

static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static inline struct timespec clock_timespec(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

/* clock_sleep_until - may return early on a signal. */
static inline void clock_sleep_until(uint64_t at_ns)
{
	struct timespec at = clock_timespec(at_ns);

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

/* clock_left_ms - until at_ns, rounded up, for poll(2); at most max_ms. */
static inline int clock_left_ms(uint64_t at_ns, int max_ms)
{
	uint64_t now = clock_now_ns(), left;

	if (at_ns <= now)
		return 0;
	left = (at_ns - now + NS_PER_MS - 1) / NS_PER_MS;
	return left > (uint64_t)max_ms ? max_ms : (int)left;
}

#endif

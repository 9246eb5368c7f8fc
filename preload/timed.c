/* timed.c - libc's waits until a time, where a rule bends the clock that it is
 * a time of.
 *
 * They wait by futex(2), which no door touches, so they are met by their
 * symbols.  They are no calls of the table: what happens to them follows from
 * the clock.  A wait is made in slices, so that it notices when the clock is
 * set; pthread_cond_timedwait() returns 0 between two of them, as POSIX lets it
 * any time, because a signal that came while we held the mutex would be lost.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include "preload/warp.h"

#define NS_PER_S 1000000000ll

/* Each of them as TIMED(symbol, (params), (args), abstime), the argument that
 * is replaced being called at; with the clock of its own or the one given. */
#define ALL_TIMED                                                              \
	TIMED(pthread_mutex_timedlock,                                         \
	      (pthread_mutex_t * mutex, const struct timespec *at),            \
	      (mutex, at), CLOCK_REALTIME)                                     \
	TIMED(pthread_mutex_clocklock,                                         \
	      (pthread_mutex_t * mutex, clockid_t clock,                       \
	       const struct timespec *at),                                     \
	      (mutex, clock, at), clock)                                       \
	TIMED(pthread_rwlock_timedrdlock,                                      \
	      (pthread_rwlock_t * lock, const struct timespec *at),            \
	      (lock, at), CLOCK_REALTIME)                                      \
	TIMED(pthread_rwlock_timedwrlock,                                      \
	      (pthread_rwlock_t * lock, const struct timespec *at),            \
	      (lock, at), CLOCK_REALTIME)                                      \
	TIMED(pthread_rwlock_clockrdlock,                                      \
	      (pthread_rwlock_t * lock, clockid_t clock,                       \
	       const struct timespec *at),                                     \
	      (lock, clock, at), clock)                                        \
	TIMED(pthread_rwlock_clockwrlock,                                      \
	      (pthread_rwlock_t * lock, clockid_t clock,                       \
	       const struct timespec *at),                                     \
	      (lock, clock, at), clock)                                        \
	TIMED(sem_timedwait, (sem_t * sem, const struct timespec *at),         \
	      (sem, at), CLOCK_REALTIME)                                       \
	TIMED(sem_clockwait,                                                   \
	      (sem_t * sem, clockid_t clock, const struct timespec *at),       \
	      (sem, clock, at), clock)                                         \
	TIMED(pthread_cond_timedwait,                                          \
	      (pthread_cond_t * cond, pthread_mutex_t * mutex,                 \
	       const struct timespec *at),                                     \
	      (cond, mutex, at), cond_clock(cond))                             \
	TIMED(pthread_cond_clockwait,                                          \
	      (pthread_cond_t * cond, pthread_mutex_t * mutex,                 \
	       clockid_t clock, const struct timespec *at),                    \
	      (cond, mutex, clock, at), clock)

/* What pthread_condattr_setclock() has said, as glibc has kept it since 2.25,
 * nptl/pthread_cond_common.c: a bit beside the count of those that wait. */
static int cond_clock(const pthread_cond_t *cond)
{
	return PEEK(*(const _Atomic unsigned *)&cond->__data.__wrefs) & 2
		       ? CLOCK_MONOTONIC
		       : CLOCK_REALTIME;
}

/* One wait: until when the next slice lasts, and whether it is the last. */
struct slice {
	struct timespec end;
	bool is_last;
};

/* false: no rule has to do with it. */
static bool slice_next(int clock, const struct timespec *at,
		       struct slice *ret_slice)
{
	uint64_t rules = warp_rules(clock);
	int64_t now, due;

	if (!at || at->tv_nsec < 0 || at->tv_nsec >= NS_PER_S ||
	    at->tv_sec < 0 || at->tv_sec > INT64_MAX / NS_PER_S / 2)
		return false;
	now = warp_clock_ns(clock);
	due = (int64_t)at->tv_sec * NS_PER_S + at->tv_nsec;
	due = warp_due(rules, clock, due);
	ret_slice->is_last = due <= now + WARP_SLICE_NS;
	if (!ret_slice->is_last)
		due = now + WARP_SLICE_NS;
	if (due < 0)
		due = 0;
	ret_slice->end = (struct timespec){ due / NS_PER_S, due % NS_PER_S };
	return true;
}

/* Might a rule of ours ever bend this clock? */
static bool may_warp(int clock)
{
	for (uint64_t left = guest_warp_rules; left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctzll(left);

		if (clock_is_of(clock, guest_plan.rules[r].clock))
			return true;
	}
	return false;
}

/* Said by the return value, but for semaphores, which say it by errno. */
static bool is_timeout(int ret)
{
	return ret == ETIMEDOUT || (ret == -1 && errno == ETIMEDOUT);
}

#define OPEN(...) __VA_ARGS__
#define TIMED(symbol, params, args, clockid)                                   \
	static int find_##symbol params;                                       \
	static int(*go_##symbol) params = find_##symbol;                       \
                                                                               \
	static int find_##symbol params                                        \
	{                                                                      \
		int(*found) params = (int(*) params)dlsym(RTLD_NEXT, #symbol); \
                                                                               \
		if (!found)                                                    \
			return ENOSYS;                                         \
		go_##symbol = found;                                           \
		return found args;                                             \
	}                                                                      \
                                                                               \
	static int slice_##symbol params                                       \
	{                                                                      \
		const bool is_cond =                                           \
			__builtin_types_compatible_p(                          \
				__typeof__(&symbol),                           \
				__typeof__(&pthread_cond_timedwait)) ||        \
			__builtin_types_compatible_p(                          \
				__typeof__(&symbol),                           \
				__typeof__(&pthread_cond_clockwait));          \
		const int which = clockid;                                     \
		const struct timespec *want = at;                              \
		struct slice slice;                                            \
		int ret;                                                       \
                                                                               \
		do {                                                           \
			if (!slice_next(which, want, &slice))                  \
				return go_##symbol args;                       \
			at = &slice.end;                                       \
			ret = go_##symbol args;                                \
			at = want;                                             \
			if (slice.is_last || !is_timeout(ret))                 \
				return ret;                                    \
		} while (!is_cond);                                            \
		return 0;                                                      \
	}                                                                      \
                                                                               \
	EXPORT int symbol params                                               \
	{                                                                      \
		if (UNLIKELY(guest_warp_rules) && may_warp(clockid))           \
			return slice_##symbol args;                            \
		return go_##symbol args;                                       \
	}
ALL_TIMED

/* C11's clock reads the kernel's inside libc; where rules bend one it is read
 * by the door instead. */
static int (*go_timespec_get)(struct timespec *, int);

EXPORT int timespec_get(struct timespec *time, int base)
{
	if (UNLIKELY(guest_warp_rules) && base == TIME_UTC)
		return clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
	if (!go_timespec_get)
		go_timespec_get = (int (*)(struct timespec *, int))dlsym(
			RTLD_NEXT, "timespec_get");
	return go_timespec_get(time, base);
}

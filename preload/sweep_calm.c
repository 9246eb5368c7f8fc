/* sweep_calm.c - the same time and the same random bytes in every run of a
 * sweep, so that what two runs leave can be compared.
 *
 * CLOCK_REALTIME begins at the same second each time and goes slowly, so that
 * a loaded machine doesn't show either.  Random bytes are a function of the
 * process's creation path and of which call it is.  Only in a sweep, whose
 * targets run on copies in a sandbox.
 */
#include "preload/sweep.h"

#include <sys/time.h>

#include "core/rng.h"

#define NS_PER_S    1000000000ull
#define SLOW	    64 /* seconds that pass for one that is shown */
#define RANDOM_MOST 4096

static _Atomic uint64_t random_calls;

bool sweep_random(struct site_regs *regs)
{
	uint64_t to = *site_arg(regs, 1), n = *site_arg(regs, 2);
	struct rng rng;
	uint64_t block[8];

	if (!n || n > RANDOM_MOST || !guest_process)
		return false;
	rng = rng_open(guest_sweep->seed, 0, guest_process->path,
		       BUMP(random_calls));
	for (uint64_t at = 0; at < n; at += sizeof(block)) {
		size_t part = n - at < sizeof(block) ? n - at : sizeof(block);

		for (unsigned i = 0; i < 8; i++)
			block[i] = rng_next(&rng);
		scratch_write((void *)(to + at), block, part);
	}
	site_return(regs, (long)n);
	return true;
}

static long shifted(clockid_t clock, struct timespec *ret)
{
	long error = sys3(SYS_clock_gettime, clock, (long)ret, 0);
	uint64_t ns;

	if (error ||
	    (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE))
		return error;
	ns = (uint64_t)ret->tv_sec * NS_PER_S + (uint64_t)ret->tv_nsec;
	ns = guest_sweep->epoch_ns + (ns - guest_sweep->began_ns) / SLOW;
	ret->tv_sec = (time_t)(ns / NS_PER_S);
	ret->tv_nsec = (long)(ns % NS_PER_S);
	return 0;
}

int sweep_clock_gettime(clockid_t clock, struct timespec *ret)
{
	long error = shifted(clock, ret);

	if (!error)
		return 0;
	errno = (int)-error;
	return -1;
}

int sweep_gettimeofday(struct timeval *ret, void *zone)
{
	struct timespec now;

	(void)zone; /* obsolete, gettimeofday(2): programs pass NULL */
	shifted(CLOCK_REALTIME, &now);
	if (ret) {
		ret->tv_sec = now.tv_sec;
		ret->tv_usec = now.tv_nsec / 1000;
	}
	return 0;
}

time_t sweep_time(time_t *ret)
{
	struct timespec now;

	shifted(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}

/* warp_site.c - system calls that tell a bent clock's time, or wait until it.
 *
 * Readings come this way only where a program makes the system call itself;
 * libc asks the vDSO.
 */
#include <sys/timerfd.h>
#include <time.h>

#include "preload/around.h"
#include "preload/warp.h"

#define NS_PER_S 1000000000ll

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ ns / NS_PER_S, ns % NS_PER_S };
}

static int64_t ns_of(const struct timespec *time)
{
	return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

static bool is_time(const struct timespec *time)
{
	return time->tv_sec >= 0 && time->tv_sec < INT64_MAX / NS_PER_S / 2 &&
	       time->tv_nsec >= 0 && time->tv_nsec < NS_PER_S;
}

/* Make the call with another pointer for its nth argument. */
static long call_with(struct site_regs *regs, unsigned n, const void *arg)
{
	uint64_t was = *site_arg(regs, n);
	long ret;

	*site_arg(regs, n) = (uint64_t)arg;
	ret = around_call(regs);
	*site_arg(regs, n) = was;
	return ret;
}

/* ---- readings ------------------------------------------------------------ */

static long call_clock_gettime(struct site_regs *regs)
{
	int clock = (int)*site_arg(regs, 1);
	uint64_t rules = warp_rules(clock);
	struct timespec time;
	long ret = around_call(regs);

	if (ret < 0 || !rules)
		return ret;
	time = timespec_of(warp_told(rules, clock, warp_clock_ns(clock)));
	scratch_write((void *)*site_arg(regs, 2), &time, sizeof(time));
	return ret;
}

static long call_gettimeofday(struct site_regs *regs)
{
	uint64_t rules = warp_rules(CLOCK_REALTIME);
	struct timeval time;
	int64_t ns;
	long ret = around_call(regs);

	if (ret < 0 || !rules || !*site_arg(regs, 1))
		return ret;
	ns = warp_told(rules, CLOCK_REALTIME, warp_clock_ns(CLOCK_REALTIME));
	time = (struct timeval){ ns / NS_PER_S, ns % NS_PER_S / 1000 };
	scratch_write((void *)*site_arg(regs, 1), &time, sizeof(time));
	return ret;
}

/* ---- waits --------------------------------------------------------------- */

static long sleep_until(struct site_regs *regs)
{
	int clock = (int)*site_arg(regs, 1);
	struct timespec want, end;

	if (!(*site_arg(regs, 2) & TIMER_ABSTIME) ||
	    scratch_copy(&want, (const void *)*site_arg(regs, 3),
			 sizeof(want)) != sizeof(want) ||
	    !is_time(&want))
		return around_call(regs);
	for (;;) {
		uint64_t rules = warp_rules(clock);
		int64_t now = warp_clock_ns(clock), due = ns_of(&want);
		long ret;

		due = warp_due(rules, clock, due);
		if (due > now + WARP_SLICE_NS)
			end = timespec_of(now + WARP_SLICE_NS);
		else
			end = timespec_of(due > 0 ? due : 0);
		ret = call_with(regs, 3, &end);
		if (ret != 0 || due <= now + WARP_SLICE_NS)
			return ret;
	}
}

/* A timerfd's clock stands in /proc alone: "clockid: 0". */
static int timerfd_clock(int fd)
{
	char path[40] = "/proc/self/fdinfo/", text[128], digits[12];
	size_t n = strlen(path), d = 0;
	long file, bytes;

	do {
		digits[d++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd && d < sizeof(digits));
	while (d)
		path[n++] = digits[--d];
	path[n] = '\0';
	file = sys_open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return -1;
	bytes = sys3(SYS_read, file, (long)text, sizeof(text) - 1);
	sys3(SYS_close, file, 0, 0);
	for (long i = 0; i + 9 < bytes; i++)
		if (memcmp(text + i, "clockid: ", 9) == 0)
			return text[i + 9] - '0';
	return -1;
}

/* Translated once: a later step of the clock moves it no more. */
static long timer_set(struct site_regs *regs)
{
	struct itimerspec want;
	uint64_t rules;
	int clock;
	int64_t due;

	if (!(*site_arg(regs, 2) & TFD_TIMER_ABSTIME) ||
	    scratch_copy(&want, (const void *)*site_arg(regs, 3),
			 sizeof(want)) != sizeof(want) ||
	    !is_time(&want.it_value) || !ns_of(&want.it_value))
		return around_call(regs);
	clock = timerfd_clock((int)*site_arg(regs, 1));
	rules = clock < 0 ? 0 : warp_rules(clock);
	due = warp_due(rules, clock, ns_of(&want.it_value));
	if (!rules || due == ns_of(&want.it_value))
		return around_call(regs);
	/* 0 would disarm it; the past is due at once */
	want.it_value = timespec_of(due > 0 ? due : 1);
	return call_with(regs, 3, &want);
}

/* mq_timedsend(2), mq_timedreceive(2): of the time of day. */
static long queue_wait(struct site_regs *regs)
{
	uint64_t rules = warp_rules(CLOCK_REALTIME);
	struct timespec want;
	int64_t due;

	if (!rules || !*site_arg(regs, 5) ||
	    scratch_copy(&want, (const void *)*site_arg(regs, 5),
			 sizeof(want)) != sizeof(want) ||
	    !is_time(&want))
		return around_call(regs);
	due = warp_due(rules, CLOCK_REALTIME, ns_of(&want));
	want = timespec_of(due > 0 ? due : 0);
	return call_with(regs, 5, &want);
}

bool warp_wants(uint64_t nr)
{
	if (!guest_warp_rules)
		return false;
	switch (nr) {
	case SYS_clock_gettime:
	case SYS_gettimeofday:
	case SYS_clock_nanosleep:
	case SYS_timerfd_settime:
	case SYS_mq_timedsend:
	case SYS_mq_timedreceive:
		return true;
	}
	return false;
}

long warp_call(struct site_regs *regs)
{
	switch (site_nr(regs)) {
	case SYS_clock_gettime:
		return call_clock_gettime(regs);
	case SYS_gettimeofday:
		return call_gettimeofday(regs);
	case SYS_clock_nanosleep:
		return sleep_until(regs);
	case SYS_timerfd_settime:
		return timer_set(regs);
	}
	return queue_wait(regs);
}

#include "core/warp.h"

#include <time.h>

#define ELAPSED_MAX_NS (10ll * 365 * 86400 * 1000000000)
#define PPM	       1000000ll

bool clock_is_of(int clock, enum clock_set set)
{
	switch (clock) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
	case CLOCK_REALTIME_ALARM:
	case CLOCK_TAI:
		return set != CLOCKS_MONOTONIC;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_RAW:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_BOOTTIME:
	case CLOCK_BOOTTIME_ALARM:
		return set != CLOCKS_REALTIME;
	}
	return set == CLOCKS_ANY;
}

/* ns * times / by, where the product may not fit; ns up to ELAPSED_MAX_NS. */
static int64_t scale(int64_t ns, int64_t times, int64_t by)
{
	return ns / by * times + ns % by * times / by;
}

static int64_t elapsed(const struct warp *warp, int64_t ns)
{
	ns -= warp->anchor_ns;
	return ns < ELAPSED_MAX_NS ? ns : ELAPSED_MAX_NS;
}

int64_t warp_tell(const struct warp *warp, int64_t true_ns)
{
	int64_t ns = true_ns;

	if (warp->kind == WARP_SHIFT)
		ns += warp->by;
	else if (true_ns <= warp->anchor_ns)
		return true_ns; /* before it began */
	else if (warp->kind == WARP_FREEZE)
		ns = warp->anchor_ns;
	else
		ns += scale(elapsed(warp, true_ns), warp->by, PPM);
	return ns > 0 ? ns : 0;
}

int64_t warp_reach(const struct warp *warp, int64_t told_ns)
{
	int64_t past;

	if (warp->kind == WARP_SHIFT)
		return told_ns - warp->by;
	if (told_ns <= warp->anchor_ns)
		return told_ns;
	if (warp->kind == WARP_FREEZE)
		return WARP_NEVER;
	past = scale(elapsed(warp, told_ns), PPM, PPM + warp->by);
	while (past < ELAPSED_MAX_NS &&
	       warp_tell(warp, warp->anchor_ns + past) < told_ns)
		past++; /* what the division dropped */
	return warp->anchor_ns + past;
}

#include <time.h>

#include "preload/guest.h"

uint64_t clock_ns(void)
{
	struct timespec ts = { 0 };

	sys3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

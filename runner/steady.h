/* steady.h - steady-state probes, sampled throughout, open loop.
 *
 * Each probe has a thread.  A sample is due every `every`, whatever became of
 * the one before; its latency counts from when it was due, so that a stalled
 * target can't hide by slowing the questions down.  A sample that can't be
 * answered within its probe's `within` (from due) is unhealthy. */
#ifndef MISHAP_RUNNER_STEADY_H
#define MISHAP_RUNNER_STEADY_H

#include <stdatomic.h>

#include "runner/probe.h"

#define STEADY_SAMPLES_MAX 1000000
#define STEADY_STREAK	   3 /* healthy samples in a row: steady again */

struct steady_thread {
	struct steady_set *set;
	const struct steady *steady;
	uint16_t index;
	pthread_t thread;
	unsigned streak;    /* healthy ones since steady_expect() */
	uint64_t streak_ns; /* answer of the first of them */
};

struct steady_set {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct steady_thread threads[SCENARIO_ITEMS_MAX];
	size_t count;
	bool stop;
	struct probe_context context;
	_Atomic uint16_t phase;
	uint64_t expect_ns;
	struct sample *samples;
	size_t samples_count, samples_room, samples_lost;
};

int steady_open(const struct scenario *scenario,
		const struct probe_context *context,
		struct steady_set *ret_set);
/* steady_expect - from now on, look for STEADY_STREAK in a row. */
void steady_expect(struct steady_set *set);
/* steady_reached - has every probe its streak?  *ret_ns: when the last of
 * them saw its first. */
bool steady_reached(struct steady_set *set, uint64_t *ret_ns);
/* steady_close - stop, and hand over the samples (malloc'd). */
void steady_close(struct steady_set *set, struct sample **ret_samples,
		  size_t *ret_count);

#endif

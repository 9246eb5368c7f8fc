#include "runner/steady.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/tree_proc.h"

static void sample_add(struct steady_set *set, const struct sample *sample)
{
	if (set->samples_count == set->samples_room) {
		size_t room = set->samples_room ? set->samples_room * 2 : 1024;
		struct sample *grown = NULL;

		if (room <= 2 * STEADY_SAMPLES_MAX)
			grown = reallocarray(set->samples, room,
					     sizeof(*grown));
		if (!grown) {
			set->samples_lost++;
			return;
		}
		set->samples = grown;
		set->samples_room = room;
	}
	if (set->samples_count == STEADY_SAMPLES_MAX)
		set->samples_lost++;
	else
		set->samples[set->samples_count++] = *sample;
}

static void streak_count(struct steady_thread *thread,
			 const struct sample *sample)
{
	if (sample->due_ns < thread->set->expect_ns)
		return;
	if (!sample->ok) {
		thread->streak = 0;
		return;
	}
	if (!thread->streak++)
		thread->streak_ns = sample->due_ns + sample->latency_ns;
}

/* Wait until the sample is due; false: stop instead.  Locked. */
static bool wait_due(struct steady_set *set, uint64_t due_ns)
{
	struct timespec at = clock_timespec(due_ns);

	while (!set->stop && clock_now_ns() < due_ns)
		pthread_cond_timedwait(&set->changed, &set->lock, &at);
	return !set->stop;
}

static void *steady_main(void *arg)
{
	struct steady_thread *thread = arg;
	const struct steady *steady = thread->steady;
	struct steady_set *set = thread->set;
	uint64_t due_ns = clock_now_ns();

	signals_block();
	pthread_mutex_lock(&set->lock);
	while (wait_due(set, due_ns)) {
		struct sample sample = { .due_ns = due_ns,
					 .steady = thread->index,
					 .phase = atomic_load(&set->phase) };
		char why[PROBE_WHY_MAX];

		pthread_mutex_unlock(&set->lock);
		sample.ok = probe_try(&steady->probe, &set->context,
				      due_ns + steady->probe.within.ns, why);
		sample.latency_ns = clock_now_ns() - due_ns;
		pthread_mutex_lock(&set->lock);
		sample_add(set, &sample);
		streak_count(thread, &sample);
		due_ns += steady->every.ns;
	}
	pthread_mutex_unlock(&set->lock);
	return NULL;
}

int steady_open(const struct scenario *scenario,
		const struct probe_context *context, struct steady_set *ret_set)
{
	struct steady_set *set = ret_set;
	pthread_condattr_t attr;

	memset(set, 0, sizeof(*set));
	set->context = *context;
	pthread_mutex_init(&set->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&set->changed, &attr);
	pthread_condattr_destroy(&attr);
	for (size_t i = 0; i < scenario->steadies_count; i++) {
		struct steady_thread *thread = &set->threads[i];
		int error;

		*thread =
			(struct steady_thread){ .set = set,
						.steady =
							&scenario->steadies[i],
						.index = (uint16_t)i };
		error = pthread_create(&thread->thread, NULL, steady_main,
				       thread);
		if (error)
			return -error;
		set->count++;
	}
	return 0;
}

void steady_expect(struct steady_set *set)
{
	pthread_mutex_lock(&set->lock);
	set->expect_ns = clock_now_ns();
	for (size_t i = 0; i < set->count; i++)
		set->threads[i].streak = 0;
	pthread_mutex_unlock(&set->lock);
}

bool steady_reached(struct steady_set *set, uint64_t *ret_ns)
{
	bool reached = set->count > 0;
	uint64_t last = 0;

	pthread_mutex_lock(&set->lock);
	for (size_t i = 0; i < set->count; i++) {
		reached &= set->threads[i].streak >= STEADY_STREAK;
		if (set->threads[i].streak_ns > last)
			last = set->threads[i].streak_ns;
	}
	pthread_mutex_unlock(&set->lock);
	if (reached)
		*ret_ns = last;
	return reached;
}

void steady_close(struct steady_set *set, struct sample **ret_samples,
		  size_t *ret_count)
{
	pthread_mutex_lock(&set->lock);
	set->stop = true;
	pthread_cond_broadcast(&set->changed);
	pthread_mutex_unlock(&set->lock);
	for (size_t i = 0; i < set->count; i++)
		pthread_join(set->threads[i].thread, NULL);
	if (set->samples_lost)
		progress_say("%zu steady-state samples beyond %d weren't kept",
			     set->samples_lost, STEADY_SAMPLES_MAX);
	*ret_samples = set->samples;
	*ret_count = set->samples_count;
	pthread_mutex_destroy(&set->lock);
	pthread_cond_destroy(&set->changed);
	set->count = 0;
	set->samples = NULL;
}

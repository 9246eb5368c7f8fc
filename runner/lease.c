#include "runner/lease.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "runner/clock.h"

static void *beat_main(void *arg)
{
	struct lease *lease = arg;

	pthread_mutex_lock(&lease->lock);
	while (!lease->stop) {
		uint64_t now = clock_now_ns();
		struct timespec next =
			clock_timespec(now + SHARED_HEARTBEAT_NS);

		atomic_store(&lease->state->heartbeat_ns, now);
		pthread_cond_timedwait(&lease->wake, &lease->lock, &next);
	}
	pthread_mutex_unlock(&lease->lock);
	return NULL;
}

static int mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;
	int error;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	error = pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return -error;
}

int lease_take(struct state *state, struct lease *ret_lease)
{
	struct lease *lease = ret_lease;
	pthread_condattr_t attr;
	int error;

	error = mutex_init(&state->lease);
	if (error)
		return error;
	error = pthread_mutex_lock(&state->lease);
	if (error)
		return -error;
	state->runner_pid = (int32_t)getpid();
	atomic_store(&state->heartbeat_ns, clock_now_ns());

	memset(lease, 0, sizeof(*lease));
	lease->state = state;
	pthread_mutex_init(&lease->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lease->wake, &attr);
	pthread_condattr_destroy(&attr);
	error = pthread_create(&lease->beat, NULL, beat_main, lease);
	if (error) {
		pthread_mutex_unlock(&state->lease);
		lease->state = NULL;
	}
	return -error;
}

void lease_give_back(struct lease *lease)
{
	if (!lease->state)
		return;
	pthread_mutex_lock(&lease->lock);
	lease->stop = true;
	pthread_cond_signal(&lease->wake);
	pthread_mutex_unlock(&lease->lock);
	pthread_join(lease->beat, NULL);
	pthread_mutex_unlock(&lease->state->lease);
	lease->state = NULL;
}

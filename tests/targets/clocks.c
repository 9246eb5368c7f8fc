/* clocks - reads clocks and waits until times of them; says what came of it.
 *
 *   clocks read N        N readings of each, as seconds since our start of them
 *   clocks raw           the same by system calls of our own
 *   clocks steps N       readings of CLOCK_REALTIME a millisecond apart; by how
 *                        much the greatest step forward and back was, in s
 *   clocks WAIT SECONDS  wait so long on CLOCK_REALTIME by an absolute time;
 *                        how long that took by CLOCK_MONOTONIC, in tenths
 * WAIT is cond, sem, mutex, rwlock, sleep, timerfd or monotonic (a condition).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void read_all(int n)
{
	for (int i = 0; i < n; i++) {
		struct timeval tv;
		struct timespec ts;
		time_t out = 0;

		gettimeofday(&tv, NULL);
		timespec_get(&ts, TIME_UTC);
		time(&out);
		printf("realtime:%.0f coarse:%.0f monotonic:%.0f day:%ld "
		       "time:%ld out:%d get:%ld\n",
		       now(CLOCK_REALTIME), now(CLOCK_REALTIME_COARSE),
		       now(CLOCK_MONOTONIC), (long)tv.tv_sec, (long)time(NULL),
		       out != 0, (long)ts.tv_sec);
	}
}

static void read_raw(void)
{
	struct timespec ts;
	struct timeval tv;

	now(CLOCK_REALTIME); /* the rule begins with a call of the table */
	syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts);
	syscall(SYS_gettimeofday, &tv, NULL);
	printf("realtime:%ld day:%ld\n", (long)ts.tv_sec, (long)tv.tv_sec);
}

static void steps(int n)
{
	double last = now(CLOCK_REALTIME), up = 0, down = 0;

	for (int i = 0; i < n; i++) {
		double at = now(CLOCK_REALTIME);

		up = at - last > up ? at - last : up;
		down = last - at > down ? last - at : down;
		last = at;
		usleep(1000);
	}
	printf("up:%.0f down:%.0f\n", up, down);
}

static void wait_cond(const struct timespec *at, clockid_t clock)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_condattr_t attr;
	pthread_cond_t cond;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, clock);
	pthread_cond_init(&cond, &attr);
	pthread_mutex_lock(&mutex);
	while (pthread_cond_timedwait(&cond, &mutex, at) == 0)
		;
}

static void wait_timerfd(const struct timespec *at)
{
	struct itimerspec spec = { .it_value = *at };
	int fd = timerfd_create(CLOCK_REALTIME, 0);
	struct pollfd poller = { .fd = fd, .events = POLLIN };

	timerfd_settime(fd, TFD_TIMER_ABSTIME, &spec, NULL);
	poll(&poller, 1, 3000);
}

static void wait_until(const char *how, const struct timespec *at)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
	sem_t sem;

	sem_init(&sem, 0, 0);
	pthread_mutex_lock(&mutex);
	pthread_rwlock_rdlock(&lock);
	if (!strcmp(how, "cond"))
		wait_cond(at, CLOCK_REALTIME);
	else if (!strcmp(how, "monotonic"))
		wait_cond(at, CLOCK_MONOTONIC);
	else if (!strcmp(how, "sem"))
		sem_timedwait(&sem, at);
	else if (!strcmp(how, "mutex"))
		pthread_mutex_timedlock(&mutex, at);
	else if (!strcmp(how, "rwlock"))
		pthread_rwlock_timedwrlock(&lock, at);
	else if (!strcmp(how, "sleep"))
		clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, at, NULL);
	else if (!strcmp(how, "timerfd"))
		wait_timerfd(at);
	else
		exit(2);
}

static void wait_for(const char *how, double seconds)
{
	bool is_monotonic = !strcmp(how, "monotonic");
	double began = now(CLOCK_MONOTONIC), until;
	struct timespec at;

	until = now(is_monotonic ? CLOCK_MONOTONIC : CLOCK_REALTIME) + seconds;
	at.tv_sec = (time_t)until;
	at.tv_nsec = (long)((until - (double)at.tv_sec) * 1e9);
	alarm(4); /* a wait that never ends */
	wait_until(how, &at);
	printf("%.1f\n", now(CLOCK_MONOTONIC) - began);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "raw"))
		read_raw();
	else if (argc == 3 && !strcmp(argv[1], "read"))
		read_all(atoi(argv[2]));
	else if (argc == 3 && !strcmp(argv[1], "steps"))
		steps(atoi(argv[2]));
	else if (argc == 3)
		wait_for(argv[1], atof(argv[2]));
	else
		return 2;
	return 0;
}

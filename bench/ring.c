/* ring.c - what an event costs, from 1 and from 8 threads, beside a write to a
 * pipe of as many bytes that a thread of ours empties.
 *
 * A figure is the median of rounds that take turns, ns of a thread's processor
 * time for one event: threads that wait for a processor cost nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/shared.h"

#define ROUNDS	    15
#define EVENTS	    200000
#define WRITES	    20000
#define THREADS_MAX 8

static struct ring *ring;
static int to_pipe[2];

static uint64_t own_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *push(void *ret_ns)
{
	struct event event = { .call = CALL_write, .pid = 1 };
	uint64_t start = own_ns();

	for (int i = 0; i < EVENTS; i++) {
		event.index = (uint32_t)i;
		ring_push(ring, &event);
	}
	*(double *)ret_ns = (double)(own_ns() - start) / EVENTS;
	return NULL;
}

static void *write_pipe(void *ret_ns)
{
	struct event event = { .call = CALL_write, .pid = 1 };
	uint64_t start = own_ns();

	for (int i = 0; i < WRITES; i++)
		if (write(to_pipe[1], &event, sizeof(event)) != sizeof(event))
			abort();
	*(double *)ret_ns = (double)(own_ns() - start) / WRITES;
	return NULL;
}

static void *drain(void *arg)
{
	static char bytes[65536];

	(void)arg;
	while (read(to_pipe[0], bytes, sizeof(bytes)) > 0)
		;
	return NULL;
}

/* The mean over the threads. */
static double together(void *(*work)(void *), int threads)
{
	double ns[THREADS_MAX], sum = 0;
	pthread_t thread[THREADS_MAX];

	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread[i], NULL, work, &ns[i]) != 0)
			abort();
	for (int i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		sum += ns[i];
	}
	return sum / threads;
}

static int order(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static const struct kind {
	const char *name;
	void *(*work)(void *);
	int threads;
} kinds[] = {
	{ "an event, 1 thread", push, 1 },
	{ "an event, 8 threads", push, 8 },
	{ "64 bytes to a pipe, 1 thread", write_pipe, 1 },
	{ "64 bytes to a pipe, 8 threads", write_pipe, 8 },
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

int main(void)
{
	static double ns[KINDS][ROUNDS];
	pthread_t drainer;

	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (ring == MAP_FAILED || pipe(to_pipe) < 0 ||
	    pthread_create(&drainer, NULL, drain, NULL) != 0)
		return 2;
	for (int round = 0; round < ROUNDS; round++)
		for (size_t k = 0; k < KINDS; k++)
			ns[k][round] =
				together(kinds[k].work, kinds[k].threads);
	for (size_t k = 0; k < KINDS; k++) {
		qsort(ns[k], ROUNDS, sizeof(double), order);
		printf("%-42s %6.1f ns\n", kinds[k].name, ns[k][ROUNDS / 2]);
	}
	close(to_pipe[1]);
	pthread_join(drainer, NULL);
	return 0;
}

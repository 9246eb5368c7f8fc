/* storm.c SECONDS PLUGIN PLUGIN - walk at every bad moment at once.
 *
 * Signals that interrupt anything (malloc, dlopen, a walk), on the stack in
 * use and on one of their own; threads that share the cache; libraries that
 * come and go; children forked in the middle of a dlopen, and vfork's.
 * Prints what was done; exit status 1 when a stack was wrong, 2 when somebody
 * hung.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "preload/stack.h"

#define HANG_SECONDS 20

struct state *guest_state;
const struct shared_header *guest_shared;

static struct shared_header header;
static _Atomic bool over;
static _Atomic uint64_t in_handlers, in_threads, in_plugins, children, vforks;
static _Atomic uint64_t wrong;
static const char *plugins[2];

static void on_signal(int sig)
{
	int error = errno;

	(void)sig;
	if (stack_number_here() == 0)
		wrong++;
	in_handlers++;
	errno = error;
}

static __attribute__((noinline)) uint32_t number_deep(int depth)
{
	uint32_t number = depth ? number_deep(depth - 1) : stack_number_here();

	__asm__ volatile("" : : : "memory");
	return number;
}

static void *threads_walk(void *arg)
{
	stack_t own = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
	uint32_t first = 0;

	(void)arg;
	sigaltstack(&own, NULL);
	for (uint64_t i = 0; !over; i++) {
		uint32_t number = number_deep(6);

		first = i ? first : number;
		if (number != first)
			wrong++;
		in_threads++;
		free(malloc(i % 3000));
	}
	own.ss_flags = SS_DISABLE;
	sigaltstack(&own, NULL);
	free(own.ss_sp);
	return NULL;
}

/* Called by a plugin: the frame that we return to must be said to be its. */
static int plugin_calls_back(void *arg)
{
	const struct shared_stack *stack =
		&guest_state->stacks[stack_number_here() - 1];
	const char *want = arg;

	for (unsigned i = 0; i < stack->count; i++) {
		uint32_t module = stack->frames[i].module;

		if (module &&
		    !strcmp(guest_state->modules[module - 1].path, want))
			return stack->count > i + 2 ? 0 : 1;
	}
	return 1;
}

static void *libraries_come_and_go(void *arg)
{
	(void)arg;
	for (unsigned i = 0; !over; i++) {
		const char *path = plugins[i % 2];
		void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		int (*call)(int (*)(void *), void *) =
			library ? (void *)dlsym(library, "plugin_call") : NULL;

		if (!call || call(plugin_calls_back, (void *)path) != 0)
			wrong++;
		in_plugins++;
		dlclose(library);
	}
	return NULL;
}

static uint64_t seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec;
}

static void child_ends(pid_t child)
{
	uint64_t start = seconds_now();
	int status = 0;

	for (;;) {
		pid_t got = waitpid(child, &status, WNOHANG);

		if (got == child)
			break;
		if (seconds_now() - start > HANG_SECONDS) {
			printf("a child hangs\n");
			fflush(stdout);
			kill(child, SIGKILL);
			_exit(2);
		}
		usleep(100);
	}
	if (status != 0)
		wrong++;
}

static void fork_one(void)
{
	pid_t child = fork();

	if (child == 0) {
		for (int i = 0; i < 50; i++) {
			if (number_deep(i % 10) == 0)
				_exit(1);
		}
		raise(SIGUSR1);
		_exit(0);
	}
	if (child > 0)
		child_ends(child);
	children++;
}

static __attribute__((noinline)) void vfork_one(void)
{
	pid_t child = vfork();

	if (child == 0)
		_exit(number_deep(3) ? 0 : 1);
	child_ends(child);
	vforks++;
}

static void timer_begin(void)
{
	struct sigaction action = { .sa_handler = on_signal,
				    .sa_flags = SA_RESTART | SA_ONSTACK };
	struct itimerval every = { .it_interval.tv_usec = 300,
				   .it_value.tv_usec = 300 };

	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	setitimer(ITIMER_PROF, &every, NULL);
}

static void everybody_ends(pthread_t *threads, int count)
{
	struct itimerval off = { 0 };
	struct timespec limit;

	over = true;
	setitimer(ITIMER_REAL, &off, NULL);
	setitimer(ITIMER_PROF, &off, NULL);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += HANG_SECONDS;
	for (int i = 0; i < count; i++) {
		if (pthread_timedjoin_np(threads[i], NULL, &limit) != 0) {
			printf("a thread hangs\n");
			fflush(stdout);
			_exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[3];
	uint64_t end;

	if (argc != 4)
		return 2;
	plugins[0] = argv[2];
	plugins[1] = argv[3];
	guest_state = mmap(NULL, sizeof *guest_state, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	guest_shared = &header;
	stack_own_address = NULL; /* this program is the target */
	end = seconds_now() + (uint64_t)atoi(argv[1]);
	timer_begin();
	pthread_create(&threads[0], NULL, threads_walk, NULL);
	pthread_create(&threads[1], NULL, threads_walk, NULL);
	pthread_create(&threads[2], NULL, libraries_come_and_go, NULL);
	while (seconds_now() < end) {
		fork_one();
		vfork_one();
	}
	everybody_ends(threads, 3);
	printf("walks in handlers %lu, threads %lu, plugins %lu; children %lu, "
	       "vforks %lu; wrong %lu\n",
	       (unsigned long)in_handlers, (unsigned long)in_threads,
	       (unsigned long)in_plugins, (unsigned long)children,
	       (unsigned long)vforks, (unsigned long)wrong);
	return wrong || !in_handlers || !in_plugins || !children;
}

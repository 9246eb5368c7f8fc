/* tree.c - a family of processes, made in every way there is; each makes calls
 * that nobody else makes.
 *   tree DEPTH CALLS
 * A node makes CALLS times sched_get_priority_max(2) in each of three threads,
 * then, if DEPTH isn't 0, a child by fork, by vfork and exec, by posix_spawn,
 * by fork and exec, and a daemon (two forks and a session of its own).  So
 * there are 156 nodes at depth 3 (and 31 more processes between daemons and
 * their makers), that make 468 * CALLS calls.  The first waits for all.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALIVE_FD 77 /* of a pipe that ends when the last node does */

static int depth, calls;
static char *self;

static void *calls_make(void *arg)
{
	for (int i = 0; i < calls; i++)
		syscall(SYS_sched_get_priority_max, 0);
	return arg;
}

static void words(char *below, char *count, char **ret_argv)
{
	sprintf(below, "%d", depth - 1);
	sprintf(count, "%d", calls);
	ret_argv[0] = self;
	ret_argv[1] = below;
	ret_argv[2] = count;
	ret_argv[3] = NULL;
}

static void node(void);

static void child_forked(void)
{
	if (fork() == 0) {
		depth--;
		node();
		_exit(0);
	}
}

static void child_execed(int by_vfork)
{
	char below[16], count[16], *argv[4];
	pid_t pid;

	words(below, count, argv);
	pid = by_vfork ? vfork() : fork();
	if (pid == 0) {
		execv(self, argv);
		_exit(127);
	}
}

static void child_spawned(void)
{
	extern char **environ;
	char below[16], count[16], *argv[4];
	pid_t pid;

	words(below, count, argv);
	posix_spawn(&pid, self, NULL, NULL, argv, environ);
}

static void child_daemon(void)
{
	if (fork() != 0)
		return;
	setsid();
	if (fork() != 0)
		_exit(0);
	depth--;
	node();
	_exit(0);
}

static void node(void)
{
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, calls_make, NULL);
	calls_make(NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	if (depth > 0) {
		child_forked();
		child_execed(1);
		child_spawned();
		child_execed(0);
		child_daemon();
	}
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	int alive[2], first = !getenv("TREE_INNER");
	char byte;

	if (argc < 3)
		return 2;
	self = argv[0];
	depth = atoi(argv[1]);
	calls = atoi(argv[2]);
	if (first) {
		setenv("TREE_INNER", "1", 1);
		if (pipe(alive) < 0 || dup2(alive[1], ALIVE_FD) < 0)
			return 1;
		close(alive[1]);
	}
	node();
	if (!first)
		return 0;
	close(ALIVE_FD);
	return read(alive[0], &byte, 1) == 0 ? 0 : 1;
}

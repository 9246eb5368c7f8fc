/* dies.c - dies or hangs of a failed call, each way a program can.
 *
 * dies HOW FILE: reads FILE; when that fails
 *   null     it writes to NULL (its second thread sleeps)
 *   abort    it calls abort(3)
 *   thread   its second thread writes to NULL
 *   child    a child does, and the parent goes on
 *   handled  its own handler of SIGSEGV ends it with 3
 *   raised   the same, but the handler gives the signal back
 *   hang     two threads wait for each other for good
 *   deaf     it waits for its signals, and SIGTERM isn't one that it heeds
 *   signals  it gets 2000 signals of its own and ends with 4
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t first = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second = PTHREAD_MUTEX_INITIALIZER;
static volatile int taken, seen;

__attribute__((noinline)) static void writes_to_null(int *p)
{
	*(volatile int *)p = 1;
}

static void *takes_second(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&second);
	taken = 1;
	pthread_mutex_lock(&first);
	return NULL;
}

static void *sleeps(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static void *dies_there(void *arg)
{
	writes_to_null(arg);
	return NULL;
}

static void ends(int number)
{
	(void)number;
	_exit(3);
}

static void gives_back(int number)
{
	signal(number, SIG_DFL);
}

static void counts(int number)
{
	(void)number;
	seen++;
}

static pthread_t start(void *(*run)(void *))
{
	pthread_t thread;

	pthread_create(&thread, NULL, run, NULL);
	return thread;
}

static void dies_in_child(void)
{
	char byte;
	int status;

	if (fork() == 0) {
		if (read(open("/dev/zero", O_RDONLY), &byte, 1) < 0)
			writes_to_null(NULL);
		_exit(0);
	}
	wait(&status);
}

static void hangs(void)
{
	pthread_t thread;

	pthread_mutex_lock(&first);
	thread = start(takes_second);
	while (!taken)
		usleep(1000);
	pthread_mutex_lock(&second);
	pthread_join(thread, NULL);
}

__attribute__((noinline)) static int fails(const char *how)
{
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "thread"))
		pthread_join(start(dies_there), NULL);
	if (!strcmp(how, "child"))
		dies_in_child();
	if (!strcmp(how, "handled"))
		signal(SIGSEGV, ends);
	if (!strcmp(how, "raised"))
		signal(SIGSEGV, gives_back);
	if (!strcmp(how, "hang"))
		hangs();
	while (!strcmp(how, "deaf"))
		pause();
	if (!strcmp(how, "signals")) {
		signal(SIGUSR1, counts);
		for (int i = 0; i < 2000; i++)
			raise(SIGUSR1);
		return seen == 2000 ? 4 : 5;
	}
	if (strcmp(how, "child") != 0)
		writes_to_null(NULL);
	return 0;
}

int main(int argc, char **argv)
{
	char byte;
	int fd;

	if (argc < 3)
		return 2;
	if (!strcmp(argv[1], "deaf"))
		signal(SIGTERM, SIG_IGN);
	start(sleeps);
	usleep(20000);
	fd = open(argv[2], O_RDONLY);
	if (fd >= 0 && read(fd, &byte, 1) >= 0)
		return 0;
	return fails(argv[1]);
}

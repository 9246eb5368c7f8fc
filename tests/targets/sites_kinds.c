/* sites_kinds - system calls from every kind of place: children of all sorts,
 * threads, signal handlers, jumps out of them.  Its output is always the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef SYS_fork
#define RAW_FORK() syscall(SYS_fork)
#else /* 64-bit ARM */
#define RAW_FORK() syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL)
#endif

extern char **environ;
static int ends[2];
static sigjmp_buf out;

static void say(const char *what, long value)
{
	char line[128];
	int n = snprintf(line, sizeof(line), "%s %ld\n", what, value);

	if (write(1, line, (size_t)n) != n)
		abort();
}

static int status_of(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static void children(void)
{
	char *argv[] = { "sh", "-c", "exit 7", NULL };
	pid_t pid = fork();

	if (!pid) {
		say("in a fork", 1);
		_exit(3);
	}
	say("fork", status_of(pid));
	pid = vfork();
	if (!pid) {
		if (write(1, "in a vfork\n", 11) != 11)
			_exit(1);
		_exit(4);
	}
	say("vfork", status_of(pid));
	pid = vfork();
	if (!pid) {
		execve("/bin/sh", argv, environ);
		_exit(127);
	}
	say("vfork and exec", status_of(pid));
	if (posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ))
		abort();
	say("posix_spawn", status_of(pid));
	say("system", WEXITSTATUS(system("exit 9")));
	pid = (pid_t)RAW_FORK();
	if (!pid)
		_exit(5);
	say("raw fork", status_of(pid));
	pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
	if (!pid)
		_exit(6);
	say("syscall(SYS_clone)", status_of(pid));
}

static void *thread(void *arg)
{
	long sum = 0;
	int mine[2];

	if (pipe(mine) < 0)
		abort();
	for (int i = 0; i < 2000; i++) {
		int value = i;

		if (write(mine[1], &value, sizeof(value)) != sizeof(value) ||
		    read(mine[0], &value, sizeof(value)) != sizeof(value))
			abort();
		sum += value;
	}
	close(mine[0]);
	close(mine[1]);
	*(long *)arg = sum;
	return NULL;
}

static void threads(void)
{
	pthread_t id[8];
	long sums[8], sum = 0;

	for (int i = 0; i < 8; i++)
		pthread_create(&id[i], NULL, thread, &sums[i]);
	for (int i = 0; i < 8; i++) {
		pthread_join(id[i], NULL);
		sum += sums[i];
	}
	say("threads", sum);
}

static void on_alarm(int signal)
{
	char c = 'x';

	(void)signal;
	if (write(ends[1], &c, 1) != 1)
		abort();
}

static void on_alarm_jump(int signal)
{
	(void)signal;
	siglongjmp(out, 1);
}

static void alarm_in_50ms(void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };
	struct itimerval timer = { .it_value.tv_usec = 50000 };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void do_nothing(int signal)
{
	(void)signal;
}

static void signals(void)
{
	static char stack[16384];
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	char c = 0;
	long n;

	if (pipe(ends) < 0)
		abort();
	alarm_in_50ms(on_alarm, SA_RESTART);
	n = read(ends[0], &c, 1);
	say("a restarted read", n * c);
	alarm_in_50ms(do_nothing, 0);
	n = read(ends[0], &c, 1);
	say("an interrupted read", n < 0 ? errno : 0);
	if (!sigsetjmp(out, 1)) {
		alarm_in_50ms(on_alarm_jump, 0);
		read(ends[0], &c, 1);
		say("a read that should have been left", 0);
	} else {
		say("jumped out of a read", 1);
	}
	sigaltstack(&alternate, NULL);
	alarm_in_50ms(on_alarm, SA_RESTART | SA_ONSTACK);
	n = read(ends[0], &c, 1);
	say("a handler on its own stack", n * c);
	n = usleep(1000);
	say("usleep", n);
}

static void results(void)
{
	char page[8];

	errno = 0;
	say("a bad fd", close(-1));
	say("its errno", errno);
	say("syscall() of no such number", syscall(100000));
	say("its errno", errno);
	say("a bad address", read(0, (void *)-4096, 1) < 0);
	say("six arguments",
	    mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		    MAP_FAILED);
	say("pread", pread(open("/proc/self/cmdline", O_RDONLY), page, 0, 0));
}

int main(void)
{
	results();
	children();
	threads();
	signals();
	return 0;
}

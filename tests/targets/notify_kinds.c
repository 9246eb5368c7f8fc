/* What the notify door is about, one word each; built statically.
 *   threads N     N threads write 100 lines each to their own file
 *   timer         a thread that reads a pipe, under a 2 ms timer (SA_RESTART)
 *   alarm         a read that a handler without SA_RESTART interrupts
 *   tree N        N children, each forks one more, each writes one line
 *   uring         io_uring_setup, and the errno that it gave
 *   foreign       a call by x32's number, which most kernels don't have
 *   exec FILE…    becomes FILE with an empty environment
 *   vector        writes 3 x 10 bytes by one writev
 *   pipe          10 x 100 bytes through a pipe, to a slow reader
 *   sockets       the same through a TCP connection to itself */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define X32_BIT 0x40000000

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int fill(const char *name, int lines)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	for (int i = 0; i < lines; i++)
		if (write(fd, "line\n", 5) != 5)
			return 1;
	return fd < 0 || close(fd) != 0;
}

static void *thread_main(void *arg)
{
	char name[32];

	snprintf(name, sizeof(name), "thread%ld", (long)arg);
	return (void *)(long)fill(name, 100);
}

static int threads(int count)
{
	pthread_t ids[64];
	int failed = 0;

	for (long i = 0; i < count; i++)
		pthread_create(&ids[i], NULL, thread_main, (void *)i);
	for (int i = 0; i < count; i++) {
		void *ret;

		pthread_join(ids[i], &ret);
		failed += ret != NULL;
	}
	printf("%d failed\n", failed);
	return failed != 0;
}

static volatile sig_atomic_t ticks;

static void tick(int number)
{
	(void)number;
	ticks++;
}

static void timer_start(long us, int flags)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = flags };
	struct itimerval timer = { .it_interval = { 0, us },
				   .it_value = { 0, us } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static int under_timer(int flags)
{
	int ends[2], error = 0;
	char byte = 'x';
	uint64_t began;
	ssize_t n;

	if (pipe(ends) != 0 || write(ends[1], &byte, 1) != 1)
		return 1;
	began = now_ms();
	timer_start(2000, flags);
	n = read(ends[0], &byte, 1);
	error = errno;
	printf("read %zd %s after %llu ms\n", n,
	       n < 0 ? strerrorname_np(error) : "-",
	       (unsigned long long)(now_ms() - began));
	return n != 1;
}

static int tree(int count)
{
	int failed = 0, status;

	for (int i = 0; i < count; i++) {
		if (fork() == 0) {
			pid_t below = fork();
			char name[32];

			snprintf(name, sizeof(name), "tree%d.%d", i,
				 below != 0);
			if (below == 0)
				_exit(fill(name, 1));
			waitpid(below, &status, 0);
			_exit(fill(name, 1) || status);
		}
	}
	while (wait(&status) > 0)
		failed += status != 0;
	printf("%d failed\n", failed);
	return failed != 0;
}

static int uring(void)
{
	char params[256] = { 0 };
	long fd = syscall(SYS_io_uring_setup, 8, params);

	printf("io_uring_setup %s\n", fd < 0 ? strerrorname_np(errno) : "ok");
	return fd < 0;
}

static int vector(void)
{
	struct iovec iov[3] = { { (void *)"0123456789", 10 },
				{ (void *)"abcdefghij", 10 },
				{ (void *)"ABCDEFGHIJ", 10 } };
	int fd = open("vector", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	ssize_t n = writev(fd, iov, 3);

	printf("writev %zd\n", n);
	return n != 30;
}

/* 1000 bytes through a stream; the reader is slower than the writer. */
static int stream(int out, int in)
{
	char byte, want = 0;
	int bad = 0;

	if (fork() == 0) {
		char bytes[1000];
		size_t sent = 0;

		close(in);
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (char)i;
		while (sent < sizeof(bytes)) {
			ssize_t n = write(out, bytes + sent,
					  sizeof(bytes) - sent > 100
						  ? 100
						  : sizeof(bytes) - sent);

			if (n <= 0)
				_exit(1);
			sent += (size_t)n;
		}
		_exit(0);
	}
	close(out);
	usleep(20000);
	for (int i = 0; i < 1000; i++, want++)
		bad += read(in, &byte, 1) != 1 || byte != want;
	printf("%d bytes wrong\n", bad);
	return bad != 0;
}

static int sockets(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t n = sizeof(at);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int client = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(listener, (void *)&at, n) || listen(listener, 1) ||
	    getsockname(listener, (void *)&at, &n) ||
	    connect(client, (void *)&at, n))
		return 1;
	return stream(client, accept(listener, NULL, NULL));
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int count = argc > 2 ? atoi(argv[2]) : 0, ends[2];
	char *none[] = { NULL };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!strcmp(what, "threads"))
		return threads(count);
	if (!strcmp(what, "timer"))
		return under_timer(SA_RESTART);
	if (!strcmp(what, "alarm"))
		return under_timer(0);
	if (!strcmp(what, "tree"))
		return tree(count);
	if (!strcmp(what, "uring"))
		return uring();
	if (!strcmp(what, "foreign"))
		return syscall(X32_BIT + SYS_getpid) == 0;
	if (!strcmp(what, "vector"))
		return vector();
	if (!strcmp(what, "pipe"))
		return pipe(ends) || stream(ends[1], ends[0]);
	if (!strcmp(what, "sockets"))
		return sockets();
	if (!strcmp(what, "exec"))
		execve(argv[2], argv + 2, none);
	return 2;
}

/* escapes.c - makes system calls in every way there is, in known numbers:
 *   escapes MODE [N]
 * and says nothing.  /dev/null takes what is written.
 *
 *   libc N      N times write(2)
 *   stdio N     N lines, unbuffered
 *   raw N       N times getppid by syscall(3)
 *   asm N       N times getppid by an instruction of its own
 *   code N      N times getppid from code that it writes itself
 *   old N       N times getppid by int 0x80, number 64
 *   handler N   N times a signal handler writes while read(2) blocks, which
 *               is restarted
 *   eintr N     the same, and read(2) fails with EINTR each time
 *   uring N     N times IORING_OP_NOP, if there is io_uring; else status 77
 *   threads N   8 threads that do `libc N`
 *   vfork N     N children of vfork(2) that write once, then end
 *   spawn N     N times posix_spawn(3) of itself as `libc 1`
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 8
#define ENTRIES 8

static int null_fd;
static int count;

static void by_libc(void)
{
	for (int i = 0; i < count; i++)
		if (write(null_fd, "x", 1) != 1)
			exit(1);
}

static void by_stdio(void)
{
	FILE *out = fopen("/dev/null", "w");

	setvbuf(out, NULL, _IONBF, 0);
	for (int i = 0; i < count; i++)
		fputs("line\n", out);
	fclose(out);
}

static void by_raw(void)
{
	for (int i = 0; i < count; i++)
		syscall(SYS_getppid);
}

static void by_asm(void)
{
	for (int i = 0; i < count; i++) {
		long ret;

		__asm__ volatile("syscall"
				 : "=a"(ret)
				 : "a"((long)SYS_getppid)
				 : "rcx", "r11", "memory");
	}
}

static void by_code(void)
{
	static const unsigned char code[] = {
		0xb8, SYS_getppid, 0,	 0, 0, /* mov $SYS_getppid, %eax */
		0x0f, 0x05,	   0xc3,       /* syscall; ret */
	};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long (*call)(void);

	memcpy(page, code, sizeof(code));
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	memcpy(&call, &page, sizeof(call));
	for (int i = 0; i < count; i++)
		call();
}

static void by_old(void)
{
	for (int i = 0; i < count; i++) {
		long ret;

		__asm__ volatile("int $0x80"
				 : "=a"(ret)
				 : "a"(64L)
				 : "r8", "r9", "r10", "r11", "memory");
	}
}

static int pipe_fds[2];
static volatile int handled;

static void on_alarm(int signal)
{
	(void)signal;
	if (write(null_fd, "h", 1) != 1)
		_exit(1);
	if (++handled == count && write(pipe_fds[1], "e", 1) != 1)
		_exit(1);
}

/* read(2) waits while the timer strikes; the last strike feeds it. */
static void by_handler(int flags)
{
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	struct itimerval never = { 0 };
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = flags };
	char byte;

	if (pipe(pipe_fds) < 0)
		exit(1);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (read(pipe_fds[0], &byte, 1) < 0 && errno == EINTR)
		;
	setitimer(ITIMER_REAL, &never, NULL);
}

static void by_uring(void)
{
	struct io_uring_params params = { 0 };
	int fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
	unsigned *tail, *mask, *array;
	struct io_uring_sqe *entries;
	char *ring;

	if (fd < 0)
		exit(77);
	ring = mmap(NULL, params.sq_off.array + ENTRIES * sizeof(unsigned),
		    PROT_READ | PROT_WRITE, MAP_SHARED, fd, IORING_OFF_SQ_RING);
	entries = mmap(NULL, ENTRIES * sizeof(*entries), PROT_READ | PROT_WRITE,
		       MAP_SHARED, fd, IORING_OFF_SQES);
	if (ring == MAP_FAILED || entries == MAP_FAILED)
		exit(77);
	tail = (unsigned *)(ring + params.sq_off.tail);
	mask = (unsigned *)(ring + params.sq_off.ring_mask);
	array = (unsigned *)(ring + params.sq_off.array);
	for (int i = 0; i < count; i++) {
		unsigned at = *tail & *mask;

		memset(&entries[at], 0, sizeof(entries[at]));
		entries[at].opcode = IORING_OP_NOP;
		array[at] = at;
		__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
		/* Nobody takes completions: beyond its size they overflow into
		 * a list of the kernel's. */
		if (syscall(SYS_io_uring_enter, fd, 1, 0, 0, NULL, 0) != 1)
			exit(1);
	}
}

static void *thread_main(void *arg)
{
	by_libc();
	return arg;
}

static void by_threads(void)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, thread_main, NULL);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static void by_vfork(void)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = vfork();

		if (pid == 0) {
			if (write(null_fd, "v", 1) != 1)
				_exit(1);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

static void by_spawn(char *self)
{
	char *argv[] = { self, (char *)"libc", (char *)"1", NULL };
	extern char **environ;

	for (int i = 0; i < count; i++) {
		pid_t pid;

		if (posix_spawn(&pid, self, NULL, NULL, argv, environ) != 0)
			exit(1);
		waitpid(pid, NULL, 0);
	}
}

static int run(const char *mode, char *self)
{
	if (strcmp(mode, "libc") == 0)
		by_libc();
	else if (strcmp(mode, "stdio") == 0)
		by_stdio();
	else if (strcmp(mode, "raw") == 0)
		by_raw();
	else if (strcmp(mode, "asm") == 0)
		by_asm();
	else if (strcmp(mode, "code") == 0)
		by_code();
	else if (strcmp(mode, "old") == 0)
		by_old();
	else if (strcmp(mode, "handler") == 0)
		by_handler(SA_RESTART);
	else if (strcmp(mode, "eintr") == 0)
		by_handler(0);
	else if (strcmp(mode, "uring") == 0)
		by_uring();
	else if (strcmp(mode, "threads") == 0)
		by_threads();
	else if (strcmp(mode, "vfork") == 0)
		by_vfork();
	else if (strcmp(mode, "spawn") == 0)
		by_spawn(self);
	else
		return 2;
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	count = argc > 2 ? atoi(argv[2]) : 1;
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	return run(argv[1], argv[0]);
}

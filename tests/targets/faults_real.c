/* faults_real - makes a few calls of one kind and says what came of each.
 *
 *   faults_real MODE [N]      one line on stdout, in one write at the end, so
 *                             that a rule on write with path= doesn't meet it
 * The test compares that line with what the documents promise.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static char said[4096];

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	size_t n = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + n, sizeof(said) - n, format, args);
	va_end(args);
}

/* "write:3" or "write:EIO". */
static void say_result(const char *call, long ret)
{
	if (ret < 0)
		say("%s:%s ", call, strerrorname_np(errno));
	else
		say("%s:%ld ", call, ret);
}

static int scratch_file(const char *name)
{
	return open(name, O_CREAT | O_RDWR | O_TRUNC, 0644);
}

static void mode_close(void)
{
	int fd = scratch_file("file");

	say_result("close", close(fd));
	say_result("gone", fcntl(fd, F_GETFD));
	say_result("close", close(777));
}

static void mode_late(void)
{
	char byte[4];
	int fds[2];

	if (pipe2(fds, O_NONBLOCK) != 0)
		return;
	say_result("read", read(fds[0], byte, 4));
	say_result("write", write(fds[1], "abc", 3));
	say_result("read", read(fds[0], byte, 4));
	say_result("read", read(fds[0], byte, 4));
}

static void mode_vectors(void)
{
	char bytes[32] = "0123456789abcdefghijklmnopqrst";
	struct iovec iov[] = { { bytes, 10 },
			       { bytes, 0 },
			       { bytes + 10, 20 } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	int fd = scratch_file("file"), ends[2];
	struct stat st;

	say_result("writev", writev(fd, iov, 3));
	if (fstat(fd, &st) == 0)
		say("size:%ld ", (long)st.st_size);
	say_result("preadv", preadv(fd, iov, 3, 0));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0) {
		say_result("stream", sendmsg(ends[0], &msg, 0));
		say_result("recv", recv(ends[1], bytes, sizeof(bytes), 0));
	}
	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0)
		say_result("datagram", sendmsg(ends[0], &msg, 0));
	say_result("empty", write(fd, bytes, 0));
}

static void mode_stat(void)
{
	int fd = scratch_file("file");
	struct stat st;

	say_result("fstat", fstat(fd, &st));
	say_result("stat", stat("file", &st));
}

static int bits_set(const unsigned char *bytes, long n)
{
	int bits = 0;

	for (long i = 0; i < n; i++)
		bits += __builtin_popcount(bytes[i]);
	return bits;
}

/* n zero bytes, there and back: which of them are zero no more? */
static void mode_bits(size_t n)
{
	unsigned char out[4096] = { 0 }, in[4096] = { 0 };
	int fd = scratch_file("file");

	say_result("write", write(fd, out, n));
	say_result("pread", pread(fd, in, n, 0));
	say("own:%d bits:%d ", bits_set(out, (long)n), bits_set(in, (long)n));
}

/* Four megabytes into a socket that takes a few thousand: bits flipped in
 * what it didn't take were never flipped. */
static void mode_bits_untaken(void)
{
	static unsigned char big[4 << 20], in[65536];
	int ends[2], bytes = 4096;
	long n, bits = 0;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) != 0)
		return;
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	n = write(ends[0], big, sizeof(big));
	say("part:%d ", n > 0 && n < 65536);
	while ((n = recv(ends[1], in, sizeof(in), 0)) > 0)
		bits += bits_set(in, n);
	say("bits:%ld ", bits);
}

static void mode_delay(void)
{
	struct timespec from, to;
	int fd = open("/dev/null", O_WRONLY);
	double best_ms = 1e9;

	for (int i = 0; i < 7; i++) {
		double ms;

		clock_gettime(CLOCK_MONOTONIC, &from);
		(void)!write(fd, "x", 1);
		clock_gettime(CLOCK_MONOTONIC, &to);
		ms = (double)(to.tv_sec - from.tv_sec) * 1e3 +
		     (double)(to.tv_nsec - from.tv_nsec) / 1e6;
		if (ms < best_ms)
			best_ms = ms;
	}
	say("%.3f ", best_ms);
}

/* The one that the fault doesn't hit has the last word. */
static void mode_fork(void)
{
	pid_t child = fork();

	if (child == 0) {
		struct timespec moment = { .tv_nsec = 50000000 };

		nanosleep(&moment, NULL);
		say("child lives");
	} else {
		say("parent lives");
	}
}

static void mode_rename(void)
{
	int fd = scratch_file("old");

	say_result("write", write(fd, "1", 1));
	say_result("rename", rename("old", "new"));
	say_result("write", write(fd, "2", 1));
}

/* 100 bytes at a time, asked for 64 KiB. */
static void mode_moved(void)
{
	static char bytes[65536];
	int fds[2];

	if (pipe(fds) != 0)
		return;
	for (int i = 0; i < 5; i++) {
		(void)!write(fds[1], bytes, 100);
		say_result("read", read(fds[0], bytes, sizeof(bytes)));
	}
}

static void mode_fds(void)
{
	int low = scratch_file("low"), other = scratch_file("other");
	int high = fcntl(low, F_DUPFD, 900), moved = dup2(other, low);

	say_result("high", write(high, "1", 1));
	say_result("moved", write(moved, "1", 1));
	close(high);
	say_result("again", fcntl(other, F_DUPFD, 900) == high);
	say_result("high", write(high, "1", 1));
}

static void mode_sleep(void)
{
	struct timespec want = { .tv_nsec = 50000000 }, left = { .tv_sec = 9 };

	say_result("nanosleep", nanosleep(&want, &left));
	say("left:%ld.%09ld ", (long)left.tv_sec, left.tv_nsec);
}

static void mode_blocking(void)
{
	char byte;
	int fds[2];

	if (pipe(fds) != 0)
		return;
	(void)!write(fds[1], "abc", 3);
	say_result("blocking", read(fds[0], &byte, 1));
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	say_result("nonblocking", read(fds[0], &byte, 1));
}

static void mode_per_fd(void)
{
	int a = scratch_file("a"), b = scratch_file("b");

	for (int i = 0; i < 3; i++) {
		say_result("a", write(a, "1", 1));
		say_result("b", write(b, "1", 1));
	}
	close(a);
	a = open("a", O_RDWR);
	say_result("a", write(a, "1", 1));
	say_result("a", write(a, "1", 1));
}

/* Threads that are cancelled while they read, at any moment: each of their
 * reads that was failed must be in the books. */
static int endless[2];

static void *reads(void *arg)
{
	char bytes[16];

	for (;;) {
		(void)!read(endless[0], bytes, sizeof(bytes));
		pthread_testcancel();
	}
	return arg;
}

static void mode_cancel(size_t n)
{
	int ended = 0;

	if (pipe(endless) != 0)
		return;
	for (size_t i = 0; i < n; i++) {
		struct timespec moment = { .tv_nsec =
						   (long)(i * 7919 % 90000) };
		pthread_t thread;
		void *ret = NULL;

		if (pthread_create(&thread, NULL, reads, NULL) != 0)
			return;
		nanosleep(&moment, NULL);
		pthread_cancel(thread);
		pthread_join(thread, &ret);
		ended += ret == PTHREAD_CANCELED;
	}
	say("cancelled:%d ", ended);
}

static void on_tick(int number)
{
	(void)number;
}

/* A timer that is faster than the delay, and a write that is made again. */
static void mode_ticks(void)
{
	const struct itimerval every = { { 0, 30000 }, { 0, 30000 } };
	const struct sigaction tick = { .sa_handler = on_tick };
	struct timespec from, to;
	int tries = 0, fds[2];
	double ms;

	if (pipe(fds) != 0)
		return;
	sigaction(SIGALRM, &tick, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	clock_gettime(CLOCK_MONOTONIC, &from);
	while (write(fds[1], "x", 1) < 0 && errno == EINTR && tries < 100)
		tries++;
	clock_gettime(CLOCK_MONOTONIC, &to);
	ms = (double)(to.tv_sec - from.tv_sec) * 1e3 +
	     (double)(to.tv_nsec - from.tv_nsec) / 1e6;
	say("again:%d in-time:%d ", tries >= 2 && tries <= 40,
	    ms >= 195 && ms < 1500);
}

static void mode_all_of_it(void)
{
	struct stat st;
	int fd = scratch_file("file");

	say_result("write", write(fd, "12345", 5));
	say_result("fsync", fsync(fd));
	say_result("close", close(fd));
	if (stat("file", &st) == 0)
		say("size:%ld ", (long)st.st_size);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
	const struct {
		const char *name;
		void (*run)(void);
	} modes[] = {
		{ "close", mode_close },
		{ "late", mode_late },
		{ "vectors", mode_vectors },
		{ "stat", mode_stat },
		{ "untaken", mode_bits_untaken },
		{ "delay", mode_delay },
		{ "fork", mode_fork },
		{ "rename", mode_rename },
		{ "moved", mode_moved },
		{ "fds", mode_fds },
		{ "sleep", mode_sleep },
		{ "blocking", mode_blocking },
		{ "per-fd", mode_per_fd },
		{ "ticks", mode_ticks },
		{ "all", mode_all_of_it },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (strcmp(mode, modes[i].name) == 0)
			modes[i].run();
	if (strcmp(mode, "bits") == 0)
		mode_bits(n);
	if (strcmp(mode, "cancel") == 0)
		mode_cancel(n);
	puts(said);
	return said[0] ? 0 : 2;
}

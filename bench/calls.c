/* calls.c - what a few common calls cost, in ns and for counters of others.
 *
 *   calls FILE            append "OP NS" lines to FILE
 *   calls -n COUNT OP     make the calls of OP so often, measure nothing
 *   calls -l              list the ops
 * A sample is a batch of calls, short enough to escape most interrupts; the
 * figure is the tenth percentile of many, since noise only ever adds.  Time is
 * the TSC, calibrated here: the clock's symbol is one of those under test.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#define SAMPLES	     1500
#define CALIBRATE_NS 50000000ull
#define BYTES	     64

static int zero, null, pair[2];
static char buf[BYTES], *heap_path;

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void op_malloc(unsigned n)
{
	while (n--) {
		void *volatile p = malloc(BYTES);

		free(p);
	}
}

static void op_read(unsigned n)
{
	while (n--)
		if (read(zero, buf, BYTES) != BYTES)
			die("read");
}

static void op_write(unsigned n)
{
	while (n--)
		if (write(null, buf, BYTES) != BYTES)
			die("write");
}

static void op_send(unsigned n)
{
	while (n--)
		if (send(pair[0], buf, BYTES, 0) != BYTES ||
		    recv(pair[1], buf, BYTES, 0) != BYTES)
			die("send");
}

static void open_close(const char *path, unsigned n)
{
	while (n--) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		if (fd < 0 || close(fd) < 0)
			die("open");
	}
}

static void op_open(unsigned n)
{
	open_close("/dev/null", n);
}

static void op_open_heap(unsigned n)
{
	open_close(heap_path, n);
}

static void op_open_relative(unsigned n)
{
	open_close(".", n);
}

static const struct op {
	const char *name;
	void (*run)(unsigned n);
	unsigned batch; /* calls in a sample: a few microseconds */
} ops[] = {
	{ "malloc+free", op_malloc, 500 },
	{ "read", op_read, 50 },
	{ "write", op_write, 50 },
	{ "send+recv", op_send, 20 },
	{ "open+close", op_open, 20 },
	{ "open-heap", op_open_heap, 20 },
	{ "open-cwd", op_open_relative, 20 },
};

#define OPS (sizeof(ops) / sizeof(*ops))

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static double ns_per_tick(void)
{
	uint64_t start_ns = now_ns(), start = __rdtsc(), end_ns;

	do
		end_ns = now_ns();
	while (end_ns - start_ns < CALIBRATE_NS);
	return (double)(end_ns - start_ns) / (double)(__rdtsc() - start);
}

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static double measure_ticks(const struct op *op)
{
	static uint64_t ticks[SAMPLES];

	op->run(op->batch * 20); /* warm */
	for (unsigned i = 0; i < SAMPLES; i++) {
		uint64_t start = __rdtsc();

		op->run(op->batch);
		ticks[i] = __rdtsc() - start;
	}
	qsort(ticks, SAMPLES, sizeof(*ticks), order);
	return (double)ticks[SAMPLES / 10] / op->batch;
}

static void open_all(void)
{
	heap_path = strdup("/dev/null");
	if (!heap_path)
		die("strdup");
	zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (zero < 0 || null < 0)
		die("/dev");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		die("socketpair");
}

static int run_only(const char *count, const char *name)
{
	for (unsigned i = 0; i < OPS; i++) {
		if (strcmp(ops[i].name, name))
			continue;
		ops[i].run((unsigned)strtoul(count, NULL, 10));
		return 0;
	}
	fprintf(stderr, "calls: no op is named %s\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	double ns;
	FILE *out;

	if (argc == 2 && strcmp(argv[1], "-l") == 0) {
		for (unsigned i = 0; i < OPS; i++)
			puts(ops[i].name);
		return 0;
	}
	open_all();
	if (argc == 4 && strcmp(argv[1], "-n") == 0)
		return run_only(argv[2], argv[3]);
	if (argc != 2) {
		fprintf(stderr, "usage: calls FILE | -n COUNT OP | -l\n");
		return 2;
	}
	ns = ns_per_tick();
	out = fopen(argv[1], "ae");
	if (!out)
		die(argv[1]);
	for (unsigned i = 0; i < OPS; i++)
		fprintf(out, "%s %.2f\n", ops[i].name,
			measure_ticks(&ops[i]) * ns);
	return fclose(out) ? 2 : 0;
}

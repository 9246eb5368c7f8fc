/* sweep_kinds MODE IN OUT - copy a file, with care or with one kind of
 * carelessness, for tests of `mishap sweep`. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *mode;

static int is(const char *name)
{
	return !strcmp(mode, name);
}

static void fail(const char *what)
{
	if (!is("mute"))
		fprintf(stderr, "sweep_kinds: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_all(int out, const char *bytes, size_t n)
{
	while (n) {
		ssize_t put = write(out, bytes, n);

		if (put < 0 && is("hang"))
			continue;
		if (put < 0 && is("silent"))
			return;
		if (put < 0)
			fail("write");
		bytes += put;
		n -= (size_t)put;
	}
}

static void copy(int in, int out, char *block, size_t size)
{
	ssize_t n;

	while ((n = read(in, block, size)) > 0)
		write_all(out, block, (size_t)n);
	if (n < 0)
		fail("read");
}

int main(int argc, char **argv)
{
	const size_t size = 4096;
	char *block;
	int in, out;

	if (argc != 4)
		return 2;
	mode = argv[1];
	in = open(argv[2], O_RDONLY);
	if (in < 0)
		fail(argv[2]);
	out = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (out < 0)
		fail(argv[3]);
	block = malloc(size);
	if (!block && !is("crash"))
		fail("malloc");
	if (is("crash"))
		memset(block, 0, size);
	if (is("destroy") && unlink(argv[2]) != 0) /* before it is safe */
		fail("unlink");
	copy(in, out, block, size);
	if (fsync(out) != 0 && !is("unsynced"))
		fail("fsync");
	if (close(out) != 0)
		fail("close");
	if (is("move") && unlink(argv[2]) != 0)
		fail("unlink");
	return 0;
}

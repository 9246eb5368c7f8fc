/* stack_writer.c FILE - write a file through three functions; exit 1 when it
 * couldn't be written. */
#include <fcntl.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))

static NOINLINE int write_all(int fd, const char *bytes, size_t count)
{
	while (count) {
		ssize_t done = write(fd, bytes, count);

		if (done < 0)
			return -1;
		bytes += done;
		count -= (size_t)done;
	}
	return 0;
}

static NOINLINE int save(const char *path)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0644);

	if (fd < 0)
		return 1;
	for (int i = 0; i < 3; i++) {
		if (write_all(fd, "a line\n", 7) < 0)
			return 1;
	}
	return close(fd) < 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
	int status = argc == 2 ? save(argv[1]) : 2;

	__asm__ volatile("" : : : "memory");
	return status;
}

/* guest_pairs - COUNT times malloc and free, or write of one byte. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	long count = argc > 2 ? atol(argv[2]) : 0;
	int fd = open("/dev/null", O_WRONLY);
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	if (argc > 1 && strcmp(argv[1], "malloc") == 0) {
		for (long i = 0; i < count; i++) {
			void *volatile p = malloc(64);

			free(p);
		}
	} else {
		for (long i = 0; i < count; i++)
			if (write(fd, "x", 1) != 1)
				return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%.2f ns\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 +
			     (double)(b.tv_nsec - a.tv_nsec)) /
				    (double)(count ? count : 1));
	return 0;
}

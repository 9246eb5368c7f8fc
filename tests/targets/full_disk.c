/* full_disk FILE - write a line to FILE by stdio, and say how that went.
 *
 * Exit 0: written; 3: the write failed, and stdio said so. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	FILE *file = argc > 1 ? fopen(argv[1], "w") : NULL;

	if (!file) {
		perror("full_disk");
		return 2;
	}
	fprintf(file, "a line\n");
	if (fflush(file)) {
		printf("%s, ferror %d\n", strerror(errno), !!ferror(file));
		return 3;
	}
	printf("written\n");
	return 0;
}

/* acks - a store that appends records to DIR/log and says by mishap.h that they
 * are safe.
 * acks careful|careless|twice|swapped DIR COUNT */
#include "include/mishap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void record_write(int fd, int number)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "%d\n", number);

	if (write(fd, line, (size_t)n) != n)
		exit(1);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	char path[4096], id[16];
	int fd, count = argc > 3 ? atoi(argv[3]) : 0;

	snprintf(path, sizeof(path), "%s/log", argc > 2 ? argv[2] : ".");
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	for (int i = 0; fd >= 0 && i < count; i++) {
		snprintf(id, sizeof(id), "%d", i);
		mishap_invoke("log", id, "");
		if (!strcmp(how, "careless")) /* the promise first */
			mishap_ack("log", id, "");
		record_write(fd, !strcmp(how, "swapped") && i < 2 ? 1 - i : i);
		if (!strcmp(how, "twice") && i == 3)
			record_write(fd, i);
		if (fsync(fd) != 0)
			return 1;
		mishap_ack("log", id, "");
	}
	return fd < 0;
}

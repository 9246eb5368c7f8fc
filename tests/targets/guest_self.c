/* guest_self - says what a process can see of itself: open files, signal
 * dispositions, environment, limits; nothing that differs between two runs. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

extern char **environ;

static void open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) != NULL) {
		char path[300], link[512];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		n = readlink(path, link, sizeof(link));
		if (n > 0 && strncmp(link, "/proc/", 6) != 0)
			printf("fd %s %.*s\n", entry->d_name, (int)n, link);
	}
	closedir(dir);
}

static void status(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	char line[512];

	while (fgets(line, sizeof(line), file)) {
		if ((strncmp(line, "Sig", 3) == 0 && line[3] != 'Q') ||
		    strncmp(line, "Shd", 3) == 0 ||
		    strncmp(line, "Threads", 7) == 0 ||
		    strncmp(line, "NoNewPrivs", 10) == 0 ||
		    strncmp(line, "Seccomp", 7) == 0)
			fputs(line, stdout);
	}
	fclose(file);
}

int main(void)
{
	open_files();
	status();
	printf("slack %d dumpable %d\n", prctl(PR_GET_TIMERSLACK),
	       prctl(PR_GET_DUMPABLE));
	for (char **p = environ; *p; p++) {
		if (strncmp(*p, "LD_PRELOAD=", 11) != 0 &&
		    strncmp(*p, "MISHAP_SHARED=", 14) != 0)
			puts(*p);
	}
	srandom(1);
	printf("random %ld\n", random());
	return 0;
}

#include "runner/tree_proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHILDREN_BYTES_MAX 65536

/* linux/pidfd.h as of Linux 6.15; older headers have none of it. */
struct pidfd_exit_info {
	uint64_t mask, cgroupid;
	uint32_t pid, tgid, ppid, ids[8];
	int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_exit_info) == 64, "PIDFD_INFO_SIZE_VER0");
#define PIDFD_GET_EXIT_INFO _IOWR(0xff, 11, struct pidfd_exit_info)
#define PIDFD_MASK_EXIT	    (1u << 3)

static ssize_t file_read(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (at < size - 1 && (n = read(fd, buf + at, size - 1 - at)) > 0)
		at += (size_t)n;
	close(fd);
	buf[at] = '\0';
	return n < 0 ? -1 : (ssize_t)at;
}

static void children_of_thread(pid_t pid, const char *tid,
			       void (*visit)(pid_t child, void *arg), void *arg)
{
	char path[320], *buf, *at, *end;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/children", (int)pid,
		 tid);
	buf = malloc(CHILDREN_BYTES_MAX);
	if (buf && file_read(path, buf, CHILDREN_BYTES_MAX) > 0) {
		for (at = buf;; at = end) {
			long child = strtol(at, &end, 10);

			if (end == at)
				break;
			visit((pid_t)child, arg);
		}
	}
	free(buf);
}

void proc_children(pid_t pid, void (*visit)(pid_t child, void *arg), void *arg)
{
	struct dirent *entry;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		return;
	while ((entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			children_of_thread(pid, entry->d_name, visit, arg);
	closedir(tasks);
}

/* The text after "KEY:" in /proc/PID/status, or NULL. */
static const char *status_field(pid_t pid, const char *key, char *buf,
				size_t size)
{
	char path[64], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	if (file_read(path, buf, size) <= 0)
		return NULL;
	at = strstr(buf, key);
	return at ? at + strlen(key) : NULL;
}

uint32_t proc_own_pid(pid_t pid)
{
	char buf[4096];
	const char *at = status_field(pid, "\nNSpid:", buf, sizeof(buf));
	long own = pid;
	char *end;

	while (at && *at && *at != '\n') {
		long value = strtol(at, &end, 10);

		if (end == at)
			break;
		own = value;
		at = end;
	}
	return (uint32_t)own;
}

pid_t proc_parent(pid_t pid)
{
	char buf[4096];
	const char *at = status_field(pid, "\nPPid:", buf, sizeof(buf));

	return at ? (pid_t)atoi(at) : 0;
}

/* Field 52 of proc(5)'s stat; seen while it is a zombie, and only by who may
 * trace it. */
static bool zombie_status(pid_t pid, int *ret_status)
{
	char path[64], buf[2048], *at;
	int field = 2;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (file_read(path, buf, sizeof(buf)) <= 0)
		return false;
	at = strrchr(buf, ')');
	if (!at || at[1] != ' ' || at[2] != 'Z')
		return false;
	for (at++; *at; at++)
		if (*at == ' ' && ++field == 52)
			break;
	if (!*at || geteuid() != 0)
		return false;
	*ret_status = atoi(at + 1);
	return true;
}

bool proc_exit_status(int pidfd, pid_t pid, int *ret_status)
{
	struct pidfd_exit_info info = { .mask = PIDFD_MASK_EXIT };

	if (pidfd < 0)
		return false;
	if (ioctl(pidfd, PIDFD_GET_EXIT_INFO, &info) == 0 &&
	    (info.mask & PIDFD_MASK_EXIT)) {
		*ret_status = info.exit_code;
		return true;
	}
	return zombie_status(pid, ret_status);
}

static uint64_t fds_count(pid_t pid)
{
	struct dirent *entry;
	uint64_t count = 0;
	char path[64];
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	fds = opendir(path);
	while (fds && (entry = readdir(fds)))
		count += entry->d_name[0] != '.';
	if (fds)
		closedir(fds);
	return count;
}

bool proc_growth(pid_t pid, struct growth *sum)
{
	char buf[4096];
	const char *at = status_field(pid, "\nVmRSS:", buf, sizeof(buf));

	if (!at) /* a zombie has none */
		return false;
	sum->rss_bytes += strtoull(at, NULL, 10) * 1024;
	at = strstr(buf, "\nThreads:");
	sum->threads += at ? strtoull(at + 9, NULL, 10) : 0;
	sum->fds += fds_count(pid);
	return true;
}

void signals_block(void)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, NULL);
}

#include "runner/coverage_run.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/probe.h"

#define LOOK_NS	    (20 * NS_PER_MS)
#define READY_NS    (30 * NS_PER_S)
#define STOP_NS	    (10 * NS_PER_S)
#define TRACEES_MAX 4096

struct ending coverage_ending(int status)
{
	return (struct ending){
		.started = true,
		.ended = true,
		.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
		.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
	};
}

static bool is_over(struct coverage_run *run)
{
	return atomic_load(&run->over) || interrupt_signal();
}

/* A number that /proc/PID/status tells; 0: none. */
static int status_number(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? atoi(at + strlen(key)) : 0;
}

/* Of the tracer's processes, all or those that none of the others made. */
static void tracees_signal(int tracer, int number, bool all)
{
	struct {
		int pid, parent;
	} found[TRACEES_MAX];
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	size_t count = 0;

	while (proc && tracer && count < TRACEES_MAX &&
	       (entry = readdir(proc))) {
		char path[300], text[4096] = "";
		int fd;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/status", entry->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (read(fd, text, sizeof(text) - 1) > 0 &&
		    status_number(text, "\nTracerPid:\t") == tracer) {
			found[count].pid = atoi(entry->d_name);
			found[count++].parent =
				status_number(text, "\nPPid:\t");
		}
		close(fd);
	}
	if (proc)
		closedir(proc);
	for (size_t i = 0; i < count; i++) {
		bool has_parent = false;

		for (size_t k = 0; k < count && !all; k++)
			has_parent |= found[k].pid == found[i].parent;
		if (!has_parent)
			kill(found[i].pid, number);
	}
}

/* Run a shell command, and end it when the command has ended. */
static struct ending shell_run(struct coverage_run *run, const char *command,
			       uint64_t until_ns)
{
	const char *argv[] = { "sh", "-c", command, NULL };
	pid_t pid;
	int status;

	if (posix_spawnp(&pid, "sh", NULL, NULL, (char *const *)(uintptr_t)argv,
			 run->outside) != 0)
		return (struct ending){ .status = 127 };
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (is_over(run) || clock_now_ns() >= until_ns)
			kill(pid, SIGTERM);
		clock_sleep_until(clock_now_ns() + LOOK_NS);
	}
	return coverage_ending(status);
}

static bool probe_once(struct coverage_run *run)
{
	char where[512], why[PROBE_WHY_MAX];
	struct probe_context context = { .cwd = "." };
	struct probe probe = { .where = where };
	const char *ready = run->ready;
	uint64_t until_ns = clock_now_ns() + NS_PER_S;

	if (strncmp(ready, "http://", 7) == 0 ||
	    strncmp(ready, "https://", 8) == 0)
		probe.kind = PROBE_HTTP;
	else if (strncmp(ready, "tcp:", 4) == 0)
		probe.kind = PROBE_TCP;
	else if (strncmp(ready, "file:", 5) == 0)
		probe.kind = PROBE_FILE;
	else
		return shell_run(run, ready, until_ns).status == 0;
	snprintf(where, sizeof(where), "%s",
		 probe.kind == PROBE_TCP    ? ready + 4
		 : probe.kind == PROBE_FILE ? ready + 5
					    : ready);
	return probe_try(&probe, &context, until_ns, why);
}

static bool becomes_ready(struct coverage_run *run, uint64_t until_ns)
{
	while (!is_over(run)) {
		if (!run->ready || probe_once(run))
			return true;
		if (clock_now_ns() >= until_ns) {
			fprintf(stderr, "mishap: not ready in time: %s\n",
				run->ready);
			return false;
		}
		clock_sleep_until(clock_now_ns() + LOOK_NS);
	}
	return false;
}

/* It is asked to end, and made to. */
static void command_stop(struct coverage_run *run)
{
	uint64_t kill_ns = clock_now_ns() + STOP_NS;

	tracees_signal(atomic_load(&run->tracer), SIGTERM, false);
	while (!atomic_load(&run->over)) {
		if (interrupt_hurry() || clock_now_ns() >= kill_ns)
			tracees_signal(atomic_load(&run->tracer), SIGKILL,
				       true);
		clock_sleep_until(clock_now_ns() + LOOK_NS);
	}
}

static void *attendant(void *arg)
{
	struct coverage_run *run = arg;
	uint64_t start_ns = clock_now_ns();
	uint64_t until_ns =
		run->timeout_ns ? start_ns + run->timeout_ns : UINT64_MAX;

	if (run->load) {
		uint64_t ready_ns = start_ns + READY_NS;

		if (becomes_ready(run,
				  ready_ns < until_ns ? ready_ns : until_ns)) {
			run->load_ending = shell_run(run, run->load, until_ns);
			run->has_load = true;
		}
	} else {
		while (!is_over(run) && clock_now_ns() < until_ns)
			clock_sleep_until(clock_now_ns() + LOOK_NS);
	}
	if (!atomic_load(&run->over))
		command_stop(run);
	return NULL;
}

int coverage_attend(struct coverage_run *run)
{
	int error = -pthread_create(&run->attendant, NULL, attendant, run);

	run->attended = !error;
	return error;
}

void coverage_leave(struct coverage_run *run)
{
	atomic_store(&run->over, true);
	if (run->attended)
		pthread_join(run->attendant, NULL);
	run->attended = false;
}

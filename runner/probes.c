#include "runner/probes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPTIONS_MAX 16
#define BYTES_MAX   (1u << 16)
#define END_MS	    2000

extern char **environ;

int probes_program(char **ret_path)
{
	static const char *const places[] = {
		"mishap-watch",		      /* build/mishap */
		"../mishap-watch",	      /* build/tests/test_x */
		"../lib/mishap/mishap-watch", /* PREFIX/bin/mishap */
	};
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return -errno;
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		snprintf(path, sizeof(path), "%s/%s", exe, places[i]);
		if (access(path, X_OK) < 0)
			continue;
		*ret_path = realpath(path, NULL);
		return *ret_path ? 0 : -errno;
	}
	return -ENOENT;
}

/* In a process group of its own: Ctrl-C is for us, and we end it. */
static int start(struct probes *probes, const char *program,
		 const char *const *options, const int in[2], const int out[2])
{
	const char *argv[OPTIONS_MAX + 2] = { program };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	int error;

	for (size_t i = 0; i < OPTIONS_MAX && options[i]; i++)
		argv[i + 1] = options[i];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP);
	error = -posix_spawn(&probes->pid, program, &actions, &attr,
			     (char *const *)(uintptr_t)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return error;
}

int probes_open(struct probes *probes, const char *const *options)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, error;
	char *program = NULL;

	*probes = (struct probes){ .command_fd = -1, .record_fd = -1 };
	error = probes_program(&program);
	if (error)
		return error;
	probes->bytes = malloc(BYTES_MAX);
	if (!probes->bytes || pipe2(in, O_CLOEXEC) < 0 ||
	    pipe2(out, O_CLOEXEC) < 0)
		error = probes->bytes ? -errno : -ENOMEM;
	if (!error)
		error = start(probes, program, options, in, out);
	free(program);
	close(in[0]);
	close(out[1]);
	probes->command_fd = in[1];
	probes->record_fd = out[0];
	if (error)
		probes_close(probes);
	return error;
}

int probes_tell(struct probes *probes, uint64_t *ret_id, const char *format,
		...)
{
	char line[WATCH_LINE_MAX];
	uint64_t id = probes->asked + 1;
	int n = snprintf(line, sizeof(line), "%llu ", (unsigned long long)id);
	va_list args;

	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	va_end(args);
	if (n > (int)sizeof(line) - 2)
		return -E2BIG;
	line[n++] = '\n';
	if (write(probes->command_fd, line, (size_t)n) != n)
		return -errno;
	probes->asked = id;
	if (ret_id)
		*ret_id = id;
	return 0;
}

/* take - a whole record that is there already; 0: there is none. */
static int take(struct probes *probes, const struct watch_record **ret_record)
{
	const struct watch_record *record =
		(const void *)(probes->bytes + probes->at);
	size_t left = probes->count - probes->at;

	if (left < sizeof(*record))
		return 0;
	if (record->size < sizeof(*record) || record->size > WATCH_RECORD_MAX ||
	    record->size % 8)
		return -EPROTO;
	if (left < record->size)
		return 0;
	probes->at += record->size;
	*ret_record = record;
	return 1;
}

int probes_next(struct probes *probes, int wait_ms,
		const struct watch_record **ret_record)
{
	struct pollfd look = { .fd = probes->record_fd, .events = POLLIN };
	int got;
	ssize_t n;

	for (;;) {
		got = take(probes, ret_record);
		if (got)
			return got > 0 ? 0 : got;
		memmove(probes->bytes, probes->bytes + probes->at,
			probes->count - probes->at);
		probes->count -= probes->at;
		probes->at = 0;
		got = poll(&look, 1, wait_ms);
		if (got <= 0)
			return got < 0 ? -errno : -EAGAIN;
		n = read(probes->record_fd, probes->bytes + probes->count,
			 BYTES_MAX - probes->count);
		if (n <= 0)
			return n < 0 ? -errno : -EPIPE;
		probes->count += (size_t)n;
	}
}

void probes_close(struct probes *probes)
{
	if (probes->command_fd >= 0)
		close(probes->command_fd); /* which ends it */
	if (probes->record_fd >= 0)
		close(probes->record_fd);
	for (int ms = 0; probes->pid > 0; ms++) {
		pid_t got = waitpid(probes->pid, NULL, WNOHANG);

		if (got == probes->pid || (got < 0 && errno != EINTR))
			break;
		if (ms == END_MS)
			kill(probes->pid, SIGKILL);
		usleep(1000);
	}
	free(probes->bytes);
	*probes = (struct probes){ .command_fd = -1, .record_fd = -1 };
}

const char *probes_status_word(unsigned status)
{
	static const char *const words[] = { "off", "works", "refused",
					     "absent", "works partly" };

	return status < sizeof(words) / sizeof(*words) ? words[status] : "?";
}

const char *probes_group_name(unsigned group)
{
	static const char *const names[] = WATCH_GROUP_NAMES;

	return group < WATCH_GROUPS ? names[group] : "?";
}

const char *probes_group_about(unsigned group)
{
	static const char *const about[WATCH_GROUPS] = {
		"processes, exits, signals, OOM kills",
		"TCP connections, retransmits, resets",
		"every call by site and real errno, escapes",
		"answers before their data was synced",
		"how long calls take, by phase",
		"every thread's state and kernel stack",
	};

	return group < WATCH_GROUPS ? about[group] : "?";
}

/* check_exec.c - a checker that is started for every state. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/powercut/worker.h"

#define WORDS_MAX 256

/* A command without anything that only a shell understands needs none: it is
 * split at blanks, and twice as fast. */
char **command_split(const char *command)
{
	bool plain = !strpbrk(command, "|&;<>()$`\\\"'*?[]#~=%{}!\n");
	char **argv = calloc(WORDS_MAX, sizeof(*argv));
	char *copy = strdup(command), *save = NULL;
	size_t n = 0;

	if (!argv || !copy)
		return NULL;
	if (!plain) {
		argv[0] = strdup("sh");
		argv[1] = strdup("-c");
		argv[2] = copy;
		return argv;
	}
	for (char *word = strtok_r(copy, " \t", &save);
	     word && n < WORDS_MAX - 1; word = strtok_r(NULL, " \t", &save))
		argv[n++] = word;
	return argv;
}

void worker_exec(const struct worker *worker, char *const *argv, int in,
		 int out)
{
	if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2) {
		close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
		execvpe(argv[0], argv, worker->judge->envp);
		dprintf(2, "mishap: %s: %s\n", argv[0], strerror(errno));
	}
	_exit(127);
}

/* pid 1 of the state: all that the checker starts ends with it. */
static _Noreturn void init_run(const struct worker *worker, char *const *argv)
{
	int null_fd = open("/dev/null", O_RDONLY), status;
	pid_t pid, got;

	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	umask(022);
	if (sandbox_drop(worker->sandbox) < 0 || chdir(worker->judge->cwd) != 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user clears it */
	pid = vfork();
	if (pid == 0)
		worker_exec(worker, argv, null_fd, worker->out_fd);
	if (pid < 0)
		_exit(126);
	while ((got = waitpid(-1, &status, 0)) != pid)
		if (got < 0 && errno != EINTR)
			_exit(126);
	worker->ending->status = status;
	worker->ending->ended = true;
	_exit(0);
}

static bool init_wait(pid_t pid, uint64_t timeout_ns)
{
	uint64_t until = clock_now_ns() + timeout_ns;
	struct pollfd end = { .fd = (int)syscall(SYS_pidfd_open, pid, 0),
			      .events = POLLIN };
	int ready = 0;

	while (end.fd >= 0 && !ready && clock_now_ns() < until)
		ready = poll(&end, 1, clock_left_ms(until, 1000));
	if (end.fd >= 0)
		close(end.fd);
	if (!ready)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	return ready > 0;
}

int check_exec(struct worker *worker, char *const *argv,
	       struct verdict_row *row)
{
	pid_t pid;
	bool in_time;

	worker->ending->ended = false;
	pid = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		init_run(worker, argv);
	in_time = init_wait(pid, worker->judge->timeout_ns);
	if (worker->ending->ended) {
		int status = worker->ending->status;

		row->kind = WIFSIGNALED(status) ? OUTCOME_SIGNALLED
						: OUTCOME_EXITED;
		row->status = WIFSIGNALED(status) ? WTERMSIG(status)
						  : WEXITSTATUS(status);
		return 0;
	}
	row->kind = in_time ? OUTCOME_BROKEN : OUTCOME_HUNG;
	row->status = in_time ? ECHILD : 0;
	return 0;
}

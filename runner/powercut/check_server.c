/* check_server.c - a checker that stays, and is asked by lines.
 *
 *   we say       check TREE
 *   it answers   lines of the ledger, invariants, violations; then `done`
 *                (or `exit N`, for what would be its exit status)
 */
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

static _Noreturn void server_run(const struct worker *worker, int in, int out)
{
	char **argv = command_split(worker->judge->server);

	signal(SIGPIPE, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	umask(022);
	if (!argv || sandbox_drop(worker->sandbox) < 0 ||
	    chdir(worker->judge->cwd) != 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	worker_exec(worker, argv, in, out);
}

static int server_start(struct worker *worker)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) != 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) != 0) {
		close(in[0]);
		close(in[1]);
		return -errno;
	}
	worker->server =
		(pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (worker->server == 0)
		server_run(worker, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	worker->ask_fd = in[1];
	worker->answer_fd = out[0];
	return worker->server < 0 ? -errno : 0;
}

static int server_reap(struct worker *worker)
{
	int status = 0;

	close(worker->ask_fd);
	close(worker->answer_fd);
	kill(worker->server, SIGKILL);
	while (waitpid(worker->server, &status, __WALL) < 0 && errno == EINTR)
		;
	worker->server = -1;
	return status;
}

void check_server_end(struct worker *worker)
{
	if (worker->server > 0)
		server_reap(worker);
}

/* The answer is over with a line `done` or `exit N`. */
static bool is_over(const char *text, size_t bytes, int *ret_status)
{
	const char *line;

	if (!bytes || text[bytes - 1] != '\n')
		return false;
	line = memrchr(text, '\n', bytes - 1);
	line = line ? line + 1 : text;
	if (!strncmp(line, "done\n", 5))
		return true;
	if (strncmp(line, "exit ", 5))
		return false;
	*ret_status = atoi(line + 5);
	return true;
}

static int answer_take(struct worker *worker, struct verdict_row *row,
		       bool *ret_lost)
{
	static char text[JUDGE_TEXT_MAX];
	uint64_t until = clock_now_ns() + worker->judge->timeout_ns;
	struct pollfd answer = { .fd = worker->answer_fd, .events = POLLIN };
	size_t bytes = 0;
	int status = 0;

	while (!is_over(text, bytes, &status)) {
		ssize_t n;

		if (bytes == sizeof(text) || clock_now_ns() >= until ||
		    poll(&answer, 1, clock_left_ms(until, 1000)) < 0) {
			row->kind = OUTCOME_HUNG;
			*ret_lost = true;
			break;
		}
		if (!answer.revents)
			continue;
		n = read(answer.fd, text + bytes, sizeof(text) - bytes);
		if (n <= 0) {
			*ret_lost = true;
			break;
		}
		bytes += (size_t)n;
	}
	row->status = status;
	return write(worker->out_fd, text, bytes) == (ssize_t)bytes ? 0 : -EIO;
}

int check_server(struct worker *worker, struct verdict_row *row)
{
	char line[4200];
	int n, error = 0, status;
	bool lost = false;

	if (worker->server < 0)
		error = server_start(worker);
	if (error)
		return error;
	n = snprintf(line, sizeof(line), "check %s\n", worker->judge->tree);
	row->kind = OUTCOME_EXITED;
	if (write(worker->ask_fd, line, (size_t)n) != n)
		lost = true;
	else
		error = answer_take(worker, row, &lost);
	if (!lost)
		return error;
	status = server_reap(worker);
	if (row->kind == OUTCOME_HUNG)
		return error;
	row->kind = WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL
			    ? OUTCOME_SIGNALLED
			    : OUTCOME_EXITED;
	row->status = row->kind == OUTCOME_SIGNALLED ? WTERMSIG(status)
		      : WIFEXITED(status) && WEXITSTATUS(status)
			      ? WEXITSTATUS(status)
			      : 127;
	return error;
}

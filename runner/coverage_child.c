/* coverage_child.c - the command's first process, until it is the command. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/coverage_run.h"

#define CANT_EXEC 127
#define LOOK_MS	  2

/* It makes a call every 2 ms: a tracer that has attached sees one soon. */
static void go_wait(int go)
{
	struct pollfd pollfd = { .fd = go, .events = POLLIN };
	char byte;

	while (poll(&pollfd, 1, LOOK_MS) == 0)
		;
	if (read(go, &byte, 1) != 1)
		_exit(CANT_EXEC);
}

int coverage_child_start(const struct coverage_run *run, int (*enter)(void),
			 struct coverage_child *ret_child)
{
	struct coverage_child child;
	int go[2];

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	child.go = go[1];
	child.pid = fork();
	if (child.pid == 0) {
		close(go[1]);
		/* Yama lets nobody but an ancestor trace us, unless we say
		 * so; EINVAL where there is no Yama. */
		prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
		go_wait(go[0]);
		if ((run->notify && notify_enter(run->notify) < 0) ||
		    (enter && enter() < 0))
			_exit(CANT_EXEC);
		execve(run->exe, run->argv, run->inside);
		_exit(CANT_EXEC);
	}
	close(go[0]);
	if (child.pid < 0) {
		int error = -errno;

		close(go[1]);
		return error;
	}
	*ret_child = child;
	return 0;
}

int coverage_child_go(struct coverage_child *child)
{
	int error = write(child->go, "", 1) == 1 ? 0 : -errno;

	close(child->go);
	child->go = -1;
	return error;
}

void coverage_child_end(struct coverage_child *child)
{
	if (child->go >= 0)
		close(child->go);
	child->go = -1;
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
}

/* tree_ending.c - what a death means, and who lives. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "runner/tree.h"

/* A death is a crash unless it is what we asked for.  Of a descendant only
 * the signals of a program error count: parents end their children too. */
static bool is_crash(const struct tree_process *process)
{
	int number = WTERMSIG(process->wait_status);

	if (!WIFSIGNALED(process->wait_status) || process->role != TREE_TARGET)
		return false;
	if (process->signalled &&
	    (number == process->signalled || number == SIGKILL))
		return false;
	if (process->child)
		return true;
	switch (number) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGTRAP:
	case SIGSYS:
	case SIGXCPU:
	case SIGXFSZ:
		return true;
	default:
		return false;
	}
}

struct ending tree_ending_of(const struct tree_process *process)
{
	struct ending ending = { .started = true,
				 .ended = process->ended,
				 .pid = process->own_pid,
				 .outer_pid = (uint32_t)process->pid,
				 .start_ns = process->start_ns,
				 .end_ns = process->end_ns };

	if (!process->status_known)
		return ending;
	if (WIFSIGNALED(process->wait_status)) {
		ending.signal = WTERMSIG(process->wait_status);
		ending.core = WCOREDUMP(process->wait_status);
	} else {
		ending.status = WEXITSTATUS(process->wait_status);
	}
	ending.stopped_by_us = process->signalled != 0;
	return ending;
}

void tree_crash_note(struct tree *tree, const struct tree_process *process)
{
	struct ending *crashes;

	if (!is_crash(process) || tree->crashes_count == TREE_CRASHES_MAX)
		return;
	crashes = reallocarray(tree->crashes, tree->crashes_count + 1,
			       sizeof(*crashes));
	if (!crashes)
		return;
	tree->crashes = crashes;
	tree->crashes[tree->crashes_count++] = tree_ending_of(process);
}

size_t tree_pids(struct tree *tree, unsigned roles, pid_t *ret_pids, size_t max)
{
	size_t count = 0;

	pthread_mutex_lock(&tree->lock);
	for (size_t i = 0; i < tree->count && count < max; i++)
		if ((tree->items[i]->role & roles) && !tree->items[i]->ended)
			ret_pids[count++] = tree->items[i]->pid;
	pthread_mutex_unlock(&tree->lock);
	return count;
}

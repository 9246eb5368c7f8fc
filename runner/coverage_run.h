/* coverage_run.h - the command of `mishap doctor --coverage` under a counter,
 * and who attends to it meanwhile: a workload beside it, its end.
 *
 * All strings are borrowed for the run's life.
 */
#ifndef MISHAP_RUNNER_COVERAGE_RUN_H
#define MISHAP_RUNNER_COVERAGE_RUN_H

#include <stdatomic.h>
#include <sys/types.h>

#include "runner/coverage.h"
#include "runner/notify.h"
#include "scenarios/scenario.h"

struct coverage_run {
	char *const *argv;
	const char *exe;      /* the file that argv[0] means */
	char *const *inside;  /* the command's environment, with us */
	char *const *outside; /* without us */
	const char *log;      /* what strace writes */
	const char *ready;    /* as of run's --ready; NULL: at once */
	const char *load;     /* a shell command; the end is its end; or NULL */
	uint64_t timeout_ns;  /* 0: none */
	const struct notify *notify; /* the kernel asks, too; or NULL */

	pthread_t attendant;
	bool attended;
	_Atomic int tracer; /* whose tracees the command's processes are */
	atomic_bool over;
	bool has_load; /* load_ending is filled */
	struct ending load_ending;
};

/* The command's first process, which waits to be told to go. */
struct coverage_child {
	pid_t pid;
	int go; /* -1: it was told */
};

/* enter: what it does to itself last, async-signal-safe; or NULL. */
int coverage_child_start(const struct coverage_run *run, int (*enter)(void),
			 struct coverage_child *ret_child);
int coverage_child_go(struct coverage_child *child);
void coverage_child_end(struct coverage_child *child); /* it never went */

/* Both return when the last process of the command has ended, and its first
 * one's end.  -ENOENT strace isn't installed, -ESRCH it couldn't attach: the
 * command wasn't started; -EBADMSG, -EPERM: it can't be done here. */
int coverage_by_strace(struct coverage_run *run, struct coverage_made *ret_made,
		       struct ending *ret_ending);
int coverage_by_seccomp(struct coverage_run *run,
			struct coverage_made *ret_made,
			struct ending *ret_ending);
struct ending coverage_ending(int wait_status);

/* coverage_attend - a thread that waits until the command is ready, starts the
 * load, and stops the command when the load has ended, when the timeout is
 * over, or on Ctrl-C: SIGTERM, and SIGKILL 10 s later. */
int coverage_attend(struct coverage_run *run);
void coverage_leave(struct coverage_run *run); /* the command has ended */

#endif

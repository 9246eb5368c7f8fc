/* stall.h - does any thread of the target run while there is work for it?
 *
 * Read off /proc: each thread's count of turns on a CPU (schedstat; stat where
 * the kernel keeps none).  A thread that sleeps in a fault of ours doesn't
 * count as running, though it wakes to look after its lease.  What is measured
 * is never longer than the true stall.  Not thread-safe. */
#ifndef MISHAP_RUNNER_STALL_H
#define MISHAP_RUNNER_STALL_H

#include "runner/tree.h"

#define STALL_THREADS_MAX 4096
#define STALL_PIDS_MAX	  256

struct stall {
	uint64_t limit_ns; /* of the strictest expectation; 0: nobody asks */
	uint64_t next_ns;  /* the next look */
	uint64_t moved_ns; /* the last look that saw something move; 0: none */
	uint64_t turns, threads; /* as of that look */
	bool kept;		 /* the stacks of this stall are kept */
};

/* stall_open - limit_ns is taken from the scenario's expectations. */
void stall_open(const struct scenario *scenario, struct stall *ret_stall);
/* stall_look - at most every 20 ms.  has_work: there is something to do. */
void stall_look(struct stall *stall, struct tree *tree, bool has_work,
		struct stall_seen *seen);

/* threads.c - the stacks of all threads of a process, a line each: "NAME TID
 * in CALL: inner < outer (file:line) < …".  Stops it for a moment by ptrace(2);
 * where that is refused, the line ends after CALL.  Lines are added to
 * ret_lines, at most THREADS_MAX.  0 or -errno. */
#define THREADS_MAX	   64
#define THREADS_FRAMES_MAX 16
int threads_stacks(pid_t pid, struct strings *ret_lines);

#endif

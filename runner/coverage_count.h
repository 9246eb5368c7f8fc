/* coverage_count.h - the independent count: what was called, in which program,
 * from where; whoever watches (strace, or our own tracer) tells it.
 *
 * Returns 0 or -ENOMEM.  Not thread-safe.
 */
#ifndef MISHAP_RUNNER_COVERAGE_COUNT_H
#define MISHAP_RUNNER_COVERAGE_COUNT_H

#include "runner/coverage.h"

struct count;

/* One system call, as it begins.  ip: behind its `syscall`. */
struct count_call {
	int pid;
	unsigned nr; /* below CALL_NR_MAX */
	uint64_t ip;
	uint64_t args[3]; /* of madvise only */
};

/* The first program is the counter's own child, before it is the command.
 * to: borrowed, filled as calls come. */
struct count *count_open(struct coverage_made *to);
/* count_close - -EBADMSG: nobody ever became a program.  Frees count. */
int count_close(struct count *count);

/* count_parent - child is (or will be) made by parent, as it is then. */
int count_parent(struct count *count, int child, int parent);
/* count_child - just now. */
int count_child(struct count *count, int child, int parent);
/* count_knows - has it been told of this thread? */
bool count_knows(struct count *count, int pid);
int count_call(struct count *count, const struct count_call *call);
void count_returned(struct count *count, int pid);
/* count_cut - it will never return: the process ends. */
void count_cut(struct count *count, int pid);
/* count_ended - its number may be another's from now on. */
void count_ended(struct count *count, int pid);
/* count_exec - from here on ld.so of a new program runs.  exe: taken. */
int count_exec(struct count *count, int pid, char *exe);
void count_exec_failed(struct count *count, int pid);
/* A signal came, and the kernel will make the call again where it stood; unless
 * the handler's sigreturn(2) says EINTR. */
void count_interrupted(struct count *count, int pid, unsigned nr, uint64_t ip);
void count_sigreturn(struct count *count, int pid, bool says_eintr);

#endif

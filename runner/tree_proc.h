/* tree_proc.h - what /proc and pidfds tell of one process. */
#ifndef MISHAP_RUNNER_TREE_PROC_H
#define MISHAP_RUNNER_TREE_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "runner/run.h"

/* proc_children - visit every child of every thread of pid. */
void proc_children(pid_t pid, void (*visit)(pid_t child, void *arg), void *arg);
/* proc_own_pid - its pid in its innermost namespace; pid if unknown. */
uint32_t proc_own_pid(pid_t pid);
pid_t proc_parent(pid_t pid); /* 0: unknown */
/* proc_exit_status - of a process that has ended, though its parent reaps it;
 * as of waitpid(2).  false: the kernel doesn't say, or not yet. */
bool proc_exit_status(int pidfd, pid_t pid, int *ret_status);
/* proc_growth - add its files, threads and resident bytes to sum. */
bool proc_growth(pid_t pid, struct growth *sum);
/* signals_block - a helper thread takes no signals. */
void signals_block(void);

#endif

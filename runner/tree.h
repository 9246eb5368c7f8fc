/* tree.h - every process that a run brings into being, to its end.
 *
 * The runner is the subreaper of its descendants.  One thread reaps; another
 * looks for descendants and holds a pidfd of each, so that the death of a
 * grandchild that its own parent reaps is seen too (with its status where the
 * kernel tells it: PIDFD_GET_INFO, Linux 6.15; else only of what we reap).
 * Only what descends from us, and was not there before us, is ever signalled,
 * and by pidfd.  Thread-safe but for tree_open and tree_close.
 */
#ifndef MISHAP_RUNNER_TREE_H
#define MISHAP_RUNNER_TREE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "runner/run.h"

#define TREE_PROCESSES_MAX 8192
#define TREE_ELDERS_MAX	   256 /* children that we were born with */
#define TREE_CRASHES_MAX   1024

enum tree_role {
	TREE_TARGET = 1 << 0,
	TREE_SERVICE = 1 << 1,
	TREE_WORKLOAD = 1 << 2,
	TREE_COMMAND = 1 << 3, /* prepare, probes */
	TREE_SANDBOX = 1 << 4, /* the first process of its pid namespace */
	TREE_GUARDIAN = 1 << 5, /* of the notify door; it ends by itself */
	TREE_WATCHER = 1 << 6, /* mishap-watch */
};

struct tree_process {
	pid_t pid;
	uint32_t own_pid; /* as it sees itself */
	int pidfd;
	enum tree_role role;
	bool child; /* we started it: someone waits, it stays until dropped */
	bool ended, status_known, seen_in_scan;
	int wait_status; /* as of waitpid(2) */
	int signalled;	 /* what we sent it last; 0: nothing */
	uint64_t start_ns, end_ns;
};

struct tree {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	pthread_t reaper, watcher;
	bool open, paused;
	enum tree_role orphans; /* what one is that we never saw a parent of */
	atomic_bool closing;
	struct tree_process **items;
	size_t count;
	uint64_t scans_ns[2]; /* when the last two whole ones began */
	pid_t elders[TREE_ELDERS_MAX];
	size_t elders_count;
	struct ending *crashes;
	size_t crashes_count;
	/* Called by tree_stop() before it kills what didn't stop; unlocked. */
	void (*before_kill)(void *arg);
	void *before_kill_arg;
	uint64_t unknown_ends; /* descendants whose status nobody told us */
};

int tree_open(struct tree *ret_tree);
/* tree_close - nothing of ours is alive any more, or is killed now. */
void tree_close(struct tree *tree);

/* Between tree_begin() and tree_add() a new child can't be reaped unseen.
 * tree_begin() locks; tree_add() (pid 0: there is none) unlocks.
 * *ret_process stays until tree_drop(). */
void tree_begin(struct tree *tree);
int tree_add(struct tree *tree, pid_t pid, enum tree_role role,
	     struct tree_process **ret_process);
void tree_drop(struct tree *tree, struct tree_process *process);

/* tree_orphans - what is alive keeps its role; who comes from nowhere from now
 * on is of this one.  At first: the target's. */
void tree_orphans(struct tree *tree, enum tree_role role);

/* tree_wait - has it ended by then?  UINT64_MAX waits for ever. */
bool tree_wait(struct tree *tree, struct tree_process *process,
	       uint64_t until_ns);
bool tree_ended(struct tree *tree, const struct tree_process *process);
/* tree_ending - how a child of ours ended, or that it hasn't. */
struct ending tree_ending(struct tree *tree,
			  const struct tree_process *process);
/* For tree.c, locked: the same, and to the crashes if it is one. */
struct ending tree_ending_of(const struct tree_process *process);
void tree_crash_note(struct tree *tree, const struct tree_process *process);
void tree_signal(struct tree *tree, struct tree_process *process, int number);
/* tree_alive - how many processes of these roles (a mask) are left. */
size_t tree_alive(struct tree *tree, unsigned roles);
/* tree_stop - ask with `number`, wait, then SIGKILL, until nothing of these
 * roles is left or 5 s more have gone.  first: who is asked (NULL: everyone
 * that has no parent among them).  Returns how many had to be killed. */
size_t tree_stop(struct tree *tree, unsigned roles, struct tree_process *first,
		 int number, uint64_t within_ns);
void tree_kill(struct tree *tree, unsigned roles);
/* tree_growth - open files, threads, resident memory of all of these roles. */
struct growth tree_growth(struct tree *tree, unsigned roles);
/* tree_pids - those that live, of these roles; returns how many, at most max.
 */
size_t tree_pids(struct tree *tree, unsigned roles, pid_t *ret_pids,
		 size_t max);
/* tree_pause - others fork and wait for children of their own meanwhile. */
void tree_pause(struct tree *tree, bool paused);
/* tree_lacks - is the process gone that saw itself as own_pid at since_ns?
 * false while it lives, or until it would have been seen twice. */
bool tree_lacks(struct tree *tree, uint32_t own_pid, uint64_t since_ns);

#endif

#include "runner/tree.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/tree_proc.h"

#define WATCH_NS	(5 * NS_PER_MS)
#define WAKE_SIGNAL	SIGRTMAX
#define KILL_WITHIN_NS	(5 * NS_PER_S)
#define STATUS_GRACE_NS (1 * NS_PER_S) /* from a death to its status */

static int pidfd_open_(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Reaped, by whomever: from now on its number may be another process's. */
static bool is_gone(const struct tree_process *process)
{
	if (process->pidfd < 0)
		return process->status_known;
	return syscall(SYS_pidfd_send_signal, process->pidfd, 0, NULL, 0) < 0 &&
	       errno == ESRCH;
}

/* A zombie whose status we know already is still this one: it dies once. */
static struct tree_process *find(struct tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->count; i++)
		if (tree->items[i]->pid == pid && !is_gone(tree->items[i]))
			return tree->items[i];
	return NULL;
}

static struct tree_process *insert(struct tree *tree, pid_t pid,
				   enum tree_role role)
{
	struct tree_process **items, *process;

	if (tree->count == TREE_PROCESSES_MAX)
		return NULL;
	items = reallocarray(tree->items, tree->count + 1, sizeof(*items));
	if (!items)
		return NULL;
	tree->items = items;
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	*process = (struct tree_process){ .pid = pid,
					  .role = role,
					  .pidfd = pidfd_open_(pid),
					  .start_ns = clock_now_ns() };
	process->own_pid = proc_own_pid(pid);
	tree->items[tree->count++] = process;
	return process;
}

static void delete_at(struct tree *tree, size_t i)
{
	if (tree->items[i]->pidfd >= 0)
		close(tree->items[i]->pidfd);
	free(tree->items[i]);
	tree->items[i] = tree->items[--tree->count];
}

static void status_set(struct tree *tree, struct tree_process *process,
		       int wait_status)
{
	if (process->status_known)
		return;
	if (!process->ended)
		process->end_ns = clock_now_ns();
	process->ended = true;
	process->status_known = true;
	process->wait_status = wait_status;
	tree_crash_note(tree, process);
	pthread_cond_broadcast(&tree->changed);
}

static int status_of(const siginfo_t *info)
{
	switch (info->si_code) {
	case CLD_EXITED:
		return (info->si_status & 0xff) << 8;
	case CLD_DUMPED:
		return (info->si_status & 0x7f) | WCOREFLAG;
	default:
		return info->si_status & 0x7f;
	}
}

/* Something waits to be reaped: do it under the lock, so that it is known. */
static void reap(struct tree *tree, pid_t pid)
{
	struct tree_process *process;
	siginfo_t info = { 0 };

	pthread_mutex_lock(&tree->lock);
	while (tree->paused && !tree->closing)
		pthread_cond_wait(&tree->changed, &tree->lock);
	process = find(tree, pid);
	if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG) == 0 &&
	    info.si_pid == pid) {
		if (!process) /* it came and went between two looks */
			process = insert(tree, pid, TREE_TARGET);
		if (process)
			status_set(tree, process, status_of(&info));
	}
	pthread_mutex_unlock(&tree->lock);
}

static void *reaper_main(void *arg)
{
	struct tree *tree = arg;
	sigset_t wake;

	signals_block();
	sigemptyset(&wake);
	sigaddset(&wake, WAKE_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &wake, NULL);
	while (!atomic_load(&tree->closing)) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0)
			reap(tree, info.si_pid);
		else /* no children, for now */
			clock_sleep_until(clock_now_ns() + NS_PER_MS);
	}
	return NULL;
}

static void woken(int number)
{
	(void)number; /* waitid(2) returns EINTR: that is all */
}

static int reaper_start(struct tree *tree)
{
	struct sigaction action = { .sa_handler = woken };

	sigaction(WAKE_SIGNAL, &action, NULL);
	return pthread_create(&tree->reaper, NULL, reaper_main, tree);
}

static void reaper_end(struct tree *tree)
{
	atomic_store(&tree->closing, true);
	do /* once isn't enough: it may be just about to wait */
		pthread_kill(tree->reaper, WAKE_SIGNAL);
	while (clock_sleep_until(clock_now_ns() + NS_PER_MS / 4),
	       pthread_tryjoin_np(tree->reaper, NULL) == EBUSY);
}

static bool is_elder(const struct tree *tree, pid_t pid)
{
	for (size_t i = 0; i < tree->elders_count; i++)
		if (tree->elders[i] == pid)
			return true;
	return false;
}

struct scan {
	struct tree *tree;
	enum tree_role role;
	size_t depth;
};

#define SCAN_DEPTH_MAX 64

static void scan_children(struct scan *scan, pid_t parent);

static void scan_one(pid_t pid, void *arg)
{
	struct scan *scan = arg;
	struct scan below = *scan;
	struct tree_process *process;

	if (scan->depth == 0 && is_elder(scan->tree, pid))
		return;
	process = find(scan->tree, pid);
	if (!process)
		process = insert(scan->tree, pid, scan->role);
	if (!process || process->seen_in_scan)
		return;
	process->seen_in_scan = true;
	below.role = process->role == TREE_SANDBOX ? scan->tree->orphans
						   : process->role;
	below.depth++;
	if (below.depth < SCAN_DEPTH_MAX)
		scan_children(&below, pid);
}

static void scan_children(struct scan *scan, pid_t parent)
{
	proc_children(parent, scan_one, scan);
}

/* Who descends from us?  What comes from nowhere (an orphan never seen below
 * a parent) is what tree_orphans() says. */
static void scan_all(struct tree *tree)
{
	struct scan scan = { .tree = tree, .role = tree->orphans };
	uint64_t began_ns = clock_now_ns();

	for (size_t i = 0; i < tree->count; i++)
		tree->items[i]->seen_in_scan = false;
	scan_children(&scan, getpid());
	tree->scans_ns[1] = tree->scans_ns[0];
	tree->scans_ns[0] = began_ns;
}

/* Who has died, and how? */
static void look_at_deaths(struct tree *tree)
{
	uint64_t now = clock_now_ns();

	for (size_t i = 0; i < tree->count;) {
		struct tree_process *process = tree->items[i];
		struct pollfd pollfd = { .fd = process->pidfd,
					 .events = POLLIN };
		int status;

		if (!process->ended && process->pidfd >= 0 &&
		    poll(&pollfd, 1, 0) == 1) {
			process->ended = true;
			process->end_ns = now;
			pthread_cond_broadcast(&tree->changed);
		}
		if (process->ended && !process->status_known &&
		    proc_exit_status(process->pidfd, process->pid, &status))
			status_set(tree, process, status);
		if (process->pidfd < 0 && !process->child &&
		    !process->seen_in_scan)
			process->ended = true;
		if (!process->child && process->ended &&
		    (process->status_known
			     ? is_gone(process)
			     : now - process->end_ns > STATUS_GRACE_NS)) {
			tree->unknown_ends += !process->status_known;
			delete_at(tree, i);
			continue;
		}
		i++;
	}
}

static void *watcher_main(void *arg)
{
	struct tree *tree = arg;

	signals_block();
	pthread_mutex_lock(&tree->lock);
	while (!tree->closing) {
		uint64_t before = clock_now_ns(), took, next;
		struct timespec at;

		if (!tree->paused) {
			scan_all(tree);
			look_at_deaths(tree);
		}
		took = clock_now_ns() - before; /* at most 5 % of a core */
		next = took * 20 > WATCH_NS ? took * 20 : WATCH_NS;
		at = clock_timespec(clock_now_ns() + next);
		pthread_mutex_unlock(&tree->lock);
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
		pthread_mutex_lock(&tree->lock);
	}
	pthread_mutex_unlock(&tree->lock);
	return NULL;
}

static void elder_add(pid_t pid, void *arg)
{
	struct tree *tree = arg;

	if (tree->elders_count < TREE_ELDERS_MAX)
		tree->elders[tree->elders_count++] = pid;
}

int tree_open(struct tree *ret_tree)
{
	struct tree *tree = ret_tree;
	pthread_condattr_t attr;
	int error;

	memset(tree, 0, sizeof(*tree));
	tree->orphans = TREE_TARGET;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
		return -errno;
	proc_children(getpid(), elder_add, tree);
	pthread_mutex_init(&tree->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&tree->changed, &attr);
	pthread_condattr_destroy(&attr);
	error = reaper_start(tree);
	if (error)
		return -error;
	tree->open = true;
	error = pthread_create(&tree->watcher, NULL, watcher_main, tree);
	if (error) {
		reaper_end(tree);
		tree->open = false;
	}
	return -error;
}

void tree_close(struct tree *tree)
{
	if (!tree->open)
		return;
	tree_pause(tree, false);
	tree_kill(tree, ~(unsigned)TREE_GUARDIAN);
	pthread_mutex_lock(&tree->lock);
	atomic_store(&tree->closing, true);
	pthread_cond_broadcast(&tree->changed);
	pthread_mutex_unlock(&tree->lock);
	pthread_join(tree->watcher, NULL);
	reaper_end(tree);
	while (tree->count) {
		siginfo_t info;

		/* The watcher saw it as a zombie before the reaper could: it
		 * must not be a crash of the next tree's. */
		if (tree->items[0]->ended)
			waitid(P_PID, (id_t)tree->items[0]->pid, &info,
			       WEXITED | WNOHANG);
		delete_at(tree, 0);
	}
	free(tree->items);
	free(tree->crashes);
	pthread_mutex_destroy(&tree->lock);
	pthread_cond_destroy(&tree->changed);
	memset(tree, 0, sizeof(*tree));
	tree->orphans = TREE_TARGET;
}

void tree_begin(struct tree *tree)
{
	pthread_mutex_lock(&tree->lock);
}

int tree_add(struct tree *tree, pid_t pid, enum tree_role role,
	     struct tree_process **ret_process)
{
	struct tree_process *process = NULL;
	int error = 0;

	if (pid > 0) {
		process = find(tree, pid);
		if (!process)
			process = insert(tree, pid, role);
		error = process ? 0 : -ENOMEM;
	}
	if (process) {
		process->child = true;
		process->role = role;
		*ret_process = process;
	} else if (pid > 0) {
		kill(pid, SIGKILL);
	}
	pthread_mutex_unlock(&tree->lock);
	return error;
}

void tree_drop(struct tree *tree, struct tree_process *process)
{
	pthread_mutex_lock(&tree->lock);
	process->child = false; /* the watcher forgets it when it has ended */
	pthread_mutex_unlock(&tree->lock);
}

bool tree_wait(struct tree *tree, struct tree_process *process,
	       uint64_t until_ns)
{
	struct timespec at = clock_timespec(until_ns);
	bool ended;
	int error = 0;

	pthread_mutex_lock(&tree->lock);
	while (!process->status_known && error != ETIMEDOUT)
		error = until_ns == UINT64_MAX
				? pthread_cond_wait(&tree->changed, &tree->lock)
				: pthread_cond_timedwait(&tree->changed,
							 &tree->lock, &at);
	ended = process->status_known;
	pthread_mutex_unlock(&tree->lock);
	return ended;
}

bool tree_ended(struct tree *tree, const struct tree_process *process)
{
	bool ended;

	pthread_mutex_lock(&tree->lock);
	ended = process->status_known;
	pthread_mutex_unlock(&tree->lock);
	return ended;
}

struct ending tree_ending(struct tree *tree, const struct tree_process *process)
{
	struct ending ending;

	pthread_mutex_lock(&tree->lock);
	ending = tree_ending_of(process);
	ending.ended = process->status_known;
	pthread_mutex_unlock(&tree->lock);
	return ending;
}

static void signal_one(struct tree_process *process, int number)
{
	if (process->ended || process->pidfd < 0)
		return;
	if (syscall(SYS_pidfd_send_signal, process->pidfd, number, NULL, 0) ==
	    0)
		process->signalled = number;
}

void tree_signal(struct tree *tree, struct tree_process *process, int number)
{
	pthread_mutex_lock(&tree->lock);
	signal_one(process, number);
	pthread_mutex_unlock(&tree->lock);
}

static size_t alive(const struct tree *tree, unsigned roles)
{
	size_t count = 0;

	for (size_t i = 0; i < tree->count; i++)
		count += (tree->items[i]->role & roles) &&
			 !tree->items[i]->ended;
	return count;
}

void tree_orphans(struct tree *tree, enum tree_role role)
{
	pthread_mutex_lock(&tree->lock);
	scan_all(tree);
	tree->orphans = role;
	pthread_mutex_unlock(&tree->lock);
}

size_t tree_alive(struct tree *tree, unsigned roles)
{
	size_t count;

	pthread_mutex_lock(&tree->lock);
	scan_all(tree);
	look_at_deaths(tree);
	count = alive(tree, roles);
	pthread_mutex_unlock(&tree->lock);
	return count;
}

/* An orphan's parent is us, or the first process of the sandbox. */
static bool is_top(const struct tree *tree, const struct tree_process *process)
{
	pid_t parent = proc_parent(process->pid);

	if (parent == getpid())
		return true;
	for (size_t i = 0; i < tree->count; i++)
		if (tree->items[i]->pid == parent)
			return tree->items[i]->role == TREE_SANDBOX;
	return true;
}

static void ask_tops(struct tree *tree, unsigned roles, int number)
{
	for (size_t i = 0; i < tree->count; i++)
		if ((tree->items[i]->role & roles) &&
		    !tree->items[i]->signalled && is_top(tree, tree->items[i]))
			signal_one(tree->items[i], number);
}

/* Wait until `first` has ended, or (NULL) none of the roles is left.  Locked
 * on entry and on return. */
static size_t wait_gone(struct tree *tree, unsigned roles,
			const struct tree_process *first, uint64_t until_ns,
			bool killing)
{
	size_t killed = 0, left;

	for (;;) {
		scan_all(tree);
		for (size_t i = 0; killing && i < tree->count; i++) {
			struct tree_process *process = tree->items[i];

			if (!(process->role & roles) || process->ended)
				continue;
			killed += process->signalled != SIGKILL;
			signal_one(process, SIGKILL);
		}
		look_at_deaths(tree);
		left = first ? !first->ended : alive(tree, roles);
		if (!left || clock_now_ns() >= until_ns ||
		    (!killing && interrupt_hurry()))
			return killing ? killed : left;
		pthread_mutex_unlock(&tree->lock);
		clock_sleep_until(clock_now_ns() + NS_PER_MS);
		pthread_mutex_lock(&tree->lock);
	}
}

static void before_kill(struct tree *tree)
{
	if (!tree->before_kill)
		return;
	pthread_mutex_unlock(&tree->lock);
	tree->before_kill(tree->before_kill_arg);
	pthread_mutex_lock(&tree->lock);
}

size_t tree_stop(struct tree *tree, unsigned roles, struct tree_process *first,
		 int number, uint64_t within_ns)
{
	uint64_t until_ns = clock_now_ns() + within_ns;
	size_t killed = 0;

	pthread_mutex_lock(&tree->lock);
	scan_all(tree);
	look_at_deaths(tree);
	if (first && !first->ended) {
		signal_one(first, number);
		wait_gone(tree, roles, first, until_ns, false);
	}
	if (alive(tree, roles)) { /* what it has left behind, or a daemon */
		ask_tops(tree, roles, number);
		if (wait_gone(tree, roles, NULL, until_ns, false)) {
			before_kill(tree);
			killed = wait_gone(tree, roles, NULL,
					   clock_now_ns() + KILL_WITHIN_NS,
					   true);
		}
	}
	pthread_mutex_unlock(&tree->lock);
	return killed;
}

void tree_kill(struct tree *tree, unsigned roles)
{
	pthread_mutex_lock(&tree->lock);
	wait_gone(tree, roles, NULL, clock_now_ns() + KILL_WITHIN_NS, true);
	pthread_mutex_unlock(&tree->lock);
}

struct growth tree_growth(struct tree *tree, unsigned roles)
{
	struct growth sum = { 0 };

	pthread_mutex_lock(&tree->lock);
	scan_all(tree);
	for (size_t i = 0; i < tree->count; i++)
		if ((tree->items[i]->role & roles) && !tree->items[i]->ended)
			sum.known |= proc_growth(tree->items[i]->pid, &sum);
	pthread_mutex_unlock(&tree->lock);
	return sum;
}

void tree_pause(struct tree *tree, bool paused)
{
	pthread_mutex_lock(&tree->lock);
	tree->paused = paused;
	pthread_cond_broadcast(&tree->changed);
	pthread_mutex_unlock(&tree->lock);
}

bool tree_lacks(struct tree *tree, uint32_t own_pid, uint64_t since_ns)
{
	bool lacks, own_is_ours = true; /* no pid namespace of a sandbox's */

	pthread_mutex_lock(&tree->lock);
	lacks = tree->scans_ns[1] > since_ns;
	for (size_t i = 0; i < tree->count && lacks; i++) {
		own_is_ours =
			own_is_ours && tree->items[i]->role != TREE_SANDBOX;
		lacks = tree->items[i]->own_pid != own_pid ||
			tree->items[i]->ended;
	}
	pthread_mutex_unlock(&tree->lock);
	/* A scan may miss one among many that come and go. */
	return lacks && (!own_is_ours ||
			 (kill((pid_t)own_pid, 0) < 0 && errno == ESRCH));
}

/* guardian_process.c - who asks.
 *
 * The kernel names a thread.  A number may be used anew, so a process is held
 * by a pidfd and a thread is asked for in it each time.  An image is looked at
 * when a process is first seen and after each exec: the library's own are left
 * to the library, so that no call is counted by two doors.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/slot.h"
#include "runner/guardian.h"

#define STATUS_BYTES	8192
#define ENVIRON_BYTES	(4u << 20)
#define ENVIRON_ENTRIES 4096
#define PROC_SELF	"/proc/self/" /* ours, if we were to look */
#define ANCESTORS_MAX	32

static unsigned bucket_of(pid_t pid)
{
	return (unsigned)pid & (GUARDIAN_BUCKETS - 1);
}

/* ---- /proc --------------------------------------------------------------- */

static long proc_read(pid_t pid, const char *file, char *bytes, size_t room)
{
	char path[64];
	long n = 0, got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((size_t)n < room - 1 &&
	       (got = read(fd, bytes + n, room - 1 - (size_t)n)) > 0)
		n += got;
	close(fd);
	bytes[n] = '\0';
	return n;
}

/* The last number of a line of /proc/PID/status: in the innermost pid
 * namespace, where there are several. */
static bool status_number(const char *status, const char *field, int base,
			  uint64_t *ret_value)
{
	size_t n = strlen(field);
	const char *line = status;

	while (line && !(strncmp(line, field, n) == 0 && line[n] == ':')) {
		line = strchr(line, '\n');
		line = line ? line + 1 : NULL;
	}
	if (!line)
		return false;
	for (line += n + 1; *line && *line != '\n';) {
		char *end;
		uint64_t value = strtoull(line, &end, base);

		if (end == line)
			break;
		*ret_value = value;
		line = end + strspn(end, " \t");
	}
	return true;
}

bool guardian_status(pid_t tid, const char *field, int base,
		     uint64_t *ret_value)
{
	char status[STATUS_BYTES];

	return proc_read(tid, "status", status, sizeof(status)) > 0 &&
	       status_number(status, field, base, ret_value);
}

/* Was the process started with what brings the library along? */
static bool environ_has_us(const struct guardian *guardian, pid_t pid)
{
	char *bytes = malloc(ENVIRON_BYTES), wanted[512];
	bool has_shared = false, has_library = false;
	long n = bytes ? proc_read(pid, "environ", bytes, ENVIRON_BYTES) : -1;

	snprintf(wanted, sizeof(wanted), SHARED_ENV "=%s",
		 guardian->shared_path);
	for (const char *at = bytes; n > 0 && at < bytes + n;
	     at += strlen(at) + 1) {
		has_shared |= strcmp(at, wanted) == 0;
		has_library |= strncmp(at, "LD_PRELOAD=", 11) == 0 &&
			       strstr(at, "libmishap.so");
	}
	free(bytes);
	return has_shared && has_library;
}

/* ---- images -------------------------------------------------------------- */

static bool is_runners(pid_t pid)
{
	char path[64];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	return stat(path, &theirs) == 0 && stat("/proc/self/exe", &ours) == 0 &&
	       theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev;
}

static void base_name(const char *path, char ret_name[SHARED_EXE_MAX])
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;

	memset(ret_name, 0, SHARED_EXE_MAX);
	memcpy(ret_name, base, strnlen(base, SHARED_EXE_MAX - 1));
}

static void exe_look(const struct guardian *guardian,
		     struct guardian_process *process)
{
	const struct plan *plan = guardian->plan;
	char path[64], target[GUARDIAN_PATH_MAX], name[SHARED_EXE_MAX] = "";
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", process->pid);
	n = readlink(path, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		base_name(target, name);
	}
	memcpy(process->slot->exe, name, sizeof(name));
	process->exe_rules = 0;
	for (uint32_t r = 0; r < plan->header->rules_count; r++) {
		const struct plan_rule *rule = &plan->rules[r];

		if (!(rule->selectors & SELECT_EXE))
			continue;
		if (n <= 0)
			atomic_fetch_add(&guardian->state->unresolved, 1);
		else if (glob_match(plan->base + rule->exe_off, name))
			process->exe_rules |= 1ull << r;
	}
}

static enum guardian_owner owner_of(const struct guardian *guardian, pid_t pid)
{
	char path[64], *why = NULL;

	if (is_runners(pid))
		return OWNER_NOBODY;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	if (target_door(path, &why) == DOOR_LIBRARY &&
	    environ_has_us(guardian, pid))
		return OWNER_LIBRARY;
	free(why);
	return OWNER_NOTIFY;
}

/* ---- slots --------------------------------------------------------------- */

static struct guardian_process *process_find(const struct guardian *guardian,
					     pid_t pid)
{
	struct guardian_process *p = guardian->processes[bucket_of(pid)];

	while (p && p->pid != pid)
		p = p->next;
	return p;
}

static struct process *slot_of_pid(struct state *state, pid_t pid)
{
	uint64_t own = (uint64_t)pid;

	guardian_status(pid, "NSpid", 10, &own);
	for (unsigned i = 0; i < SHARED_PROCESSES_MAX; i++) {
		struct process *slot = &state->processes[i];
		uint32_t status = atomic_load(&slot->status);

		if ((status == PROCESS_LIVE || status == PROCESS_EXECING) &&
		    atomic_load(&slot->pid) == (int32_t)own)
			return slot;
	}
	return NULL;
}

/* The nearest ancestor that the books know. */
static struct process *slot_of_ancestor(const struct guardian *guardian,
					pid_t pid)
{
	uint64_t parent = (uint64_t)pid;

	for (unsigned i = 0; i < ANCESTORS_MAX; i++) {
		struct guardian_process *process;
		struct process *slot;

		if (!guardian_status((pid_t)parent, "PPid", 10, &parent) ||
		    parent <= 1)
			return NULL;
		process = process_find(guardian, (pid_t)parent);
		slot = process && process->slot
			       ? process->slot
			       : slot_of_pid(guardian->state, (pid_t)parent);
		if (slot)
			return slot;
	}
	return NULL;
}

/* Children are told apart by the order in which they are first seen. */
static uint64_t path_of(const struct guardian *guardian, pid_t pid)
{
	static uint32_t roots;
	struct process *parent = slot_of_ancestor(guardian, pid);
	uint64_t root = rng_mix(guardian->plan->header->seed);

	if (parent)
		return slot_offspring(parent->path, BY_FORK,
				      atomic_fetch_add(&parent->children, 1) +
					      1);
	roots++;
	return roots == 1 ? root : slot_offspring(root, BY_ARRIVAL, roots - 1);
}

static void slot_take(struct guardian *guardian,
		      struct guardian_process *process)
{
	struct process *slot = slot_of_exec(guardian->state, process->own_pid);

	if (!slot) {
		slot = slot_claim(guardian->state);
		if (!slot)
			return;
		slot_fill(slot, process->own_pid,
			  path_of(guardian, process->pid), clock_now_ns(),
			  PROCESS_CLAIMED);
	}
	atomic_store(&slot->sites, SITES_NOTIFIED);
	process->slot = slot;
	exe_look(guardian, process);
	atomic_store(&slot->status, PROCESS_LIVE);
}

static void image_look(struct guardian *guardian,
		       struct guardian_process *process)
{
	uint32_t execing = PROCESS_EXECING;

	process->owner = owner_of(guardian, process->pid);
	if (process->owner != OWNER_NOTIFY) {
		process->slot = NULL; /* the library takes over what we had */
	} else if (process->slot) {
		atomic_compare_exchange_strong(&process->slot->status, &execing,
					       PROCESS_LIVE);
		exe_look(guardian, process);
	} else {
		slot_take(guardian, process);
	}
}

/* ---- exec ---------------------------------------------------------------- */

static bool exec_path(const struct notice *notice,
		      char ret_path[GUARDIAN_PATH_MAX + 64])
{
	const struct view *view = &call_kernel_table[notice->nr].view;
	char name[GUARDIAN_PATH_MAX];
	long n = notice_copy(notice, name,
			     (const void *)notice->args[view->path - 1],
			     sizeof(name));
	int at = n > 0 ? (int)strnlen(name, (size_t)n) : 0;

	if (at >= n)
		return false;
	if (strncmp(name, PROC_SELF, strlen(PROC_SELF)) == 0)
		snprintf(ret_path, GUARDIAN_PATH_MAX + 64, "/proc/%d/%s",
			 notice->tid, name + strlen(PROC_SELF));
	else if (name[0] == '/')
		snprintf(ret_path, GUARDIAN_PATH_MAX + 64, "/proc/%d/root%s",
			 notice->tid, name);
	else if (view->dirfd && (int)notice->args[view->dirfd - 1] >= 0)
		snprintf(ret_path, GUARDIAN_PATH_MAX + 64, "/proc/%d/fd/%d%s%s",
			 notice->tid, (int)notice->args[view->dirfd - 1],
			 at ? "/" : "", name);
	else
		snprintf(ret_path, GUARDIAN_PATH_MAX + 64, "/proc/%d/cwd/%s",
			 notice->tid, name);
	return true;
}

/* Does the environment that it will be given bring the library along? */
static bool exec_env_has_us(const struct notice *notice)
{
	const char wanted[] = SHARED_ENV "=";
	uint64_t envp = notice->args[notice->nr == SYS_execveat ? 3 : 2];
	char word[sizeof(wanted)] = { 0 };

	for (unsigned i = 0; i < ENVIRON_ENTRIES; i++) {
		uint64_t at = 0;

		if (notice_copy(notice, &at,
				(const void *)(envp + i * sizeof(at)),
				sizeof(at)) != sizeof(at) ||
		    !at)
			return false;
		if (notice_copy(notice, word, (const void *)at,
				sizeof(word) - 1) == sizeof(word) - 1 &&
		    memcmp(word, wanted, sizeof(wanted) - 1) == 0)
			return true;
	}
	return false;
}

void guardian_exec_seen(struct notice *notice)
{
	struct guardian_process *process = notice->process;
	char path[GUARDIAN_PATH_MAX + 64], *why = NULL;

	process->exec_pending = true;
	process->exec_is_ours = false;
	if (!exec_path(notice, path) || access(path, X_OK) != 0)
		return; /* it will fail, most likely */
	base_name(path, process->exec_exe);
	process->exec_is_ours = target_door(path, &why) != DOOR_LIBRARY ||
				!exec_env_has_us(notice);
	free(why);
	if (process->slot)
		atomic_store(&process->slot->status, PROCESS_EXECING);
	else if (process->owner == OWNER_NOBODY && process->exec_is_ours)
		slot_take(notice->guardian, process);
}

/* It may never ask again: was it still execing, and a program of ours? */
static void exec_settle(struct guardian *guardian,
			struct guardian_process *process)
{
	if (!process->exec_pending || !process->exec_is_ours)
		return;
	process->exec_pending = false;
	if (!process->slot)
		process->slot = slot_of_exec(guardian->state, process->own_pid);
	if (!process->slot)
		return;
	memcpy(process->slot->exe, process->exec_exe, SHARED_EXE_MAX);
	atomic_store(&process->slot->sites, SITES_NOTIFIED);
	atomic_store(&process->slot->status, PROCESS_LIVE);
}

void guardian_processes_settle(struct guardian *guardian)
{
	for (unsigned i = 0; i < GUARDIAN_BUCKETS; i++)
		for (struct guardian_process *p = guardian->processes[i]; p;
		     p = p->next)
			exec_settle(guardian, p);
}

/* ---- processes and threads ----------------------------------------------- */

static bool is_dead(const struct guardian_process *process)
{
	struct pollfd pollfd = { .fd = process->source.fd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 1;
}

void guardian_process_release(struct guardian_process *process)
{
	for (unsigned fd = 0; process->by_fd && fd < GUARDIAN_FDS_MAX; fd++)
		free(process->by_fd[fd]);
	free(process->by_fd);
	free(process);
}

void guardian_process_gone(struct guardian *guardian,
			   struct guardian_process *process)
{
	struct guardian_process **at =
		&guardian->processes[bucket_of(process->pid)];

	exec_settle(guardian, process);
	for (unsigned i = 0; i < GUARDIAN_BUCKETS; i++) {
		struct guardian_thread **t = &guardian->threads[i], *thread;

		while ((thread = *t)) {
			if (thread->process != process) {
				t = &thread->next;
				continue;
			}
			*t = thread->next;
			free(thread);
		}
	}
	for (struct notice *n = guardian->waiting; n; n = n->next)
		if (n->process == process)
			n->thread = NULL;
	while (*at != process)
		at = &(*at)->next;
	*at = process->next;
	close(process->source.fd);
	process->gone = true;
	if (!process->users)
		guardian_process_release(process);
}

static struct guardian_process *process_new(struct guardian *guardian,
					    pid_t pid, const char *status)
{
	struct guardian_process *process = calloc(1, sizeof(*process));
	uint64_t own = (uint64_t)pid;
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

	if (!process || pidfd < 0) {
		if (pidfd >= 0)
			close(pidfd);
		free(process);
		return NULL;
	}
	status_number(status, "NSpid", 10, &own);
	*process = (struct guardian_process){
		.source = { SOURCE_PROCESS, pidfd },
		.next = guardian->processes[bucket_of(pid)],
		.pid = pid,
	};
	/* A thread's line says its own number; the leader's is the process. */
	if (!guardian_status(pid, "NSpid", 10, &own))
		own = (uint64_t)pid;
	process->own_pid = (int32_t)own;
	guardian->processes[bucket_of(pid)] = process;
	guardian_watch(guardian, &process->source, EPOLLIN);
	image_look(guardian, process);
	return process;
}

static struct guardian_thread *thread_new(struct guardian *guardian, pid_t tid)
{
	char status[STATUS_BYTES];
	struct guardian_process *process;
	struct guardian_thread *thread;
	uint64_t pid = 0;

	if (proc_read(tid, "status", status, sizeof(status)) <= 0 ||
	    !status_number(status, "Tgid", 10, &pid))
		return NULL;
	process = process_find(guardian, (pid_t)pid);
	if (process && is_dead(process)) {
		guardian_process_gone(guardian, process);
		process = NULL;
	}
	if (!process)
		process = process_new(guardian, (pid_t)pid, status);
	thread = process ? calloc(1, sizeof(*thread)) : NULL;
	if (!thread)
		return NULL;
	*thread = (struct guardian_thread){
		.next = guardian->threads[bucket_of(tid)],
		.tid = tid,
		.process = process,
	};
	if (tid != (pid_t)pid && process->slot)
		thread->ordinal =
			atomic_fetch_add(&process->slot->threads, 1) + 1;
	guardian->threads[bucket_of(tid)] = thread;
	return thread;
}

static void thread_drop(struct guardian *guardian,
			struct guardian_thread *thread)
{
	struct guardian_thread **at =
		&guardian->threads[bucket_of(thread->tid)];

	while (*at != thread)
		at = &(*at)->next;
	*at = thread->next;
	for (struct notice *n = guardian->waiting; n; n = n->next)
		if (n->thread == thread)
			n->thread = NULL;
	free(thread);
}

struct guardian_thread *guardian_thread_of(struct guardian *guardian, pid_t tid)
{
	struct guardian_thread *thread = guardian->threads[bucket_of(tid)];

	while (thread && thread->tid != tid)
		thread = thread->next;
	if (thread && is_dead(thread->process)) {
		guardian_process_gone(guardian, thread->process);
		thread = NULL;
	} else if (thread &&
		   syscall(SYS_tgkill, thread->process->pid, tid, 0) < 0 &&
		   errno == ESRCH) {
		thread_drop(guardian, thread); /* the number is another's */
		thread = NULL;
	}
	if (!thread)
		thread = thread_new(guardian, tid);
	if (thread && thread->process->exec_pending) {
		thread->process->exec_pending = false;
		image_look(guardian, thread->process);
	}
	return thread;
}

/* ---- per=fd -------------------------------------------------------------- */

struct guardian_counts *guardian_fd_counts(struct guardian_process *process,
					   int fd)
{
	if (fd < 0 || fd >= GUARDIAN_FDS_MAX)
		return NULL;
	if (!process->by_fd)
		process->by_fd =
			calloc(GUARDIAN_FDS_MAX, sizeof(*process->by_fd));
	if (!process->by_fd)
		return NULL;
	if (!process->by_fd[fd])
		process->by_fd[fd] = calloc(1, sizeof(**process->by_fd));
	return process->by_fd[fd];
}

void guardian_fd_forget(struct guardian_process *process, unsigned first,
			unsigned last)
{
	for (unsigned fd = first;
	     process->by_fd && fd <= last && fd < GUARDIAN_FDS_MAX; fd++) {
		free(process->by_fd[fd]);
		process->by_fd[fd] = NULL;
	}
}

/* coroner.c - see coroner.h. */
#include "runner/coroner.h"

#include <dirent.h>
#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/words.h"

#define STOP_WITHIN_NS (500 * NS_PER_MS)
#define HANG_WITHIN_MS 5000
#define IDLE_NS	       (200 * NS_PER_MS)
#define WHY_MAX	       80
#define SEEN_MAX       4096 /* pids of /proc that are looked at */

struct request { /* from the runner; an answer is one byte */
	pid_t pid;
	char why[WHY_MAX + 1];
};

struct coroner {
	pid_t pid;
	int fd;
	struct state *state;
};

/* ---- in the helper ----------------------------------------------------- */

struct helper {
	struct state *state;
	const char *shared_path, *run_dir;
	int fd;
	json_t *deaths; /* array */
};

static struct state *woken_state;

/* A stop that comes between our look and our sleep must end the sleep. */
static void woken(int number)
{
	(void)number;
	atomic_fetch_add(&woken_state->attend_asked, 1);
}

/* A line of /proc/PID/status, behind its name; false: it isn't there. */
static bool status_line(pid_t pid, const char *name, char *buf, size_t size)
{
	char path[64], line[512];
	bool found = false;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	in = fopen(path, "re");
	while (in && !found && fgets(line, sizeof(line), in)) {
		if (strncmp(line, name, strlen(name)) != 0)
			continue;
		snprintf(buf, size, "%s", line + strlen(name));
		buf[strcspn(buf, "\n")] = '\0';
		found = true;
	}
	if (in)
		fclose(in);
	return found;
}

static pid_t own_pid_of(pid_t pid)
{
	char buf[256], *last;

	if (!status_line(pid, "NSpid:", buf, sizeof(buf)))
		return pid;
	last = strrchr(buf, '\t');
	return (pid_t)atoi(last ? last + 1 : buf);
}

/* Only a process of this run's has its memory mapped. */
static bool is_of_run(const struct helper *helper, pid_t pid)
{
	char path[64], line[1024];
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && !found && fgets(line, sizeof(line), maps))
		found = strstr(line, helper->shared_path) != NULL;
	if (maps)
		fclose(maps);
	return found;
}

/* Who calls itself so may be another to us, in a sandbox. */
static pid_t pid_find(const struct helper *helper, pid_t own)
{
	struct dirent *entry;
	pid_t found = 0;
	DIR *proc;

	if (own_pid_of(own) == own && is_of_run(helper, own))
		return own;
	proc = opendir("/proc");
	for (unsigned i = 0;
	     proc && !found && i < SEEN_MAX && (entry = readdir(proc)); i++) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && own_pid_of(pid) == own && is_of_run(helper, pid))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

static size_t threads_of(pid_t pid, pid_t *ret_tids, size_t max)
{
	struct dirent *entry;
	size_t count = 0;
	char path[64];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && count < max && (entry = readdir(tasks)))
		if (entry->d_name[0] != '.')
			ret_tids[count++] = (pid_t)atoi(entry->d_name);
	if (tasks)
		closedir(tasks);
	return count;
}

/* Threads that come meanwhile are found by the second look, or follow. */
static int seize(pid_t pid)
{
	pid_t tids[CORONER_THREADS_MAX * 8];
	int error = -ESRCH;

	for (int look = 0; look < 2; look++) {
		size_t count = threads_of(pid, tids, CORONER_THREADS_MAX * 8);

		for (size_t i = 0; i < count; i++) {
			if (ptrace(PTRACE_SEIZE, tids[i], NULL,
				   (void *)PTRACE_O_TRACECLONE) == 0)
				error = 0;
			else if (error)
				error = -errno;
		}
	}
	return error;
}

static bool is_listed(pid_t pid, const char *set, int number)
{
	char buf[64];

	return status_line(pid, set, buf, sizeof(buf)) &&
	       strtoull(buf, NULL, 16) >> (number - 1) & 1;
}

/* Does this signal end the process as a program error does? */
static bool is_deadly(pid_t tid, int number)
{
	switch (number) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGTRAP:
	case SIGSYS:
	case SIGQUIT:
	case SIGXCPU:
	case SIGXFSZ:
		return !is_listed(tid, "SigCgt:\t", number) &&
		       !is_listed(tid, "SigIgn:\t", number);
	}
	return false;
}

struct stopped {
	pid_t tids[CORONER_THREADS_MAX * 8];
	int signals[CORONER_THREADS_MAX * 8]; /* to be given on leaving */
	bool is[CORONER_THREADS_MAX * 8];
	size_t count;
};

/* Stop all threads but the first, which stands already if it died. */
static void stop_all(struct stopped *all)
{
	uint64_t until_ns = clock_now_ns() + STOP_WITHIN_NS;
	size_t waiting = 0;
	int status;

	for (size_t i = 0; i < all->count; i++)
		if (!all->is[i] &&
		    ptrace(PTRACE_INTERRUPT, all->tids[i], NULL, NULL) == 0)
			waiting++;
	while (waiting && clock_now_ns() < until_ns) {
		for (size_t i = 0; i < all->count; i++) {
			if (all->is[i] ||
			    waitpid(all->tids[i], &status, __WALL | WNOHANG) !=
				    all->tids[i])
				continue;
			waiting--;
			all->is[i] = WIFSTOPPED(status);
			if (WIFSTOPPED(status) && status >> 16 == 0)
				all->signals[i] = WSTOPSIG(status);
		}
		if (waiting)
			clock_sleep_until(clock_now_ns() + NS_PER_MS / 10);
	}
}

static void leave_all(const struct stopped *all)
{
	for (size_t i = all->count; i-- > 0;)
		ptrace(PTRACE_DETACH, all->tids[i], NULL,
		       (void *)(long)all->signals[i]);
}

static void program_name(pid_t pid, char *buf, size_t size)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	n = readlink(path, buf, size - 1);
	buf[n > 0 ? n : 0] = '\0';
}

static void death_add(struct helper *helper, pid_t pid, const char *why,
		      int number, const char *missing, json_t *threads,
		      const char *program, uint64_t at_ns)
{
	_cleanup_words_ char *path =
		words_say("%s/deaths.json", helper->run_dir);
	char name[WORDS_SHORT_MAX];
	const char *slash = strrchr(program, '/');
	json_t *whole;

	json_array_append_new(
		helper->deaths,
		json_pack("{si so ss ss? sI ss? so}", "pid", (int)pid,
			  "program",
			  words_json_string(slash ? slash + 1 : program), "why",
			  why, "signal",
			  number ? words_signal(number, name) : NULL, "at_ns",
			  (json_int_t)at_ns, "missing", missing, "threads",
			  threads ? threads : json_array()));
	whole = json_pack("{si sO}", "version", 1, "deaths", helper->deaths);
	if (path && whole)
		words_write_json(path, whole);
	json_decref(whole);
}

/* The stacks of a process that is traced; then nobody traces it any more. */
static void look_into(struct helper *helper, pid_t pid, pid_t died, int number,
		      const char *why)
{
	struct autopsy *autopsy = NULL;
	struct stopped all = { .count = 0 };
	uint64_t at_ns = clock_now_ns();
	pid_t own = own_pid_of(pid);
	char program[512];
	json_t *threads = NULL;
	int error;

	program_name(pid, program, sizeof(program));
	if (died) {
		all.tids[0] = died;
		all.is[0] = true;
		all.signals[0] = number;
		all.count = 1;
	}
	all.count += threads_of(pid, all.tids + all.count,
				CORONER_THREADS_MAX * 8 - all.count);
	for (size_t i = 1; died && i < all.count; i++)
		if (all.tids[i] == died)
			all.tids[i--] = all.tids[--all.count];
	stop_all(&all);
	error = json_array_size(helper->deaths) < CORONER_DEATHS_MAX
			? autopsy_take(pid, all.tids, all.count, &autopsy)
			: -ENOSPC;
	leave_all(&all);
	if (error == -ENOSPC)
		return;
	if (!error)
		threads = autopsy_name(autopsy);
	death_add(helper, own, why, number,
		  error			      ? strerror(-error)
		  : !json_array_size(threads) ? "none could be read"
					      : NULL,
		  threads, program, at_ns);
}

static pid_t process_of(pid_t tid)
{
	char buf[32];

	return status_line(tid, "Tgid:\t", buf, sizeof(buf)) ? (pid_t)atoi(buf)
							     : tid;
}

/* One of the traced stopped or ended; ptrace(2), "Stopped states". */
static void stop_seen(struct helper *helper, pid_t tid, int status)
{
	int number = WSTOPSIG(status), event = status >> 16;

	if (!WIFSTOPPED(status))
		return;
	if (event == PTRACE_EVENT_STOP && number != SIGTRAP) {
		ptrace(PTRACE_LISTEN, tid, NULL, NULL); /* job control */
		return;
	}
	if (event) {
		ptrace(PTRACE_CONT, tid, NULL, NULL);
		return;
	}
	if (is_deadly(tid, number))
		look_into(helper, process_of(tid), tid, number, "died");
	else
		ptrace(PTRACE_CONT, tid, NULL, (void *)(long)number);
}

static void stops_look(struct helper *helper)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
		stop_seen(helper, tid, status);
}

static void targets_look(struct helper *helper)
{
	for (unsigned i = 0; i < SHARED_ATTEND_MAX; i++) {
		struct shared_attend *slot = &helper->state->attend[i];
		pid_t pid;

		if (atomic_load(&slot->status) != ATTEND_ASKED)
			continue;
		pid = pid_find(helper, slot->pid);
		if (pid)
			seize(pid);
		atomic_store(&slot->status, ATTEND_FREE);
		atomic_fetch_add(&slot->done, 1);
		syscall(SYS_futex, &slot->done, FUTEX_WAKE, 1, NULL, NULL, 0);
	}
}

/* Why it can't be attached to, for a person. */
static const char *refusal(pid_t pid, int error)
{
	static char said[128];
	char tracer[32];

	if (status_line(pid, "TracerPid:\t", tracer, sizeof(tracer)) &&
	    atoi(tracer) > 0) {
		snprintf(said, sizeof(said), "process %s traces it", tracer);
		return said;
	}
	return error == -EPERM ? "the kernel lets us not look into it "
				 "(ptrace(2): another user, or Yama)"
			       : strerror(-error);
}

static bool is_traced_by_us(pid_t pid)
{
	char tracer[32];

	return status_line(pid, "TracerPid:\t", tracer, sizeof(tracer)) &&
	       atoi(tracer) == getpid();
}

/* false: the runner is gone, or is done with us. */
static bool requests_look(struct helper *helper)
{
	struct request request;
	ssize_t n = recv(helper->fd, &request, sizeof(request), MSG_DONTWAIT);
	char program[512];
	int error;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n != sizeof(request))
		return false;
	request.why[WHY_MAX] = '\0';
	error = is_traced_by_us(request.pid) ? 0 : seize(request.pid);
	if (!error) {
		look_into(helper, request.pid, 0, 0, request.why);
	} else if (error != -ESRCH) {
		program_name(request.pid, program, sizeof(program));
		death_add(helper, own_pid_of(request.pid), request.why, 0,
			  refusal(request.pid, error), NULL, program,
			  clock_now_ns());
	}
	return send(helper->fd, "", 1, MSG_NOSIGNAL) == 1;
}

_Noreturn static void helper_main(struct helper *helper)
{
	const struct timespec idle = { .tv_nsec = IDLE_NS };
	struct sigaction action = { .sa_handler = woken };
	sigset_t none;

	woken_state = helper->state;
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_IGN);
	signal(SIGSEGV, SIG_DFL);
	sigaction(SIGCHLD, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, "mishap-coroner");
	helper->deaths = json_array();
	for (;;) {
		uint32_t seen = atomic_load(&helper->state->attend_asked);

		stops_look(helper);
		targets_look(helper);
		if (!requests_look(helper))
			_exit(0);
		syscall(SYS_futex, &helper->state->attend_asked, FUTEX_WAIT,
			seen, &idle, NULL, 0);
	}
}

/* ---- in the runner ----------------------------------------------------- */

static uint32_t attend_mode(void)
{
	FILE *in = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	int scope = in ? fgetc(in) - '0' : 0;

	if (in)
		fclose(in);
	return scope <= 0   ? ATTEND_ON
	       : scope == 1 ? ATTEND_BY_LEAVE
			    : ATTEND_OFF;
}

static void wake(struct state *state)
{
	atomic_fetch_add(&state->attend_asked, 1);
	syscall(SYS_futex, &state->attend_asked, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int coroner_open(const struct shared_file *shared, const char *run_dir,
		 struct coroner **ret_coroner)
{
	struct helper helper = { .state = shared->state,
				 .shared_path = shared->path,
				 .run_dir = run_dir };
	struct coroner *coroner = calloc(1, sizeof(*coroner));
	int fds[2];

	if (!coroner)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) {
		free(coroner);
		return -errno;
	}
	fflush(NULL);
	coroner->pid = fork();
	if (coroner->pid == 0) {
		helper.fd = dup2(fds[0], 3) < 0 ? -1 : 3;
		close_range(4, ~0u, 0);
		helper_main(&helper);
	}
	close(fds[0]);
	coroner->fd = fds[1];
	coroner->state = shared->state;
	if (coroner->pid < 0) {
		coroner_close(coroner);
		return -errno;
	}
	atomic_store(&shared->state->attend_on, attend_mode());
	*ret_coroner = coroner;
	return 0;
}

void coroner_hang(struct coroner *coroner, pid_t pid, const char *why)
{
	struct request request = { .pid = pid };
	struct pollfd pollfd;
	char answer;

	if (!coroner)
		return;
	snprintf(request.why, sizeof(request.why), "%s", why);
	if (send(coroner->fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return;
	wake(coroner->state);
	pollfd = (struct pollfd){ .fd = coroner->fd, .events = POLLIN };
	while (poll(&pollfd, 1, HANG_WITHIN_MS) < 0 && errno == EINTR)
		;
	if (pollfd.revents & POLLIN)
		(void)!read(coroner->fd, &answer, 1);
}

void coroner_close(struct coroner *coroner)
{
	int status;

	if (!coroner)
		return;
	close(coroner->fd); /* it reads an end, and goes */
	if (coroner->pid > 0) {
		wake(coroner->state);
		for (int i = 0; i < HANG_WITHIN_MS &&
				waitpid(coroner->pid, &status, WNOHANG) == 0;
		     i++) {
			if (i == HANG_WITHIN_MS - 100)
				kill(coroner->pid, SIGKILL);
			clock_sleep_until(clock_now_ns() + NS_PER_MS);
		}
	}
	free(coroner);
}

json_t *deaths_read(const char *run_dir)
{
	_cleanup_words_ char *path = words_say("%s/deaths.json", run_dir);
	_cleanup_words_ char *bytes = NULL;
	json_t *json, *deaths;
	size_t count;

	if (!path || words_read(path, 16u << 20, &bytes, &count) < 0)
		return NULL;
	json = json_loadb(bytes, count, 0, NULL);
	deaths = json_incref(json_object_get(json, "deaths"));
	json_decref(json);
	return json_is_array(deaths) ? deaths : NULL;
}

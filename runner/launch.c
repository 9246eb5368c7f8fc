#include "runner/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/words.h"

#define EXEC_WITHIN_NS (10 * NS_PER_S) /* a network file system, swap */

extern char **environ;

/* rt_sigaction(2) as the kernel knows it: libc hides the signals that it uses
 * itself, and pthread_create(3) takes them over. */
struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static struct {
	sigset_t mask;
	uint64_t ignored; /* bit n - 1: signal n was SIG_IGN */
	bool kept;
} found;

static long signal_action(int number, const struct kernel_action *action,
			  struct kernel_action *was)
{
	return syscall(SYS_rt_sigaction, number, action, was,
		       sizeof(action->mask));
}

void launch_signals_keep(void)
{
	if (found.kept)
		return;
	sigprocmask(SIG_SETMASK, NULL, &found.mask);
	for (int number = 1; number <= 64; number++) {
		struct kernel_action was = { 0 };

		if (signal_action(number, NULL, &was) == 0 &&
		    was.handler == SIG_IGN)
			found.ignored |= 1ull << (number - 1);
	}
	found.kept = true;
}

static const char *env_get(char *const *envp, const char *key)
{
	size_t n = strlen(key);

	for (; *envp; envp++)
		if (!strncmp(*envp, key, n) && (*envp)[n] == '=')
			return *envp + n + 1;
	return NULL;
}

/* 0 if it can be run; -EACCES keeps the search going, as in execvp(3). */
static int file_try(const char *dir, size_t n, const char *name,
		    char **ret_path)
{
	char *path;

	if (asprintf(&path, "%.*s%s%s", (int)n, dir, n ? "/" : "", name) < 0)
		return -ENOMEM;
	if (access(path, X_OK) != 0) {
		free(path);
		return -errno;
	}
	*ret_path = path;
	return 0;
}

int launch_find(const char *name, const char *cwd, char *const *envp,
		char **ret_path)
{
	const char *path = env_get(envp, "PATH"), *end;
	int error = -ENOENT, got;

	if (!*name)
		return -ENOENT;
	if (name[0] == '/')
		return file_try("", 0, name, ret_path);
	if (strchr(name, '/'))
		return file_try(cwd, strlen(cwd), name, ret_path);
	for (path = path ? path : "/usr/bin:/bin";; path = end + 1) {
		end = strchrnul(path, ':');
		got = end == path ? file_try(cwd, strlen(cwd), name, ret_path)
				  : file_try(path, (size_t)(end - path), name,
					     ret_path);
		if (!got)
			return 0;
		if (got == -EACCES || got == -ENOMEM)
			error = got;
		if (!*end)
			return error;
	}
}

static bool env_is_ours(const char *item, const struct strings *set)
{
	size_t n = strcspn(item, "=");

	if (!strncmp(item, SHARED_ENV "=", sizeof(SHARED_ENV)) ||
	    !strncmp(item, "LD_PRELOAD=", 11))
		return true;
	for (size_t i = 0; set && i < set->count; i++)
		if (!strncmp(item, set->items[i], n + 1))
			return true;
	return false;
}

/* Without the library of a run that we are the target of: two would patch the
 * same sites.  Names are parted as ld.so(8) does. */
static void preload_drop_ours(char *list)
{
	static const char ours[] = "/libmishap.so";
	char *to = list;

	for (const char *at = list + strspn(list, " :"); *at;) {
		size_t n = strcspn(at, " :"), tail = sizeof(ours) - 1;

		if (n < tail || strncmp(at + n - tail, ours, tail) != 0) {
			if (to != list)
				*to++ = ':';
			memmove(to, at, n);
			to += n;
		}
		at += n;
		at += strspn(at, " :");
	}
	*to = '\0';
}

/* The user's own preloads stay, and stay first. */
static char *preload_join(const struct strings *set, const char *library)
{
	_cleanup_words_ char *outer = NULL;
	const char *theirs = NULL;
	char *joined = NULL;
	int n;

	if (set && set->items)
		theirs = env_get(set->items, "LD_PRELOAD");
	if (!theirs)
		theirs = getenv("LD_PRELOAD");
	if (theirs && getenv(SHARED_ENV)) {
		theirs = outer = strdup(theirs);
		if (!outer)
			return NULL;
		preload_drop_ours(outer);
	}
	if (theirs && !*theirs)
		theirs = NULL;
	if (!theirs && !library)
		return strdup("");
	n = asprintf(&joined, "LD_PRELOAD=%s%s%s", theirs ? theirs : "",
		     theirs && library ? ":" : "", library ? library : "");
	return n < 0 ? NULL : joined;
}

char **launch_environment(const struct strings *set, const char *library,
			  const char *shared)
{
	size_t count = set ? set->count : 0, n = 0;
	char **envp, *preload;
	bool ok = true;

	for (char **item = environ; *item; item++)
		count++;
	envp = calloc(count + 3, sizeof(*envp));
	preload = preload_join(set, library);
	if (!envp || !preload) {
		free(envp);
		free(preload);
		return NULL;
	}
	for (char **item = environ; *item; item++)
		if (!env_is_ours(*item, set))
			ok &= (envp[n++] = strdup(*item)) != NULL;
	for (size_t i = 0; set && i < set->count; i++)
		if (strncmp(set->items[i], "LD_PRELOAD=", 11) != 0)
			ok &= (envp[n++] = strdup(set->items[i])) != NULL;
	if (*preload)
		envp[n++] = preload;
	else
		free(preload);
	if (shared && asprintf(&envp[n], SHARED_ENV "=%s", shared) < 0)
		ok = false;
	if (!ok) {
		launch_environment_free(envp);
		return NULL;
	}
	return envp;
}

void launch_environment_free(char **envp)
{
	for (char **item = envp; envp && *item; item++)
		free(*item);
	free(envp);
}

int launch_library(char **ret_path)
{
	static const char *const places[] = {
		"%s/libmishap.so",		 /* build/mishap */
		"%s/../libmishap.so",		 /* build/tests/test_x */
		"%s/../lib/mishap/libmishap.so", /* PREFIX/bin/mishap */
	};
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n < 0)
		return -errno;
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		char *real;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(path, sizeof(path), places[i], exe);
#pragma GCC diagnostic pop
		real = realpath(path, NULL);
		if (real) {
			*ret_path = real;
			return 0;
		}
	}
	return -ENOENT;
}

/* What the child does from here on is async-signal-safe: other threads of
 * ours may have held any lock when it was forked. */
struct child {
	const struct launch *launch;
	const char *path;  /* of the program */
	char **shell_argv; /* if it turns out to be a script without #! */
	int report_fd;	   /* closed by exec; else struct report is written */
	int gate[2];	   /* the program starts when [1] is closed; -1 */
	int null_fd;
};

struct report {
	int32_t error;
	int32_t pid; /* of the one that a sandbox's helper started */
};

static void report_send(int fd, int error, pid_t pid)
{
	struct report report = { .error = error, .pid = pid };

	while (write(fd, &report, sizeof(report)) < 0 && errno == EINTR)
		;
}

static int fd_place(int fd, int null_fd, int to)
{
	if (fd < 0)
		fd = null_fd;
	if (fd == to) /* dup2 wouldn't clear FD_CLOEXEC */
		return fcntl(fd, F_SETFD, 0);
	return dup2(fd, to) < 0 ? -1 : 0;
}

static int fds_place(struct child *child)
{
	const struct launch *launch = child->launch;
	int in = launch->in, out = launch->out, err = launch->err;

	/* An fd that stands where another goes would be overwritten. */
	if (in >= 0 && in <= 2)
		in = in == 0 ? 0 : fcntl(in, F_DUPFD_CLOEXEC, 10);
	if (out >= 0 && out <= 2)
		out = fcntl(out, F_DUPFD_CLOEXEC, 10);
	if (err >= 0 && err <= 2)
		err = fcntl(err, F_DUPFD_CLOEXEC, 10);
	if (fd_place(in, child->null_fd, 0) != 0 ||
	    fd_place(out, child->null_fd, 1) != 0 ||
	    fd_place(err, child->null_fd, 2) != 0)
		return -errno;
	if (launch->ledger_fd >= 0 &&
	    fd_place(launch->ledger_fd, -1, LAUNCH_LEDGER_FD) != 0)
		return -errno;
	return 0;
}

/* gate_wait - until our parent has done what it wants done before we go on. */
static void gate_wait(const struct child *child)
{
	char nothing;

	if (child->gate[0] < 0)
		return;
	close(child->gate[1]);
	while (read(child->gate[0], &nothing, 1) < 0 && errno == EINTR)
		;
}

static void gate_open(struct child *child, pid_t pid)
{
	const struct launch *launch = child->launch;

	if (child->gate[1] < 0)
		return;
	if (pid > 0)
		launch->before_exec(pid, launch->arg);
	close(child->gate[1]);
	child->gate[1] = -1;
}

static void signals_restore(void)
{
	for (int number = 1; number <= 64; number++) {
		bool was_ignored = found.ignored >> (number - 1) & 1;
		const struct kernel_action action = {
			.handler = was_ignored ? SIG_IGN : SIG_DFL,
		};

		signal_action(number, &action, NULL);
	}
	sigprocmask(SIG_SETMASK, &found.mask, NULL);
}

_Noreturn static void child_run(struct child *child)
{
	const struct launch *launch = child->launch;
	int error;

	gate_wait(child);
	setsid();
	error = fds_place(child);
	if (!error && chdir(launch->cwd) != 0)
		error = -errno;
	if (!error && launch->sandbox)
		error = sandbox_drop(launch->sandbox);
	if (!error)
		signals_restore();
	if (!error && launch->notify)
		error = notify_enter(launch->notify);
	if (!error) {
		execve(child->path, launch->argv, launch->envp);
		error = -errno;
		if (errno == ENOEXEC && child->shell_argv) {
			execve("/bin/sh", child->shell_argv, launch->envp);
			error = -errno;
		}
	}
	report_send(child->report_fd, error, 0);
	_exit(127);
}

/* Join the sandbox, and start the program as our own parent's child: only a
 * new process is really inside a pid namespace. */
_Noreturn static void helper_run(struct child *child)
{
	int error = sandbox_enter(child->launch->sandbox);
	long pid = -1;

	if (!error) {
		pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (pid < 0)
			error = -errno;
	}
	if (pid == 0)
		child_run(child);
	report_send(child->report_fd, error, (pid_t)pid);
	_exit(0);
}

/* Read what the child (and helper) report until exec closes the pipe. */
static int reports_read(struct child *child, int fd, pid_t *pid)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	uint64_t until_ns = clock_now_ns() + EXEC_WITHIN_NS;
	struct report report;
	int error = 0;

	for (;;) {
		ssize_t n;

		if (poll(&pollfd, 1, clock_left_ms(until_ns, 60000)) <= 0) {
			if (clock_now_ns() >= until_ns)
				return -ETIMEDOUT;
			continue;
		}
		n = read(fd, &report, sizeof(report));
		if (n == 0)
			return error;
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(report))
			return -EIO;
		if (report.error)
			error = report.error;
		if (report.pid > 0) {
			*pid = report.pid;
			gate_open(child, *pid);
		}
	}
}

static int start_child(struct tree *tree, struct child *child, int read_fd,
		       struct tree_process **ret_process)
{
	const struct sandbox *sandbox = child->launch->sandbox;
	int error, status;
	pid_t first, pid;

	tree_begin(tree);
	first = _Fork();
	if (first == 0) {
		if (sandbox)
			helper_run(child);
		child_run(child);
	}
	error = first < 0 ? -errno : 0;
	close(child->report_fd);
	pid = sandbox ? -1 : first;
	if (!error && pid > 0)
		gate_open(child, pid);
	if (!error)
		error = reports_read(child, read_fd, &pid);
	gate_open(child, -1);
	if (error && first > 0)
		kill(first, SIGKILL);
	if (sandbox && first > 0)
		waitpid(first, &status, 0);
	if (!error && pid < 0)
		error = -ECHILD;
	if (error && pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
	if (error) {
		tree_add(tree, 0, child->launch->role, ret_process);
		return error;
	}
	return tree_add(tree, pid, child->launch->role, ret_process);
}

static char **shell_argv_make(const char *path, char *const *argv)
{
	size_t count = 0;
	char **made;

	while (argv[count])
		count++;
	made = calloc(count + 2, sizeof(*made));
	if (!made)
		return NULL;
	made[0] = (char *)(uintptr_t) "sh";
	made[1] = (char *)(uintptr_t)path;
	for (size_t i = 1; i < count; i++)
		made[i + 1] = argv[i];
	return made;
}

/* Above every fd that is put in a place of its own. */
static int fd_raise(int fd)
{
	int raised = fcntl(fd, F_DUPFD_CLOEXEC, LAUNCH_LEDGER_FD + 1);

	close(fd);
	return raised;
}

static int gate_make(struct child *child)
{
	if (!child->launch->before_exec)
		return 0;
	if (pipe2(child->gate, O_CLOEXEC) != 0)
		return -errno;
	child->gate[0] = fd_raise(child->gate[0]);
	child->gate[1] = fd_raise(child->gate[1]);
	return 0;
}

int launch_start(struct tree *tree, const struct launch *launch,
		 struct tree_process **ret_process)
{
	struct child child = { .launch = launch, .gate = { -1, -1 } };
	int fds[2], error;
	char *path;

	launch_signals_keep();
	error = launch_find(launch->argv[0], launch->cwd, launch->envp, &path);
	if (error)
		return error;
	if (pipe2(fds, O_CLOEXEC) != 0) {
		error = -errno;
		free(path);
		return error;
	}
	child.path = path;
	child.shell_argv = shell_argv_make(path, launch->argv);
	child.report_fd = fd_raise(fds[1]);
	child.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	error = gate_make(&child);
	if (!error)
		error = start_child(tree, &child, fds[0], ret_process);
	else
		close(child.report_fd);
	close(fds[0]);
	if (child.gate[0] >= 0)
		close(child.gate[0]);
	if (child.null_fd >= 0)
		close(child.null_fd);
	free(child.shell_argv);
	free(path);
	return error;
}

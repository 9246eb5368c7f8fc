/* coverage_strace.c - the count by strace(1): start it, read what it wrote. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runner/clock.h"
#include "runner/coverage_count.h"
#include "runner/coverage_run.h"

#define ATTACH_WITHIN_NS (10 * NS_PER_S)
#define LOOK_NS		 (2 * NS_PER_MS)
#define NAME_MAX_BYTES	 32
#define TRACED_MAX	 65536 /* words of the command */

struct line {
	int pid;
	long nr;
	uint64_t ip;
	char name[NAME_MAX_BYTES];
	const char *args, *result; /* result: behind the last " = ", or NULL */
	bool resumed, unfinished;
};

/* "PID  [ NR] [IP] NAME(ARGS) = RESULT", "... <unfinished ...>",
 * "PID  [ NR] [IP] <... NAME resumed>...) = RESULT"; else false. */
static bool line_parse(char *text, struct line *ret_line)
{
	struct line line = { 0 };
	char *at, *equals;
	int n = 0;

	text[strcspn(text, "\n")] = '\0';
	if (sscanf(text, "%d [%ld] [%lx] %n", &line.pid, &line.nr, &line.ip,
		   &n) != 3 ||
	    !n)
		return false;
	at = text + n;
	line.resumed = sscanf(at, "<... %31[a-z0-9_] resumed>", line.name) == 1;
	if (!line.resumed && sscanf(at, "%31[a-z0-9_](", line.name) != 1)
		return false;
	line.args = strchr(at, line.resumed ? '>' : '(');
	line.unfinished = strstr(at, "<unfinished ...>");
	for (char *next = at; (equals = strstr(next, ") = ")) != NULL ||
			      (equals = strstr(next, ")  = ")) != NULL;
	     next = equals + 1)
		line.result = strchr(equals, '=') + 2;
	for (; line.result && *line.result == ' '; line.result++)
		;
	*ret_line = line;
	return line.args && line.nr >= 0 && line.nr < CALL_NR_MAX;
}

static bool makes_children(const struct line *line)
{
	return line->nr == SYS_fork || line->nr == SYS_vfork ||
	       line->nr == SYS_clone || line->nr == SYS_clone3;
}

static bool is_exec(const struct line *line)
{
	return line->nr == SYS_execve || line->nr == SYS_execveat;
}

/* First pass: a child's lines may stand before the end of the call that made
 * it. */
static int parents_read(struct count *count, FILE *log)
{
	char *text = NULL;
	size_t room = 0;
	int error = 0;

	while (!error && getline(&text, &room, log) > 0) {
		struct line line;

		if (line_parse(text, &line) && line.result &&
		    makes_children(&line) && atoi(line.result) > 0)
			error = count_parent(count, atoi(line.result),
					     line.pid);
	}
	free(text);
	rewind(log);
	return error;
}

/* The program that execve(2) names: its first argument, quoted. */
static char *exe_name(const char *args)
{
	const char *start = strchr(args, '"'), *end;

	end = start ? strchr(start + 1, '"') : NULL;
	return end ? words_say("%.*s", (int)(end - start - 1), start + 1)
		   : strdup("?");
}

static int line_count(struct count *count, const struct line *line)
{
	struct count_call call = { .pid = line->pid,
				   .nr = (unsigned)line->nr,
				   .ip = line->ip };
	int error = 0;

	if (line->nr == SYS_madvise &&
	    sscanf(line->args, "(%lx, %lu, %lx", &call.args[0], &call.args[1],
		   &call.args[2]) != 3)
		call.args[2] = 0;
	if (!line->resumed)
		error = count_call(count, &call);
	if (line->result && strncmp(line->result, "? ERESTART", 10) != 0 &&
	    *line->result == '?')
		count_cut(count, line->pid);
	else if (line->result)
		count_returned(count, line->pid);
	if (line->nr == SYS_rt_sigreturn && line->result)
		count_sigreturn(count, line->pid,
				strstr(line->result, "EINTR") != NULL);
	if (line->result && strncmp(line->result, "? ERESTART", 10) == 0 &&
	    !strstr(line->result, "RESTARTBLOCK"))
		count_interrupted(count, line->pid, call.nr, call.ip);
	if (error || !is_exec(line))
		return error;
	/* A failed exec says so in its second half, and we go back. */
	if (!line->resumed &&
	    (line->unfinished || (line->result && *line->result == '0')))
		return count_exec(count, line->pid, exe_name(line->args));
	if (line->resumed && line->result && *line->result == '-')
		count_exec_failed(count, line->pid);
	return 0;
}

int coverage_read(FILE *log, struct coverage_made *ret_made)
{
	struct coverage_made made = { 0 };
	struct count *count = count_open(&made);
	char *text = NULL;
	size_t room = 0;
	int closing, error = count ? parents_read(count, log) : -ENOMEM;

	while (!error && getline(&text, &room, log) > 0) {
		struct line line;

		if (line_parse(text, &line))
			error = line_count(count, &line);
	}
	free(text);
	closing = count ? count_close(count) : 0;
	error = error ? error : closing;
	if (error)
		coverage_clear(&made);
	else
		*ret_made = made;
	return error;
}

static const char *variable(char *const *envp, const char *key)
{
	size_t n = strlen(key);

	for (; *envp; envp++)
		if (strncmp(*envp, key, n) == 0 && (*envp)[n] == '=')
			return *envp;
	return NULL;
}

static int strace_spawn(const struct coverage_run *run, const char **argv,
			pid_t *ret_pid)
{
	return -posix_spawnp(ret_pid, "strace", NULL, NULL,
			     (char *const *)(uintptr_t)argv, run->outside);
}

/* strace itself stays without us: -E is for what it starts. */
static int strace_start(const struct coverage_run *run, pid_t *ret_pid)
{
	const char *head[] = { "strace", "-f", "-n", "-i",     "-qq",
			       "-s",	 "0",  "-o", run->log, "-E",
			       NULL,	 "-E", NULL, "--",     NULL };
	size_t heads = sizeof(head) / sizeof(*head) - 1, words = 0;
	const char **argv = NULL;
	int error;

	while (run->argv[words] && words < TRACED_MAX)
		words++;
	argv = calloc(heads + words + 1, sizeof(*argv));
	head[10] = variable(run->inside, "LD_PRELOAD");
	head[12] = variable(run->inside, SHARED_ENV);
	if (!argv || !head[10] || !head[12]) {
		free(argv);
		return -ENOMEM;
	}
	memcpy(argv, head, heads * sizeof(*argv));
	memcpy(argv + heads, run->argv, words * sizeof(*argv));
	error = strace_spawn(run, argv, ret_pid);
	free(argv);
	return error;
}

/* It has attached when the child's idle calls are in the log. */
static bool has_attached(const struct coverage_run *run, pid_t strace)
{
	uint64_t until_ns = clock_now_ns() + ATTACH_WITHIN_NS;
	struct stat st;

	while (clock_now_ns() < until_ns &&
	       waitpid(strace, NULL, WNOHANG) == 0) {
		if (stat(run->log, &st) == 0 && st.st_size > 0)
			return true;
		clock_sleep_until(clock_now_ns() + LOOK_NS);
	}
	return false;
}

/* Through the notify door the command is a child of ours: strace would have to
 * make its own calls through the filter as well. */
static int strace_attach(const struct coverage_run *run, pid_t *ret_strace,
			 struct coverage_child *ret_child)
{
	const char *argv[] = { "strace", "-f", "-n",	 "-i", "-qq", "-s",
			       "0",	 "-o", run->log, "-p", NULL,  NULL };
	char pid[16];
	int error = coverage_child_start(run, NULL, ret_child);

	if (error)
		return error;
	snprintf(pid, sizeof(pid), "%d", (int)ret_child->pid);
	argv[10] = pid;
	error = strace_spawn(run, argv, ret_strace);
	if (!error && !has_attached(run, *ret_strace)) {
		kill(*ret_strace, SIGKILL);
		waitpid(*ret_strace, NULL, 0);
		error = -ESRCH;
	}
	if (!error)
		error = coverage_child_go(ret_child);
	if (error)
		coverage_child_end(ret_child);
	return error;
}

int coverage_by_strace(struct coverage_run *run, struct coverage_made *ret_made,
		       struct ending *ret_ending)
{
	struct coverage_child child = { .pid = -1 };
	FILE *log;
	pid_t pid;
	int status, error = run->notify ? strace_attach(run, &pid, &child)
					: strace_start(run, &pid);

	if (error)
		return error;
	atomic_store(&run->tracer, pid);
	while (!error && waitpid(pid, &status, 0) < 0)
		error = errno == EINTR ? 0 : -errno;
	while (!error && run->notify && waitpid(child.pid, &status, 0) < 0)
		error = errno == EINTR ? 0 : -errno;
	if (error)
		return error;
	*ret_ending = coverage_ending(status);
	log = fopen(run->log, "re");
	error = log ? coverage_read(log, ret_made) : -EBADMSG;
	if (log)
		fclose(log);
	return error;
}

/* coverage_count.c - an independent count: read what strace wrote. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "runner/coverage.h"

#define PROGRAMS_MAX 1000000
#define NR_EXECVE    59
#define NR_EXECVEAT  322
#define NR_SIGRETURN 15
#define NR_MADVISE   28
#define NR_RESTART   219 /* the kernel's own: sigreturn(2) never meant it */

/* An address space, shared by threads and by the children of a vfork; those of
 * a fork are in the same state, so they share it here as well. */
struct image_made {
	bool ready;
	uint64_t own[2], around[2]; /* [start, end) of our text */
	uint64_t made[CALL_NR_MAX]; /* before we were ready */
	char *exe;
};

struct thread {
	int pid, parent;		     /* parent 0: unknown */
	struct image_made *program, *before; /* before: an exec's outcome */
	/* A call that the kernel makes again after a signal. */
	long again_nr;
	uint64_t again_ip;
};

struct count {
	struct coverage_made *to;
	struct thread *threads;
	size_t threads_count, threads_room, last;
	struct image_made **programs;
	size_t programs_count;
};

struct line {
	int pid;
	long nr;
	uint64_t ip;
	char name[COVERAGE_NAME_MAX];
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

static struct image_made *program_add(struct count *count)
{
	struct image_made **grown = NULL;
	struct image_made *program = calloc(1, sizeof(*program));

	if (program && count->programs_count < PROGRAMS_MAX)
		grown = reallocarray(count->programs, count->programs_count + 1,
				     sizeof(*grown));
	if (!grown) {
		free(program);
		return NULL;
	}
	count->programs = grown;
	return grown[count->programs_count++] = program;
}

static struct thread *thread_find(struct count *count, int pid)
{
	if (count->last < count->threads_count &&
	    count->threads[count->last].pid == pid)
		return &count->threads[count->last];
	for (size_t i = count->threads_count; i-- > 0;)
		if (count->threads[i].pid == pid) {
			count->last = i;
			return &count->threads[i];
		}
	return NULL;
}

static struct thread *thread_add(struct count *count, int pid)
{
	if (count->threads_count == count->threads_room) {
		size_t room = count->threads_room * 2 + 64;
		struct thread *grown =
			reallocarray(count->threads, room, sizeof(*grown));

		if (!grown)
			return NULL;
		count->threads = grown;
		count->threads_room = room;
	}
	count->last = count->threads_count++;
	count->threads[count->last] =
		(struct thread){ .pid = pid, .again_nr = -1 };
	return &count->threads[count->last];
}

static bool makes_children(const struct line *line)
{
	return strcmp(line->name, "fork") == 0 ||
	       strcmp(line->name, "vfork") == 0 ||
	       strcmp(line->name, "clone") == 0 ||
	       strcmp(line->name, "clone3") == 0;
}

/* First pass: a child's lines may stand before the end of the call that made
 * it. */
static int parents_read(struct count *count, FILE *log)
{
	char *text = NULL;
	size_t room = 0;
	int error = 0;

	while (!error && getline(&text, &room, log) > 0) {
		struct thread *child;
		struct line line;

		if (!line_parse(text, &line) || !line.result ||
		    !makes_children(&line) || atoi(line.result) <= 0)
			continue;
		child = thread_find(count, atoi(line.result));
		if (!child)
			child = thread_add(count, atoi(line.result));
		if (child)
			child->parent = line.pid;
		else
			error = -ENOMEM;
	}
	free(text);
	rewind(log);
	return error;
}

/* Whose address space a thread begins in. */
static struct image_made *program_of(struct count *count, struct thread *thread)
{
	struct thread *parent = NULL;

	if (thread->program)
		return thread->program;
	if (thread->parent)
		parent = thread_find(count, thread->parent);
	if (parent && parent->program)
		thread->program = parent->program;
	else
		thread->program = count->programs_count ? count->programs[0]
							: program_add(count);
	return thread->program;
}

/* The program that execve(2) names: its first argument, quoted. */
static char *exe_name(const char *args)
{
	const char *start = strchr(args, '"'), *end;

	end = start ? strchr(start + 1, '"') : NULL;
	return end ? words_say("%.*s", (int)(end - start - 1), start + 1)
		   : strdup("?");
}

/* A call of our own, or the exec that the hook makes for the target? */
static bool is_ours(const struct image_made *program, const struct line *line)
{
	return program->ready && line->ip >= program->own[0] &&
	       line->ip < program->own[1] &&
	       (line->ip < program->around[0] ||
		line->ip > program->around[1]) &&
	       line->nr != NR_EXECVE && line->nr != NR_EXECVEAT;
}

static bool mark_take(struct image_made *program, const struct line *line)
{
	unsigned long start, bytes, advice;
	bool own;

	if (line->nr != NR_MADVISE ||
	    sscanf(line->args, "(%lx, %lu, %lx", &start, &bytes, &advice) !=
		    3 ||
	    (advice != SHARED_MARK_OWN && advice != SHARED_MARK_AROUND))
		return false;
	own = advice == SHARED_MARK_OWN;
	(own ? program->own : program->around)[0] = start;
	(own ? program->own : program->around)[1] = start + bytes;
	program->ready |= own;
	return true;
}

/* A call that a signal interrupted, and that the kernel makes again where it
 * stood, is one call; the instruction before it isn't run again. */
static bool is_again(struct thread *thread, const struct line *line)
{
	bool again = thread->again_nr == line->nr &&
		     thread->again_ip == line->ip && !line->resumed;

	if (again || (line->nr == NR_SIGRETURN && line->result &&
		      strstr(line->result, "EINTR")))
		thread->again_nr = -1;
	if (line->result && strncmp(line->result, "? ERESTART", 10) == 0 &&
	    !strstr(line->result, "RESTARTBLOCK")) {
		thread->again_nr = line->nr;
		thread->again_ip = line->ip;
	}
	return again;
}

static int line_count(struct count *count, const struct line *line)
{
	struct thread *thread = thread_find(count, line->pid);
	struct image_made *program;
	bool again;

	if (!thread)
		thread = thread_add(count, line->pid);
	program = thread ? program_of(count, thread) : NULL;
	if (!program)
		return -ENOMEM;
	memcpy(count->to->names[line->nr], line->name, sizeof(line->name));
	again = is_again(thread, line);
	if (!line->resumed && !again && line->nr != NR_RESTART &&
	    !mark_take(program, line) && !is_ours(program, line))
		(program->ready ? count->to->made : program->made)[line->nr]++;
	if (!line->resumed &&
	    (line->nr == NR_EXECVE || line->nr == NR_EXECVEAT) &&
	    (line->unfinished || (line->result && *line->result == '0'))) {
		/* From here on ld.so of the new program runs; a failed exec
		 * says so in its second half, and we go back below. */
		struct image_made *next = program_add(count);

		if (!next)
			return -ENOMEM;
		next->exe = exe_name(line->args);
		thread->before = program;
		thread->program = next;
	} else if (line->resumed && thread->before && line->result &&
		   *line->result == '-' &&
		   (line->nr == NR_EXECVE || line->nr == NR_EXECVEAT)) {
		thread->program = thread->before;
	}
	return 0;
}

/* What was made in programs that we never got ready in was missed. */
static int strangers_add(struct count *count)
{
	/* The first is strace's own child, before it becomes the command. */
	for (size_t i = 1; i < count->programs_count; i++) {
		struct image_made *program = count->programs[i];
		uint64_t calls = 0;

		count->to->any |= program->ready;
		for (size_t nr = 0; nr < CALL_NR_MAX && !program->ready; nr++) {
			count->to->made[nr] += program->made[nr];
			calls += program->made[nr];
		}
		if (!calls)
			continue;
		count->to->strangers_calls += calls;
		if (words_push(&count->to->strangers,
			       strdup(program->exe ? program->exe : "?")) < 0)
			return -ENOMEM;
	}
	return 0;
}

int coverage_read(FILE *log, struct coverage_made *ret_made)
{
	struct coverage_made made = { 0 };
	struct count count = { .to = &made };
	char *text = NULL;
	size_t room = 0;
	int error = parents_read(&count, log);

	while (!error && getline(&text, &room, log) > 0) {
		struct line line;

		if (line_parse(text, &line))
			error = line_count(&count, &line);
	}
	free(text);
	if (!error)
		error = count.programs_count > 1 ? strangers_add(&count)
						 : -EBADMSG;
	for (size_t i = 0; i < count.programs_count; i++) {
		free(count.programs[i]->exe);
		free(count.programs[i]);
	}
	free(count.programs);
	free(count.threads);
	if (error)
		coverage_clear(&made);
	else
		*ret_made = made;
	return error;
}

void coverage_clear(struct coverage_made *made)
{
	words_clear(&made->strangers);
	*made = (struct coverage_made){ 0 };
}

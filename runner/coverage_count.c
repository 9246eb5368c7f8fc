#include "runner/coverage_count.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define PROGRAMS_MAX 1000000

/* An address space, shared by threads and by the children of a vfork; those of
 * a fork are in the same state, so they share it here as well. */
struct image_made {
	bool ready;
	uint64_t own[2], around[2]; /* [start, end) of our text */
	uint64_t made[CALL_NR_MAX]; /* before we were ready */
	uint64_t cut[CALL_NR_MAX];  /* of them */
	char *exe;
};

struct thread {
	int pid, parent;		     /* parent 0: unknown */
	struct image_made *program, *before; /* before: an exec's outcome */
	/* A call that the kernel makes again after a signal. */
	long again_nr;
	uint64_t again_ip;
	long in_call; /* counted, and not yet back; -1 */
};

struct count {
	struct coverage_made *to;
	struct thread *threads;
	size_t threads_count, threads_room, last;
	struct image_made **programs;
	size_t programs_count;
};

struct count *count_open(struct coverage_made *to)
{
	struct count *count = calloc(1, sizeof(*count));

	if (count)
		count->to = to;
	return count;
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
		(struct thread){ .pid = pid, .again_nr = -1, .in_call = -1 };
	return &count->threads[count->last];
}

static struct thread *thread_of(struct count *count, int pid)
{
	struct thread *thread = thread_find(count, pid);

	return thread ? thread : thread_add(count, pid);
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

bool count_knows(struct count *count, int pid)
{
	return thread_find(count, pid) != NULL;
}

int count_parent(struct count *count, int child, int parent)
{
	struct thread *thread = thread_of(count, child);

	if (!thread)
		return -ENOMEM;
	thread->parent = parent;
	return 0;
}

int count_child(struct count *count, int child, int parent)
{
	struct thread *made_by = thread_of(count, parent), *thread;
	struct image_made *program =
		made_by ? program_of(count, made_by) : NULL;

	if (!program)
		return -ENOMEM;
	thread = thread_of(count, child);
	if (!thread)
		return -ENOMEM;
	*thread = (struct thread){ .pid = child,
				   .parent = parent,
				   .program = program,
				   .again_nr = -1,
				   .in_call = -1 };
	return 0;
}

/* A call of our own, or the exec that the hook makes for the target? */
static bool is_ours(const struct image_made *program,
		    const struct count_call *call)
{
	return program->ready && call->ip >= program->own[0] &&
	       call->ip < program->own[1] &&
	       (call->ip < program->around[0] ||
		call->ip > program->around[1]) &&
	       call->nr != SYS_execve && call->nr != SYS_execveat;
}

static bool mark_take(struct image_made *program, const struct count_call *call)
{
	uint64_t start = call->args[0], bytes = call->args[1];
	bool own = call->args[2] == SHARED_MARK_OWN;

	if (call->nr != SYS_madvise)
		return false;
	if (call->args[2] == SHARED_MARK_MODULE)
		return true;
	if (!own && call->args[2] != SHARED_MARK_AROUND)
		return false;
	(own ? program->own : program->around)[0] = start;
	(own ? program->own : program->around)[1] = start + bytes;
	program->ready |= own;
	return true;
}

/* A call that a signal interrupted, and that the kernel makes again where it
 * stood, is one call; the instruction before it isn't run again. */
static bool is_again(struct thread *thread, const struct count_call *call)
{
	bool again = thread->again_nr == (long)call->nr &&
		     thread->again_ip == call->ip;

	if (again)
		thread->again_nr = -1;
	return again;
}

int count_call(struct count *count, const struct count_call *call)
{
	struct thread *thread = thread_of(count, call->pid);
	struct image_made *program = thread ? program_of(count, thread) : NULL;

	if (!program)
		return -ENOMEM;
	/* restart_syscall(2) is the kernel's own: nobody calls it. */
	if (is_again(thread, call) || call->nr == SYS_restart_syscall ||
	    mark_take(program, call) || is_ours(program, call))
		return 0;
	(program->ready ? count->to->made : program->made)[call->nr]++;
	thread->in_call = call->nr;
	return 0;
}

void count_returned(struct count *count, int pid)
{
	struct thread *thread = thread_find(count, pid);

	if (thread)
		thread->in_call = -1;
}

void count_cut(struct count *count, int pid)
{
	struct thread *thread = thread_find(count, pid);

	if (thread && thread->program && thread->in_call >= 0)
		thread->program->cut[thread->in_call]++;
	if (thread)
		thread->in_call = -1;
}

int count_exec(struct count *count, int pid, char *exe)
{
	struct thread *thread = thread_of(count, pid);
	struct image_made *next = thread ? program_add(count) : NULL;

	if (!next || !exe) {
		free(exe);
		return -ENOMEM;
	}
	next->exe = exe;
	thread->before = thread->program;
	thread->program = next;
	thread->again_nr = thread->in_call = -1;
	return 0;
}

void count_exec_failed(struct count *count, int pid)
{
	struct thread *thread = thread_find(count, pid);

	if (thread && thread->before)
		thread->program = thread->before;
}

void count_interrupted(struct count *count, int pid, unsigned nr, uint64_t ip)
{
	struct thread *thread = thread_find(count, pid);

	if (!thread)
		return;
	thread->again_nr = nr;
	thread->again_ip = ip;
}

void count_sigreturn(struct count *count, int pid, bool says_eintr)
{
	struct thread *thread = thread_find(count, pid);

	if (thread && says_eintr)
		thread->again_nr = -1;
}

void count_ended(struct count *count, int pid)
{
	struct thread *thread = thread_find(count, pid);

	count_cut(count, pid);
	if (thread)
		*thread = count->threads[--count->threads_count];
}

static int strangers_add(struct count *count)
{
	for (size_t i = 1; i < count->programs_count; i++) {
		struct image_made *program = count->programs[i];
		uint64_t calls = 0;

		count->to->any |= program->ready;
		for (size_t nr = 0; nr < CALL_NR_MAX && !program->ready; nr++) {
			count->to->outside[nr] += program->made[nr];
			count->to->cut[nr] += program->cut[nr];
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

int count_close(struct count *count)
{
	int error = count->programs_count > 1 ? strangers_add(count) : -EBADMSG;

	for (size_t i = 0; i < count->programs_count; i++) {
		free(count->programs[i]->exe);
		free(count->programs[i]);
	}
	free(count->programs);
	free(count->threads);
	free(count);
	return error;
}

/* exec.c - bring the library along into the next image.
 *
 * If LD_PRELOAD doesn't name us, or $MISHAP_SHARED is missing or changed, the
 * exec is made with a copy of the environment in which both are as they were
 * when this process began; the target's own LD_PRELOAD stays, before ours.
 * Where the library can't be found any more (after a chroot) it is left out,
 * because ld.so would complain on the target's stderr.
 *
 * This runs in vfork children as well, which share their parent's memory and
 * are its only running thread: the copy is built in a mapping that belongs to
 * the parent's thread and is used again by its next exec.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/around.h"
#include "preload/guest.h"

#define PRELOAD	    "LD_PRELOAD="
#define PRELOAD_N   (sizeof(PRELOAD) - 1)
#define SHARED	    SHARED_ENV "="
#define SHARED_N    (sizeof(SHARED) - 1)
#define ENVIRON_MAX (1u << 20) /* entries; more is E2BIG to the kernel too */

/* What an environment says about us. */
struct look {
	size_t count;
	const char *preload, *shared; /* values, or NULL */
};

static bool starts_with(const char *text, const char *start, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] != start[i])
			return false;
	}
	return true;
}

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

static void environ_look(char *const *env, struct look *ret_look)
{
	struct look look = { .count = 0 };

	for (; env && env[look.count] && look.count < ENVIRON_MAX;
	     look.count++) {
		const char *one = env[look.count];

		if (!look.preload && starts_with(one, PRELOAD, PRELOAD_N))
			look.preload = one + PRELOAD_N;
		else if (!look.shared && starts_with(one, SHARED, SHARED_N))
			look.shared = one + SHARED_N;
	}
	*ret_look = look;
}

/* One name of an LD_PRELOAD list, ld.so(8). */
struct name {
	const char *text;
	size_t n;
};

/* The next name, or false at the end of the list. */
static bool name_next(const char **list, struct name *ret_name)
{
	const char *p = *list, *text;

	while (p && (*p == ' ' || *p == ':'))
		p++;
	if (!p || !*p)
		return false;
	text = p;
	while (*p && *p != ' ' && *p != ':')
		p++;
	*ret_name = (struct name){ .text = text, .n = (size_t)(p - text) };
	*list = p;
	return true;
}

static bool name_is(const struct name *name, const char *library)
{
	return name->n == strlen(library) &&
	       starts_with(library, name->text, name->n);
}

static bool preload_has(const char *list, const char *library)
{
	struct name name;

	while (name_next(&list, &name)) {
		if (name_is(&name, library))
			return true;
	}
	return false;
}

/* preload_copy - the list as it is, but with our library, behind the others
 * if it was missing, or without it if it can't be loaded; returns its end. */
static char *preload_copy(char *to, const char *list, const char *library,
			  bool is_there)
{
	bool adds = is_there && !preload_has(list, library);
	const char *start = to;
	struct name name;

	while (name_next(&list, &name)) {
		if (!is_there && name_is(&name, library))
			continue;
		if (to != start)
			*to++ = ':';
		memcpy(to, name.text, name.n);
		to += name.n;
	}
	if (adds) {
		if (to != start)
			*to++ = ':';
		memcpy(to, library, strlen(library));
		to += strlen(library);
	}
	*to = '\0';
	return to;
}

static char *exec_map(size_t bytes)
{
	struct thread *thread = &guest_thread;
	long map;

	if (thread->exec_bytes >= bytes)
		return thread->exec_map;
	if (bytes > UINT32_MAX)
		return NULL;
	if (thread->exec_map)
		sys3(SYS_munmap, (long)thread->exec_map, thread->exec_bytes, 0);
	thread->exec_map = NULL;
	thread->exec_bytes = 0;
	bytes = (bytes + SHARED_PAGE - 1) & ~(size_t)(SHARED_PAGE - 1);
	map = sys6(SYS_mmap, 0, (long)bytes, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return NULL;
	thread->exec_map = (char *)map;
	thread->exec_bytes = (uint32_t)bytes;
	return thread->exec_map;
}

/* The environment to use: env itself if it brings us along. */
char *const *exec_environ(char *const *env)
{
	const char *library = guest_shared->library;
	bool is_there = sys_access(library, R_OK) == 0;
	struct look look;
	size_t bytes, to = 0;
	char **copy, *text;

	environ_look(env, &look);
	/* A run inside of ours starts its target: that belongs to it alone. */
	if (look.shared && !same(look.shared, guest_shared_path) &&
	    sys_access(look.shared, R_OK) == 0)
		return env;
	if (preload_has(look.preload, library) == is_there &&
	    (!is_there ||
	     (look.shared && same(look.shared, guest_shared_path))))
		return env;
	bytes = (look.count + 3) * sizeof(char *) + PRELOAD_N +
		(look.preload ? strlen(look.preload) : 0) + strlen(library) +
		2 + SHARED_N + strlen(guest_shared_path) + 1;
	copy = (char **)exec_map(bytes);
	if (!copy)
		return env;
	text = (char *)(copy + look.count + 3);
	for (size_t i = 0; i < look.count; i++) {
		if (!starts_with(env[i], PRELOAD, PRELOAD_N) &&
		    !starts_with(env[i], SHARED, SHARED_N))
			copy[to++] = env[i];
	}
	copy[to++] = text;
	memcpy(text, PRELOAD, PRELOAD_N);
	text = preload_copy(text + PRELOAD_N, look.preload, library, is_there);
	copy[to++] = ++text;
	memcpy(text, SHARED, SHARED_N);
	memcpy(text + SHARED_N, guest_shared_path,
	       strlen(guest_shared_path) + 1);
	copy[to] = NULL;
	return copy;
}

static long exec_make(const struct site_regs *regs)
{
	if (regs->stub->by_symbol) /* execvpe() searches for the file */
		return around_call(regs);
	return sys6((long)site_nr(regs), (long)*site_arg(regs, 1),
		    (long)*site_arg(regs, 2), (long)*site_arg(regs, 3),
		    (long)*site_arg(regs, 4), (long)*site_arg(regs, 5),
		    (long)*site_arg(regs, 6));
}

long exec_call(struct site_regs *regs)
{
	bool is_at = site_nr(regs) == SYS_execveat;
	uint64_t *env = site_arg(regs, is_at ? 4 : 3);
	uint64_t was = *env;
	struct process *process = NULL;
	long ret;

	if (guest_shared) {
		process = process_exec_begins();
		*env = (uint64_t)exec_environ((char *const *)was);
	}
	ret = exec_make(regs);
	if (ret == -E2BIG && *env != was) { /* better without us than not */
		*env = was;
		ret = exec_make(regs);
	}
	*env = was;
	process_exec_failed(process);
	return ret;
}

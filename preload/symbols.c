/* symbols.c - the symbol door: calls that make no system call, or must not be
 * touched there.
 *
 * Every wrapper comes from its SYMBOL row in calls.def.  Disarmed it is one
 * load, one compare and a jump through go.SYMBOL.  That pointer leads first to
 * early_SYMBOL, which finds the real function, then to the function itself, or
 * to a body of ours where something must be done even when disarmed.
 */
#include <dlfcn.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "preload/heap.h"
#include "preload/model.h"
#include "preload/sweep.h"
#include "preload/twin.h"

#define OPEN(...) __VA_ARGS__

/* The real functions, and what the wrappers jump to. */
struct functions {
#define CALL(...)
#define KERNEL(...)
#define KERNEL_IF(...)
#define ALIAS(...)
#define SYMBOL(name, ret, symbol, params, args, view) ret(*symbol) params;
#include "core/calls.def"
#undef SYMBOL
	void (*free)(void *);
	size_t (*malloc_usable_size)(void *);
};

static struct functions real;

#define SYMBOL(name, ret, symbol, params, args, view)                          \
	static ret early_##symbol params;
#include "core/calls.def"
#undef SYMBOL
static void early_free(void *p);
static size_t early_malloc_usable_size(void *p);

static struct functions go = {
#define SYMBOL(name, ret, symbol, params, args, view) .symbol = early_##symbol,
#include "core/calls.def"
#undef SYMBOL
	.free = early_free,
	.malloc_usable_size = early_malloc_usable_size,
};

/* ---- bodies that run whether armed or not ----------------------------- */

static int getaddrinfo_noted(const char *node, const char *service,
			     const struct addrinfo *hints,
			     struct addrinfo **out)
{
	int ret = real.getaddrinfo(node, service, hints, out);

	if (ret == 0 && node && guest_process)
		host_note(node, *out);
	return ret;
}

/* What an arena block becomes when it is resized. */
static void *arena_move(void *old, size_t size)
{
	size_t n = arena_size(old);
	void *p = malloc(size);

	if (p)
		memcpy(p, old, n < size ? n : size);
	return p;
}

static void *realloc_moving(void *old, size_t size)
{
	return arena_has(old) ? arena_move(old, size) : real.realloc(old, size);
}

static void *reallocarray_moving(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (!arena_has(old))
		return real.reallocarray(old, n, size);
	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return arena_move(old, bytes);
}

/* In the child nobody is there to repair what it is given; at patched sites
 * its execve() comes by. */
static int posix_spawn_bringing(pid_t *ret_pid, const char *path,
				const posix_spawn_file_actions_t *actions,
				const posix_spawnattr_t *attr,
				char *const *argv, char *const *env)
{
	if (guest_by_symbols)
		env = exec_environ(env);
	return real.posix_spawn(ret_pid, path, actions, attr, argv, env);
}

static int posix_spawnp_bringing(pid_t *ret_pid, const char *path,
				 const posix_spawn_file_actions_t *actions,
				 const posix_spawnattr_t *attr,
				 char *const *argv, char *const *env)
{
	if (guest_by_symbols)
		env = exec_environ(env);
	return real.posix_spawnp(ret_pid, path, actions, attr, argv, env);
}

/* ---- bodies that count the heap, for alloc.limit ---------------------- */

static size_t heap_usable(void *p)
{
	if (!p)
		return 0;
	return arena_has(p) ? arena_size(p) : real.malloc_usable_size(p);
}

static void *heap_add(void *p)
{
	RAISE(guest_heap_bytes, (int64_t)heap_usable(p));
	return p;
}

static void *malloc_counted(size_t size)
{
	return heap_add(real.malloc(size));
}

static void *calloc_counted(size_t n, size_t size)
{
	return heap_add(real.calloc(n, size));
}

/* 0 bytes free it, realloc(3); a failure leaves it alone. */
static void *realloc_counted(void *old, size_t size)
{
	size_t was = arena_has(old) ? 0 : heap_usable(old);
	void *p = realloc_moving(old, size);

	if (arena_has(old))
		return p; /* that was a malloc of ours, counted */
	if (p || !size)
		RAISE(guest_heap_bytes, (int64_t)(heap_usable(p) - was));
	return p;
}

static void *reallocarray_counted(void *old, size_t n, size_t size)
{
	size_t was = arena_has(old) ? 0 : heap_usable(old);
	void *p = reallocarray_moving(old, n, size);

	if (arena_has(old))
		return p;
	if (p || !n || !size)
		RAISE(guest_heap_bytes, (int64_t)(heap_usable(p) - was));
	return p;
}

static void *memalign_counted(size_t align, size_t size)
{
	return heap_add(real.memalign(align, size));
}

static void *aligned_alloc_counted(size_t align, size_t size)
{
	return heap_add(real.aligned_alloc(align, size));
}

static int posix_memalign_counted(void **out, size_t align, size_t size)
{
	int error = real.posix_memalign(out, align, size);

	if (!error)
		heap_add(*out);
	return error;
}

static void free_counted(void *p)
{
	RAISE(guest_heap_bytes, -(int64_t)heap_usable(p));
	real.free(p);
}

/* What was given out before is the loader's, and little. */
static void heap_count(void)
{
	guest_heap_usable = heap_usable;
	go.malloc = malloc_counted;
	go.calloc = calloc_counted;
	go.realloc = realloc_counted;
	go.reallocarray = reallocarray_counted;
	go.memalign = memalign_counted;
	go.aligned_alloc = aligned_alloc_counted;
	go.posix_memalign = posix_memalign_counted;
	go.free = free_counted;
}

/* ---- finding them ----------------------------------------------------- */

static enum { UNRESOLVED, RESOLVING, RESOLVED } resolved;

/* A dlsym() that fails allocates, and an allocator that is just starting
 * would be entered twice: so these are names that every libc has, and while
 * they are looked up the arena serves. */
void symbols_resolve(void)
{
	if (resolved != UNRESOLVED)
		return;
	resolved = RESOLVING;
#define SYMBOL(name, ret, symbol, params, args, view)                          \
	real.symbol = (ret(*) params)dlsym(RTLD_NEXT, #symbol);
#include "core/calls.def"
#undef SYMBOL
	real.free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	real.malloc_usable_size =
		(size_t(*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
	symbols_children_find();
	twins_find();
	thread_create_real = real.pthread_create;
	resolved = RESOLVED;
	go = real;
	go.realloc = realloc_moving;
	go.reallocarray = reallocarray_moving;
	go.getaddrinfo = getaddrinfo_noted;
	go.pthread_create = thread_create;
	go.posix_spawn = posix_spawn_bringing;
	go.posix_spawnp = posix_spawnp_bringing;
	if (guest_heap_counts)
		heap_count();
	if (guest_sweep) {
		go.clock_gettime = sweep_clock_gettime;
		go.gettimeofday = sweep_gettimeofday;
		go.time = sweep_time;
	}
}

bool symbols_ready(void)
{
	guest_boot();
	symbols_resolve();
	return resolved == RESOLVED;
}

static void *early_block(size_t align, size_t size)
{
	void *p = arena_alloc(align, size);

	if (!p)
		errno = ENOMEM;
	return p;
}

static void *early_malloc(size_t size)
{
	return symbols_ready() ? malloc(size) : early_block(0, size);
}

static void *early_calloc(size_t n, size_t size)
{
	size_t bytes;

	if (symbols_ready())
		return calloc(n, size);
	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return early_block(0, bytes); /* given out once, so still zero */
}

static void *early_realloc(void *old, size_t size)
{
	void *p;

	if (symbols_ready())
		return realloc(old, size);
	p = early_block(0, size);
	if (p && old)
		memcpy(p, old, arena_size(old) < size ? arena_size(old) : size);
	return p;
}

static void *early_reallocarray(void *old, size_t n, size_t size)
{
	size_t bytes;

	if (symbols_ready())
		return reallocarray(old, n, size);
	if (__builtin_mul_overflow(n, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return early_realloc(old, bytes);
}

static void *early_memalign(size_t align, size_t size)
{
	return symbols_ready() ? memalign(align, size)
			       : early_block(align, size);
}

static void *early_aligned_alloc(size_t align, size_t size)
{
	return symbols_ready() ? aligned_alloc(align, size)
			       : early_block(align, size);
}

static int early_posix_memalign(void **out, size_t align, size_t size)
{
	void *p;

	if (symbols_ready())
		return posix_memalign(out, align, size);
	p = arena_alloc(align, size);
	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

static void early_free(void *p)
{
	if (p && symbols_ready())
		real.free(p);
}

static size_t early_malloc_usable_size(void *p)
{
	return symbols_ready() ? real.malloc_usable_size(p) : 0;
}

/* The others aren't called by dlsym(), so they find what they want. */
#define EARLY(ret, symbol, params, args)                                       \
	static ret early_##symbol params                                       \
	{                                                                      \
		symbols_ready();                                               \
		return symbol args;                                            \
	}

EARLY(int, getaddrinfo,
      (const char *node, const char *service, const struct addrinfo *hints,
       struct addrinfo **out),
      (node, service, hints, out))
EARLY(pid_t, fork, (void), ())
EARLY(int, posix_spawn,
      (pid_t * ret_pid, const char *path,
       const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
       char *const *argv, char *const *env),
      (ret_pid, path, actions, attr, argv, env))
EARLY(int, posix_spawnp,
      (pid_t * ret_pid, const char *path,
       const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
       char *const *argv, char *const *env),
      (ret_pid, path, actions, attr, argv, env))
EARLY(int, pthread_create,
      (pthread_t * thread, const pthread_attr_t *attr, void *(*start)(void *),
       void *arg),
      (thread, attr, start, arg))
EARLY(int, clock_gettime, (clockid_t clock, struct timespec *ts), (clock, ts))
EARLY(int, gettimeofday, (struct timeval * tv, void *tz), (tv, tz))
EARLY(time_t, time, (time_t * out), (out))

/* ---- the door --------------------------------------------------------- */

#define SYMBOL(name, type, symbol, params, args, view)                         \
	static NOINLINE type armed_##symbol params                             \
	{                                                                      \
		struct flight flight = { .call = { OPEN view } };              \
		type ret = (type)0;                                            \
                                                                               \
		flight.call.id = CALL_##name;                                  \
		if (hook_before(&flight))                                      \
			ret = go.symbol args;                                  \
		return (type)hook_after(&flight, (intptr_t)ret);               \
	}                                                                      \
                                                                               \
	EXPORT type symbol params                                              \
	{                                                                      \
		if (UNLIKELY(guest_state->armed_call[CALL_##name]) &&          \
		    !quick_passes_size(                                        \
			    CALL_##name,                                       \
			    ((const struct call){ OPEN view }).size))          \
			return armed_##symbol args;                            \
		return go.symbol args;                                         \
	}
#include "core/calls.def"
#undef SYMBOL

EXPORT void free(void *p)
{
	if (UNLIKELY(arena_has(p)))
		return;
	go.free(p);
}

EXPORT size_t malloc_usable_size(void *p)
{
	if (UNLIKELY(arena_has(p)))
		return arena_size(p);
	return go.malloc_usable_size(p);
}

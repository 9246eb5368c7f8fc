/* twin_bodies.c - the symbols of twins.def that a map can't say: a seventh
 * argument, a number that is an argument, exec in all its shapes.
 *
 * Where the door is closed each does what libc's own does; its execl() makes
 * an array of its arguments, too.
 */
#include "preload/twin.h"

#include <fcntl.h>
#include <stdarg.h>
#include <unistd.h>

/* Until libc's own is known, or where it has none. */
#define TWIN(...)
#define TWIN_CHK(...)
#define TWIN_OLD(...)
#define TWIN_BODY(call, nr, fails, point, map, type, symbol, ...)              \
	HIDDEN twin_function7 ask_##symbol;                                    \
	HIDDEN long ask_##symbol(long a, long b, long c, long d, long e,       \
				 long f, long g)                               \
	{                                                                      \
		const long args[TWIN_ARGS_MAX] = { a, b, c, d, e, f, g };      \
                                                                               \
		return twin_ask(TWIN_##symbol, args);                          \
	}
#include "core/twins.def"

#define NAMED(symbol) __asm__(#symbol)

/* ---- seven arguments ---------------------------------------------------- */

EXPORT long twin_syscall(long, long, long, long, long, long, long)
	NAMED(syscall);
EXPORT long twin_syscall(long nr, long a, long b, long c, long d, long e,
			 long f)
{
	if ((unsigned long)nr < CALL_NR_MAX &&
	    UNLIKELY(guest_symbol_door[nr] && !site_is_skipped(nr)))
		return ask_syscall(nr, a, b, c, d, e, f);
	return twin_go7(TWIN_syscall)(nr, a, b, c, d, e, f);
}

EXPORT long twin_recvfrom_chk(long, long, long, long, long, long, long)
	NAMED(__recvfrom_chk);
EXPORT long twin_recvfrom_chk(long fd, long buf, long n, long room, long flags,
			      long addr, long addrlen)
{
	if (UNLIKELY(guest_symbol_door[SYS_recvfrom]))
		return ask___recvfrom_chk(fd, buf, n, room, flags, addr,
					  addrlen);
	return twin_go7(TWIN___recvfrom_chk)(fd, buf, n, room, flags, addr,
					     addrlen);
}

/* ---- exec: what leads to execve() inside libc -------------------------- */

static bool exec_is_asked(void)
{
	return UNLIKELY(guest_symbol_door[SYS_execve]);
}

static int exec_ask(enum twin_id id, const char *path, char *const *argv,
		    char *const *env)
{
	const long args[TWIN_ARGS_MAX] = { (long)path, (long)argv, (long)env };

	return (int)twin_ask(id, args);
}

static int exec_go(enum twin_id id, const char *path, char *const *argv,
		   char *const *env)
{
	return (int)twin_go[id]((long)path, (long)argv, (long)env, 0, 0, 0);
}

EXPORT int twin_execv(const char *, char *const *) NAMED(execv);
EXPORT int twin_execv(const char *path, char *const *argv)
{
	if (exec_is_asked())
		return exec_ask(TWIN_execve, path, argv, environ);
	return exec_go(TWIN_execv, path, argv, NULL);
}

EXPORT int twin_execvp(const char *, char *const *) NAMED(execvp);
EXPORT int twin_execvp(const char *file, char *const *argv)
{
	if (exec_is_asked())
		return exec_ask(TWIN_execvpe, file, argv, environ);
	return exec_go(TWIN_execvp, file, argv, NULL);
}

EXPORT int twin_fexecve(int, char *const *, char *const *) NAMED(fexecve);
EXPORT int twin_fexecve(int fd, char *const *argv, char *const *env)
{
	const long args[TWIN_ARGS_MAX] = { fd, (long)"", (long)argv, (long)env,
					   AT_EMPTY_PATH };

	if (exec_is_asked())
		return (int)twin_ask(TWIN_execveat, args);
	return (int)twin_go[TWIN_fexecve](fd, (long)argv, (long)env, 0, 0, 0);
}

/* execl(3): how many arguments there are, and their copy in an array, which
 * leads to the environment for execle(). */
static size_t list_count(va_list list)
{
	size_t n = 1;

	while (va_arg(list, char *))
		n++;
	return n;
}

static void list_copy(va_list list, const char *first, char **argv)
{
	*argv++ = (char *)first;
	do
		*argv = va_arg(list, char *);
	while (*argv++);
}

/* The array lives in the frame of the function that this stands in. */
#define LIST(first, argv, ret_env)                                             \
	do {                                                                   \
		va_list list_;                                                 \
                                                                               \
		va_start(list_, first);                                        \
		argv = __builtin_alloca((list_count(list_) + 1) *              \
					sizeof(*argv));                        \
		va_end(list_);                                                 \
		va_start(list_, first);                                        \
		list_copy(list_, first, argv);                                 \
		ret_env = va_arg(list_, char *const *);                        \
		va_end(list_);                                                 \
	} while (0)

EXPORT int twin_execl(const char *, const char *, ...) NAMED(execl);
EXPORT int twin_execl(const char *path, const char *first, ...)
{
	char *const *none;
	char **argv;

	LIST(first, argv, none);
	(void)none;
	return twin_execv(path, argv);
}

EXPORT int twin_execlp(const char *, const char *, ...) NAMED(execlp);
EXPORT int twin_execlp(const char *file, const char *first, ...)
{
	char *const *none;
	char **argv;

	LIST(first, argv, none);
	(void)none;
	return twin_execvp(file, argv);
}

EXPORT int twin_execle(const char *, const char *, ...) NAMED(execle);
EXPORT int twin_execle(const char *path, const char *first, ...)
{
	char *const *env;
	char **argv;

	LIST(first, argv, env);
	if (exec_is_asked())
		return exec_ask(TWIN_execve, path, argv, env);
	return exec_go(TWIN_execve, path, argv, env);
}

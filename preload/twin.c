/* twin.c - the symbol door for system calls: wrappers that are rows of
 * core/twins.def.
 *
 * A wrapper is one load, one compare and a jump: no frame, and no register but
 * one that every function may spend, so optional arguments pass as they came.
 */
#include "preload/twin.h"

#include <fcntl.h>
#include <time.h>

#include "kernel.h" /* made from calls.def: NR_name */
#include "preload/around.h"

static const uint8_t closed[CALL_NR_MAX + 1]; /* a number that is void */
const uint8_t *guest_symbol_door = closed;

/* ---- the table ---------------------------------------------------------- */

enum { CANCELS = true, STAYS = false };
enum { returns_minus1 = false, returns_error = true };
#define NR_syscall (-1) /* its first argument says */

const struct twin twin_table[TWIN_COUNT] = {
#define TWIN(call, number, fails, point, digits, type, name, ...)              \
	[TWIN_##name] = { .symbol = #name,                                     \
			  .nr = NR_##number,                                   \
			  .returns_error = returns_##fails,                    \
			  .is_point = (point),                                 \
			  .result_bytes = sizeof(type),                        \
			  .map = #digits },
#define TWIN_CHK  TWIN
#define TWIN_OLD  TWIN
#define TWIN_BODY TWIN
#include "core/twins.def"
#undef TWIN
#undef TWIN_BODY
};

/* ---- a call by a symbol ------------------------------------------------- */

/* What twin_ask keeps of one; the hook knows the registers alone. */
struct twinned {
	struct site_regs regs; /* first: make() has nothing else */
	struct site_stub stub;
	enum twin_id id;
	long args[TWIN_ARGS_MAX];
};

static bool is_missing(enum twin_id id)
{
	return twin_go[id] == twin_asks[id];
}

/* The system call's n-th argument, as the row's map has it. */
static uint64_t kernel_arg(const struct twin *twin, const long *args,
			   unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (!twin->map[i])
			return 0; /* the map ends before */
	}
	switch (twin->map[n]) {
	case '\0':
	case '0':
		return 0;
	case 'w':
		return (uint64_t)AT_FDCWD;
	}
	return (uint64_t)args[twin->map[n] - '1'];
}

static void regs_fill(struct twinned *call)
{
	const struct twin *twin = &twin_table[call->id];
	uint64_t args[6];

	for (unsigned n = 0; n < 6; n++)
		args[n] = kernel_arg(twin, call->args, n);
	site_regs_set(&call->regs,
		      (uint64_t)(twin->nr < 0 ? call->args[0] : twin->nr),
		      args);
	call->regs.stub = &call->stub;
}

/* What the hook has bent, back to where the symbol wants it. */
static void args_take(const struct site_regs *regs, const struct twin *twin,
		      long args[TWIN_ARGS_MAX])
{
	for (unsigned n = 0; n < 6 && twin->map[n]; n++) {
		if (twin->map[n] >= '1' && twin->map[n] <= '9')
			args[twin->map[n] - '1'] = (long)*site_arg(regs, n + 1);
	}
}

/* A system call's result, from what the symbol returned. */
static long result_of(const struct twin *twin, long ret)
{
	if (twin->result_bytes < sizeof(long))
		ret = (int)ret;
	if (twin->returns_error)
		return -ret;
	return ret == -1 ? -errno : ret;
}

/* Make the call by libc's own function: that knows of cancellation.  Old
 * libcs, and others, don't have all of them. */
static long make(const struct site_regs *regs)
{
	const struct twinned *call = (const struct twinned *)regs;
	const struct twin *twin = &twin_table[call->id];
	long a[TWIN_ARGS_MAX], ret;
	int error = errno;

	if (is_missing(call->id))
		return sys6((long)site_nr(regs), (long)*site_arg(regs, 1),
			    (long)*site_arg(regs, 2), (long)*site_arg(regs, 3),
			    (long)*site_arg(regs, 4), (long)*site_arg(regs, 5),
			    (long)*site_arg(regs, 6));
	memcpy(a, call->args, sizeof(a));
	args_take(regs, twin, a);
	ret = twin_go7(call->id)(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
	ret = result_of(twin, ret);
	errno = error;
	return ret;
}

/* Sleep until a time of CLOCK_MONOTONIC as a cancellation point does. */
static long sleep_cancellably(const struct timespec *at)
{
	return -twin_go[TWIN_clock_nanosleep](CLOCK_MONOTONIC, TIMER_ABSTIME,
					      (long)at, 0, 0, 0);
}

static long answer(const struct twin *twin, long ret)
{
	if ((unsigned long)ret <= -4096ul)
		return ret;
	if (twin->returns_error)
		return -ret;
	errno = (int)-ret;
	return -1;
}

static bool is_asked(uint64_t nr)
{
	return nr < CALL_NR_MAX && guest_symbol_door[nr] &&
	       !site_is_skipped((long)nr);
}

long twin_ask(enum twin_id id, const long args[TWIN_ARGS_MAX])
{
	const struct twin *twin = &twin_table[id];
	struct twinned call = {
		.id = id,
		.stub = { .by_symbol = true, .proceed = (uint64_t)make },
	};

	if (is_missing(id)) {
		guest_boot();
		symbols_resolve();
	}
	if (twin->is_point && !is_missing(TWIN_clock_nanosleep))
		call.stub.result = (uint64_t)sleep_cancellably;
	memcpy(call.args, args, sizeof(call.args));
	regs_fill(&call);
	if (!is_asked(site_nr(&call.regs)) ||
	    site_hook(&call.regs) == SITE_PROCEED)
		return answer(twin, make(&call.regs));
	return answer(twin, site_returned(&call.regs));
}

void twins_open(void)
{
	guest_by_symbols = true;
	guest_symbol_door = guest_state->armed_nr;
}

/* ---- the wrappers ------------------------------------------------------- */

/* Named in assembly only: libc's headers say the same names otherwise. */
#define TWIN(call, number, fails, point, map, type, symbol, ...)               \
	static NOINLINE long ask_##symbol(long a, long b, long c, long d,      \
					  long e, long f)                      \
	{                                                                      \
		const long args[TWIN_ARGS_MAX] = { a, b, c, d, e, f };         \
                                                                               \
		return twin_ask(TWIN_##symbol, args);                          \
	}                                                                      \
                                                                               \
	EXPORT long twin_##symbol(long a, long b, long c, long d, long e,      \
				  long f) __asm__(#symbol);                    \
	EXPORT long twin_##symbol(long a, long b, long c, long d, long e,      \
				  long f)                                      \
	{                                                                      \
		if (UNLIKELY(guest_symbol_door[NR_##number]))                  \
			return ask_##symbol(a, b, c, d, e, f);                 \
		return twin_go[TWIN_##symbol](a, b, c, d, e, f);               \
	}
#define TWIN_BODY(call, number, fails, point, map, type, symbol, ...)          \
	HIDDEN twin_function7 ask_##symbol; /* twin_bodies.c */
#include "core/twins.def"
#undef TWIN
#undef TWIN_BODY

#define TWIN(call, number, fails, point, map, type, symbol, ...)               \
	[TWIN_##symbol] = (void *)ask_##symbol,
#define TWIN_BODY TWIN

twin_function *const twin_asks[TWIN_COUNT] = {
#include "core/twins.def"
};
twin_function *twin_go[TWIN_COUNT] = {
#include "core/twins.def"
};

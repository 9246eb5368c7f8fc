/* twin.h - the symbols of core/twins.def, and how a call by one is asked.
 *
 * Every process has these wrappers, but where its sites are patched they only
 * pass on: guest_symbol_door leads to zeroes then, and a call is seen once.
 * Else it is the armed_nr of struct state, and what is armed goes to the hook
 * as a call at a site does: with registers as the kernel would get them, so
 * that the hook needn't know by which door a call came.
 */
#ifndef MISHAP_PRELOAD_TWIN_H
#define MISHAP_PRELOAD_TWIN_H

#include "preload/guest.h"

#define TWIN_ARGS_MAX 7 /* syscall(2), __recvfrom_chk() */

#define TWIN(call, nr, fails, point, map, type, symbol, ...) TWIN_##symbol,
#define TWIN_CHK					     TWIN
#define TWIN_OLD					     TWIN
#define TWIN_BODY					     TWIN
enum twin_id {
#include "core/twins.def"
	TWIN_COUNT,
};
#undef TWIN
#undef TWIN_CHK
#undef TWIN_OLD
#undef TWIN_BODY

/* One row of twins.def.  Read-only. */
struct twin {
	const char *symbol;
	int16_t nr; /* -1: the first argument */
	bool returns_error, is_point;
	uint8_t result_bytes; /* int's: sign-extended */
	char map[TWIN_ARGS_MAX];
};
HIDDEN extern const struct twin twin_table[TWIN_COUNT];

/* All arguments are integers or pointers: registers, but for a seventh. */
typedef long twin_function(long, long, long, long, long, long);
typedef long twin_function7(long, long, long, long, long, long, long);

/* twin.c - by number: does a wrapper ask? */
HIDDEN extern const uint8_t *guest_symbol_door;
/* What the wrappers go on to: what libc has; a way to twin_ask() until that
 * has been looked for, and if it has none. */
HIDDEN extern twin_function *twin_go[TWIN_COUNT];
HIDDEN extern twin_function *const twin_asks[TWIN_COUNT];

static inline twin_function7 *twin_go7(enum twin_id id)
{
	return (twin_function7 *)(void *)twin_go[id];
}

/* twin_ask - make a call that came by a symbol, if the hook lets it.
 * Returns what the symbol returns, errno set if that says so.  Signal-safe. */
HIDDEN long twin_ask(enum twin_id id, const long args[TWIN_ARGS_MAX]);

/* twin_find.c - look up what every row stands before, in the objects that were
 * loaded after us, by their GNU hash tables: no lock, no malloc. */
HIDDEN void twins_find(void);

#endif

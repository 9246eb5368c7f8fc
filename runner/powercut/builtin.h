/* builtin.h - the oracle without a checker: a file holds a content that it had
 * when it was whole.
 *
 * Whole is a file when it is closed, renamed, synced, as it was before, and
 * after each write to a descriptor opened O_APPEND.  A name that is gone at the
 * end was a temporary one; nobody reads it after a crash.  A file that is new
 * and hasn't been whole yet may hold anything. */
#ifndef MISHAP_RUNNER_POWERCUT_BUILTIN_H
#define MISHAP_RUNNER_POWERCUT_BUILTIN_H

#include "runner/powercut/enumerate.h"

struct whole {	     /* a content that a file had when it was whole */
	uint32_t op; /* since when */
	struct oplog_hash hash;
	uint64_t size;
};

struct builtin {
	const struct history *history;
	struct wholes {
		struct whole *items;
		uint32_t count, room;
	} * of_slot;	  /* contents that stood behind the name */
	uint8_t *lasting; /* by slot: it is there before or at the end */
};

int builtin_make(const struct history *history, struct builtin *ret_builtin);
void builtin_clear(struct builtin *builtin);
/* builtin_judge - bits of enum violation; *says as in evaluate(). shape: of the
 * dag that the state is of. */
unsigned builtin_judge(const struct builtin *builtin, struct shape *shape,
		       const struct cut_state *state, char **says);

#endif

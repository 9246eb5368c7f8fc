/* fault.h - the shape of a fault kind: it judges a call, it never acts.
 *
 * One fault is one file in faults/, named as the action is in the language
 * (`fail=ENOSPC` is faults/fail.c); the Makefile derives build/faults.def
 * from the file names.  judge() is pure: it reads the call, its argument and
 * its random draws, and writes the verdict part of the call.  It may run in a
 * signal handler, on any thread, with any stack: no I/O, no malloc, no libc.
 */
#ifndef MISHAP_CORE_FAULT_H
#define MISHAP_CORE_FAULT_H

#include "core/call.h"
#include "core/rng.h"

/* What may stand after the action's `=`; scenarios/fault_line.c reads it. */
enum arg_type {
	ARG_NONE, /* a bare word: `hang` */
	ARG_ERROR, /* v[0]: errno or EAI_ code (as int64_t), `ENOSPC` */
	ARG_DELAY, /* `200ms`, `200ms+-50ms`, `p50=20ms,p99=1s` */
	ARG_BYTES, /* v[0]: at least 1, `1`, `64KiB` */
	ARG_SIGNAL, /* v[0]: 1..64, `KILL` */
	ARG_STATUS, /* v[0]: 0..255 */
	ARG_BITS, /* v[0]: 1..64, `1bit`, `3bits` */
	ARG_SHIFT, /* v[0]: ns as int64_t, `+1h`, `-90s`, `-20y` */
	ARG_LIMIT, /* v[0]: bytes, 0 too, `0`, `64KiB` */
	ARG_COUNT, /* v[0]: at least 1, `64` */
	ARG_SHARE, /* v[0]: ppm, more than 0, `1%` */
	ARG_DRIFT, /* v[0]: ppm as int64_t, `+10%`, `-50ppm` */
};

/* ARG_DELAY: v[0] kind, v[1] and v[2] in ns. */
enum delay_kind {
	DELAY_FIXED, /* v[1] */
	DELAY_JITTER, /* v[1] plus or minus v[2], uniform; v[2] <= v[1] */
	DELAY_QUANTILES, /* v[1] is the median, v[2] the 99th percentile */
};

#define FAULT_DELAY_MAX_NS 86400000000000ull /* one day */

struct fault_arg {
	uint64_t v[3];
};

/* What becomes of the call itself; docs/FAULTS.md says it per call. */
enum fault_effect {
	EFFECT_NOT_EXECUTED,
	EFFECT_EXECUTED_THEN_FAILED,
	EFFECT_PARTIAL,
	EFFECT_EXECUTED, /* late, or with other bytes */
	EFFECT_ENDS_PROCESS,
};

struct fault {
	const char *name; /* the action's word; a model's, "disk.full" */
	const char *says; /* one line for `list` and docs/FAULTS.md */
	const char *example; /* a whole rule that parses */
	enum arg_type arg;
	bool may_be_after; /* `at=after` makes sense */
	/* It begins once, for all processes that the rule is about, and stands
	 * until its phases are over: later calls are bent without a decision
	 * of their own.  core/warp.h. */
	bool stands;
	/* A model stands at the head of its rule, where an action's rule names
	 * calls; it is about all that it doesn't refuse.  Its argument is
	 * given as arg_key=.  A path= without a glob means the whole tree. */
	bool is_model;
	const char *arg_key;
	bool arg_optional; /* v[0] is 0 then */
	/* Calls that the hook must see for its books, beside those that it may
	 * act on; NULL: none. */
	bool (*attends)(unsigned call_id);
	/* NULL if it fits this call; else why not, a sentence that completes
	 * "NAME can't CALL: ".  arg is NULL when only the kind is asked for. */
	const char *(*refuses)(unsigned call_id, const struct fault_arg *arg);
	enum fault_effect (*effect)(unsigned call_id);
	/* Can it act on this very call: are there bytes to cut, may this fd
	 * say EAGAIN?  NULL: on every one.  A call that it can't act on does
	 * not match the rule and isn't counted, unless the rule is marked
	 * adversarial and may_force is set.  Pure, as judge. */
	bool (*applies)(const struct call *call, const struct fault_arg *arg);
	bool may_force;
	void (*judge)(struct call *call, const struct fault_arg *arg,
		      struct rng *rng);
};

enum fault_id {
#define FAULT(name) FAULT_##name,
#include "faults.def"
#undef FAULT
	FAULT_COUNT,
};

extern const struct fault *const fault_table[FAULT_COUNT];

/* Of the models of room on a disk.  call_take_room: there is room for
 * call->room bytes; the rest isn't written, or with no byte left the call fails
 * so. */
const char *call_needs_no_room(unsigned call_id, const struct fault_arg *arg);
bool call_changes_room(unsigned call_id);
enum fault_effect call_lands_partly(unsigned call_id);
void call_take_room(struct call *call, int error);

/* call_tells_no_time - `refuses` of the faults that bend clocks. */
const char *call_tells_no_time(unsigned call_id, const struct fault_arg *arg);

#define MODEL_DEFINE(id, word, ...)                                            \
	const struct fault fault_##id = { .name = word,                        \
					  .is_model = true,                    \
					  __VA_ARGS__ }

#define FAULT_DEFINE(id, ...)                                                  \
	const struct fault fault_##id = { .name = #id, __VA_ARGS__ }

#endif

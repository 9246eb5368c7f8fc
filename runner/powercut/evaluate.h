/* evaluate.h - what a checker said of a tree, held against what was promised
 * when power went. */
#ifndef MISHAP_RUNNER_POWERCUT_EVALUATE_H
#define MISHAP_RUNNER_POWERCUT_EVALUATE_H

#include "runner/powercut/judge.h"

enum violation {
	VIOLATION_LOST,
	VIOLATION_CORRUPT,
	VIOLATION_NON_ATOMIC,
	VIOLATION_INCONSISTENT,
	VIOLATION_NO_START,
	VIOLATION_RECOVERY_CRASH,
	VIOLATION_RECOVERY_HANG,
	VIOLATION_COUNT,
};

extern const char *const violation_names[VIOLATION_COUNT];

enum promise_kind {
	PROMISE_STRICT, /* all that was acknowledged */
	PROMISE_WINDOW, /* all but the last so many seconds */
	PROMISE_PREFIX, /* none before one that is there */
	PROMISE_NONE,
};

struct promise {
	enum promise_kind kind;
	uint64_t window_ns;
};

struct ledger_row {
	uint8_t kind;	   /* of a line: see evaluate.c */
	uint32_t key;	   /* (stream, id) */
	uint32_t previous; /* row of the same key; NONE */
	const char *value;
	uint32_t value_bytes;
	uint64_t time_ns;
};

struct ledger {
	struct ledger_row *rows; /* in the order of the log */
	uint32_t count, acks;
	struct ledger_key {
		char *text; /* "STREAM ID"; owned */
		uint32_t bytes;
		uint32_t stream; /* bytes of STREAM */
		uint32_t last;	 /* row; NONE: no row names it */
		bool before;	 /* it was there before the program ran */
	} * keys;
	uint32_t keys_own; /* of rows; after them what checkers named */
	uint32_t keys_count, keys_room;
	uint32_t *map;
	size_t map_room;
};

struct answer { /* of a checker, about one tree; borrows its text */
	const struct outcome *outcome;
	struct present {
		uint32_t key;
		const char *value;
		uint32_t value_bytes;
	} * presents;
	uint32_t count;
	bool speaks, done;   /* of the ledger at all; to the end */
	unsigned violations; /* bits; whatever was promised */
	char *says;	     /* the first of them, for people; malloc'd */
};

/* ledger_read - of a history; 0 or -ENOMEM. */
int ledger_read(const struct history *history, struct ledger *ret_ledger);
void ledger_clear(struct ledger *ledger);
/* answer_read - keys that the ledger doesn't know are added to it. */
int answer_read(struct ledger *ledger, const struct outcome *outcome,
		struct answer *ret_answer);
void answer_clear(struct answer *answer);

/* ledger_before - what the tree before held is no phantom. */
void ledger_before(struct ledger *ledger, const struct answer *answer);

struct evaluation {
	const struct ledger *ledger;
	struct promise promise;
	uint8_t *present; /* scratch, by key */
};

/* evaluate - bits of violations when the first `lines` of the ledger had been
 * issued, at now_ns.  *says: the first, malloc'd; NULL: not wanted. */
unsigned evaluate(const struct evaluation *evaluation,
		  const struct answer *answer, uint32_t lines, uint64_t now_ns,
		  char **says);

#endif

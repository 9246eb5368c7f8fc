/* log.h - a ledger as it was written, and what a reader found afterwards.
 *
 * Writers say, a line each:
 *   invoke STREAM ID [VALUE]   it is about to be asked for
 *   ack    STREAM ID [VALUE]   it is safe, somebody was told so
 *   fail   STREAM ID [VALUE]   it is known not to have been done
 * A line `@NS SOURCE` of ours says when the lines after it came in one write,
 * and by which channel.  The reader says `present STREAM ID [VALUE]`,
 * `invariant NAME ok|bad` and at last `done`.  Other lines are passed over, and
 * so is a last line that isn't whole.
 *
 * A request that is asked for again before its outcome is known is the same
 * one: a client that retries with an idempotency key.  One without an outcome
 * may or may not have been done.
 */
#ifndef MISHAP_RUNNER_LEDGER_LOG_H
#define MISHAP_RUNNER_LEDGER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_NONE	 UINT32_MAX
#define LEDGER_NEVER	 UINT64_MAX
#define LEDGER_LINES_MAX (1u << 24)

struct ledger_word { /* borrowed from the text */
	const char *at;
	size_t n;
};

enum ledger_outcome { LEDGER_UNKNOWN, LEDGER_ACKED, LEDGER_FAILED };

struct ledger_op {		/* a request */
	uint32_t key, previous; /* of the same key; LEDGER_NONE */
	struct ledger_word value;
	enum ledger_outcome outcome;
	uint32_t source, end_source;
	uint32_t attempts;	    /* 0: nobody said that it was asked for */
	uint64_t invoke_at, end_at; /* lines, from 0; end LEDGER_NEVER */
	uint64_t invoke_ns, end_ns; /* CLOCK_MONOTONIC; 0: not known */
};

struct ledger_present {
	uint32_t key;
	struct ledger_word value;
};

struct ledger_key {
	uint32_t stream;
	struct ledger_word id;
	uint32_t last_op; /* LEDGER_NONE: nobody asked for it */
	uint32_t presents, first_present;
};

struct ledger_log {
	struct ledger_word *streams;
	struct ledger_key *keys;
	struct ledger_op *ops;		 /* in order of their first line */
	struct ledger_present *presents; /* in the reader's order */
	uint32_t streams_count, keys_count, ops_count, presents_count;
	uint64_t lines, acks, acks_buffered; /* buffered: several in a write */
	struct ledger_word bad_invariant;
	bool done; /* the reader came to its end */
	/* Of the tables above. */
	uint32_t streams_room, keys_room, ops_room, presents_room;
	uint32_t *map;
	size_t map_room;
};

/* ledger_log_write - add what writers said; may be called for several texts.
 * ledger_log_read - add what the reader said.  Both borrow the text for as
 * long as the log lives; 0, -ENOMEM, or -E2BIG past LEDGER_LINES_MAX. */
int ledger_log_write(struct ledger_log *log, const char *bytes, size_t count);
int ledger_log_read(struct ledger_log *log, const char *bytes, size_t count);
void ledger_log_clear(struct ledger_log *log);

/* ledger_precedes - had a ended for certain before b was asked for?  Lines of
 * one channel keep their order; of two, they are known to LEDGER_SKEW_NS. */
#define LEDGER_SKEW_NS 50000000ull
bool ledger_precedes(const struct ledger_op *a, const struct ledger_op *b);
bool ledger_word_same(struct ledger_word a, struct ledger_word b);

#endif

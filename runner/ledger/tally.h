/* tally.h - a ledger held against what a reader found, and against what was
 * promised.
 *
 *   lost         acknowledged, and not there, or with an older value
 *   altered      a value that nobody asked for; half a transfer
 *   duplicated   there more than once; a counter that counted twice
 *   resurrected  known to have failed, and there
 *   phantom      nobody asked for it, and there
 *   reordered    missing before one that is there, asked for after it was
 *                acknowledged; of an `append` stream also: read out of order
 *   recovered    its outcome was never told, and it is there: legal
 */
#ifndef MISHAP_RUNNER_LEDGER_TALLY_H
#define MISHAP_RUNNER_LEDGER_TALLY_H

#include "runner/ledger/log.h"
#include "scenarios/promise.h"

enum ledger_class {
	CLASS_LOST,
	CLASS_ALTERED,
	CLASS_DUPLICATED,
	CLASS_RESURRECTED,
	CLASS_PHANTOM,
	CLASS_REORDERED,
	CLASS_COUNT,
};
extern const char *const ledger_class_names[CLASS_COUNT];

struct ledger_rules { /* all borrowed */
	struct durability promise;
	const enum ledger_form *forms; /* by stream of the log */
	const uint64_t *deaths_ns;     /* of the target; in any order */
	size_t deaths_count;
};

struct ledger_tally {
	uint64_t acked, recovered;
	uint64_t excused;	       /* lost, as the promise allows */
	uint64_t counts[CLASS_COUNT];  /* what breaks the promise */
	uint64_t wrong;		       /* records that do */
	struct ledger_word stream, id; /* of the first one; borrowed */
	enum ledger_class first;
};

/* ledger_tally - 0 or -ENOMEM. */
int ledger_tally(const struct ledger_log *log, const struct ledger_rules *rules,
		 struct ledger_tally *ret_tally);

#endif

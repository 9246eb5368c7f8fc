/* sums.h - streams whose values add up: counters and accounts. */
#ifndef MISHAP_RUNNER_LEDGER_SUMS_H
#define MISHAP_RUNNER_LEDGER_SUMS_H

#include "runner/ledger/tally.h"

struct tallying {
	const struct ledger_log *log;
	const struct ledger_rules *rules;
	struct ledger_tally tally;
	bool *marked; /* by key: counted in tally.wrong */
};

/* tally.c */
void tally_wrong(struct tallying *t, uint32_t key, enum ledger_class what);
bool tally_excused(const struct tallying *t, const struct ledger_op *op);

/* counter_judge - of each key, the sum of what was acknowledged at least, and
 * with what has no known outcome at most.  A value that names no number is 1.
 * bank_judge - of each account likewise, and of all of them together.
 * -ENOMEM. */
void counter_judge(struct tallying *t, uint32_t stream);
int bank_judge(struct tallying *t, uint32_t stream);

#endif

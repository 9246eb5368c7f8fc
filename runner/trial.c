/* An oracle is tried before it is trusted: what it let pass is spoiled in a
 * copy, and there it must go red.  One that stays green can't tell good from
 * bad, and so its PASS means nothing. */
#include "runner/verdict.h"

#include <errno.h>

int trial_hold(const struct evidence *evidence, struct finding *finding)
{
	const struct expect *expect = finding->expect;
	const struct oracle *oracle = oracle_table[expect->subject];
	struct finding tried = { .expect = expect, .rule = -1 };
	struct evidence *copy;
	int error = evidence_copy(evidence, &copy);

	if (error < 0)
		return error;
	error = oracle->tamper(expect, copy);
	if (!error)
		error = oracle->judge(expect, copy, &tried);
	evidence_free(copy);
	if (error == -ENOMEM) {
		finding_clear(&tried);
		return error;
	}
	finding->trial = !error && tried.verdict == VERDICT_FAIL
				 ? TRIAL_BITES
				 : TRIAL_TOOTHLESS;
	finding_clear(&tried);
	return 0;
}

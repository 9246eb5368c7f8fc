/* verdict.h - the files that reach a verdict together: verdict.c, books.c and
 * trial.c.  Findings own their strings and borrow the rest. */
#ifndef MISHAP_RUNNER_VERDICT_H
#define MISHAP_RUNNER_VERDICT_H

#include "runner/words.h"

int findings_add(struct findings *findings, const struct finding *finding);
void finding_clear(struct finding *finding);

/* books.c - what no expectation says but every verdict rests on: the target
 * was reached and became ready, rules fired, nothing was lost, the books
 * balance.  judged: how many expectations there are, ours included. */
int books_judge(const struct evidence *evidence, struct findings *findings);
/* books_add - one more finding of ours; takes expected and seen. */
int books_add(struct findings *findings, enum verdict verdict, const char *name,
	      const struct mark *mark, int rule, char *expected, char *seen);
/* books_watch.c - what the kernel counted, where it was asked to. */
int books_judge_watch(const struct evidence *evidence,
		      struct findings *findings);
/* books_excuse - where the machine itself failed, an expectation that doesn't
 * hold shows nothing of the target.  0 or -ENOMEM. */
int books_excuse(const struct evidence *evidence, struct findings *findings);
/* books_rule_why - why a rule that never fired didn't, in words. */
char *books_rule_why(const struct evidence *evidence, size_t rule);

/* books_notify.c - the same, of the notify door.  why: what it couldn't do for
 * the rule; NULL: there is no such thing. */
int books_notify_judge(const struct evidence *evidence,
		       struct findings *findings);
char *books_notify_why(const struct evidence *evidence, size_t rule);

/* trial.c - feed the oracle of a passed finding tampered evidence; sets
 * finding->trial.  0 or -ENOMEM. */
int trial_hold(const struct evidence *evidence, struct finding *finding);

#endif

/* notify.h - the notify door: the kernel asks us about a target's calls.
 *
 * For programs that the library can't enter, static ones and Go's.  Before it
 * becomes the target a child puts a seccomp filter on itself and hands the
 * listener to the run's guardian (guardian.h), a process of its own, which
 * judges by the same rules, keeps the same books, and outlives the runner: a
 * listener that nobody holds would turn every such call into ENOSYS.
 * Linux 5.19 for SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, no privileges;
 * no_new_privs is set.  Returns 0 or -errno.
 */
#ifndef MISHAP_RUNNER_NOTIFY_H
#define MISHAP_RUNNER_NOTIFY_H

#include "runner/notify_filter.h"
#include "runner/tree.h"

struct notify {
	int channel;		       /* to the guardian; -1: there is none */
	struct tree_process *guardian; /* in the tree; NULL: there is none */
	struct notify_filter filter;
};

/* What the guardian needs to know; all borrowed for its life. */
struct notify_input {
	struct state *state;
	const struct plan *plan;
	const bool *counted;	 /* by call: counted though no rule names it */
	const char *shared_path; /* as in the target's environment */
};

/* notify_works - try it on a child of ours.  false: *ret_why is a sentence
 * (malloc'd). */
bool notify_works(char **ret_why);

/* notify_open - start the guardian.  Thereafter notify_enter() works.
 * tree NULL: it is no child of ours, and nobody waits for it. */
int notify_open(struct tree *tree, const struct notify_input *input,
		struct notify *ret_notify);
/* notify_enter - in a forked child, just before its exec: from here on it and
 * all its children are asked about.  Async-signal-safe. */
int notify_enter(const struct notify *notify);
/* notify_close - judge no more: what is asked from now on is let go.  The
 * guardian ends when the last process under its filter has.  false: it was
 * gone before, and calls of the target may have failed with ENOSYS. */
bool notify_close(struct notify *notify);

/* notify_cannot - why the door can't do what the rule asks for to this call,
 * a sentence that completes "RULE: "; NULL: it can.  Pure. */
const char *notify_cannot(const struct plan_rule *rule, unsigned call_id);

#endif

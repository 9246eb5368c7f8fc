/* judge.h - take trees to a checker, many at a time, each at the path where
 * the program had it.
 *
 * A worker is a process in a sandbox of its own (its /tmp, a loopback alone),
 * with a mount of its own over the tree; a checker runs there as the program's
 * user, in a pid namespace of its own, so that nothing outlives the look at one
 * state, and two looks don't meet at a port or a socket's path.
 */
#ifndef MISHAP_RUNNER_POWERCUT_JUDGE_H
#define MISHAP_RUNNER_POWERCUT_JUDGE_H

#include "runner/powercut/lay.h"
#include "runner/sandbox.h"

#define JUDGE_JOBS_MAX 64
#define JUDGE_TEXT_MAX (1u << 20) /* of what a checker says */

enum outcome_kind {
	OUTCOME_NONE, /* not judged */
	OUTCOME_EXITED,
	OUTCOME_SIGNALLED,
	OUTCOME_HUNG,	/* past the timeout, killed */
	OUTCOME_BROKEN, /* we couldn't: status is an errno */
};

struct outcome {
	uint8_t kind;
	bool recovering; /* it was the recovery that ended so */
	int status;	 /* exit status, or signal */
	char *text;	 /* what the checker said; NULL: nothing */
	uint32_t bytes;
};

struct judge_item { /* all borrowed */
	const struct dag *dag;
	const uint64_t *set;
	enum tamper tamper;
};

struct judge {				  /* all borrowed */
	struct sandbox *const *sandboxes; /* one for each job */
	const char *tree, *cwd;
	const char *check;   /* a command for each state; or NULL */
	const char *server;  /* one that is asked again and again; or NULL */
	const char *recover; /* before the check; or NULL */
	char *const *envp;
	uint64_t timeout_ns; /* of each */
	unsigned jobs;
	void (*progress)(uint32_t done, void *data);
	void *data;
};

/* judge_batch - outcomes[i] of items[i]; what wasn't reached by until_ns, or
 * before an interrupt, stays OUTCOME_NONE.  0 or -errno; why says more. */
int judge_batch(const struct judge *judge, const struct judge_item *items,
		uint32_t count, uint64_t until_ns, struct outcome *outcomes,
		char why[SANDBOX_WHY_MAX]);
void outcomes_clear(struct outcome *outcomes, uint32_t count);

#endif

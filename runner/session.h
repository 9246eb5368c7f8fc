/* session.h - one run from its options to its verdict, and its reports: what
 * `run` and `replay` share. */
#ifndef MISHAP_RUNNER_SESSION_H
#define MISHAP_RUNNER_SESSION_H

#include "runner/rundir.h"

struct session {		/* owns all of it */
	struct options options; /* copy, with the place and all variables */
	struct variable *vars;
	char *values; /* what the runner's own variables say */
	struct scenario *scenario;
	struct evidence *evidence, *bare;
	struct judgement *judgement;
	bool unsaved; /* the run directory couldn't be written */
};

/* session_run - name the place, read the scenario, run it, judge it, keep it.
 * source: the scenario's text for a replay, NULL: options->scenario_path is
 * read.  Returns an exit code: that of the verdict, EXIT_CODE_USAGE when
 * nothing ran or EXIT_CODE_INVALID for our own failure, after a message;
 * ret_session->judgement is NULL for these two. */
int session_run(const struct options *options, const char *source,
		const struct replay_input *replay, uint64_t seed_add,
		struct session *ret_session);
/* session_find - the directory that a command's operand means; NULL: the last
 * run.  Returns 0, or an exit code after a message. */
int session_find(const struct options *options, const char *operand,
		 char **ret_dir);
/* session_load - a finished run, judged again from its directory.
 * Returns 0, or an exit code after a message. */
int session_load(const char *run_dir, struct session *ret_session);
void session_clear(struct session *session);
/* session_exit_code - with what became of its reports. */
int session_exit_code(const struct session *session, bool unwritten);

/* session_reports - --json, --junit, --events; worst stands for them all in
 * JSON.  true: one of them couldn't be written (said). */
bool session_reports(const struct options *options,
		     const struct session *sessions, size_t count,
		     size_t worst);
/* session_print - the page for a person, on standard output unless a report
 * goes there; -q: one line. */
void session_print(const struct options *options,
		   const struct session *session);
FILE *session_out(const struct options *options);

/* session_decisions - what a run decided, to be forced; sorted. */
int session_decisions(const struct evidence *evidence,
		      struct replay_input *ret_replay);

#endif

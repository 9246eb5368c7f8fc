/* run.h - one run: what is asked for, what was seen, what is concluded.
 *
 * engine.c takes a scenario to a struct evidence; oracles/ judge evidence and
 * nothing else; verdict.c joins their findings with the books; report/ writes
 * it all down.  Whatever a verdict rests on stands in the evidence, so that an
 * oracle can be tried on a tampered copy before it is trusted.
 * Times are CLOCK_MONOTONIC, ns.  Functions return 0 or -errno.
 */
#ifndef MISHAP_RUNNER_RUN_H
#define MISHAP_RUNNER_RUN_H

#include <jansson.h>

#include "core/shared.h"
#include "runner/watched.h"
#include "scenarios/scenario.h"

enum verdict { /* in order of precedence, weakest first */
	VERDICT_PASS,
	VERDICT_INCONCLUSIVE,
	VERDICT_ABORTED,
	VERDICT_FAIL,
	VERDICT_INVALID,
};

enum exit_code { /* docs/JSON.md; 128+n: a signal ended us */
	EXIT_CODE_PASS = 0,
	EXIT_CODE_FAIL = 1,
	EXIT_CODE_USAGE = 2,
	EXIT_CODE_INCONCLUSIVE = 3,
	EXIT_CODE_ABORTED = 4,
	EXIT_CODE_INVALID = 5,
};

/* Where one run lives.  cmd_run.c names it before the scenario is read, so that
 * ${scratch}, ${port} … ${port9} and ${run} can stand in it; nothing is made
 * until rundir_create(). */
struct place {
	char id[40];
	char *run_dir; /* absolute: RUNS_DIR/ID */
	char *scratch; /* absolute, for the target; empty at each start */
	unsigned ports[10]; /* free when looked at: [1] is ${port}, [2] … */
};

enum watch_mode { /* --watch; unset: as the scenario says */
	WATCH_MODE_UNSET,
	WATCH_MODE_OFF,
	WATCH_MODE_LITE,
	WATCH_MODE_FULL,
};

struct options { /* of `mishap run` and its kin */
	const char *scenario_path; /* or NULL */
	struct scenario_extra extra;
	const char *runs_dir; /* --run-dir, default .mishap/runs */
	const char *json_path, *junit_path;
	uint64_t seed;
	bool seed_set;
	unsigned kill_points; /* so many are tried; 0: rules stand as written */
	uint64_t kill_at;     /* this one, now; 0 likewise */
	unsigned repeat; /* 0: as the scenario says */
	uint64_t timeout_ns; /* of the target; 0: as the scenario says */
	uint64_t limit_time_ns, limit_faults, limit_rss_bytes; /* likewise */
	const char *history; /* report: print the ledger so; or NULL */
	const char *events_path; /* decisions as JSON lines */
	bool sandbox, no_network, notify, quiet, verbose, keep_scratch, disarmed;
	enum watch_mode watch;
	int color; /* -1: by tty and NO_COLOR */
	const char *replay_of; /* run id whose decisions are forced */
	const char *const *argv; /* as typed, for command.json */
	struct place place; /* of this run (each repetition has its own) */
};

struct ending { /* how a process ended */
	bool started, ended, timed_out; /* timed_out: we stopped it */
	bool stopped_by_us; /* stop signal at the end of the run */
	bool killed_by_rule; /* `kill=` of a rule of ours */
	int status; /* exit status, if signal is 0 */
	int signal;
	bool core;
	uint32_t pid; /* as it saw itself: what events say */
	uint32_t outer_pid; /* as we see it: what probes say; 0: unknown */
	uint64_t start_ns, end_ns;
};

struct sample { /* of a steady-state probe */
	uint64_t due_ns, latency_ns; /* from when it was due: open loop */
	uint16_t steady, phase;
	bool ok;
};

struct growth {
	uint64_t fds, threads, rss_bytes;
	bool known;
};

struct file_seen { /* of a path that an expectation names */
	char *path;
	bool exists_before, exists_after;
	uint64_t hash_before, hash_after, bytes_before, bytes_after;
	uint64_t hash_other[2]; /* of the files that it is compared with */
	bool exists_other[2];
	/* errno of why it couldn't be read; ENOENT is no error */
	int error_before, error_after, error_other[2];
};

struct command_seen { /* of a `check` or `ledger` expectation */
	size_t expect; /* index in scenario->expects */
	struct ending ending;
	char *output; /* both streams: 4 KiB of a check, a reader's all */
	size_t bytes;
	bool truncated;
};

struct names_seen { /* of a `leftovers` expectation */
	size_t expect;
	struct strings before, after; /* paths below DIR */
	int error_before, error_after; /* errno */
};

struct process_seen {
	uint32_t pid, status, sites, sites_patched, sites_left;
	char exe[SHARED_EXE_MAX];
	uint64_t fired;
};

struct phase_seen {
	uint64_t start_ns, end_ns;
	uint64_t fired; /* decisions while it lasted */
	bool reached, steady_again; /* steady_again: of a `within` phase */
	uint64_t steady_ns; /* when it was */
};

struct stall_seen { /* the longest time in which no thread ran, with work */
	bool known; /* somebody looked, and there was work */
	uint64_t longest_ns, since_ns;
	struct strings stacks; /* of all threads then: thread, frame… */
};

struct text { /* a captured stream; bytes NULL: it wasn't captured */
	char *path; /* in the run directory */
	char *bytes;
	size_t count; /* kept; at most limits.output_bytes */
	bool truncated;
};

struct evidence {
	const struct scenario *scenario; /* borrowed */
	uint64_t seed;
	char id[40]; /* run id, also its directory's name */
	char *run_dir, *scratch, *cwd;
	unsigned ports[10]; /* as in struct place */
	pid_t sandbox_pid; /* a process that lives inside the target's sandbox
			      while oracles gather; 0: the target has none */
	uint64_t start_ns, ready_ns, end_ns;
	bool ready; /* became ready, or had no ready probe */
	char *ready_why; /* the last failed attempt, in words */
	char *no_recovery; /* it didn't come up for the ledger's reader; why */
	char *service_gone; /* a service that ended in mid-run, in words */

	struct ending target; /* the last one, if it was restarted */
	unsigned restarts;
	struct ending *crashes; /* every unasked-for death by signal */
	size_t crashes_count;
	struct ending *workloads; /* by scenario order; NULL: none ran */
	struct text *workload_outs; /* their stdout, by scenario order */
	struct text ledger; /* what they wrote to MISHAP_LEDGER_FD */
	struct sample *samples;
	size_t samples_count;
	struct phase_seen phases[PLAN_PHASES_MAX];
	struct growth at_ready, at_end;
	struct stall_seen stall;
	struct watched watched;
	struct text out, err;
	struct file_seen *files;
	size_t files_count;
	struct command_seen *commands;
	size_t commands_count;
	struct names_seen *names;
	size_t names_count;

	/* The books. */
	struct event *events;
	size_t events_count;
	uint64_t events_lost, lapses, unresolved, processes_lost;
	uint64_t cut_short; /* decisions that a death may have undone */
	uint64_t vfork_skipped; /* calls that rules wanted, of vfork children */
	bool notify, notify_lost; /* the notify door was opened; and broke */
	uint64_t uring_refused; /* calls of io_uring_setup */
	uint64_t foreign; /* calls of another ABI than x86-64's */
	/* by rule: calls that matched where its action can't be done */
	uint64_t undone[PLAN_RULES_MAX];
	uint64_t late_missed; /* modules with system calls, left unpatched */
	/* `syscall`s by the call that they make, over all modules that were
	 * planned; left: of them, those that can't be patched. */
	uint64_t sites[CALL_COUNT], sites_left[CALL_COUNT];
	uint64_t matched[PLAN_RULES_MAX], fired[PLAN_RULES_MAX];
	uint64_t matched_most[PLAN_RULES_MAX]; /* by one process; not kept */
	uint64_t calls[CALL_COUNT]; /* the engine has the doors look at every
				       call that a rule or a `calls`
				       expectation names */
	struct process_seen *processes;
	size_t processes_count;
	uint64_t fault_first_ns, fault_last_ns;
	char *unreachable; /* static, setuid …: why we couldn't get in; NULL */
	char *aborted; /* by a limit, halt or a signal: why; NULL */
	int aborted_signal;
	const struct evidence *bare; /* the fault-free run, if one was made */
	/* replay: recorded decisions and how many of them came again */
	uint64_t replay_recorded, replay_agreed;
	bool is_replay;
};

/* A finding: what one expectation, or one of our own rules, concluded. */
struct finding {
	enum verdict verdict;
	const struct expect *expect; /* NULL: one of our own */
	const struct mark *mark; /* where it stands; borrowed; NULL: nowhere */
	int rule; /* index, when it is about one; else -1 */
	char *name; /* "exit!=0", "rule fired" */
	char *expected, *seen; /* in words */
	char *since; /* "12.3s, phase slow", or NULL */
	uint64_t since_ns; /* decisions after this aren't to blame; 0: unknown */
	char *site; /* "write ENOSPC at write_out (src/sort.c:1234)" or NULL */
	uint32_t trial; /* enum trial */
};

enum trial { TRIAL_NOT_NEEDED, TRIAL_BITES, TRIAL_TOOTHLESS };

struct findings {
	struct finding *items;
	size_t count;
};

struct judgement {
	enum verdict verdict;
	struct findings findings;
	struct strings reasons; /* why not PASS, in words */
	char *replay; /* "mishap replay ID" */
};

/* An oracle: one file of runner/oracles/ per row of expects.def.
 * before/after gather what judge needs and may be NULL; judge is pure;
 * tamper spoils a copy of the evidence so that judge must go red.
 * whole: what it judges is only there when the run came to its end.
 * settled: may be NULL; of one that is whole: was this settled before the run
 * was cut short?  Then a FAIL stands.
 * by_fault: may be NULL; does it expect what only a fault brings about (a
 * failing exit, a message)?  Where no rule ever acted, the opposite shows
 * nothing of the target, and is INCONCLUSIVE rather than FAIL.
 * All strings that they set in ret are malloc'd, owned by the finding. */
struct oracle {
	int (*before)(const struct expect *expect, struct evidence *evidence);
	int (*after)(const struct expect *expect, struct evidence *evidence);
	int (*judge)(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding);
	int (*tamper)(const struct expect *expect, struct evidence *evidence);
	bool whole;
	bool (*settled)(const struct expect *expect,
			const struct evidence *evidence);
	bool (*by_fault)(const struct expect *expect);
};

extern const struct oracle *const oracle_table[EXPECT_COUNT];

/* oracles/gather.c - for the engine.  before: after `prepare`, just before the
 * target starts; after: when the target has ended, while scratch, services and
 * sandbox still stand.  What can't be gathered stays unknown, and its oracle
 * says so; -ENOMEM alone is an error. */
int oracles_gather_before(struct evidence *evidence);
int oracles_gather_after(struct evidence *evidence);

/* engine.c - take the target through the scenario.
 * replay: decisions of the run to be repeated, or NULL.
 * bare: make the fault-free run (rules are left out). */
struct replay_input {
	struct plan_decision *decisions;
	size_t count;
	uint64_t seed;
};

/* Returns 0 with evidence also for a target that failed, hung or was aborted;
 * -errno when no evidence could be had (printed).  Calls rundir_create() first,
 * removes scratch at its end unless options->keep_scratch. */
int engine_run(const struct scenario *scenario, const struct options *options,
	       uint64_t seed, const struct replay_input *replay, bool bare,
	       struct evidence **ret_evidence);
void evidence_free(struct evidence *evidence); /* but for bare; NULL is fine */
/* evidence_copy - deep enough to be tampered with; owns all it holds but
 * scenario and bare. */
int evidence_copy(const struct evidence *evidence,
		  struct evidence **ret_evidence);
/* evidence_phase_at - the phase that a time falls into, -1: none. */
int evidence_phase_at(const struct evidence *evidence, uint64_t at_ns);

/* verdict.c - judge, try the oracles, join. */
int verdict_reach(const struct evidence *evidence,
		  struct judgement **ret_judgement);
void judgement_free(struct judgement *judgement);
const char *verdict_name(enum verdict verdict);
int verdict_exit_code(enum verdict verdict);
/* judgement_exit_code - of a run: 128+n when a signal to us ended it. */
int judgement_exit_code(const struct judgement *judgement,
			const struct evidence *evidence);
enum verdict verdict_worse(enum verdict a, enum verdict b);

/* report/ - one file per format. */
int report_terminal(const struct evidence *evidence,
		    const struct judgement *judgement, bool color, FILE *out);
json_t *report_json(const struct evidence *evidence,
		    const struct judgement *judgement); /* new reference */
/* report_history - how: FORMAT[:STREAM].  -EINVAL, -ENOENT: said on stderr. */
int report_history(const struct evidence *evidence, const char *how, FILE *out);
int report_junit(const struct evidence *const *evidences,
		 const struct judgement *const *judgements, size_t count,
		 FILE *out);

/* evidence.c - to and from the run directory (evidence.json, events.bin,
 * stdout, stderr, bare/).  The loaded one borrows scenario and points to a
 * `bare` of its own, if there was one; the caller frees both.
 * -EBADMSG: not what we wrote. */
int evidence_save(const struct evidence *evidence);
int evidence_load(const char *run_dir, const struct scenario *scenario,
		  struct evidence **ret_evidence);

/* rundir.c - .mishap/runs/ID/: scenario.yaml, command.json, plan, events.bin,
 * evidence.json, stdout, stderr, report.json, bare/; everything in a report can
 * be recomputed from it.
 * rundir_create - make run directory (bare: its bare/) and an empty scratch,
 * and copy id, ports and paths into the evidence. */
int rundir_create(const struct options *options, bool bare,
		  struct evidence *evidence);
int rundir_save(const struct evidence *evidence,
		const struct options *options,
		const struct judgement *judgement);

/* command.c - for oracles: run a command beside the target: unfaulted, in
 * evidence->cwd, in its sandbox if it has one, stdin from /dev/null, both
 * streams in one output (NUL-terminated, at most output_max bytes; *ret_bytes
 * may be NULL).  Past timeout_ns it is killed: ending->timed_out. */
int command_run(const struct evidence *evidence, const struct strings *argv,
		uint64_t timeout_ns, size_t output_max,
		struct ending *ret_ending, char **ret_output,
		size_t *ret_bytes);

/* symbolize.c - a stack number of the shared state as "function (file:line)".
 * Frames are looked up with elfutils' libdw, debuginfod off. */
int symbolize_stacks(const struct state *state, const char *run_dir);
char *symbolize_site(const char *run_dir, uint32_t stack); /* malloc'd */

/* progress.c - what a person sees while it runs: one live line on a tty, a
 * line per phase in a log.  Thread-safe. */
void progress_open(bool quiet, bool color, FILE *out);
void progress_say(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void progress_live(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void progress_close(void);

/* commands: one file cmd_NAME.c each; argv[0] is the command's name. */
#define COMMAND(name, says) int cmd_##name(int argc, char **argv);
#include "runner/commands.def"
#undef COMMAND

#endif

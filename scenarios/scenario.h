/* scenario.h - a scenario as it was written, typed, every value with its mark.
 *
 * scenario_load() parses and checks; nothing of it runs a program or touches
 * more than the file that it reads.  All memory belongs to the scenario and
 * goes with scenario_free().  Not thread-safe; a loaded scenario is read-only
 * and may be shared.
 */
#ifndef MISHAP_SCENARIOS_SCENARIO_H
#define MISHAP_SCENARIOS_SCENARIO_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/plan.h"
#include "scenarios/promise.h"

#define SCENARIO_BYTES_MAX  (1u << 20)
#define SCENARIO_DEPTH_MAX  32
#define SCENARIO_ERRORS_MAX 20 /* shown; the rest is counted */
#define SCENARIO_ITEMS_MAX  64 /* of any one list */

/* Where a value stands; 1-based; line 0: on the command line, then `file`
 * names the option ("-f", "--expect"). */
struct mark {
	const char *file;
	uint32_t line, column, width;
};

struct strings { /* NULL-terminated; count excludes the NULL */
	char **items;
	size_t count;
};

struct duration {
	uint64_t ns;
	bool set;
};

enum probe_kind {
	PROBE_NONE,
	PROBE_TCP,
	PROBE_HTTP,
	PROBE_FILE,
	PROBE_COMMAND
};

struct probe {
	enum probe_kind kind;
	char *where;		/* host:port, URL, path */
	struct strings command; /* exit 0 is healthy */
	struct duration within; /* ready: default 10s; a sample: 1s */
	char *written; /* what was typed for it; NULL: it is a file's */
	struct mark mark;
};

struct program { /* target and services */
	char *name;
	struct strings run;
	struct strings run_written; /* COMMAND as typed, ${x} not replaced */
	struct mark run_mark;
	char *cwd;
	struct strings env; /* "K=V" */
	char *stdin_path;
	struct strings *prepare; /* commands before each run, unfaulted */
	size_t prepare_count;
	struct probe ready;
	int stop_signal;	     /* default SIGTERM */
	struct duration stop_within; /* then SIGKILL; default 5s */
	bool restart_on_crash;
	struct duration
		timeout; /* of a run-to-completion target; default 60s */
	bool sandbox;
	bool no_network;
	struct mark mark;
};

struct workload {
	char *name;
	struct strings run;
	unsigned clients; /* copies at once; default 1, at most 256 */
	struct duration timeout;
	struct strings expect_exit; /* not used; see expectations */
	char *written; /* the command as typed; NULL: it is a file's */
	struct mark mark;
};

struct steady { /* a probe that is sampled throughout */
	char *name;
	struct probe probe;
	struct duration every; /* default 100ms; open loop */
	struct mark mark;
};

struct rule {	       /* one fault line, parsed */
	char *text;    /* canonical: prints and parses to the same */
	char *written; /* as typed where that names a variable, else text */
	struct mark mark;
	uint16_t calls[CALL_COUNT];
	size_t calls_count;
	struct plan_rule plan; /* offsets unset; strings are below */
	char *path, *host, *thread, *exe, *frame, *peer, *peer_path;
	uint32_t phases; /* bit i: phase i; all bits if for the whole run */
};

/* An expectation is one line too: SUBJECT [ARGUMENT…] OP VALUE. */
enum expect_op {
	OP_NONE, /* the subject alone: `file out unchanged` */
	OP_EQ,
	OP_NE,
	OP_LT,
	OP_LE,
	OP_GT,
	OP_GE,
	OP_IN,	    /* values[] */
	OP_MATCH,   /* ~ extended regular expression, regex(7) */
	OP_NOMATCH, /* !~ */
};

enum expect_subject {
#define EXPECT(name, ...) EXPECT_##name,
#include "scenarios/expects.def"
#undef EXPECT
	EXPECT_COUNT,
};

struct expect {
	enum expect_subject subject;
	enum expect_op op;
	char *text;    /* canonical */
	char *written; /* as typed where that names a variable, else text */
	struct mark mark;
	struct strings args;   /* words between subject and operator */
	struct strings values; /* right-hand side; one unless OP_IN */
	double number; /* of values[0], in base units: s, bytes, ratio, status,
			  signal (0: none), calls or calls per second */
	bool per_second; /* `40/s`: number is a rate */
	bool has_number;
	int phase; /* index, or -1: over the whole run */
};

struct phase {
	char *name;
	struct duration lasts;	/* `for:` */
	struct duration within; /* recovery: until steady again, at most */
	bool until_workload;	/* ends when the workload has ended */
	struct mark mark;
};

struct limits {
	struct duration time;  /* default 5m; ABORTED past it */
	uint64_t faults;       /* 0: none */
	uint64_t rss_bytes;    /* 0: none */
	uint64_t output_bytes; /* kept of each stream; default 16 MiB */
};

struct variable {
	char *name, *value;
	struct mark mark;
};

struct scenario {
	char *path; /* as given; NULL: from the command line alone */
	char *source;
	size_t source_bytes;
	char *name, *about;
	struct strings tags;
	uint64_t seed;
	bool seed_set;
	struct variable *vars;
	size_t vars_count;
	struct program target;
	struct program *services;
	size_t services_count;
	struct workload *workloads;
	size_t workloads_count;
	struct steady *steadies;
	size_t steadies_count;
	struct phase *phases;
	size_t phases_count; /* at least 1 after loading */
	bool phases_written; /* false: the one phase is ours */
	struct rule *rules;
	size_t rules_count;
	struct durability durability; /* of the ledger */
	bool durability_set;
	struct strings streams; /* "NAME=FORM" */
	struct expect *expects;
	size_t expects_count;
	unsigned repeat; /* default 1 */
	struct limits limits;
	uint32_t min_coverage_ppm; /* default 950000 */
	bool watch_full; /* count every system call in the kernel, too */
	void *arena;
};

/* What the command line adds to a file, or gives in its place. */
struct scenario_extra {
	const char *const *faults;   /* -f, NULL-terminated; NULL: none */
	const char *const *expects;  /* --expect */
	const char *const *phases;   /* --phase 'NAME 20s: RULE; RULE' */
	const char *ready;	     /* --ready PROBE */
	const char *const *loads;    /* --load COMMAND: load1, load2 … */
	const char *const *steadies; /* --steady 'NAME PROBE every 50ms' */
	char *const *run; /* after --; NULL: as in the file; ${x} is replaced
				 where x is a variable, else left to a shell */
	const struct variable *vars; /* --var NAME=VALUE, and the runner's own:
					scratch, port, port2 … port9, run */
	size_t vars_count;
};

/* scenario_load - read, check and type a scenario.
 * path: a file, or NULL when `extra` says it all.  Messages for people go to
 * `errors` with file:line:column, caret and a suggestion.
 * Returns 0, or -ENOENT, -EACCES, -EISDIR … for the file, -EFBIG past
 * SCENARIO_BYTES_MAX, -EINVAL when anything is wrong with its content (all
 * errors found are printed, SCENARIO_ERRORS_MAX of them). */
int scenario_load(const char *path, const struct scenario_extra *extra,
		  FILE *errors, struct scenario **ret_scenario);
/* The same from memory; `name` stands for the file in messages. */
int scenario_parse(const char *name, const char *bytes, size_t n,
		   const struct scenario_extra *extra, FILE *errors,
		   struct scenario **ret_scenario);
void scenario_free(struct scenario *scenario);

/* scenario_kill_at - let all rules that kill do so at their point-th matching
 * call, from 1, and at no other.  Returns how many there are. */
unsigned scenario_kill_at(struct scenario *scenario, uint64_t point);

/* scenario_compile - the flat plan.  cwd: absolute, where relative path=
 * globs are anchored.  decisions: sorted, for a replay, else NULL.
 * *ret_plan is malloc'd and owned by the caller.  -E2BIG past a limit. */
int scenario_compile(const struct scenario *scenario, uint64_t seed,
		     const char *cwd, const struct plan_decision *decisions,
		     size_t decisions_count, bool replay, void **ret_plan,
		     size_t *ret_bytes);

/* For people: plain English; canonical YAML; both end with a newline. */
void scenario_explain(const struct scenario *scenario, FILE *out);
void scenario_format(const struct scenario *scenario, FILE *out);
/* From the one table: JSON Schema (draft-07) and docs/SCENARIOS.md. */
void scenario_print_schema(FILE *out);
void scenario_print_docs(FILE *out);
/* From calls.def and faults/: docs/CALLS.md, docs/FAULTS.md. */
void calls_print_docs(FILE *out);
void faults_print_docs(FILE *out);

/* expect_regcomp - the pattern of OP_MATCH and OP_NOMATCH: an extended
 * regular expression, regex(7), where (?i) at its start ignores case.
 * flags: REG_NOSUB, REG_NEWLINE or 0.  As regcomp(3); loading has shown that
 * it compiles. */
int expect_regcomp(const char *pattern, int flags, regex_t *ret_regex);

/* expect_subject_name - "exit"; what `list` and reports say. */
const char *expect_subject_name(enum expect_subject subject);

#endif

/* sweep.h - `mishap sweep`: what is asked for, what was seen, what came of it.
 *
 *   cmd_sweep.c  the command line      run.c     the order of things
 *   area.c       the shared memory     cage.c    one run of the target
 *   team.c       several at a time     sight.c   what a run left; compared
 *   worker.c     cells, one by one
 *   tree.c       files, listed         faults.c  what may fail at a site
 *   cells.c      site x fault, ordered judge.c   the class of a cell
 *   names.c      sites in words        bugs.c    findings to bugs
 *   start.c      what it stands on     sites.c   what was met
 *   replay.c     a bug again
 *   report.c, json.c                   what is told
 */
#ifndef MISHAP_RUNNER_SWEEP_SWEEP_H
#define MISHAP_RUNNER_SWEEP_SWEEP_H

#include <stdio.h>

#include "core/sweep.h"
#include "runner/sandbox.h"
#include "runner/shared_file.h"
#include "runner/sweep/sight.h"
#include "runner/words.h"

#define SWEEP_JOBS_MAX	64
#define SWEEP_CELLS_MAX 200000
#define SWEEP_BASELINES                                                        \
	4 /* clean, clean, listing, and again on what it left                  \
	   */
#define SWEEP_HANGS_MAX	  3 /* of one kind, then the rest isn't tried */
#define SWEEP_HANG_KINDS  4096
#define SWEEP_WHAT_MAX	  200
#define SWEEP_TEMPORARIES 3 /* /tmp, /var/tmp, /dev/shm */

enum sweep_class {
	CLASS_UNTRIED,
	CLASS_HANDLED,
	CLASS_REPORTED,
	CLASS_SILENT,
	CLASS_MUTE,
	CLASS_CRASHED,
	CLASS_HUNG,
	CLASS_LEAKED,
	CLASS_CORRUPTED,
	CLASS_UNREACHED,
	CLASS_COUNT,
};
extern const char *const sweep_class_names[CLASS_COUNT];

struct sweep_options { /* strings are borrowed from argv */
	char **argv;   /* behind `--` */
	const char *check, *runs_dir, *json_path, *stdin_path;
	uint64_t budget_ns, timeout_ns; /* timeout 0: by the baseline */
	unsigned jobs;
	uint32_t shard, shards;
	bool families[FAMILY_COUNT];
	bool no_network, quiet, list_only, loader, verbose, shell, strict;
	int color; /* -1: by tty and NO_COLOR */
};

/* One site, copied out of the shared memory, with what is known of it. */
struct spot {
	struct sweep_site seen;
	const struct site_seen *names; /* NULL: unknown */
	uint64_t own;	  /* of its own frame: what a person would call it */
	bool is_optional; /* a resource that libc does without */
	uint32_t cells, failed; /* failed: cells in which its call failed */
	uint32_t handled;
};

struct cell {
	uint32_t site; /* index */
	uint32_t nth;
	int32_t error;
	uint8_t span, kind,
		occurrence; /* occurrence: 0 first 1 middle 2 last */
	uint8_t pass;	    /* the order in which cells are tried */
	uint32_t novel;	    /* within a pass; less is earlier */
};

struct cell_result { /* in shared memory; written by workers */
	uint8_t class;
	bool confirmed, skipped;
	int status, signal; /* of the target */
	uint64_t duration_ns;
	uint32_t fired, notes_count;
	char what[SWEEP_WHAT_MAX]; /* the first thing that differed, or was said
				    */
	struct sweep_note notes[16];
};

struct bug {
	uint8_t class;
	uint32_t cell; /* its simplest */
	uint32_t site;
	uint32_t runs;	   /* cells that show it */
	uint32_t sites;	   /* sites that show it */
	json_t *deaths;	   /* stacks of a crash or a hang; NULL: none */
	const char *minor; /* why it doesn't make a FAIL; NULL: it does */
	char id[24];
};

struct sweep {
	const struct sweep_options *options;
	enum verdict verdict;
	struct strings reasons, notes;
	struct place place;
	char *cwd;
	int cwd_fd;
	char **envp; /* of a target, but for MISHAP_SHARED */
	char *library;
	struct shared_file shared;
	struct sandbox *sandboxes[SWEEP_JOBS_MAX];
	struct area *areas; /* one a job */
	uint64_t epoch_ns;  /* what CLOCK_REALTIME begins at */
	char *stdin_file;   /* NULL: /dev/null */
	char *program;	    /* the file that argv[0] means */

	struct sight base[SWEEP_BASELINES];
	struct baseline baseline;
	uint64_t timeout_ns;
	bool rerun_ok, rerun_same; /* the command may be run again on its own
				      results: it succeeds; nothing changes */
	struct spot *sites;
	size_t sites_count;
	struct site_ids *names;
	uint64_t sites_lost, loader_sites, shell_sites;
	const char *interpreter; /* sites are collapsed; NULL: they aren't */
	uint64_t processes;

	struct cell *cells;
	struct cell_result *results; /* shared memory, one a cell */
	size_t cells_count, tried, refuted;
	struct bug *bugs;
	size_t bugs_count, minor_count; /* minor ones are the last */
	uint64_t start_ns, baseline_ns, sweep_ns, confirm_ns;
	bool interrupted, out_of_time;
};

/* sweep_run - an exit code (docs/JSON.md). */
int sweep_run(const struct sweep_options *options);
/* sweep_replay - one bug of an earlier sweep again; an exit code.  runs_dir:
 * NULL is the default; name: last, an id, the beginning of one, a directory;
 * in_gdb: stopped at the fault, in a debugger. */
int sweep_replay(const char *runs_dir, const char *name, const char *bug,
		 bool in_gdb);

/* start.c - each returns 0 or an exit code, after a message. */
int start_places(struct sweep *sweep);
int start_program(struct sweep *sweep);
int start_stdin(struct sweep *sweep);
int start_rundir(struct sweep *sweep);
int start_areas(struct sweep *sweep);
int start_sandboxes(struct sweep *sweep);
void start_undo(struct sweep *sweep);
/* sweep_fail - a message; returns code. */
int sweep_fail(int code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* sweep_because - a reason, which it takes, for a verdict. */
void sweep_because(struct sweep *sweep, enum verdict verdict, char *reason);

/* run.c */
int sweep_clean(struct sweep *sweep);	/* clean runs, sites; an exit code */
int sweep_results(struct sweep *sweep); /* room for them; 0 or -errno */

/* sites.c - of the listing run, in area 0. */
int sites_take(struct sweep *sweep);

/* faults.c - what may fail at a site, worst first. */
#define FAULTS_MAX 4
struct plausible {
	int error;
	uint8_t kind;
	uint8_t spans; /* by bits: 1 << enum sweep_span */
};
size_t faults_of(const struct spot *site, struct plausible ret[FAULTS_MAX]);
/* faults_group - which calls fail from here on, or on the path. */
void faults_group(unsigned call, struct sweep_cell *ret_cell);
bool faults_writes(unsigned call);
/* faults_listens - is this call looked at at all? */
bool faults_listens(unsigned call);

/* cells.c */
int cells_make(struct sweep *sweep);
void cell_fill(const struct sweep *sweep, const struct cell *cell,
	       struct sweep_cell *ret_cell);
/* cell_words - "write ENOSPC, the 3rd of 7, once"; ret: 120 bytes. */
const char *cell_words(const struct sweep *sweep, const struct cell *cell,
		       char *ret);

/* names.c */
int names_find(struct sweep *sweep, const struct state *state);
const struct site_frame *site_frame_told(const struct spot *site);
char *site_words(const struct spot *site); /* malloc'd */

/* judge.c */
void judge_cell(const struct sweep *sweep, const struct cell *cell,
		const struct sight *sight, const struct sweep_area *area,
		struct cell_result *ret_result);
bool class_is_finding(unsigned class);

/* bugs.c */
int bugs_find(struct sweep *sweep);
/* bugs_explain - stacks of those that crash or hang. */
int bugs_explain(struct sweep *sweep);
void bugs_clear(struct sweep *sweep);

/* report.c, json.c */
void sweep_print(const struct sweep *sweep, FILE *out);
json_t *sweep_json(const struct sweep *sweep); /* NULL: no memory */

#endif

/* coroner.h - a helper process that looks at the stacks of targets that die by
 * a signal or hang, before they are gone.
 *
 * ptrace(2) is the only way to see a process die that needs no privilege, no
 * signal handler in the target and no core file (whose pattern is the whole
 * machine's).  It isn't free of side effects, so a process is attached to only
 * once it has met its first fault (preload/attend.c asks), or hangs.  The helper
 * is a process of its own, because who traces is also told of stops by
 * waitpid(2), and the runner waits for its children.  It is a child of the
 * runner's from before the tree is opened, and dies with it; what it traced
 *then goes on.
 *
 * RUN_DIR/deaths.json, written anew after each:
 *	{"version": 1, "deaths": [{"pid", "program", "why", "signal", "at_ns",
 *	 "missing", "threads": [{"tid", "name", "call", "died", "frames":
 *	 [{"language", "module", "offset", "function", "file", "line",
 *	   "inlined", "plumbing"}, …]}, …]}, …]}
 * pid: as the process sees itself.  why: "died", or how it hangs, in words.
 * missing: why there are no frames, or null.  The first thread is the one that
 * died; frames are the innermost first.
 */
#ifndef MISHAP_RUNNER_CORONER_H
#define MISHAP_RUNNER_CORONER_H

#include <jansson.h>

#include "runner/shared_file.h"

#define CORONER_DEATHS_MAX  8  /* that are written down, of one run */
#define CORONER_THREADS_MAX 32 /* of one process */
#define CORONER_FRAMES_MAX  32 /* of one thread */

struct coroner;

/* coroner_open - fork the helper; before any other process of the run's.
 * Returns 0, or -errno: then there will be no stacks, and that is all. */
int coroner_open(const struct shared_file *shared, const char *run_dir,
		 struct coroner **ret_coroner);
/* coroner_hang - have it look at a process that hangs; waits, at most 5 s.
 * why: at most 80 bytes, in words.  NULL coroner is fine. */
void coroner_hang(struct coroner *coroner, pid_t pid, const char *why);
/* coroner_close - let go of what is watched, and end it. */
void coroner_close(struct coroner *coroner);

/* deaths_read - what it has written down; NULL: nothing.  A new reference. */
json_t *deaths_read(const char *run_dir);

/* autopsy.c, in the helper: of a process whose threads we have stopped by
 * ptrace(2).  tids[0] is the one that died, if one did.  Fills `threads` of the
 * death while they stand still; names come later.  *ret_names: to be given to
 * autopsy_name(), which ends it.  0 or -errno. */
struct autopsy;
int autopsy_take(pid_t pid, const pid_t *tids, size_t count,
		 struct autopsy **ret_autopsy);
/* autopsy_name - the threads as JSON, named; the process may be gone. */
json_t *autopsy_name(struct autopsy *autopsy);

#endif

/* rundir.h - run directories: named, made, found, filled, read back. */
#ifndef MISHAP_RUNNER_RUNDIR_H
#define MISHAP_RUNNER_RUNDIR_H

#include "runner/words.h"

#define RUNDIR_DEFAULT ".mishap/runs"

/* rundir_name - choose id, run directory and scratch; nothing is made.
 * Ports stay unset.  What was in the place before is freed. */
int rundir_name(const char *runs_dir, struct place *place);
void place_clear(struct place *place);
/* rundir_check - can a run directory be made in runs_dir?  It is made if it
 * isn't there.  -EACCES, -EROFS, -ENOTDIR … and *ret_path is what can't be
 * written (malloc'd). */
int rundir_check(const char *runs_dir, char **ret_path);
/* rundir_discard - remove what a run that never came to evidence has made. */
void rundir_discard(const struct place *place);
/* tree_remove - a directory and all below it, no mount point crossed. */
int tree_remove(const char *path);

/* rundir_find - "last", an id, the beginning of one, or a directory.
 * *ret_dir is absolute, malloc'd.  -ENOENT: none; -ENOTUNIQ: several. */
int rundir_find(const char *runs_dir, const char *name, char **ret_dir);

/* What command.json holds; strings belong to json. */
struct command_record {
	json_t *json;
	const char *cwd;
	struct options options; /* all but how to report */
	struct variable *vars;
};

int command_load(const char *run_dir, struct command_record *ret_record);
void command_clear(struct command_record *record);

#endif

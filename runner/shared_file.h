/* shared_file.h - the run's own directory on tmpfs, where runner and target
 * meet: `shared` (core/shared.h), sites/ (core/sites.h) and `owner`.
 *
 * `owner` is locked with flock(2) for the runner's life.  The kernel drops the
 * lock however the runner ends, so a directory whose lock can be had is stale,
 * and is swept by the next run or by `mishap halt`.
 */
#ifndef MISHAP_RUNNER_SHARED_FILE_H
#define MISHAP_RUNNER_SHARED_FILE_H

#include "core/shared.h"

#define SHARED_DIR_PREFIX "mishap-"
#define SHARED_ROOTS_MAX  16

struct shared_file {
	char dir[128];		      /* /dev/shm/mishap-<128 random bits> */
	char path[160];		      /* dir/shared */
	char sites_dir[160];	      /* dir/sites */
	struct shared_header *header; /* the whole file, mapped */
	struct state *state;
	size_t bytes;
	int owner_fd; /* locked; -1: nothing was made */
};

/* shared_file_create - make and map it, every byte allocated.
 * library: path of libmishap.so as targets may open it.  plan is copied.
 * -ENOSPC no tmpfs has room; -ENOENT there is no tmpfs that we may write to. */
int shared_file_create(const void *plan, size_t plan_bytes, const char *library,
		       struct shared_file *ret_file);
/* shared_file_beside - another one in the same directory, with which it goes;
 * unmap it with shared_file_unmap(). */
int shared_file_beside(const struct shared_file *file, const char *name,
		       const void *plan, size_t plan_bytes, const char *library,
		       struct shared_file *ret_file);
/* shared_file_lend_library - if not everybody can read the library where it
 * stands (below /root, say), or LD_PRELOAD can't say its name, put a copy
 * beside the shared file and have targets load that: they may run, or exec, as
 * another user.  On a noexec tmpfs it is a link.
 * *ret_path: where targets find it; owned by the caller. */
int shared_file_lend_library(struct shared_file *file, const char *library,
			     char **ret_path);
/* shared_file_note_scratch - where the target's scratch directory is, so that
 * whoever sweeps this away knows. */
int shared_file_note_scratch(const struct shared_file *file,
			     const char *scratch);
/* shared_file_remove - unmap and unlink; a file never made is fine. */
void shared_file_remove(struct shared_file *file);
const void *shared_file_plan(const struct shared_file *file);

/* shared_file_map - another runner's file, for `mishap halt`. */
int shared_file_map(const char *dir, struct shared_file *ret_file);
void shared_file_unmap(struct shared_file *file);

/* shared_dirs_visit - every run directory of this user, with its runner's pid
 * (0: unknown) and whether the runner lives.  visit may remove it. */
int shared_dirs_visit(void (*visit)(const char *dir, int pid, bool live,
				    void *arg),
		      void *arg);
/* shared_dirs_sweep - remove the stale ones and their scratch directories;
 * one whose target outlived its runner and works in its scratch stays until
 * that has ended.  Returns how many. */
unsigned shared_dirs_sweep(void);
/* shared_state_disarm - close every door at once; async-signal-safe. */
void shared_state_disarm(struct state *state);

#endif

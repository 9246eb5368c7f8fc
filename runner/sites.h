/* sites.h - patch plans: where a library's system calls stand, and whether a
 * target lets us in at all.
 *
 * A plan is made once per build-id with a real decoder and kept under
 * ${XDG_CACHE_HOME:-$HOME/.cache}/mishap/sites/.  Returns 0 or -errno.
 */
#ifndef MISHAP_RUNNER_SITES_H
#define MISHAP_RUNNER_SITES_H

#include "core/call.h"
#include "core/sites.h"

#define SITES_LIBRARIES_MAX 256

struct sites_counts { /* of `syscall` instructions */
	unsigned total, before, around, funnel, left, skipped;
};

/* What the site door can do for one library. */
struct sites_library {
	char *path;		   /* owned */
	char build_id[2 * 32 + 1]; /* hex */
	struct sites_counts counts;
	bool left_unknown;     /* a site whose number isn't constant was left */
	bool left[CALL_COUNT]; /* calls that a left site may make */
};

struct sites_libraries { /* owns its items */
	struct sites_library *items;
	size_t count;
};

/* sites_plan_make - decode one ELF file and write its plan, atomically, mode
 * 0644, to out_dir/<build-id>.sites.
 * Returns 0; -ENOEXEC no x86-64 ELF with just one executable segment;
 * -ENODATA no build-id; -ENOENT it makes no system call itself. */
int sites_plan_make(const char *path, const char *out_dir);

/* sites_prepare - plans for every library that the target would load, ld.so
 * and libc first, from the cache where it has them.
 * target_exe: a path (a name is looked up in $PATH); `#!` is followed.
 * Returns 0; -ENOEXEC we can't get in, target_reachable() says why; -ENOENT,
 * -EACCES.  A library that can't be planned is left out: the target says
 * SITES_NO_PLAN when it is libc. */
int sites_prepare(const char *sites_dir, const char *target_exe);

/* sites_describe - what sites_prepare() achieved, read from the plans in
 * sites_dir, for the libraries of target_exe. */
int sites_describe(const char *sites_dir, const char *target_exe,
		   struct sites_libraries *ret_libraries);
void sites_libraries_free(struct sites_libraries *libraries);

/* sites_count - `syscall`s by the call that they make, over every plan in
 * sites_dir; ret_left: those that can't be patched.  One whose number isn't a
 * constant counts for all calls, if it was left.  Adds to both. */
int sites_count(const char *sites_dir, uint64_t ret_sites[CALL_COUNT],
		uint64_t ret_left[CALL_COUNT]);

/* target_door - by which door the calls of a program are seen. */
enum target_door {
	DOOR_LIBRARY, /* libmishap.so is loaded into it */
	DOOR_NOTIFY,  /* it can't be; seccomp asks us */
	DOOR_NONE,
};

/* target_door - path: as target_reachable's, whose *ret_why is set unless it
 * is DOOR_LIBRARY. */
enum target_door target_door(const char *path, char **ret_why);

/* target_reachable - can the library live in this target?
 * false: *ret_why is a sentence (malloc'd): static, another architecture,
 * another libc, a Go program, setuid, setgid or file capabilities (AT_SECURE
 * drops LD_PRELOAD).  true: *ret_why is untouched; so too if the file can't
 * be read, which launching it will tell better. */
bool target_reachable(const char *path, char **ret_why);

#endif

/* sweep.h - the library's side of `mishap sweep`: core/sweep.h says what for.
 *
 * sweep.c decides, sweep_site.c knows sites, sweep_calm.c makes time and random
 * bytes the same in every run, so that runs can be compared.
 */
#ifndef MISHAP_PRELOAD_SWEEP_H
#define MISHAP_PRELOAD_SWEEP_H

#include <time.h>

#include "core/sweep.h"
#include "preload/guest.h"

struct timeval;

/* NULL but in a sweep. */
HIDDEN extern struct sweep_area *guest_sweep;

/* sweep.c - what rules_judge() comes to in a sweep, with the flight as at its
 * beginning; true: the call fails. */
HIDDEN bool sweep_judge(struct flight *flight);
/* Shall the hook make this call, so that its outcome is known? */
HIDDEN bool sweep_listens(const struct flight *flight);
HIDDEN void sweep_heard(const struct flight *flight, long ret);

/* A debugger may stop here, at the fault. */
HIDDEN void sweep_fault_here(void);

/* sweep_site.c */
HIDDEN enum sweep_object sweep_object_of(const struct flight *flight);
/* The site of this call, by its stack; 0: the stack can't be had. */
HIDDEN uint64_t sweep_site_id(const struct flight *flight,
			      enum sweep_object object);
/* Count it, and write it down at the first time.  NULL: no room. */
HIDDEN struct sweep_site *sweep_site_list(const struct flight *flight,
					  enum sweep_object object);
/* The path of what the call is about, its last bytes; the hash of all of it,
 * or 0: it has none. */
HIDDEN uint64_t sweep_path(const struct flight *flight,
			   enum sweep_object object, char ret[SWEEP_PATH_MAX]);

/* sweep_calm.c */
HIDDEN bool sweep_random(struct site_regs *regs); /* true: it was answered */
HIDDEN int sweep_clock_gettime(clockid_t clock, struct timespec *ret);
HIDDEN int sweep_gettimeofday(struct timeval *ret, void *zone);
HIDDEN time_t sweep_time(time_t *ret);

#endif

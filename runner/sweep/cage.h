/* cage.h - inside a worker: fresh surroundings, one run of the target, what it
 * left.
 *
 * A worker lives in a sandbox, in a mount namespace of its own, with the
 * working directory's copy in memory; every run gets an overlay over that copy
 * at the directory's own path, empty /tmp, /var/tmp and /dev/shm, and a pid
 * namespace with which all that it started ends. */
#ifndef MISHAP_RUNNER_SWEEP_CAGE_H
#define MISHAP_RUNNER_SWEEP_CAGE_H

#include "runner/sweep/area.h"
#include "runner/sweep/sweep.h"

enum cage_step { STEP_NONE, STEP_COPY, STEP_MOUNT, STEP_RUN, STEP_LOOK };

struct cage_end { /* in memory shared with the run's pid 1 */
	int status;
	bool ended;
	uint64_t end_ns;
};

struct cage {
	const struct sweep *sweep;
	const struct sandbox *sandbox;
	struct area *area;
	char **envp;
	int stage_fd, base_fd, upper_fd, work_fd;
	int out_fd, err_fd, null_fd;
	int temporaries[SWEEP_TEMPORARIES];
	char **keep[SWEEP_TEMPORARIES];
	struct cage_end *end;
	enum cage_step step; /* where it failed */
	/* Called when time is up, before the kill; may be NULL. */
	void (*on_hang)(void *arg);
	void *arg;
};

struct cage_run {
	uint32_t mode;		       /* enum sweep_mode */
	bool armed, bare;	       /* bare: without the library */
	const struct sweep_cell *cell; /* or NULL */
	char *const *argv;
	const char *path;
	uint64_t timeout_ns, seed;
};

/* cage_open - in the worker.  0 or -errno, and step says at what. */
int cage_open(struct cage *cage);
int cage_fresh(struct cage *cage); /* surroundings for a run */
int cage_stale(struct cage *cage); /* they are taken away */
int cage_run(struct cage *cage, const struct cage_run *run,
	     struct sight *ret_sight);

/* cage_debug - the run in gdb, with our own terminal. */
int cage_debug(struct cage *cage, const struct cage_run *run);

#endif

/* sweep.h - what a sweep's runner and its targets say to each other.
 *
 * A region of its own behind the state, in the files of `mishap sweep` alone.
 * While it is there the plan's rules don't count: the library lists call sites,
 * or fails the one that the cell names.  Everything is written by the runner
 * while no target lives, or by targets with atomics; nobody waits for anybody.
 */
#ifndef MISHAP_CORE_SWEEP_H
#define MISHAP_CORE_SWEEP_H

#include <stdatomic.h>

#include "core/call.h"
#include "core/shared.h"

#define SWEEP_SITES_MAX	 16384 /* slots, a power of two */
#define SWEEP_FRAMES_MAX 24    /* that are kept of a site, for people */
#define SWEEP_DEEP_MAX	 64    /* that its identity is made of */
#define SWEEP_PATH_MAX	 112   /* with the NUL; a longer one loses its start */
#define SWEEP_NOTES_MAX	 24    /* calls that are noted after the fault */

enum sweep_mode {
	SWEEP_CLEAN, /* time and random bytes alone */
	SWEEP_LIST,  /* every site is written down */
	SWEEP_FAULT, /* the cell's calls fail */
};

/* What a call is about.  Of a descriptor it is what fstat(2) says, but for the
 * three that the runner has opened. */
enum sweep_object {
	OBJECT_NONE, /* memory, processes, threads */
	OBJECT_STDIN,
	OBJECT_STDOUT,
	OBJECT_STDERR,
	OBJECT_FILE_READ,  /* opened for reading only */
	OBJECT_FILE_WRITE, /* opened for writing */
	OBJECT_DIR,
	OBJECT_PIPE,
	OBJECT_SOCKET,
	OBJECT_DEVICE,
	OBJECT_OTHER_FD,  /* epoll, eventfd, a bad descriptor */
	OBJECT_PATH,	  /* named by a path */
	OBJECT_PATH_READ, /* open(2) for reading */
	OBJECT_PATH_WRITE,
	OBJECT_COUNT,
};

struct sweep_site {
	_Atomic uint64_t id;	 /* 0: free */
	_Atomic uint32_t ready;	 /* what is below was written */
	_Atomic uint32_t count;	 /* calls */
	_Atomic uint32_t failed; /* of them by themselves; of path calls only */
	uint32_t order;		 /* when it was met first, among all sites */
	uint32_t pid;		 /* by whom, as it sees itself */
	uint16_t call;		 /* enum call_id */
	uint8_t object;		 /* enum sweep_object */
	uint8_t frames_count;
	int32_t fd;
	uint32_t flags; /* the call's, of open(2) and fcntl(2); 1: dup2(2) */
	uint64_t bytes; /* asked for, the most of all calls */
	uint64_t path_hash;	   /* of the whole path; 0: none */
	char path[SWEEP_PATH_MAX]; /* of the first call */
	struct shared_frame frames[SWEEP_FRAMES_MAX];
};

enum sweep_span {
	SPAN_ONCE,
	SPAN_ONWARD, /* from the occurrence on, all calls of the group */
	SPAN_PATH,   /* all calls of the group on one path */
};

enum sweep_kind { KIND_FAIL, KIND_SHORT };

/* What is to fail. */
struct sweep_cell {
	uint64_t site;	    /* its id */
	uint64_t path_hash; /* SPAN_PATH */
	uint32_t nth;	    /* occurrence, from 1 */
	int32_t error;	    /* errno, or an EAI_ code */
	uint16_t call;	    /* enum call_id */
	uint8_t object;	    /* enum sweep_object */
	uint8_t span, kind;
	uint8_t group[CALL_COUNT]; /* 1: fails too, after the first */
	uint32_t group_objects;	   /* by bits: 1 << object */
};

/* A call that was made after the fault. */
struct sweep_note {
	uint16_t call;
	uint8_t object;
	uint8_t failed; /* by us */
	int32_t fd;
	uint32_t pid;
	char path[SWEEP_PATH_MAX];
};

struct sweep_area {
	uint32_t mode;
	uint32_t pad;
	uint64_t epoch_ns; /* what CLOCK_REALTIME shows at the start */
	uint64_t began_ns; /* what it really was */
	uint64_t seed;	   /* of getrandom(2) */
	/* Whose descriptors are standard input, output and error. */
	uint64_t std_dev[3], std_ino[3];
	struct sweep_cell cell;

	/* From here on by targets; the runner clears it between runs. */
	_Atomic uint32_t seen;	/* calls at the cell's site */
	_Atomic uint32_t fired; /* calls that failed */
	_Atomic uint32_t fired_pid;
	_Atomic uint32_t notes_count; /* may go past SWEEP_NOTES_MAX */
	struct sweep_note notes[SWEEP_NOTES_MAX];
	_Atomic uint32_t sites_count;
	_Atomic uint32_t sites_lost; /* there was no room */

	_Alignas(SHARED_PAGE) struct sweep_site sites[SWEEP_SITES_MAX];
};

/* sweep_path_hash - of an absolute path; never 0. */
static inline uint64_t sweep_path_hash(const char *path, size_t n)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ (uint8_t)path[i]) * 0x100000001b3ull;
	return hash ? hash : 1;
}

#endif

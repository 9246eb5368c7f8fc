/* shared.h - the memory where runner and target meet.
 *
 * One file on tmpfs, preallocated, in the run's own directory: first the plan
 * (mapped read-only by targets), then, page-aligned, struct state (writable).
 * The library finds it by path in $MISHAP_SHARED, maps it and closes the fd.
 *
 * Who may open it: the directory is 0711 with an unguessable name, the file
 * is 0666, because a target may setuid and then exec, and must not lose its
 * judge.  It holds no data of the target's beyond counters, call numbers and
 * code addresses.
 */
#ifndef MISHAP_CORE_SHARED_H
#define MISHAP_CORE_SHARED_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/plan.h"
#include "core/python.h"
#include "core/watch.h" /* SHARED_MARK_* */

#define SHARED_ENV "MISHAP_SHARED"
#define SHARED_MAGIC 0x3144455241485321ull
#define SHARED_PAGE 4096
#define SHARED_PROCESSES_MAX 1024
#define SHARED_STACKS_MAX 4096 /* distinct stacks of decisions */
#define SHARED_FRAMES_MAX 16
#define SHARED_MODULES_MAX 256
#define SHARED_CODES_MAX 1024 /* functions of interpreted languages */
#ifndef SHARED_EVENTS /* a test of laps wants few */
#define SHARED_EVENTS 131072 /* ring slots; a power of two */
#endif
#define SHARED_HEARTBEAT_NS 100000000ull /* the runner beats so often */
#define SHARED_LAPSE_NS 2000000000ull /* older: the lease has lapsed */
#define SHARED_EXE_MAX 64
#define SHARED_LEDGER_MAX 192

struct shared_header {
	uint64_t magic;
	uint64_t abi; /* shared_abi() */
	uint64_t plan_off, plan_bytes; /* both page-aligned regions */
	uint64_t state_off, state_bytes;
	char sites_dir[256]; /* <build-id>.sites files, see core/sites.h */
	char library[256]; /* path of libmishap.so, to repair LD_PRELOAD */
	uint32_t doors; /* enum shared_doors */
	uint32_t pad;
	uint64_t sweep_off, sweep_bytes; /* core/sweep.h; 0: no sweep */
};

/* Which doors system calls shall come by. */
enum shared_doors {
	DOORS_BEST, /* sites; where they are refused, symbols */
	DOORS_SYMBOLS, /* no text is patched */
	DOORS_NOTIFY, /* the kernel asks the runner; the library stays out */
};

enum event_flags {
	EVENT_AFTER = 1 << 0, /* acted after the call */
	EVENT_SITE = 1 << 1, /* came by the site door */
	EVENT_ALSO = 1 << 2,
	EVENT_LAPSED = 1 << 3, /* held back: the lease had lapsed */
	EVENT_CHILD = 1 << 4, /* first event of a process */
	EVENT_NOTIFY = 1 << 5, /* came by the notify door */
};

/* One decision.  64 bytes; seq is written last, so that a SIGKILL leaves
 * either a whole event or a hole that the reader sees. */
struct event {
	_Atomic uint64_t seq; /* position in the ring's life, plus 1 */
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t stream; /* thread's creation path */
	int64_t value; /* delay ns, bytes, signal, status: by fault */
	uint32_t pid;
	uint32_t index; /* the rule's count (by `per`) at this call */
	uint32_t thread_index; /* counted on this thread alone */
	uint32_t stack; /* number in the stack table, 0: unknown */
	int32_t fd;
	int16_t error;
	uint16_t call;
	uint8_t rule, fault, flags, pad;
	uint16_t process; /* slot */
	uint16_t pad2;
};
_Static_assert(sizeof(struct event) == 64, "one cache line");

struct ring {
	_Atomic uint64_t head; /* events ever reserved */
	char pad1[56];
	_Atomic uint64_t tail; /* events read by the runner */
	char pad2[56];
	struct event events[SHARED_EVENTS];
};

enum process_status {
	PROCESS_FREE,
	PROCESS_CLAIMED, /* being filled */
	PROCESS_LIVE,
	PROCESS_EXECING, /* exec is under way; the new image checks in */
	PROCESS_LOST, /* execed something that never checked in (runner) */
	PROCESS_DONE, /* gone, counted and released (runner) */
};

enum process_sites {
	SITES_UNTRIED,
	SITES_PATCHED,
	SITES_NO_PLAN, /* no plan for this libc's build-id */
	SITES_MISMATCH, /* bytes differ from the plan: nothing was touched */
	SITES_NO_MEMORY, /* no room within 2 GiB, or mprotect refused */
	SITES_NOTIFIED, /* it has none of ours: the kernel asks our guardian */
	SITES_OTHER_LIBC, /* musl: how it cancels threads isn't proven safe */
	SITES_UNWANTED, /* DOORS_SYMBOLS */
};

/* Are system calls seen by their symbols alone? */
static inline bool sites_are_refused(uint32_t sites)
{
	return sites != SITES_UNTRIED && sites != SITES_PATCHED &&
	       sites != SITES_NOTIFIED;
}

/* One process that the library lives in. */
struct process {
	_Atomic int32_t pid; /* as the process sees itself */
	_Atomic uint32_t status; /* enum process_status */
	uint64_t path; /* creation path: hash of ancestors' ordinals */
	_Atomic uint32_t children, threads; /* ordinals given out */
	_Atomic uint32_t sites; /* enum process_sites */
	_Atomic uint32_t sites_patched, sites_left;
	_Atomic uint32_t deciding; /* threads between a decision and its event */
	uint64_t born_ns;
	char exe[SHARED_EXE_MAX]; /* last component of the image's path */
	_Atomic uint64_t calls[CALL_COUNT]; /* seen while armed */
	_Atomic uint64_t matched[PLAN_RULES_MAX];
	_Atomic uint64_t fired[PLAN_RULES_MAX];
	_Atomic uint64_t bytes[PLAN_RULES_MAX]; /* asked for, when matched */
};

/* Distinct stacks of decisions; written once, then read-only. */
enum frame_language { FRAME_NATIVE, FRAME_PYTHON };

struct shared_frame {
	uint32_t module; /* in modules[], or codes[], plus 1; 0: unknown */
	uint32_t language; /* enum frame_language: native ones are modules' */
	uint64_t offset; /* from the module's load address; else a line */
};

struct shared_stack {
	_Atomic uint64_t hash; /* 0: free */
	_Atomic uint32_t ready;
	uint32_t count;
	struct shared_frame frames[SHARED_FRAMES_MAX];
};

/* What a module does with the code of others; by its exported symbols. */
enum module_runs { RUNS_ITSELF, RUNS_PYTHON, RUNS_UNKNOWN_PYTHON };

struct shared_module {
	_Atomic uint64_t key; /* 0: free; hash of build-id or of the name */
	_Atomic uint32_t ready;
	uint32_t build_id_bytes;
	uint8_t build_id[32];
	uint32_t runs; /* enum module_runs */
	uint32_t pad;
	char path[256];
};

/* A function in a language whose frames are read; too long a text has lost its
 * beginning. */
struct shared_code {
	_Atomic uint64_t key; /* 0: free; hash of file and function */
	_Atomic uint32_t ready;
	uint32_t pad;
	char file[PYTHON_FILE_MAX];
	char function[PYTHON_FUNCTION_MAX]; /* as qualified there */
};

/* What armed_nr says of a number: go by, ask the hook, ask it and count. */
enum armed_nr { NR_PASSES, NR_ASKED, NR_COUNTED };

/* A module that wants a patch plan, or has been found not to need one. */
enum late_status {
	LATE_FILLING,
	LATE_ASKED, /* the runner has yet to look */
	LATE_PLANNED, /* sites_dir has its plan */
	LATE_EMPTY, /* it makes no system call itself, or is too large */
	LATE_FAILED, /* it can't be planned */
};
#define SHARED_LATE_MAX 512

struct shared_late {
	_Atomic uint64_t key; /* 0: free; hash of the build-id */
	_Atomic uint32_t status; /* enum late_status; a futex */
	uint32_t build_id_bytes;
	uint8_t build_id[32];
	char path[256]; /* as the target sees it */
};

/* A process that has met its first fault asks to be watched by the runner's
 * helper, whom nothing tells who asks but this. */
enum attend_mode { ATTEND_OFF, ATTEND_ON, ATTEND_BY_LEAVE };
enum attend_status { ATTEND_FREE, ATTEND_FILLING, ATTEND_ASKED };
#define SHARED_ATTEND_MAX 64

struct shared_attend {
	_Atomic uint32_t status; /* enum attend_status */
	_Atomic uint32_t done; /* goes up when it was looked at; a futex */
	int32_t pid; /* as the process sees itself */
	uint32_t pad;
};

struct state {
	/* Page 0: what a door looks at first: enum armed_nr. */
	uint8_t armed_nr[CALL_NR_MAX];
	uint8_t armed_call[1024];

	/* The lease: a robust mutex that the runner holds for its life; its
	 * lock word's FUTEX_OWNER_DIED bit is set by the kernel. */
	_Alignas(SHARED_PAGE) pthread_mutex_t lease;
	_Atomic uint64_t heartbeat_ns; /* CLOCK_MONOTONIC */
	_Atomic uint32_t halted; /* `mishap halt`: disarmed for good */
	_Atomic uint32_t armed; /* 0: no rule holds */
	_Atomic uint32_t phase; /* 0.. */
	_Atomic uint64_t phase_ns; /* when it began */
	int32_t runner_pid;
	_Atomic uint32_t watched; /* probes count: say what stands where */

	/* The books. */
	_Atomic uint64_t lapses; /* decisions held back by a lapsed lease */
	_Atomic uint64_t unresolved; /* selectors in doubt: real call made */
	_Atomic uint64_t processes_lost; /* no slot was left */
	_Atomic uint64_t events_waited; /* bounded waits for the reader */
	_Atomic uint64_t vfork_skipped; /* calls of vfork children */
	_Atomic uint64_t fired[PLAN_RULES_MAX]; /* over all processes */
	_Atomic uint64_t matched[PLAN_RULES_MAX];
	_Atomic uint64_t slot[PLAN_RULES_MAX][4]; /* a fault's own state */
	_Atomic uint64_t seen_nr[CALL_NR_MAX]; /* where NR_COUNTED */
	_Atomic uint64_t kept_nr[CALL_NR_MAX]; /* of them, never made */
	_Atomic uint64_t late_missed; /* modules with calls, left unpatched */
	_Atomic uint32_t late_asked; /* goes up with each; a futex */
	uint32_t pad2;
	struct shared_late late[SHARED_LATE_MAX];
	_Atomic uint32_t attend_on; /* enum attend_mode */
	_Atomic uint32_t attend_asked; /* goes up with each; a futex */
	struct shared_attend attend[SHARED_ATTEND_MAX];

	/* The ledger: where stat("/.mishap/...") is told; "": nowhere. */
	char ledger[SHARED_LEDGER_MAX];
	_Atomic uint64_t ledger_lost; /* lines that couldn't be */

	/* The notify door, runner/guardian.c. */
	_Atomic int32_t guardian_pid; /* 0: this run has none */
	_Atomic uint32_t pad3;
	_Atomic uint64_t uring_refused; /* io_uring_setup, where rules hold */
	_Atomic uint64_t foreign; /* calls of another ABI, let go */
	_Atomic uint64_t undone[PLAN_RULES_MAX]; /* matched, but can't act */
	_Atomic uint64_t notified_nr[CALL_NR_MAX]; /* where NR_COUNTED */

	_Alignas(SHARED_PAGE) struct process processes[SHARED_PROCESSES_MAX];
	struct shared_module modules[SHARED_MODULES_MAX];
	struct shared_code codes[SHARED_CODES_MAX];
	struct shared_stack stacks[SHARED_STACKS_MAX];
	_Alignas(SHARED_PAGE) struct ring ring;
};

_Static_assert(CALL_COUNT <= 1024, "armed_call has room");

/* shared_abi - what runner and library must agree upon beyond the plan. */
uint64_t shared_abi(void);
/* shared_check - is this a whole shared file of ours?  -EPROTO, -EBADMSG. */
int shared_check(const struct shared_header *header, size_t bytes);

/* lease_holds - may faults act?  now_ns: CLOCK_MONOTONIC.  One load when the
 * owner is dead, two otherwise.  Signal-safe. */
bool lease_holds(const struct state *state, uint64_t now_ns);

/* ring_push - publish one event; fills seq.  Lock-free, signal-safe.
 * Overwrites the oldest when the reader is behind; the reader sees the gap. */
void ring_push(struct ring *ring, const struct event *event);
/* ring_pop - next event for the one reader.
 * Returns 1: *ret_event is filled; 0: nothing new, or the next event is still
 * being written.  Adds to *ret_lost the events that were overwritten before
 * they were read and, when final (the writers are gone, or one stood still
 * for longer than any live one would), those that a dying writer left torn.
 * Popped and lost events are together all that were ever pushed. */
int ring_pop(struct ring *ring, bool final, struct event *ret_event,
	     uint64_t *ret_lost);

#endif

/* watched.h - what probes in the kernel saw of a run: a part of the evidence.
 *
 * The library can only say what it did; this is what happened.  watch.c fills
 * it from what mishap-watch tells, watched.c copies, saves and frees it.
 * Counts are of the target's processes alone.  Times: CLOCK_MONOTONIC, ns.
 * pids are those of the runner's own pid namespace.
 */
#ifndef MISHAP_RUNNER_WATCHED_H
#define MISHAP_RUNNER_WATCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/plan.h"
#include "core/shared.h"

#define WATCHED_COMM_MAX    16
#define WATCHED_BUCKET_NS   100000000ull /* from look to look, about */
#define WATCHED_EXITS_MAX   65536
#define WATCHED_NET_MAX	    65536
#define WATCHED_ESCAPES_MAX 1024
#define WATCHED_ERRORS_MAX  512

enum watched_group {
	WATCHED_life,	 /* fork, exec, exit, signals, OOM kills */
	WATCHED_net,	 /* connection attempts, retransmits, resets */
	WATCHED_sys,	 /* every call that reached the kernel: the books */
	WATCHED_durable, /* writes, syncs, acknowledgements */
	WATCHED_GROUPS,
};

extern const char *const watched_group_names[WATCHED_GROUPS];

struct watched_group_seen {
	bool asked, on; /* on: from before the target's exec to its end */
	char *why;	/* it isn't on, or not all the time: why, and what would
			   help; NULL */
	uint64_t lost;	/* records that never reached us */
};

struct watched_exit { /* of a process, its last thread */
	uint64_t at_ns;
	uint32_t pid, parent;
	int status, signal; /* status counts if signal is 0 */
	bool core, oom;	    /* oom: the kernel killed it for lack of memory */
	bool sender_known;  /* of the signal; else the kernel's own */
	bool sender_is_kernel, sender_is_runner, sender_is_inside;
	uint32_t sender;
	char comm[WATCHED_COMM_MAX], sender_comm[WATCHED_COMM_MAX];
};

struct watched_net { /* what fell between two looks */
	uint64_t at_ns, until_ns;
	uint64_t connects, retransmits, resets;
};

struct watched_call { /* one kernel number, all processes */
	uint16_t nr;
	uint64_t passed;  /* the library: let go on to the kernel */
	uint64_t marked;  /* the probes: came to the kernel through us */
	uint64_t symbols; /* by programs that are seen by their symbols: how
			     many of them passed us, the library says */
	uint64_t asked;	  /* by programs that the notify door's guardian is
			     asked about */
	uint64_t escaped; /* came to the kernel past us */
	uint64_t unknown; /* can't be told: records or plans were lost */
	uint64_t early;	  /* before the library was there, or its own */
};

enum watched_way {		  /* how a call came past us */
		   WATCHED_raw,	  /* a system call that no door stands at */
		   WATCHED_uring, /* io_uring did it */
		   WATCHED_alone, /* of a process that the library isn't in */
		   WATCHED_inner, /* where symbols are the door: by none */
};

struct watched_escape {
	uint16_t nr;  /* of WATCHED_uring: the opcode */
	uint8_t way;  /* enum watched_way */
	uint8_t bits; /* 32: a 32-bit call, whose numbers are others */
	uint64_t count;
	char comm[WATCHED_COMM_MAX]; /* of WATCHED_uring: the operation */
	char *site; /* "main (src/x.c:12)" or "program+0x1234"; NULL */
};

struct watched_error { /* the kernel itself said so */
	uint16_t nr;
	int error;
	uint64_t count;
};

struct watched_acks {		/* on accepted connections */
	uint64_t acks, dirty;	/* dirty: while writes weren't synced */
	uint64_t window_max_ns; /* the longest that one had been waiting */
	uint64_t first_ns;	/* of the first dirty one */
	uint64_t writes, syncs, sync_errors; /* on its file system */
};

struct watched {
	bool asked;
	bool notified;	  /* the notify door stands before every program */
	char *unobserved; /* why nothing was seen at all, and what would grant
			     it; NULL: something was */
	struct watched_group_seen groups[WATCHED_GROUPS];
	uint64_t attach_ns; /* how long it took to begin */
	uint64_t processes; /* ever followed */
	struct watched_exit *exits;
	size_t exits_count;
	struct watched_net *net; /* in order of time; empty ones left out */
	size_t net_count;
	struct watched_call *calls;
	size_t calls_count;
	uint64_t execs; /* made: a good one never comes back to be counted */
	uint64_t in_flight; /* calls under way when a process died or counting
			       began or ended: the books' tolerance */
	struct watched_escape *escapes;
	size_t escapes_count;
	uint64_t escapes_more; /* of sites that found no room */
	struct watched_error *errors;
	size_t errors_count;
	char *data; /* the directory that acks are about; NULL: none */
	struct watched_acks
		acks[1 + PLAN_PHASES_MAX]; /* [0]: outside of any
					      phase, [1 + i]: of i */
};

void watched_clear(struct watched *watched);
/* watched_copy - deep.  0 or -ENOMEM; ret_to then owns nothing. */
int watched_copy(const struct watched *from, struct watched *ret_to);
/* watched_missing - why these groups (a mask of 1 << enum watched_group) can't
 * bear a verdict, in words, malloc'd; NULL: they can. */
char *watched_missing(const struct watched *watched, unsigned groups);

/* watched_exit_of - how a process ended, by its pid; NULL: it wasn't seen. */
const struct watched_exit *watched_exit_of(const struct watched *watched,
					   uint32_t pid);
/* watched_sender_words - ", sent by kill (pid 12)"; "" where nobody knows. */
char *watched_sender_words(const struct watched *watched, uint32_t pid,
			   int signal);
/* watched_exit_words - "killed by SIGKILL, sent by kill (pid 12)". */
char *watched_exit_words(const struct watched_exit *exit);
/* watched_pardon - take what the notify door's guardian answered off the errors
 * that the kernel gave: to the probes both look alike. */
void watched_pardon(struct watched *watched, const struct event *events,
		    size_t count);
/* books_watch.c: a number's call by name, NULL if no rule can name it; an
 * escape in words; is it the machine that is ill, rather than the target? */
const char *watched_call_name(uint16_t nr);
char *watched_escape_words(const struct watched_escape *escape);
bool watched_error_is_environment(const struct watched_error *error);
/* watched_net_sum - what fell into [from_ns, to_ns). */
struct watched_net watched_net_sum(const struct watched *watched,
				   uint64_t from_ns, uint64_t to_ns);
/* watched_connects_peak - the most within any one second of [from, to). */
uint64_t watched_connects_peak(const struct watched *watched, uint64_t from_ns,
			       uint64_t to_ns, uint64_t *ret_at_ns);

#endif

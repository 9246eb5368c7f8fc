/* watch.h - what mishap-watch tells the runner, and is told by it.
 *
 * The runner starts `mishap-watch` with pipes: commands on its standard input,
 * records from its standard output; its standard error is free text, for
 * people.  The same records leave the probes in the kernel, so this header is
 * read by BPF C too: plain types, no libc, little endian, no padding that
 * isn't named.
 *
 *   mishap-watch [--groups=life,net,sys,...] [--sites=DIR] [--data=PATH]
 *
 *   --groups   default life,net; `life` is always there
 *   --sites    where <build-id>.sites plans are, to tell which calls passed
 *              the site door (core/sites.h); without it nothing is MARKED
 *   --data     the directory whose file system `durable` watches
 *   --no-cgroup  follow by fork alone
 *
 * Records.  A stream of struct watch_record headers, each followed by the body
 * of its type; `size` counts header and body, is a multiple of 8 and at most
 * WATCH_RECORD_MAX.  First come one GROUP for each group there is, then READY
 * (probes are attached; nothing is followed yet).  If no probe can be had at
 * all, the GROUPs say why, READY has groups == 0, and the process ends with 3.
 * An unknown type is to be skipped.
 *
 * Commands.  Lines "ID WORD [ARGUMENT]\n", at most WATCH_LINE_MAX bytes.  ID is
 * a decimal number of the caller's choice, not 0.  Each is answered by zero or
 * more records whose `seq` is ID, and then by one DONE; in the order that they
 * were given.  Events (records with seq == 0) may come between any two.
 *
 *   follow PID     follow this process, and all it will fork, from now on;
 *                  move it to a cgroup of its own where that can be made.
 *                  For exact counts it must not have started: fork, follow,
 *                  then exec.  DONE.value is the cgroup's id, or 0
 *   adopt PID      follow what runs already, with its descendants and their
 *                  sockets; it stays in its cgroup.  DONE.value: how many
 *   phase N        what `phase` of later records and histograms is, 0..255
 *   snapshot       all counters so far: TALLY, SITE, ERROR, URING, IMAGE,
 *                  PEER, LATENCY, DURABLE, LOST.  They count from the start
 *                  and never go down: the difference of two is a phase's
 *   threads        every thread followed, now: THREAD, then PROCESS for each
 *                  process (group `snap`)
 *   stop           detach; DONE; the process ends with 0.  So it does when its
 *                  standard input ends.  Nobody who was followed is touched
 *
 * Exactness.  A call is counted at its exit, a call that the kernel restarts
 * is one call.  A call that is still under way isn't counted yet: compare
 * books when the processes are gone, or bear the difference.  Whatever could
 * not be counted (a full map, an event lost) is said in LOST, by group; then
 * the group's figures are lower bounds and its verdicts INCONCLUSIVE.
 *
 * How a call is known to have passed our door: by the address of its
 * `syscall` instruction, which a patched site leaves where it stood and
 * nothing but its stub leads to.  The probes count by address, cheaply, and
 * know nothing of doors; the library announces each module that it patched
 * and then itself by madvise(2) with an advice that no kernel knows, where
 * state->watched is set (see SHARED_MARK_* in core/shared.h); mishap-watch
 * joins the two with the plans.  Nothing is written to the target, no token is
 * kept up to date on its way, and a handler that interrupts a call, a vfork
 * child or a copied token can't be mistaken for another.
 */
#ifndef MISHAP_CORE_WATCH_H
#define MISHAP_CORE_WATCH_H

#include <linux/types.h>

#define WATCH_ABI	 2
#define WATCH_RECORD_MAX 4096
#define WATCH_LINE_MAX	 512
#define WATCH_NAME_MAX	 16  /* TASK_COMM_LEN */
#define WATCH_PATH_MAX	 128 /* the end of a longer one is kept */
#define WATCH_WHY_MAX	 232
#define WATCH_BUCKETS	 40 /* log2 of ns: [2^i, 2^(i+1)) */
#define WATCH_STACK_MAX	 1024
#define WATCH_PHASES_MAX 256
#define WATCH_SITES_MAX	 1024

/* Where state->watched is set, or numbers are counted (NR_COUNTED), the library
 * says what it has done in a process by calls of madvise(2) that fail, with
 * an advice that no kernel knows: */
#define SHARED_MARK_OWN	   0x6d6f776e /* last: its own text; it is ready */
#define SHARED_MARK_AROUND 0x6d617264 /* what calls for the target */
#define SHARED_MARK_MODULE 0x6d6d6f64 /* load address, struct watch_module */

struct watch_module {
	__u32 build_id_bytes;
	__u8 build_id[32];
};

enum watch_type {
	WATCH_NONE,
	/* On its own: */
	WATCH_GROUP,
	WATCH_READY,
	WATCH_DONE,
	/* Events, seq == 0: */
	WATCH_FORK,
	WATCH_EXEC,
	WATCH_EXIT,	   /* of a process: its last thread */
	WATCH_SIGNAL,	   /* sent to a process that is followed */
	WATCH_OOM,	   /* chosen as the victim */
	WATCH_LEFT_CGROUP, /* followed, but in another cgroup than ours */
	WATCH_ACK_DIRTY,   /* an acknowledgement before its data was synced;
			    * the first of each second, all are counted */
	WATCH_SYNC_ERROR,  /* fsync, fdatasync failed */
	WATCH_RESET,	   /* a TCP reset was sent or received; first ones */
	/* Answers of snapshot, seq == its ID: */
	WATCH_TALLY = 64,
	WATCH_SITE,
	WATCH_ERROR,
	WATCH_URING,
	WATCH_PEER,
	WATCH_LATENCY,
	WATCH_DURABLE,
	WATCH_LOST,
	WATCH_IMAGE,
	/* Answers of threads: */
	WATCH_THREAD = 96,
	WATCH_PROCESS,
};

enum watch_group {
	WATCH_LIFE,	     /* fork, exec, exit, signals, OOM */
	WATCH_NET,	     /* TCP: connects, states, retransmits, resets */
	WATCH_SYS,	     /* every call by number, site and real errno */
	WATCH_DURABLE_GROUP, /* writes, syncs, acknowledgements */
	WATCH_LATENCY_GROUP, /* how long calls took, by phase */
	WATCH_SNAP, /* every thread's state and kernel stack, on demand */
	WATCH_GROUPS,
};
#define WATCH_GROUP_NAMES                                                      \
	{                                                                      \
		"life", "net", "sys", "durable", "latency", "snap"             \
	}

enum watch_status {
	WATCH_OFF, /* not asked for */
	WATCH_WORKS,
	WATCH_REFUSED, /* rights are missing, or the kernel forbids it */
	WATCH_ABSENT,  /* this kernel hasn't got what it needs */
	WATCH_PARTLY,  /* works but for what `why` names */
};

struct watch_record {
	__u64 time_ns; /* CLOCK_MONOTONIC */
	__u32 size;    /* of header and body */
	__u16 type;    /* enum watch_type */
	__u16 phase;
	__u32 tgid, tid; /* in the first pid namespace; 0: doesn't apply */
	__u64 seq;	 /* of the command that this answers; 0: an event */
};

struct watch_group_body {
	__u32 group;  /* enum watch_group */
	__u32 status; /* enum watch_status */
	__u32 programs, attached;
	__u64 attach_ns;	 /* to load and attach it */
	char why[WATCH_WHY_MAX]; /* and what would help; "" if it works */
};

struct watch_ready_body {
	__u32 abi, groups; /* WATCH_ABI; bits 1 << enum watch_group */
	__u64 attach_ns;
};

struct watch_done_body {
	__s32 error; /* 0 or -errno */
	__u32 pad;
	__u64 value;
};

struct watch_fork_body {
	__u32 child; /* tgid */
	__u32 vfork; /* it shares its parent's memory until it execs */
};

struct watch_exec_body {
	__u32 image; /* of which later SITE rows are */
	__u32 pad;
	char name[WATCH_NAME_MAX];
};

struct watch_exit_body {
	__s32 status; /* exit status, if signal == 0 */
	__u32 signal; /* that it died of */
	__u32 core;   /* dumped */
	__u32 pad;
	__u64 born_ns, user_ns, system_ns;
	__u64 rss_max_bytes;
	__u64 faults_major;
	char name[WATCH_NAME_MAX];
};

struct watch_signal_body {
	__u32 signal;
	__s32 code;   /* si_code */
	__u32 sender; /* tgid of who sent it; 0: the kernel itself */
	__u32 result; /* 0 delivered; else enum of <trace/events/signal.h> */
	__u32 sender_followed;
	__u32 pad;
	char sender_name[WATCH_NAME_MAX];
};

struct watch_oom_body {
	__u64 rss_bytes;
	char name[WATCH_NAME_MAX];
};

struct watch_left_body {
	__u64 cgroup; /* where it is now */
};

/* ---- calls --------------------------------------------------------------- */

/* Where a call came from.  Of all that reached the kernel, each is exactly one
 * of these. */
enum watch_class {
	WATCH_MARKED,  /* by a patched site, or made by the hook for the target
			*/
	WATCH_ESCAPED, /* from elsewhere, after the library was ready */
	WATCH_BEFORE,  /* in an image that the library wasn't ready in (yet) */
	WATCH_OWN,     /* the library's own */
	WATCH_SKIPPED, /* numbers that no door stands before, site_is_skipped */
	WATCH_VFORK,   /* as MARKED, by a child that still shares the memory */
	WATCH_SYMBOLS, /* in an image that no site is patched in: which of them
			* passed our symbols can't be told by address, but by
			* the library's own count */
	WATCH_UNKNOWN, /* what can't be told: events or plans were lost */
	WATCH_CLASSES,
};
#define WATCH_CLASS_NAMES                                                      \
	{                                                                      \
		"marked", "escaped", "before", "own", "skipped", "vfork",      \
			"symbols", "unknown"                                   \
	}

/* One number (32-bit calls, int 0x80, have numbers of their own: abi 32). */
struct watch_tally_body {
	__u32 nr;
	__u32 abi; /* 64 or 32 */
	__u64 calls[WATCH_CLASSES];
	__u64 failed[WATCH_CLASSES]; /* the kernel itself said -errno */
};

/* A call site whose calls are ESCAPED or UNKNOWN, or BEFORE in a program that
 * the library never got ready in; the busiest WATCH_SITES_MAX of them. */
struct watch_site_body {
	__u32 nr, abi;
	__u32 class;
	__u32 pad;
	__u64 calls, failed;
	__u64 address; /* of the `syscall` instruction */
	__u64 offset;  /* in the file; 0 with an empty path: unknown */
	char exe[WATCH_NAME_MAX];
	char path[WATCH_PATH_MAX]; /* the file that is mapped there */
};

/* Real errors: the kernel's, never injected ones, but those of OWN calls. */
struct watch_error_body {
	__u32 nr, abi;
	__u32 error; /* errno */
	__u32 class;
	__u64 calls;
};

/* Operations that went round all doors. */
struct watch_uring_body {
	__u32 opcode; /* IORING_OP_* */
	__u32 pad;
	__u64 submitted;
	char name[WATCH_NAME_MAX]; /* "write" */
};

/* Programs by name, and how the library fared in them.  A program that it
 * never got ready in has all its calls in BEFORE. */
struct watch_image_body {
	__u32 ready;	     /* the library announced itself there */
	__u32 modules;	     /* that were patched, at most */
	__u32 plans_missing; /* of those; calls from them are UNKNOWN */
	__u32 pad;
	__u64 calls;
	char exe[WATCH_NAME_MAX];
};

/* ---- net ------------------------------------------------------------------
 */

/* All connections between followed processes and one remote address. */
struct watch_peer_body {
	__u16 family;  /* AF_INET, AF_INET6 */
	__u16 port;    /* of the peer, host order; of us where `listens` */
	__u16 listens; /* these came in, by our port */
	__u16 pad;
	__u8 address[16];
	__u64 connects; /* SYN sent, or connection taken in */
	__u64 established;
	__u64 failed; /* closed before they were established */
	__u64 closed;
	__u64 retransmits;
	__u64 resets_sent, resets_received;
	__u64 first_ns, last_ns; /* of connects */
};

struct watch_reset_body {
	__u16 family, port_local, port_peer;
	__u16 sent; /* else received */
	__u8 peer[16];
};

/* ---- latency, durable -------------------------------------------------- */

struct watch_latency_body {
	__u32 nr;
	__u32 pad;
	__u64 calls, sum_ns, max_ns;
	__u64 buckets[WATCH_BUCKETS];
}; /* the header's phase says of which phase */

struct watch_durable_body {
	__u64 writes, write_bytes; /* to regular files of that file system */
	__u64 syncs, sync_errors;
	__u64 acks;	  /* sends on connections that were accepted */
	__u64 acks_dirty; /* while writes were not synced */
	__u64 window_max_ns, window_sum_ns; /* ack to the oldest such write */
	__u64 dirty_bytes_max;
	__u64 acks_after_error; /* after a failed sync, before a good one */
};

struct watch_ack_body {
	__u64 window_ns;
	__u64 dirty_bytes, dirty_files;
	__u64 inode; /* of the oldest unsynced write */
};

struct watch_sync_body {
	__u64 inode;
	__u32 error;
	__u32 pad;
};

struct watch_lost_body {
	__u32 group;
	__u32 pad;
	__u64 events;	/* that found no room in the buffer */
	__u64 counters; /* calls that found no room in a map */
};

/* ---- threads ------------------------------------------------------------ */

struct watch_thread_body {
	char state; /* R S D T t Z X I, as in /proc/PID/stat */
	char pad[3];
	__s32 nr; /* the call it is in; -1: none */
	__u64 arguments[3];
	__u64 cpu_ns; /* used so far */
	__u64 switches;
	char name[WATCH_NAME_MAX];
	char stack[WATCH_STACK_MAX]; /* in the kernel: "f\ng\n", "" unknown */
};

struct watch_process_body {
	__u32 parent;
	__u32 threads;
	__u32 fds, sockets, pipes, files;
	__u64 rss_bytes;
	char name[WATCH_NAME_MAX];
};

#endif

/* watch.h - what the probes and mishap-watch share beyond core/watch.h: the
 * keys and values of maps, and records that stay between the two.
 *
 * Read by BPF C as well: plain types.
 */
#ifndef MISHAP_BPF_WATCH_H
#define MISHAP_BPF_WATCH_H

#include "core/watch.h"

#define MEMBERS_MAX  16384 /* processes followed at one time */
#define EVENTS_BYTES (4u << 20)

/* A process that is followed; key: tgid. */
struct member {
	__u32 image; /* number of what it runs, see struct site_key */
	__u32 flags; /* enum member_flags */
	__u64 born_ns;
	__s32 pending; /* calls that the kernel is about to restart */
	__u32 modules; /* announced by the library for this image */
};

enum member_flags {
	MEMBER_VFORK = 1 << 0, /* shares its parent's memory */
	MEMBER_READY = 1 << 1, /* the library has announced itself */
};

/* Counters of one call site in one image.  An image is a program's text as it
 * stands from one change to the next: from exec to the library's being ready,
 * from there to the next exec or the next module that is patched.  Forks keep
 * their parent's. */
struct site_key {
	__u32 image;
	__u16 nr;
	__u8 abi;   /* enum site_abi */
	__u8 vfork; /* 1: by a child that shares its parent's memory */
	__u64 ip;   /* behind the `syscall` */
};

enum site_abi { ABI_64, ABI_32 };

struct site_count {
	__u64 calls, failed;
};

struct error_key {
	struct site_key site;
	__s32 error; /* errno */
	__u32 pad;
};

/* Where a site that is new stands; the file's name may be missing. */
struct site_place {
	__u64 start, pgoff, inode;
	char name[64]; /* last component */
};

struct uring_key {
	__u32 image;
	__u32 opcode;
};

/* All connections of the target with one peer: out, or in by a port of its
 * own. */
struct peer_key {
	__u16 family, port; /* host order */
	__u16 is_in, pad;
	__u8 address[16];
};

struct peer {
	__u64 connects, established, failed, closed;
	__u64 retransmits, resets_sent, resets_received;
	__u64 first_ns, last_ns;
};

#define PEERS_MAX 4096

/* What durable has counted; one of them. */
struct durable {
	struct watch_durable_body sums;
	__u64 told_ns; /* the last WATCH_ACK_DIRTY */
	__s64 dirty_files;
	__u64 failed; /* syncs that failed, and no good one since */
};

struct latency_key {
	__u16 phase, nr;
	__u32 pad;
};

struct latency {
	__u64 calls, sum_ns, max_ns;
	__u64 buckets[WATCH_BUCKETS];
};

#define LATENCIES_MAX 2048
#define STACK_DEPTH   24

/* What snap's iterators write: one for each thread. */
struct snap_thread {
	__u32 tgid, tid;
	__u32 state; /* task_struct.__state, exit_state << 8 */
	__s32 nr;
	__u64 arguments[3];
	__u64 cpu_ns, switches;
	char name[WATCH_NAME_MAX];
	__u64 stack[STACK_DEPTH];
};

struct snap_files {
	__u32 fds, sockets, pipes, files;
};

/* Types of records that mishap-watch keeps for itself. */
enum watch_inner_type {
	INNER_MODULE = 128,
	INNER_AROUND,
	INNER_READY,
	INNER_SITE,
};

struct inner_module_body {
	__u32 image, next; /* next: of the process from now on */
	__u64 base;
	struct watch_module module;
	__u32 pad;
};

struct inner_range_body {
	__u32 image, next;
	__u32 modules; /* that were announced before */
	__u32 pad;
	__u64 start, end;
};

struct inner_site_body {
	struct site_key key;
	struct site_place place; /* inode 0: unknown */
};

/* Errors of our own, one slot per CPU. */
struct lost {
	__u64 events, counters;
};

#endif

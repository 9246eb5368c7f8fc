/* guest.h - what the files of this room tell one another.
 *
 * The laws are in door.h.  A call in flight is a struct flight on the stack
 * of its thread; everything that outlives a call is static, atomic, or in
 * thread-local storage of fixed size.
 */
#ifndef MISHAP_PRELOAD_GUEST_H
#define MISHAP_PRELOAD_GUEST_H

#include <errno.h>
#include <limits.h>

#include "core/decide.h"
#include "core/sys.h"
#include "preload/door.h"

#define NOINLINE __attribute__((noinline))
#define COLD	 __attribute__((cold, noinline))

#define GUEST_FDS_MAX	 1024 /* fds whose object and counts are remembered */
#define GUEST_PATH_MAX	 4096
#define GUEST_THREAD_MAX 512 /* bytes of thread-local storage, in all */

/* A relaxed load and a relaxed add read better so. */
#define PEEK(x)	    atomic_load_explicit(&(x), memory_order_relaxed)
#define BUMP(x)	    atomic_fetch_add_explicit(&(x), 1, memory_order_relaxed)
#define RAISE(x, n) atomic_fetch_add_explicit(&(x), (n), memory_order_relaxed)

/* Decisions that only the call's outcome makes true: one of each kind, the
 * later rule's, as the later fault overwrites the earlier. */
enum pending_kind {
	PENDING_ERROR, /* to be reported if the call succeeds */
	PENDING_BYTES, /* to be bent, if there are any */
	PENDING_COUNT,
};

/* What a model wants settled once the call was made, model.h. */
enum note_kind {
	NOTE_NONE,
	NOTE_GROWS,
	NOTE_GIVES,
	NOTE_STATFS,
	NOTE_UNSYNCED,
	NOTE_SYNCS,
};

struct undo;
struct model_note {
	uint8_t kind, rule;
	int fd;
	int64_t offset, from; /* where a write begins, and where it grows */
	int64_t taken;	      /* bytes of room, taken or given */
	struct undo *undo;
};

/* One call, from a door to its end. */
struct flight {
	const struct call_kernel *row; /* of a system call; else NULL */
	struct site_regs *regs;	       /* of a system call; else NULL */
	bool filled; /* call is complete; the site door fills it late */
	bool looked; /* the checks of a first match were made */
	bool passed; /* ... and nothing may act */
	bool ended;  /* a rule without `also` has acted */
	bool acts;
	bool has_objects; /* objects is object_rules() of the call's fd */
	uint64_t objects;
	uint32_t hang_phases; /* a hang ends when none of them holds */
	uint64_t weighs;      /* rules that want to know what was moved */
	bool net_tracks;      /* bytes of a socket are held back: count them */
	size_t net_seen;      /* then, how many of them may be taken */
	uint64_t warps;	      /* rules that bend the time that it tells */
	struct model_note note;
	struct call call;     /* id always; the rest when filled */
	struct decision pending[PENDING_COUNT];
};

/* What we keep per thread; a new thread's is all zeroes. */
struct thread {
	uint64_t stream;	 /* creation path; 0: not known yet */
	uint32_t forks, threads; /* children made so far */
	uint32_t ordinal;	 /* 0: the main thread */
	uint32_t exec_bytes;
	char *exec_map;	       /* see exec.c */
	uint64_t cpu_paid_ns;  /* CPU time that cpu.slow has had paid */
	uint64_t delay_end_ns; /* of one that a handler cut short; see act.c */
	int32_t delay_fd;
	uint32_t delay_call;
	uint32_t matched[PLAN_RULES_MAX];
	uint16_t fired[PLAN_RULES_MAX]; /* stays at its greatest value */
};
_Static_assert(sizeof(struct thread) <= GUEST_THREAD_MAX, "a small guest");

HIDDEN extern _Thread_local struct thread guest_thread;

/* process.c: libc's __libc_single_threaded; where there is none, a 0. */
HIDDEN extern const char *guest_single_threaded;
/* The sites aren't patched: system calls are seen by their symbols alone. */
HIDDEN extern bool guest_by_symbols;

/* boot.c */
HIDDEN void guest_boot(void); /* idempotent; from the first malloc or ctor */
HIDDEN extern char guest_shared_path[GUEST_PATH_MAX]; /* $MISHAP_SHARED */
HIDDEN extern uint64_t guest_exe_rules; /* rules whose exe= matches us */

/* clock.c - CLOCK_MONOTONIC by a system call: the vDSO may use vector
 * registers, which a site's caller counts on. */
HIDDEN uint64_t clock_ns(void);

/* process.c */
/* At boot: claims a slot, or takes over the one that our pid had before it
 * execed us; guest_process stays NULL if none is left. */
HIDDEN void process_check_in(struct state *state);
HIDDEN void process_watch_forks(void);
HIDDEN void process_publish_exe(const char *name);
/* May this process's calls be counted?  False in a vfork child, which shares
 * our memory; a child of fork that had no slot yet gets it here. */
HIDDEN bool process_is_ours(void);
/* The process whose memory we run in: a vfork child's is its parent's. */
HIDDEN int32_t process_of_memory(void);
/* Before an exec: marks our slot, or claims one for a vfork child.  Returns
 * what process_exec_failed() wants back; NULL if there is none. */
HIDDEN struct process *process_exec_begins(void);
HIDDEN void process_exec_failed(struct process *process);
HIDDEN uint64_t thread_stream(void);
HIDDEN int thread_create(pthread_t *thread, const pthread_attr_t *attr,
			 void *(*start)(void *), void *arg);
HIDDEN extern int (*thread_create_real)(pthread_t *, const pthread_attr_t *,
					void *(*)(void *), void *);

/* hook.c - called by symbols.c when armed_call[id] is set, with flight->call
 * as the row's view says.
 * hook_before: judge, delay, hang, kill; true: make the real call, false:
 * don't.  hook_after: after-kills; returns what the symbol should return, with
 * errno set if that is an error. */
HIDDEN bool hook_before(struct flight *flight);
HIDDEN intptr_t hook_after(struct flight *flight, intptr_t ret);
HIDDEN uint64_t flight_arg(const struct flight *flight, unsigned n);
HIDDEN int flight_fd(const struct flight *flight);
HIDDEN void flight_fill(struct flight *flight);
HIDDEN uint64_t *flight_reg(const struct flight *flight, unsigned n);
HIDDEN void flight_ask_nonblocking(struct flight *flight);

/* ledger.c - a stat(2) that is a line of the ledger: it was told.  Asked only
 * where guest_ledger_is_kept(). */
HIDDEN bool ledger_told(const struct flight *flight);
static inline bool guest_ledger_is_kept(void)
{
	return guest_process && guest_state->ledger[0];
}

/* attend.c - a process met its first fault; returns within 50 ms. */
HIDDEN void attend_ask(void);

/* rules.c */
HIDDEN bool rules_judge(struct flight *flight); /* true: something acts */
/* A pending decision comes to pass: count and publish it; value as in struct
 * event.  False: it doesn't, its `times` are used up meanwhile; one that is
 * done already counts all the same. */
HIDDEN bool rules_settle(struct flight *flight, enum pending_kind kind,
			 int64_t value, bool is_done);
/* The call moved so many bytes; for the rules in flight->weighs. */
HIDDEN void rules_weigh(const struct flight *flight, long moved);

/* The delay of what has arrived at a socket, for it isn't a call that waits;
 * rules: that are about the socket.  Counted and published as ever. */
HIDDEN uint64_t rules_arrival(int fd, size_t bytes, uint64_t rules);

/* select.c */
HIDDEN bool select_holds(struct flight *flight, unsigned rule);
/* Does the path argument alone say that no rule holds? */
HIDDEN bool select_excludes(struct flight *flight);

/* What is known of an fd.  key: a count of the fd's lives (high half) and the
 * phase's stamp, which is 0 when rules holds nothing. */
struct known {
	_Atomic uint64_t key;
	_Atomic uint64_t rules;	    /* whose object selectors all match */
	uint32_t counts_epoch;	    /* of its struct fdcount */
	_Atomic uint32_t client_in; /* the epoch in which it connected */
	uint8_t pad[8];
};
HIDDEN extern struct known guest_fds[GUEST_FDS_MAX];
/* Of the stamp; another after a fork or a rename. */
HIDDEN extern _Atomic uint32_t object_salt;

/* quick.c - the rules of numbers and of calls, and what they have in common.
 * Only rules whose exe= is ours are meant. */
struct quick_row {
	uint64_t rules;
	uint16_t call;
	uint8_t flags;
	uint8_t pad[5];
};
struct quick_call {
	uint64_t size_first, size_last; /* all of them want such a size= */
	uint64_t by_path; /* those that a path argument alone decides about */
	bool all_by_path;
};
HIDDEN extern uint8_t site_quick_flags[CALL_NR_MAX]; /* as in the rows */
HIDDEN extern struct quick_row site_quick_rows[CALL_NR_MAX];
HIDDEN extern struct quick_call quick_calls[CALL_COUNT];
HIDDEN void quick_fill(void); /* after guest_exe_rules are known */

static inline void count_call(_Atomic uint64_t *count)
{
	if (*guest_single_threaded)
		arch_count((uint64_t *)count);
	else
		BUMP(*count);
}

/* Has every rule of the call a size=, and is this none of them?  Then it is
 * counted and needn't be looked at. */
static inline bool quick_passes_size(unsigned id, uint64_t size)
{
	const struct quick_call *want = &quick_calls[id];

	if (!guest_process ||
	    (size >= want->size_first && size <= want->size_last))
		return false;
	count_call(&guest_process->calls[id]);
	return true;
}

/* object.c - what fds are about. */
/* Rules whose object selectors match.  will_close: don't remember it. */
HIDDEN uint64_t object_rules(int fd, bool will_close);
HIDDEN uint64_t object_rules_addr(const struct sockaddr *addr, unsigned addrlen,
				  bool is_client);
HIDDEN void object_forget(int fd);
HIDDEN void object_forget_all(void); /* in the child of a fork */
HIDDEN void object_forget_range(unsigned first, unsigned last);
HIDDEN void object_connects(int fd); /* connect(2): a client from now on */
HIDDEN void object_renames(void); /* rename(2): any file may be called anew */
HIDDEN bool object_is_client(int fd);

/* side.c */
HIDDEN bool side_is_server(int fd);

/* fdcount.c - counts of `per=fd`; NULL: past GUEST_FDS_MAX. */
struct fdcount {
	uint32_t matched[PLAN_RULES_MAX];
	uint16_t fired[PLAN_RULES_MAX];
	_Atomic uint64_t bytes[PLAN_RULES_MAX];
};
HIDDEN struct fdcount *fdcount_of(int fd);
HIDDEN void fdcount_forget(int fd);
HIDDEN void fdcount_forget_all(void);

/* host.c - the addresses behind the names that were asked for. */
struct addrinfo;
HIDDEN void host_note(const char *node, const struct addrinfo *list);
HIDDEN uint64_t host_rules(const struct sockaddr *addr, unsigned addrlen);

/* readable.c */
HIDDEN void readable_look(void); /* at start, in the main thread */
/* From there on, so many bytes are readable; 0: who knows.  regs: NULL at the
 * symbol door. */
HIDDEN size_t readable_bytes(const void *from, const struct site_regs *regs);

/* path.c */
/* The absolute, lexically normal path behind an fd or a path argument.
 * bytes: of buf; GUEST_PATH_MAX is enough for all that the kernel takes.
 * Returns the length of what is there, or -errno: -ENAMETOOLONG if it doesn't
 * fit; -EFAULT if the argument isn't readable and -ENOTDIR if dirfd is no
 * file, which is the kernel's to say. */
#define PATH_SHORT_BYTES 256 /* nearly all fit, and so does that in a frame */
HIDDEN long path_of_fd(int fd, char *buf, size_t bytes);
HIDDEN long path_of_arg(const struct flight *flight, int dirfd,
			const char *path, char *buf, size_t bytes);

/* scratch.c - 4 KiB buffers, because signal stacks are small. */
HIDDEN char *scratch_claim(void); /* NULL: none is left */
HIDDEN void scratch_release(char *buf);
/* Copy from memory of the target that may not be there.  Bytes copied. */
HIDDEN size_t scratch_copy(void *to, const void *from, size_t n);
/* Copy there, if it is there to be written. */
HIDDEN void scratch_write(void *to, const void *from, size_t n);

/* act.c */
HIDDEN int act_before(struct flight *flight); /* 0 or -EINTR */
/* The call that this one repeats has waited for a part of delay_ns already:
 * what is left of it. */
HIDDEN uint64_t act_delay_left(const struct flight *flight, uint64_t delay_ns);
HIDDEN void act_after(struct flight *flight); /* kill and exit */
/* Sleep until then, or the lease's end; true: a signal handler interrupts the
 * call, or the thread is cancelled. */
HIDDEN bool act_sleep(const struct flight *flight, uint64_t end_ns);
/* A handler has run: would the call end with EINTR? */
HIDDEN bool act_interrupts(const struct flight *flight);

/* bend.c - short and corrupted transfers. */
#define BEND_PROCEED  LONG_MIN /* cut in the registers; make it in place */
#define IOV_COUNT_MAX 1024     /* readv(2), IOV_MAX */
HIDDEN bool bend_can_cut(struct flight *flight, size_t len_max);
/* Make the call, bent; its result, or BEND_PROCEED. */
HIDDEN long bend_call(struct flight *flight, bool needs_after);

/* symbols.c - find what our symbols stand before.  Idempotent. */
HIDDEN void symbols_resolve(void);
/* For a symbol that is called before our constructor.  True: all are found. */
HIDDEN bool symbols_ready(void);

/* symbols_children.c */
struct vfork_answer {
	pid_t (*go)(void); /* jump there; NULL: return ret */
	long ret;
};
HIDDEN struct vfork_answer vfork_asked(void);
HIDDEN void symbols_children_find(void);
/* twin.c - let the symbols of system calls ask the hook, from now on. */
HIDDEN void twins_open(void);

/* exec.c - make the exec here, with an environment that brings us along;
 * returns only if it failed. */
HIDDEN long exec_call(struct site_regs *regs);
/* The environment for a new image; env itself if that brings us along. */
HIDDEN char *const *exec_environ(char *const *env);

/* arena.c - allocations made before malloc is there. */
HIDDEN void *arena_alloc(size_t align, size_t size); /* NULL: full */
#define ARENA_BYTES 65536
HIDDEN extern char guest_arena[ARENA_BYTES];
static inline bool arena_has(const void *p) /* every free() asks */
{
	return (uintptr_t)p - (uintptr_t)guest_arena < ARENA_BYTES;
}
HIDDEN size_t arena_size(const void *p);

/* mem.c */
HIDDEN void *memcpy(void *restrict to, const void *restrict from, size_t n);
HIDDEN void *memmove(void *to, const void *from, size_t n);
HIDDEN void *memset(void *to, int c, size_t n);
HIDDEN int memcmp(const void *a, const void *b, size_t n);
HIDDEN size_t strlen(const char *s);

#endif

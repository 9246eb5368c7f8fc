/* door.h - the seam between the doors and the hook.
 *
 * Laws of this room, for every file in it:
 *  - we are a guest: no malloc, no stdio, no locks, no threads, no fds kept,
 *    no signal handlers, nothing of libc on a path that a call takes;
 *    raw system calls only (core/sys.h), so that nothing of ours passes a
 *    door of ours;
 *  - the hook runs at any instruction of the target, in signal handlers, on
 *    small alternate stacks (keep a path under 1.5 KiB of stack), in vfork
 *    children; it must be re-entrant;
 *  - errno and every register that the kernel preserves are preserved;
 *  - in doubt the real call is made, and that is counted.
 */
#ifndef MISHAP_PRELOAD_DOOR_H
#define MISHAP_PRELOAD_DOOR_H

#include "core/call.h"
#include "core/shared.h"
#include "core/sites.h"
#include "preload/arch.h"

#define HIDDEN	    __attribute__((visibility("hidden")))
#define EXPORT	    __attribute__((visibility("default")))
#define LIKELY(x)   __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

/* What a stub knows of its site; written by sites.c, then read-only.  A call
 * that came by a symbol (twin.c) has one of its own: by_symbol, and then
 * proceed is a symbol_make, result a symbol_sleep, or 0 if it is no
 * cancellation point. */
struct site_stub {
	uint64_t proceed;  /* where to go on to make the call in place */
	uint64_t result;   /* where to go on with a result */
	uint64_t syscall;  /* the original instruction; the funnel's start */
	int32_t nr;	   /* -1: in the register */
	bool cancel_by_pc; /* glibc >= 2.41: cancellation looks at the PC */
	bool by_symbol;
	uint8_t pad[2];
};

/* Make the call with what is in regs, by libc's own function: a result or
 * -errno; errno is left alone. */
typedef long symbol_make(const struct site_regs *regs);
/* Sleep until a time of CLOCK_MONOTONIC where a thread may be cancelled: 0, or
 * -EINTR. */
struct timespec;
typedef long symbol_sleep(const struct timespec *at);

enum site_answer { SITE_PROCEED = 0, SITE_RETURN = 1 };

/* hook.c - called by site_X.S with everything saved, stack aligned. */
HIDDEN long site_hook(struct site_regs *regs);

/* boot.c - set once in the first constructor (or by the first malloc), before
 * any thread exists.  state is never NULL: until a runner's file is mapped it
 * points to a page of zeroes, so a door's check is one load and one compare. */
HIDDEN extern struct state *guest_state;
HIDDEN extern struct plan guest_plan;
HIDDEN extern const struct shared_header *guest_shared;
HIDDEN extern struct process *guest_process; /* our slot; NULL: none left */

/* sites.c - patch libc and ld.so (and whatever else has a plan in
 * sites_dir) by build-id.  Writes process->sites, sites_patched, sites_left.
 * Never leaves a library half patched.  Single-threaded: constructor time. */
HIDDEN void sites_patch(const char *sites_dir, struct process *process);

/* stack.c - the call stack at a point, as a number in the shared stack table.
 * pc, sp, bp: where the walk begins (at a site: regs->pc and the registers
 * there).  Lock-free, malloc-free, signal-safe; 0 when it can't be had. */
HIDDEN uint32_t stack_number(uint64_t pc, uint64_t sp, uint64_t bp);
/* stack_has_frame - does any frame's function or module match the glob?
 * Modules are matched by their file name, functions by .dynsym names. */
HIDDEN bool stack_has_frame(uint64_t pc, uint64_t sp, uint64_t bp,
			    const char *glob);

#endif

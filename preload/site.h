/* site.h - what a patched site jumps to, and how it is patched: a port's other
 * half, beside arch.h.
 *
 * A stub is its struct site_stub, then code, in a slot of STUB_BYTES_MAX.  It
 * looks at one byte, armed_nr[number].  Zero: it goes on as if nobody had
 * stepped in, every register as it was, but for those that the machine's
 * system call spends anyway.  Else it goes to site_slow, which saves the
 * registers as struct site_regs, asks site_enter(), restores them and goes on
 * at stub->proceed (the call is made in place) or stub->result (with what
 * site_return() left).  Neither touches a vector register, nor memory that is
 * the target's.
 *
 * Unwinders must see through: to them each frame of ours is a signal frame
 * that was pushed onto the target at its system call.
 */
#ifndef MISHAP_PRELOAD_SITE_H
#define MISHAP_PRELOAD_SITE_H

#include "preload/door.h"
#include "preload/site_pool.h"

/* ---- site_X.S ------------------------------------------------------------ */

/* Not a function of C's: it wants a stub, and the target's registers. */
HIDDEN extern const char site_slow[];
/* Pages that hold nothing but stubs, and that unwinders know. */
HIDDEN extern uint8_t site_pool[SITE_POOL_BYTES];
/* From here to there all system calls are made on the target's behalf. */
HIDDEN extern const char site_around[], site_around_end[];

/* sites.c - what site_slow calls: the hook, but never for the numbers that
 * must not pass one. */
HIDDEN long site_enter(struct site_regs *regs);

/* ---- site_X.c ------------------------------------------------------------ */

/* site_reach_bytes - from a jump to where it may lead, either way. */
HIDDEN extern const uint64_t site_reach_bytes;

/* stub_write - write the stub of a site.
 * at: where to write it; delta: how far from there it will stand when it
 * runs; is_known: unwinders have a table for it, so that a thread may block
 * and be cancelled in it; base: the module's load address; armed: the address
 * of armed_nr.  Returns the next slot.  Calls nothing of libc. */
HIDDEN uint8_t *stub_write(uint8_t *at, uint64_t delta, bool is_known,
			   const struct site *site, uint64_t base,
			   uint64_t armed);

/* patch_write - the jump (or the redirected call) that a site gets.
 * base: as above; stub: where its stub stands.  Returns the length. */
HIDDEN unsigned patch_write(const struct site *site, uint64_t base,
			    const uint8_t *stub,
			    uint8_t ret_bytes[SITE_BYTES_MAX]);

/* text_may_call - do the bytes of a system call stand anywhere in it? */
HIDDEN bool text_may_call(const uint8_t *text, uint64_t bytes);

/* text_written - make what was written there be what is executed. */
HIDDEN void text_written(const void *at, uint64_t bytes);

static inline const uint8_t *stub_next(const uint8_t *stub)
{
	return stub + STUB_BYTES_MAX;
}

#endif

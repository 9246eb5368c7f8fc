/* sites_stub.h - the code that a patched site jumps to.
 *
 * A stub is its struct site_stub, then code, in a slot of fixed size. */
#ifndef MISHAP_PRELOAD_SITES_STUB_H
#define MISHAP_PRELOAD_SITES_STUB_H

#include "preload/door.h"

#define JUMP_BYTES     5
#define STUB_BYTES_MAX 128 /* record, check, displaced bytes, two ways out */

/* stub_write - write the stub of a site.
 * at: where to write it; delta: how far from there it will stand when it
 * runs; is_known: unwinders have a table for it, so that a thread may block
 * and be cancelled in it; base: the module's load address; armed: the address
 * of armed_nr. Returns the next slot.  Calls nothing of libc. */
HIDDEN uint8_t *stub_write(uint8_t *at, uint64_t delta, bool is_known,
			   const struct site *site, uint64_t base,
			   uint64_t armed);

static inline const uint8_t *stub_entry(const uint8_t *stub)
{
	return stub + sizeof(struct site_stub);
}

static inline const uint8_t *stub_next(const uint8_t *stub)
{
	return stub + STUB_BYTES_MAX;
}

#endif

/* arch.h - what the guest must know of the machine, a port's C half.
 *
 * A port is preload/arch_X.h, site_X.S and site_X.c, and core/sys_X.h; this
 * file and site.h say what they have to provide, the rest of the room doesn't
 * know on which machine it runs.
 *
 * arch_X.h
 *   struct site_regs    the target's registers at a patched system call, as
 *                       site_X.S saves them; ends with `stub`, `pc`
 *   SITE_RED_ZONE       bytes below the target's stack pointer that are its
 *   site_nr             the kernel number that the target asks for
 *   site_arg            the place of its n-th argument, n from 1 to 6
 *   site_return         what the call shall have returned, for SITE_RETURN;
 *                       last, for it may stand where an argument stood
 *   site_returned       and what that was, as long as nobody wrote since
 *   site_regs_set       a call that came by a symbol: its number, its arguments
 *   site_regs_sp, _bp   where a walk over the stack begins, beside `pc`
 *   site_cancel_flags   a funnel's first argument: the thread's cancel flags
 *   arch_copy, arch_fill    memcpy(3), memset(3) without vector registers
 *   arch_count          add one, whole as seen by our own signal handlers
 * site_X.S, site_X.c: see preload/site.h.
 */
#ifndef MISHAP_PRELOAD_ARCH_H
#define MISHAP_PRELOAD_ARCH_H

#include <stddef.h>
#include <stdint.h>

struct site_stub;

#if defined(__x86_64__)
#include "preload/arch_amd64.h"
#elif defined(__aarch64__)
#include "preload/arch_aarch64.h"
#else
#error "no port to this machine yet: docs/ARCHITECTURE.md, Another machine"
#endif

#endif

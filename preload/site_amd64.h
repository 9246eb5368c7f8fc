/* site_amd64.h - what a stub may jump to, see site_amd64.S. */
#ifndef MISHAP_PRELOAD_SITE_AMD64_H
#define MISHAP_PRELOAD_SITE_AMD64_H

#include "preload/door.h"
#include "preload/site_pool.h"

/* Not functions of C's: each wants a struct site_stub in r11. */
HIDDEN extern const char site_slow[], site_around[], site_funnel[];
HIDDEN extern const char site_funnel_proceed[], site_funnel_result[];

/* Pages that hold nothing but stubs, and that unwinders know. */
HIDDEN extern uint8_t site_pool[SITE_POOL_BYTES];

/* sites.c - what site_slow calls: the hook, but never for the numbers that
 * must not pass one. */
HIDDEN long site_enter(struct site_regs *regs);

#endif

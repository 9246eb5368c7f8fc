/* late.h - modules that the runner didn't know before: those of programs that
 * the target starts, and libraries that dlopen maps.  What the target can't
 * do itself, to decode, it asks the runner for, by the shared state. */
#ifndef MISHAP_PRELOAD_LATE_H
#define MISHAP_PRELOAD_LATE_H

#include "preload/sites_module.h"

/* late_ask - have a plan made.  true: look for it once more.  Waits for at most
 * LATE_WAIT_NS, and only if the text may hold a `syscall` and nobody of this
 * run has asked for this build-id before. */
HIDDEN bool late_ask(const struct module *m, const uint8_t *id,
		     uint32_t id_bytes);
/* late_unknown - a module without a build-id: counted if it makes calls. */
HIDDEN void late_unknown(const struct module *m);

/* late_is_due - is this call mmap(2) of a file's code? */
HIDDEN bool late_is_due(const struct site_regs *regs);
/* late_map - make that call, and patch what it mapped before anybody can run
 * it.  Returns the call's result. */
HIDDEN long late_map(const struct site_regs *regs);

#endif

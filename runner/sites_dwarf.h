/* sites_dwarf.h - functions and landing pads from .eh_frame. */
#ifndef MISHAP_RUNNER_SITES_DWARF_H
#define MISHAP_RUNNER_SITES_DWARF_H

#include "runner/sites_elf.h"

/* dwarf_walk_fdes - call note for every function's range (it returns 0 or
 * -errno, which ends the walk) and landing for every address that an unwinder
 * may go on at.
 * Returns 0, also if there is no .eh_frame_hdr; -ENOEXEC if it can't be
 * understood: then no jump target list is complete. */
int dwarf_walk_fdes(const struct image *image,
		    int (*note)(void *arg, uint64_t start, uint64_t end),
		    void (*landing)(void *arg, uint64_t address), void *arg);

#endif

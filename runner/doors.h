/* doors.h - by which doors the target's system calls come to us. */
#ifndef MISHAP_RUNNER_DOORS_H
#define MISHAP_RUNNER_DOORS_H

#include "core/shared.h"
#include "runner/run.h"

#define DOORS_ENV "MISHAP_DOORS"

/* doors_wanted - what $MISHAP_DOORS asks for: nothing, "best",
 * "symbols" or "notify".
 * Returns 0; -EINVAL for another word.  *ret_doors: enum shared_doors. */
int doors_wanted(uint32_t *ret_doors);

/* doors_refused_words - why a process's sites weren't patched, an enum
 * process_sites; NULL: they were.  Static. */
const char *doors_refused_words(uint32_t sites);

/* doors_by_symbols - did any process's system calls come by symbols alone? */
bool doors_by_symbols(const struct evidence *evidence);

#endif

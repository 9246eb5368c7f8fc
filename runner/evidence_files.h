/* evidence_files.h - the parts of evidence that are files of their own in a run
 * directory: decisions and captured streams.  0 or -errno; -EBADMSG: not what
 * we wrote. */
#ifndef MISHAP_RUNNER_EVIDENCE_FILES_H
#define MISHAP_RUNNER_EVIDENCE_FILES_H

#include "runner/words.h"

#define FILE_BYTES_MAX ((size_t)1 << 30)

int evidence_events_save(const struct evidence *evidence);
int evidence_events_load(const char *run_dir, struct evidence *evidence);
/* evidence_texts - save or load all streams; names are ours, in run_dir. */
int evidence_texts(struct evidence *evidence, const char *run_dir, bool load);

/* evidence_watched.c - a struct watched, a struct stall_seen; io_shape. */
struct io;
void evidence_watched_io(struct io *io, void *item);
void evidence_stall_io(struct io *io, void *item);

#endif

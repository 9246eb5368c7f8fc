/* model.h - models that keep books of their own: room on a disk, descriptors,
 * the heap, CPU time, data that isn't synced.
 *
 * A model sees its calls before they are made (model_applies) and, where it has
 * left a note, what came of them (model_settle).  Lock-free, signal-safe.
 */
#ifndef MISHAP_PRELOAD_MODEL_H
#define MISHAP_PRELOAD_MODEL_H

#include <sys/stat.h>

#include "preload/guest.h"

/* model_applies - does the rule's model act on this call?  Fills what its
 * judge() asks for; may leave a note in the flight, so that the call is made by
 * us and settled. */
HIDDEN bool model_applies(struct flight *flight, unsigned r);
/* model_settle - the call of a note was made; ret: its result or -errno. */
HIDDEN void model_settle(struct flight *flight, long ret);
/* model_note - take the flight's one note for this rule; NULL: another rule has
 * it. */
HIDDEN struct model_note *model_note(struct flight *flight, unsigned r,
				     enum note_kind kind);

/* model_stat - of what a call is about, its fd or its path. */
HIDDEN bool model_stat_fd(int fd, struct stat *ret_st);
HIDDEN bool model_stat_path(int dirfd, const char *path, bool follow,
			    struct stat *ret_st);
/* model_offset - where a transfer begins in its file; -1: it has no place. */
HIDDEN int64_t model_offset(const struct flight *flight, int64_t size);

/* room.c */
HIDDEN bool room_applies(struct flight *flight, unsigned r);
HIDDEN void room_settle(const struct model_note *note,
			const struct flight *flight, long ret);
/* readonly.c */
HIDDEN bool readonly_applies(struct flight *flight, unsigned r);
/* unsynced.c - what a sync that fails takes back. */
HIDDEN bool unsynced_applies(struct flight *flight, unsigned r);
HIDDEN void unsynced_settle(const struct model_note *note, long ret);
HIDDEN void unsynced_lose(int fd);
/* rot.c - flip the bad bits of what was read; how many there are. */
HIDDEN unsigned rot_bits(const struct flight *flight, size_t moved,
			 void (*flip)(void *arg, size_t byte, unsigned bit),
			 void *arg);
/* heap.c */
HIDDEN extern bool guest_heap_counts; /* a rule of the plan wants it */
HIDDEN void heap_look(void);
HIDDEN bool heap_applies(const struct flight *flight, unsigned r);

#endif

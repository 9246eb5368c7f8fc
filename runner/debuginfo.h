/* debuginfo.h - functions, files and lines of one ELF file, by elfutils' libdw.
 *
 * The file is read offline: no process is looked at, nothing is run, nothing
 * is fetched from the network.  Separate debug files are taken from
 * /usr/lib/debug by build-id, or from where .gnu_debuglink points to.
 * Not thread-safe.
 */
#ifndef MISHAP_RUNNER_DEBUGINFO_H
#define MISHAP_RUNNER_DEBUGINFO_H

#include <stddef.h>
#include <stdint.h>

#define DEBUGINFO_INLINES_MAX  16 /* frames of one address */
#define DEBUGINFO_BUILD_ID_MAX 32

struct debuginfo;

/* One frame as the source sees it.  Strings are borrowed from the struct
 * debuginfo; NULL and 0 where it isn't known. */
struct debuginfo_frame {
	const char *function;
	const char *file; /* as the compiler was told; absolute if it was */
	int line;
};

/* debuginfo_open - the file with this build-id, else its debug file.
 * build_id_bytes: at most DEBUGINFO_BUILD_ID_MAX; 0: whatever is at path.
 * Returns 0; -ENOENT neither can be had (the path holds another file). */
int debuginfo_open(const char *path, const uint8_t *build_id,
		   size_t build_id_bytes, struct debuginfo **ret_info);
void debuginfo_close(struct debuginfo *info); /* NULL is fine */

/* debuginfo_look - what is at an address of the file (its own addresses, as
 * nm prints them): the innermost inlined function first, the function that
 * holds them all last.  Returns how many of at most max; 0: nothing known. */
size_t debuginfo_look(struct debuginfo *info, uint64_t address,
		      struct debuginfo_frame *ret_frames, size_t max);

#endif

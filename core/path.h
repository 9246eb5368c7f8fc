/* path.h - paths by their letters alone.
 *
 * A path argument is made absolute and normal without asking the kernel,
 * because following symlinks would be a race.  Pure, in place, signal-safe.
 */
#ifndef MISHAP_CORE_PATH_H
#define MISHAP_CORE_PATH_H

#include <stdbool.h>
#include <stddef.h>

/* path_normalise - an absolute path without empty parts, `.`, `..` and a slash
 * at its end, in place.  Returns its length, at least 1; path wants room for
 * two bytes. */
long path_normalise(char *path);
/* path_is_normal - a cautious look at an absolute path: a name that begins
 * with a dot is a no. */
bool path_is_normal(const char *path);
/* path_strip_deleted - of what /proc/PID/fd says of an unlinked file, n bytes
 * long and with room for one more; ends it.  Returns its length. */
size_t path_strip_deleted(char *path, size_t n);

#endif

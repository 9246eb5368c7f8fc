/* words.h - strings for people and for JSON; small lists of them.
 *
 * What is returned as char * is malloc'd and the caller's; NULL: no memory.
 * Functions that fill a caller's buffer return that buffer.
 */
#ifndef MISHAP_RUNNER_WORDS_H
#define MISHAP_RUNNER_WORDS_H

#include <jansson.h>
#include <stdlib.h>

#include "runner/run.h"

#define WORDS_SHORT_MAX 32

static inline void words_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void words_unref(json_t **json)
{
	json_decref(*json);
}

#define _cleanup_words_ __attribute__((cleanup(words_free)))
#define _cleanup_json_	__attribute__((cleanup(words_unref)))

char *words_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Lists: words_push takes item, also when it fails (NULL item: -ENOMEM). */
int words_push(struct strings *strings, char *item);
int words_copy(const struct strings *from, struct strings *ret_to);
void words_clear(struct strings *strings);
/* words_join - items with a space between, quoted where a shell needs it. */
char *words_join(const struct strings *strings);

/* "380us", "41ms", "9.82s", "3m20s"; three significant digits. */
const char *words_duration(uint64_t ns, char ret[WORDS_SHORT_MAX]);
/* "17B", "64KiB", "1.5MiB" */
const char *words_bytes(uint64_t bytes, char ret[WORDS_SHORT_MAX]);
/* "SIGSEGV"; "signal 40" for what has no name. */
const char *words_signal(int signal, char ret[WORDS_SHORT_MAX]);
/* words_signal_find - number of "SEGV", "SIGSEGV" or "11"; 0 if unknown. */
int words_signal_find(const char *name);
/* "exit status 2", "killed by SIGSEGV", "still running after 60s" … */
char *words_ending(const struct ending *ending);

/* words_json - a JSON string of any bytes: what isn't UTF-8, and NUL, becomes
 * U+FFFD.  New reference. */
json_t *words_json(const char *bytes, size_t n);
json_t *words_json_string(const char *string); /* NULL: null */

/* words_read - a whole file, NUL-terminated.  bytes_max: -EFBIG past it. */
int words_read(const char *path, size_t bytes_max, char **ret_bytes,
	       size_t *ret_count);
/* words_write - all or nothing: beside it, synced in order, renamed over it.
 * write is called with a stream and may return -errno. */
int words_write(const char *path, int (*write)(FILE *out, const void *what),
		const void *what);
int words_write_json(const char *path, const json_t *json);

#endif

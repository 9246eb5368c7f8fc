/* text.h - memory and strings of one scenario.
 *
 * An arena only grows, and goes as a whole with arena_free(); nothing that it
 * gave is freed alone.  It never answers NULL: a runner that can't get the
 * few hundred KiB of a scenario ends with exit status 5 and says so, before
 * any target was started.  Not thread-safe.
 */
#ifndef MISHAP_SCENARIOS_TEXT_H
#define MISHAP_SCENARIOS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "scenarios/scenario.h"

struct arena;

struct arena *arena_open(void);
void arena_free(struct arena *arena);
void *arena_get(struct arena *arena, size_t bytes); /* zeroed, aligned to 16 */
char *arena_copy(struct arena *arena, const char *text, size_t n);
char *arena_print(struct arena *arena, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* arena_grow - room for one more item of `bytes` each; *items may move, the
 * old ones are copied.  Returns the new, zeroed item and counts it. */
void *arena_grow(struct arena *arena, void **items, size_t *count,
		 size_t bytes);
/* strings_add - append a copy; items stays NULL-terminated. */
void strings_add(struct arena *arena, struct strings *strings, const char *text,
		 size_t n);

/* A string that grows.  Starts as { 0 }; bytes belongs to the arena and is
 * NUL-terminated once something was added. */
struct builder {
	struct arena *arena;
	char *bytes;
	size_t count, room;
};

void builder_add(struct builder *builder, const char *text, size_t n);
void builder_print(struct builder *builder, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

bool text_is(const char *text, size_t n, const char *word);

/* utf8_next - length in bytes of the character at text, and its code point;
 * 0 when the bytes are not valid UTF-8 (overlong forms and surrogates are
 * not) or n is 0. */
size_t utf8_next(const char *text, size_t n, uint32_t *ret_point);
/* utf8_is_hidden - a character that a reader can't see and YAML may take for a
 * line break: C1 controls, U+2028, U+2029, byte order marks. */
bool utf8_is_hidden(uint32_t point);
/* utf8_columns - terminal cells of one code point: 0, 1 or 2. */
unsigned utf8_columns(uint32_t point);
/* utf8_count - characters in n bytes; an invalid byte counts as one. */
size_t utf8_count(const char *text, size_t n);

/* near_start / near_try / near_found - the candidate that is nearest to a
 * word, by the least number of letters inserted, deleted, replaced or swapped
 * with a neighbour.  Found is NULL unless it is near enough to be a slip. */
struct near {
	const char *word;
	size_t n;
	const char *best;
	unsigned distance;
};

struct near near_start(const char *word, size_t n);
void near_try(struct near *near, const char *candidate);
const char *near_found(const struct near *near);

/* print_wrapped - words of text in lines of at most `width` cells; the first
 * line is begun by `first`, the others by `rest`. */
void print_wrapped(FILE *out, const char *first, const char *rest,
		   unsigned width, const char *text);

#endif

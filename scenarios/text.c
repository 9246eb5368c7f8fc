#include "scenarios/text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARENA_BLOCK_BYTES 16384
#define NEAR_WORD_MAX	  40

struct block {
	struct block *next;
	size_t used, room;
	_Alignas(16) char bytes[];
};

struct arena {
	struct block *blocks;
};

static void *memory_get(size_t bytes)
{
	void *memory = calloc(1, bytes);

	if (!memory) {
		static const char says[] = "mishap: out of memory\n";

		if (write(STDERR_FILENO, says, sizeof(says) - 1) < 0)
			_exit(5);
		_exit(5);
	}
	return memory;
}

struct arena *arena_open(void)
{
	return memory_get(sizeof(struct arena));
}

void arena_free(struct arena *arena)
{
	struct block *next;

	if (!arena)
		return;
	for (struct block *block = arena->blocks; block; block = next) {
		next = block->next;
		free(block);
	}
	free(arena);
}

void *arena_get(struct arena *arena, size_t bytes)
{
	struct block *block = arena->blocks;
	size_t want = (bytes + 15) & ~(size_t)15;
	void *memory;

	if (!block || block->room - block->used < want) {
		size_t room =
			want > ARENA_BLOCK_BYTES ? want : ARENA_BLOCK_BYTES;

		block = memory_get(sizeof(*block) + room);
		block->room = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	memory = block->bytes + block->used;
	block->used += want;
	return memory;
}

char *arena_copy(struct arena *arena, const char *text, size_t n)
{
	char *copy = arena_get(arena, n + 1);

	if (n)
		memcpy(copy, text, n);
	return copy;
}

static char *arena_vprint(struct arena *arena, const char *format, va_list ap)
{
	va_list again;
	char *text;
	int n;

	va_copy(again, ap);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (n < 0)
		n = 0;
	text = arena_get(arena, (size_t)n + 1);
	vsnprintf(text, (size_t)n + 1, format, ap);
	return text;
}

char *arena_print(struct arena *arena, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	text = arena_vprint(arena, format, ap);
	va_end(ap);
	return text;
}

void *arena_grow(struct arena *arena, void **items, size_t *count, size_t bytes)
{
	size_t n = *count;

	if (!(n & (n - 1))) { /* full at every power of two */
		void *more = arena_get(arena, (n ? 2 * n : 1) * bytes);

		if (n)
			memcpy(more, *items, n * bytes);
		*items = more;
	}
	*count = n + 1;
	return (char *)*items + n * bytes;
}

void strings_add(struct arena *arena, struct strings *strings, const char *text,
		 size_t n)
{
	char **items = arena_get(arena, (strings->count + 2) * sizeof(*items));

	if (strings->count)
		memcpy(items, strings->items, strings->count * sizeof(*items));
	items[strings->count++] = arena_copy(arena, text, n);
	strings->items = items;
}

void builder_add(struct builder *builder, const char *text, size_t n)
{
	if (builder->count + n + 1 > builder->room) {
		size_t room = 2 * (builder->count + n) + 64;
		char *bytes = arena_get(builder->arena, room);

		if (builder->count)
			memcpy(bytes, builder->bytes, builder->count);
		builder->bytes = bytes;
		builder->room = room;
	}
	if (n)
		memcpy(builder->bytes + builder->count, text, n);
	builder->count += n;
	builder->bytes[builder->count] = '\0';
}

void builder_print(struct builder *builder, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	text = arena_vprint(builder->arena, format, ap);
	va_end(ap);
	builder_add(builder, text, strlen(text));
}

bool text_is(const char *text, size_t n, const char *word)
{
	return strlen(word) == n && !memcmp(text, word, n);
}

/* RFC 3629, section 4. */
size_t utf8_next(const char *text, size_t n, uint32_t *ret_point)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *b = (const unsigned char *)text;
	uint32_t point;
	size_t length;

	if (!n)
		return 0;
	if (b[0] < 0x80) {
		*ret_point = b[0];
		return 1;
	}
	length = b[0] >= 0xf0 ? 4 : b[0] >= 0xe0 ? 3 : 2;
	if (b[0] < 0xc2 || b[0] > 0xf4 || n < length)
		return 0;
	point = b[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (b[i] & 0x3f);
	}
	if (point < least[length] || point > 0x10ffff ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*ret_point = point;
	return length;
}

bool utf8_is_hidden(uint32_t point)
{
	return (point >= 0x80 && point < 0xa0) || point == 0x2028 ||
	       point == 0x2029 || point == 0xfeff || point == 0xfffe ||
	       point == 0xffff;
}

/* Unicode 15: general category Mn of the common blocks takes no cell, East
 * Asian Width W or F takes two.  Ranges, not every code point: a caret that
 * is off by a cell in a rare script still stands in the right line. */
unsigned utf8_columns(uint32_t point)
{
	static const struct {
		uint32_t first, last;
		unsigned cells;
	} ranges[] = {
		{ 0x0300, 0x036f, 0 },	 { 0x0483, 0x0489, 0 },
		{ 0x0591, 0x05bd, 0 },	 { 0x064b, 0x065f, 0 },
		{ 0x1100, 0x115f, 2 },	 { 0x1ab0, 0x1aff, 0 },
		{ 0x1dc0, 0x1dff, 0 },	 { 0x200b, 0x200f, 0 },
		{ 0x20d0, 0x20ff, 0 },	 { 0x2e80, 0x303e, 2 },
		{ 0x3041, 0xa4cf, 2 },	 { 0xac00, 0xd7a3, 2 },
		{ 0xf900, 0xfaff, 2 },	 { 0xfe00, 0xfe0f, 0 },
		{ 0xfe20, 0xfe2f, 0 },	 { 0xfe30, 0xfe6f, 2 },
		{ 0xff00, 0xff60, 2 },	 { 0xffe0, 0xffe6, 2 },
		{ 0x1f300, 0x1f64f, 2 }, { 0x1f680, 0x1f6ff, 2 },
		{ 0x1f900, 0x1f9ff, 2 }, { 0x20000, 0x3fffd, 2 },
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return ranges[i].cells;
	return 1;
}

size_t utf8_count(const char *text, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; count++) {
		uint32_t point;
		size_t step = utf8_next(text + i, n - i, &point);

		i += step ? step : 1;
	}
	return count;
}

/* Optimal string alignment: Damerau-Levenshtein without moving a letter
 * twice.  Both words are at most NEAR_WORD_MAX long. */
static unsigned distance_of(const char *a, size_t n, const char *b, size_t m)
{
	unsigned rows[3][NEAR_WORD_MAX + 1];

	for (size_t j = 0; j <= m; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= n; i++) {
		unsigned *row = rows[i % 3], *last = rows[(i + 2) % 3];
		const unsigned *before = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= m; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);

			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			row[j] = best;
		}
	}
	return rows[n % 3][m];
}

struct near near_start(const char *word, size_t n)
{
	return (struct near){ .word = word, .n = n, .distance = ~0u };
}

void near_try(struct near *near, const char *candidate)
{
	size_t m = strlen(candidate);
	unsigned distance;

	if (near->n > NEAR_WORD_MAX || m > NEAR_WORD_MAX)
		return;
	distance = distance_of(near->word, near->n, candidate, m);
	if (distance < near->distance ||
	    (distance == near->distance && near->n &&
	     candidate[0] == near->word[0] && near->best[0] != near->word[0])) {
		near->distance = distance;
		near->best = candidate;
	}
}

const char *near_found(const struct near *near)
{
	/* A third of the letters, but one slip even in a short word. */
	unsigned allowed = near->n < 3 ? 1 : (unsigned)(near->n + 2) / 3;

	if (!near->best || near->distance > allowed ||
	    near->distance >= near->n)
		return NULL;
	return near->best;
}

static unsigned cells_of(const char *text, size_t n)
{
	unsigned cells = 0;

	for (size_t i = 0; i < n;) {
		uint32_t point = '?';
		size_t step = utf8_next(text + i, n - i, &point);

		cells += utf8_columns(point);
		i += step ? step : 1;
	}
	return cells;
}

void print_wrapped(FILE *out, const char *first, const char *rest,
		   unsigned width, const char *text)
{
	unsigned at = cells_of(first, strlen(first));
	bool fresh = true;

	fputs(first, out);
	while (*text) {
		size_t n = strcspn(text, " \n");
		unsigned cells = cells_of(text, n);

		if (!fresh && at + 1 + cells > width) {
			fprintf(out, "\n%s", rest);
			at = cells_of(rest, strlen(rest));
			fresh = true;
		}
		if (n) {
			fprintf(out, "%s%.*s", fresh ? "" : " ", (int)n, text);
			at += cells + !fresh;
			fresh = false;
		}
		text += n;
		if (*text == '\n') { /* a break that the text asks for */
			fprintf(out, "\n%s", rest);
			at = cells_of(rest, strlen(rest));
			fresh = true;
		}
		if (*text)
			text++;
	}
	fputc('\n', out);
}

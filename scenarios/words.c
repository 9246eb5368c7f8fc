#include "scenarios/words.h"

#include <string.h>

struct line line_of_text(struct diag *diag, const char *name, const char *text)
{
	size_t n = strlen(text);
	const struct source *source = diag_source(diag, name, text, n, true);

	return (struct line){
		.text = text,
		.n = n,
		.raw = text,
		.raw_n = n,
		.mark = { .file = source->name,
			  .column = 1,
			  .width = (uint32_t)utf8_count(text, n) },
	};
}

struct line line_part(const struct line *line, size_t from, size_t to)
{
	struct line part = *line;

	part.text += from;
	part.n = to - from;
	part.mark = line_mark(line, from, to);
	part.raw = line->raw == line->text ? part.text : NULL;
	part.raw_n = part.n;
	return part;
}

/* The byte of the raw slice that byte `at` of the text was written at, or
 * SIZE_MAX when the writing can't be followed. */
static size_t raw_byte(const struct line *line, size_t at)
{
	size_t raw = line->quote ? 1 : 0;

	if (line->raw == line->text)
		return at;
	for (size_t i = 0; i < at; i++, raw++) {
		if (raw >= line->raw_n || line->raw[raw] == '\n')
			return SIZE_MAX;
		if (line->quote == '\'' && line->raw[raw] == '\'')
			raw++;
		if (line->quote == '"' && line->raw[raw] == '\\')
			raw++;
		if (raw >= line->raw_n || line->raw[raw] != line->text[i])
			return SIZE_MAX;
	}
	return raw;
}

struct mark line_mark(const struct line *line, size_t at, size_t end)
{
	struct mark mark = line->mark;
	size_t from, to;

	if (!line->raw)
		return mark;
	from = raw_byte(line, at);
	to = raw_byte(line, end);
	if (from == SIZE_MAX || to == SIZE_MAX)
		return mark;
	mark.column += (uint32_t)utf8_count(line->raw, from);
	mark.width = (uint32_t)utf8_count(line->raw + from, to - from);
	return mark;
}

struct mark word_mark(const struct line *line, const struct word *word)
{
	return line_mark(line, word->at, word->end);
}

struct mark word_mark_part(const struct line *line, const struct word *word,
			   size_t at, size_t end)
{
	if (word->replaced || word->quoted)
		return word_mark(line, word);
	return line_mark(line, word->at + at, word->at + end);
}

/* ---- variables --------------------------------------------------------- */

bool vars_named(const char *text, size_t n)
{
	return memmem(text, n, "${", 2) != NULL;
}

static const struct variable *scope_find(const struct scope *scope,
					 const char *name, size_t n)
{
	for (size_t i = scope->count; i--;)
		if (text_is(name, n, scope->items[i].name)) {
			if (scope->used)
				scope->used[i] = true;
			return &scope->items[i];
		}
	return NULL;
}

static const char *scope_help(struct diag *diag, const struct scope *scope,
			      const char *name, size_t n)
{
	struct near near = near_start(name, n);
	const char *found;

	for (size_t i = 0; i < scope->count; i++)
		near_try(&near, scope->items[i].name);
	found = near_found(&near);
	if (found)
		return arena_print(diag->arena, "did you mean '${%s}'?", found);
	return arena_print(diag->arena,
			   "name it in vars, or write $${%.*s} if it is meant "
			   "for a shell",
			   (int)(n > 40 ? 40 : n), name);
}

const char *vars_replace(struct diag *diag, const struct scope *scope,
			 const char *text, size_t n, struct mark mark,
			 size_t *ret_n)
{
	struct builder out = { .arena = diag->arena };

	builder_add(&out, "", 0);
	for (size_t i = 0; i < n;) {
		const struct variable *variable;
		const char *close;
		size_t length;

		if (n - i >= 3 && !memcmp(text + i, "$${", 3)) {
			builder_add(&out, "${", 2);
			i += 3;
			continue;
		}
		if (n - i < 2 || memcmp(text + i, "${", 2)) {
			builder_add(&out, text + i++, 1);
			continue;
		}
		close = memchr(text + i, '}', n - i);
		if (!close) {
			diag_error(diag, mark, NULL, "'${' without its '}'");
			return NULL;
		}
		length = (size_t)(close - text) - i - 2;
		variable = scope_find(scope, text + i + 2, length);
		if (!variable) {
			diag_error(
				diag, mark,
				scope_help(diag, scope, text + i + 2, length),
				"unknown variable '${%.*s}'",
				(int)(length > 60 ? 60 : length), text + i + 2);
			return NULL;
		}
		builder_add(&out, variable->value, strlen(variable->value));
		i += length + 3;
		if (out.count > SCENARIO_BYTES_MAX) {
			diag_error(diag, mark, NULL,
				   "more than %u bytes with its variables",
				   SCENARIO_BYTES_MAX);
			return NULL;
		}
	}
	if (diag->replaced_bytes > REPLACED_BYTES_MAX)
		return NULL; /* that was said */
	diag->replaced_bytes += out.count;
	if (diag->replaced_bytes > REPLACED_BYTES_MAX) {
		diag_error(diag, mark, NULL,
			   "variables make this scenario larger than %u bytes",
			   REPLACED_BYTES_MAX);
		return NULL;
	}
	*ret_n = out.count;
	return out.bytes;
}

const char *vars_replace_known(struct arena *arena, const struct scope *scope,
			       const char *text)
{
	struct builder out = { .arena = arena };

	builder_add(&out, "", 0);
	while (*text) {
		bool plain = !strncmp(text, "$${", 3); /* a plain ${ */
		size_t head = plain ? 3 : !strncmp(text, "${", 2) ? 2 : 0;
		const char *name = text + head;
		size_t n = head ? strcspn(name, "}") : 0;
		const struct variable *variable = NULL;

		if (head && name[n])
			variable = scope_find(scope, name, n);
		if (!variable) {
			builder_add(&out, text++, 1);
			continue;
		}
		if (plain)
			builder_print(&out, "${%s}", variable->name);
		else
			builder_print(&out, "%s", variable->value);
		text = name + n + 1;
	}
	return out.bytes;
}

/* ---- parting ----------------------------------------------------------- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* One quoted piece, from its opening quote; the byte after it, or 0. */
static size_t split_quoted(struct diag *diag, const struct line *line,
			   size_t at, size_t to, struct builder *out)
{
	char quote = line->text[at];
	size_t i = at + 1;

	for (; i < to && line->text[i] != quote; i++) {
		char c = line->text[i];

		if (quote == '"' && c == '\\' && i + 1 < to &&
		    (line->text[i + 1] == '"' || line->text[i + 1] == '\\'))
			c = line->text[++i];
		builder_add(out, &c, 1);
	}
	if (i >= to) {
		diag_error(diag, line_mark(line, at, at + 1), NULL,
			   "this quote is never closed");
		return 0;
	}
	return i + 1;
}

static size_t split_word(struct diag *diag, const struct line *line, size_t at,
			 size_t to, struct word *word)
{
	struct builder out = { .arena = diag->arena };
	size_t i = at;

	builder_add(&out, "", 0);
	while (i < to && !is_space(line->text[i])) {
		char c = line->text[i];

		if (c == '"' || c == '\'') {
			word->quoted = true;
			i = split_quoted(diag, line, i, to, &out);
			if (!i)
				return 0;
			continue;
		}
		builder_add(&out, &c, 1);
		i++;
	}
	word->text = out.bytes;
	word->n = out.count;
	word->at = at;
	word->end = i;
	return i;
}

static bool word_check(struct diag *diag, const struct line *line,
		       const struct scope *scope, struct word *word)
{
	if (scope && vars_named(word->text, word->n)) {
		word->text = vars_replace(diag, scope, word->text, word->n,
					  word_mark(line, word), &word->n);
		word->replaced = true;
		if (!word->text)
			return false;
	}
	for (size_t i = 0, step; i < word->n; i += step) {
		uint32_t point = 0;

		step = utf8_next(word->text + i, word->n - i, &point);
		if (step && point >= 0x20 && point != 0x7f &&
		    !utf8_is_hidden(point))
			continue;
		diag_error(diag, word_mark(line, word), NULL,
			   step ? "hidden character 0x%02x in this word"
				: "byte 0x%02x of this word is not UTF-8",
			   step ? point : (unsigned char)word->text[i]);
		return false;
	}
	return true;
}

bool words_split(struct diag *diag, const struct line *line, size_t from,
		 size_t to, const struct scope *scope, struct words *ret_words)
{
	struct words words = { 0 };

	for (size_t i = from; i < to;) {
		struct word *word;

		if (is_space(line->text[i])) {
			i++;
			continue;
		}
		if (words.count >= WORDS_MAX) {
			diag_error(diag, line_mark(line, i, i + 1), NULL,
				   "more than %d words in one line", WORDS_MAX);
			return false;
		}
		word = arena_grow(diag->arena, (void **)&words.items,
				  &words.count, sizeof(*word));
		i = split_word(diag, line, i, to, word);
		if (!i || !word_check(diag, line, scope, word))
			return false;
	}
	*ret_words = words;
	return true;
}

/* ---- writing ----------------------------------------------------------- */

void word_quote(struct builder *builder, const char *text, const char *special)
{
	struct builder plain = { .arena = builder->arena };
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++) { /* ${ would name a variable */
		if (text[i] == '$' && text[i + 1] == '{')
			builder_add(&plain, "$", 1);
		builder_add(&plain, text + i, 1);
	}
	if (n && !strpbrk(text, " \t\"'") && !strpbrk(text, special)) {
		builder_add(builder, plain.bytes, plain.count);
	} else if (!strpbrk(text, "\"\\")) {
		builder_print(builder, "\"%s\"", n ? plain.bytes : "");
	} else if (!strchr(text, '\'')) {
		builder_print(builder, "'%s'", plain.bytes);
	} else {
		builder_add(builder, "\"", 1);
		for (size_t i = 0; i < plain.count; i++) {
			if (strchr("\"\\", plain.bytes[i]))
				builder_add(builder, "\\", 1);
			builder_add(builder, plain.bytes + i, 1);
		}
		builder_add(builder, "\"", 1);
	}
}

/* words.h - one line of the language as words that know where they stand.
 *
 * Words are parted by spaces.  "…" and '…' keep spaces; inside "…", \" and \\
 * mean " and \, any other backslash stays; outside and inside '…' a backslash
 * is a backslash.  Variables are put in after the line is parted, so a value
 * with spaces stays one word: ${name}, and $${ for a plain ${.
 */
#ifndef MISHAP_SCENARIOS_WORDS_H
#define MISHAP_SCENARIOS_WORDS_H

#include "scenarios/diag.h"

#define WORDS_MAX	   128
#define REPLACED_BYTES_MAX (16u << 20) /* by variables, in one scenario */

struct word {
	const char *text; /* unquoted, variables put in */
	size_t n;
	size_t at, end;	       /* bytes of the line that it was written in */
	bool quoted, replaced; /* replaced: text isn't a slice of the line */
};

/* A line: where its bytes stand in a source.  A plain scalar is a slice of
 * the source; of an escaped or folded one only the whole can be pointed at. */
struct line {
	const char *text;
	size_t n;
	struct mark mark; /* of the whole */
	const char *raw;  /* its slice of the source, or NULL */
	size_t raw_n;
	char quote; /* how the slice is written: 0, ' or " */
};

struct words {
	struct word *items;
	size_t count;
};

#define SCOPE_VARIABLES_MAX 512

struct scope {			/* the variables that may be named */
	struct variable *items; /* the last of a name holds */
	size_t count;		/* at most SCOPE_VARIABLES_MAX */
	bool *used; /* by item, set when it is named; NULL: nobody asks */
};

/* line_of_text - a line that is its own source (-f, --expect). */
struct line line_of_text(struct diag *diag, const char *name, const char *text);
/* line_part - bytes [from, to) as a line of their own. */
struct line line_part(const struct line *line, size_t from, size_t to);
/* line_mark - where bytes [at, end) of the line stand. */
struct mark line_mark(const struct line *line, size_t at, size_t end);
struct mark word_mark(const struct line *line, const struct word *word);
/* word_mark_part - of bytes [at, end) of the word's text. */
struct mark word_mark_part(const struct line *line, const struct word *word,
			   size_t at, size_t end);

/* words_split - of bytes [from, to); false after an error was noted.
 * scope NULL: no variables. */
bool words_split(struct diag *diag, const struct line *line, size_t from,
		 size_t to, const struct scope *scope, struct words *ret_words);

/* vars_replace - text with its variables put in; NULL after an error. */
const char *vars_replace(struct diag *diag, const struct scope *scope,
			 const char *text, size_t n, struct mark mark,
			 size_t *ret_n);
/* vars_replace_known - the same for a command line's own words: what is no
 * variable of ours is a shell's, and stays. */
const char *vars_replace_known(struct arena *arena, const struct scope *scope,
			       const char *text);
/* vars_is_builtin - does the runner give a variable of this name? */
bool vars_is_builtin(const char *name, size_t n);
bool vars_named(const char *text, size_t n); /* is there a ${ in it? */

/* word_quote - as it must be written to be read as this text. */
void word_quote(struct builder *builder, const char *text, const char *special);

#endif

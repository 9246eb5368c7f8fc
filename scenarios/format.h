/* format.h - the canonical form of a scenario; shared by the format_*.c files.
 */
#ifndef MISHAP_SCENARIOS_FORMAT_H
#define MISHAP_SCENARIOS_FORMAT_H

#include "scenarios/words.h"

struct format {
	struct arena *arena;
	const struct source *source; /* of a file; NULL: there is none */
	FILE *out;
};

/* format_scalar - as YAML must write it; in flow, within [ ] or { }. */
void format_scalar(struct builder *out, const char *text, bool quoted,
		   bool flow);
/* format_spaced - a line as written, one space between words: what names a
 * variable isn't parsed. */
char *format_spaced(struct format *f, const struct line *line);
/* format_typed.c: what the command line says, as a file that says the same. */
void format_typed(struct format *f, const struct scenario *scenario);

#endif

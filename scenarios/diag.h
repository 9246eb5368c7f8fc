/* diag.h - what is wrong with a scenario, said so that it can be mended.
 *
 *	bad.yaml:8:12: error: 'within' wants a duration such as 200ms
 *	    8 |     within: 200 milliseconds
 *	      |             ^~~~~~~~~~~~~~~~
 *
 * Messages are gathered and printed by diag_flush() in the order of the text,
 * the first SCENARIO_ERRORS_MAX of them; the rest is counted.  A mark belongs
 * to the source whose name it points to (by address, so that three -f options
 * are three sources).  Columns count characters, carets count terminal cells,
 * tabs are drawn as spaces, long lines are cut around the caret.
 */
#ifndef MISHAP_SCENARIOS_DIAG_H
#define MISHAP_SCENARIOS_DIAG_H

#include "scenarios/text.h"

#define DIAG_WIDTH    80
#define DIAG_KEPT_MAX 200

struct source {
	struct source *next;
	const char *name; /* "bad.yaml" or "-f"; marks point here */
	const char *bytes;
	size_t count;
	bool command_line; /* one line; marks have line 0 */
	unsigned ordinal;  /* of several -f: 1, 2 … */
};

struct diag_item {
	const struct source *source;
	struct mark mark;
	bool warning;
	const char *says, *help;
};

struct diag {
	FILE *out; /* NULL: count only */
	struct arena *arena;
	struct source *sources;
	struct diag_item *items;
	size_t items_count;
	size_t errors, warnings;
	size_t replaced_bytes; /* by variables, in the whole scenario */
};

/* diag_source - make a text known; borrows bytes, copies name. */
const struct source *diag_source(struct diag *diag, const char *name,
				 const char *bytes, size_t count,
				 bool command_line);
const struct source *diag_source_of(const struct diag *diag,
				    const struct mark *mark);

/* diag_error - note one.  help: what to do, or NULL. */
void diag_error(struct diag *diag, struct mark mark, const char *help,
		const char *format, ...) __attribute__((format(printf, 4, 5)));
void diag_warn(struct diag *diag, struct mark mark, const char *help,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));
/* diag_flush - print them all and forget them; errors and warnings stay
 * counted. */
void diag_flush(struct diag *diag);

/* diag_meant - "did you mean 'x'?", or NULL. */
const char *diag_meant(struct diag *diag, const struct near *near);

#endif

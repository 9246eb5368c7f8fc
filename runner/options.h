/* options.h - the command line of `run`, `replay` and `report`.
 *
 * One table names every option, says what it is for and who takes it; parser,
 * --help, completion and its test read it.  Strings are borrowed from argv. */
#ifndef MISHAP_RUNNER_OPTIONS_H
#define MISHAP_RUNNER_OPTIONS_H

#include "runner/run.h"

enum option_for {
	FOR_RUN = 1 << 0,
	FOR_REPLAY = 1 << 1,
	FOR_REPORT = 1 << 2,
};

enum option_id {
#define OPTION(id, ...) OPTION_##id,
#include "runner/options.def"
#undef OPTION
	OPTION_COUNT,
};

struct option_info {
	const char *name;  /* without the dashes */
	char letter;	   /* '\0': none */
	const char *value; /* what it takes, for people; NULL: nothing */
	const char *says;
	unsigned who; /* enum option_for */
};

extern const struct option_info option_table[OPTION_COUNT];

#define OPTIONS_LISTS 5 /* options that may be given again and again */

struct parsed {
	struct options options;
	const char *operand; /* scenario, or run; NULL: none given */
	bool help;
	void *lists[OPTIONS_LISTS]; /* owned: what extra points to */
	struct variable *vars;	    /* owned */
};

/* options_parse - 0; -EINVAL after a message with the next step. */
int options_parse(int argc, char **argv, enum option_for who,
		  struct parsed *ret_parsed);
void options_clear(struct parsed *parsed);
void options_print(enum option_for who, FILE *out);
bool options_color(const struct options *options, FILE *out);

#endif

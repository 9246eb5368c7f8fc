/* promise.h - what a ledger's records were promised: `durability` of a scenario
 * and the right-hand side of the expectation `ledger`.
 *
 *   strict       all that was acknowledged is there
 *   window TIME  all but what was acknowledged within TIME before a death
 *   prefix       what is missing, is missing at the end of its stream
 *   none         nothing was promised
 * and beside it, or alone:
 *   at_most_once   nothing is there twice (so it is without a word, too)
 *   at_least_once  twice is fine
 *   exactly_once   strict, and nothing twice
 * Alone, at_most_once promises nothing else, and at_least_once is strict.
 */
#ifndef MISHAP_SCENARIOS_PROMISE_H
#define MISHAP_SCENARIOS_PROMISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROMISE_WANTS                                                          \
	"strict, window TIME, prefix or none; at_most_once, at_least_once or " \
	"exactly_once beside it or alone"

enum durability_kind {
	DURABILITY_STRICT,
	DURABILITY_WINDOW,
	DURABILITY_PREFIX,
	DURABILITY_NONE,
};

struct durability {
	enum durability_kind kind;
	uint64_t window_ns;
	bool repeats; /* a record may be there more than once */
};

/* promise_read - words parted by spaces, commas or colons; n bytes of text.
 * false: it is none; then *ret stays as it was.  Pure. */
bool promise_read(const char *text, size_t n, struct durability *ret);

/* What a stream's records are: `streams` of a scenario. */
enum ledger_form {
	FORM_SET,      /* records, each once; with values: the last one holds */
	FORM_REGISTER, /* the same, told as what it is */
	FORM_APPEND,   /* a list: the reader's order counts as well */
	FORM_COUNTER,  /* values are added up */
	FORM_BANK,     /* values are FROM:TO:AMOUNT; - is from outside */
	FORM_COUNT,
};
extern const char *const form_names[FORM_COUNT];
/* form_read - false: no such word. */
bool form_read(const char *text, size_t n, enum ledger_form *ret);

#endif

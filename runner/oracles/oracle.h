/* oracle.h - what oracles share: how they answer, compare and look at files.
 *
 * judge() answers with one of the three below and returns what that returned;
 * `expected` and `seen` are then the finding's.  An oracle without data answers
 * oracle_unknown(), never oracle_pass().
 */
#ifndef MISHAP_RUNNER_ORACLES_ORACLE_H
#define MISHAP_RUNNER_ORACLES_ORACLE_H

#include <errno.h>
#include <string.h>

#include "runner/words.h"

#define ORACLE_COMMAND_NS   60000000000ull /* a check command's time */
#define ORACLE_CHECK_BYTES  4096	   /* kept of its output */
#define ORACLE_READER_BYTES (64u << 20)	   /* kept of a ledger reader's */
#define ORACLE_QUOTE_BYTES  120		   /* shown of a stream in a finding */

/* expected: malloc'd, taken (NULL: the expectation's own text is shown).
 * Return 0, or -ENOMEM. */
int oracle_pass(struct finding *ret, char *expected, const char *seen, ...)
	__attribute__((format(printf, 3, 4)));
int oracle_fail(struct finding *ret, char *expected, const char *seen, ...)
	__attribute__((format(printf, 3, 4)));
int oracle_unknown(struct finding *ret, const char *why, ...)
	__attribute__((format(printf, 2, 3)));
int oracle_answer(struct finding *ret, bool good, char *expected,
		  const char *seen, ...) __attribute__((format(printf, 4, 5)));
/* oracle_since - fill finding->since: an offset into the run and its phase. */
int oracle_since(struct finding *ret, const struct evidence *evidence,
		 uint64_t at_ns);

bool oracle_compare(enum expect_op op, double left, double right);
const char *oracle_op_words(enum expect_op op); /* "at most"; "" for == */
const char *oracle_value(const struct expect *expect); /* first; "" if none */
/* oracle_wants - is the value this word?  Most take only `none`. */
bool oracle_wants(const struct expect *expect, const char *word);

/* The target's files, as it sees them (in its sandbox if it has one); path is
 * absolute or below evidence->cwd.  Opens read-only; -errno. */
int oracle_open(const struct evidence *evidence, const char *path);
/* oracle_hash - of a regular file's bytes, 64-bit FNV-1a; -EISDIR and kin. */
int oracle_hash(const struct evidence *evidence, const char *path,
		uint64_t *ret_hash, uint64_t *ret_bytes);

/* oracle_sample - a text that the regular expression matches, to tamper with;
 * NULL: none was found.  A leading (?i) ignores case. */
char *oracle_sample(const char *regex);
/* oracle_text_append - one more line on a captured stream. */
int oracle_text_append(struct text *text, const char *line);
/* oracle_text_set - other bytes. */
int oracle_text_set(struct text *text, const char *bytes, size_t count);
bool oracle_text_same(const struct text *a, const struct text *b);

/* oracle_samples - the samples that an expectation is about: of its phase, and
 * of its probe if it names one.  Borrowed pointers; *ret_samples is malloc'd.
 * Sets *ret_unknown_probe if the name is no probe's. */
int oracle_samples(const struct expect *expect, const struct evidence *evidence,
		   const struct sample ***ret_samples, size_t *ret_count);
bool oracle_sample_is_of(const struct expect *expect,
			 const struct evidence *evidence,
			 const struct sample *sample);

/* oracle_ended - by itself, before the run's end or whatever cut it short? */
bool oracle_ended(const struct ending *ending, const struct evidence *evidence);
/* oracle_failed_call - the first event of a call that we made fail; NULL. */
const struct event *oracle_failed_call(const struct evidence *evidence);
size_t oracle_index(const struct expect *expect,
		    const struct evidence *evidence); /* SIZE_MAX: ours */
struct command_seen *oracle_command(const struct evidence *evidence,
				    const struct expect *expect);
/* oracle_command_run - run an expectation's command and keep what it said. */
int oracle_command_run(const struct expect *expect, struct evidence *evidence,
		       size_t output_max);

#endif

/* coverage.h - `mishap doctor --coverage`: of the system calls that a command
 * makes, how many come by our doors?
 *
 * strace counts independently of us, from the moment on when the library is
 * ready in a program; a program that it never gets ready in counts whole.
 */
#ifndef MISHAP_RUNNER_COVERAGE_H
#define MISHAP_RUNNER_COVERAGE_H

#include "runner/words.h"

#define COVERAGE_NAME_MAX 32

struct coverage_made { /* what strace saw, by kernel number */
	uint64_t made[CALL_NR_MAX];
	char names[CALL_NR_MAX][COVERAGE_NAME_MAX];
	struct strings strangers; /* programs that we never got ready in */
	uint64_t strangers_calls;
	bool any; /* there was a program, and we got into one */
};

/* coverage_read - count a log of `strace -f -n -i -s 0 -qq -o FILE`.
 * -EBADMSG: it is none.  Clear with coverage_clear(). */
int coverage_read(FILE *log, struct coverage_made *ret_made);
void coverage_clear(struct coverage_made *made);

/* coverage_command - argv: of `doctor`, with --coverage in it.  Exit code. */
int coverage_command(int argc, char **argv);

#endif

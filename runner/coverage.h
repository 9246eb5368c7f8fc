/* coverage.h - `mishap doctor --coverage`: of the system calls that a command
 * makes, how many come by our doors?
 *
 * Somebody counts independently of us, from the moment on when the library is
 * ready in a program; a program that it never gets ready in counts whole.
 */
#ifndef MISHAP_RUNNER_COVERAGE_H
#define MISHAP_RUNNER_COVERAGE_H

#include "runner/words.h"

struct coverage_made { /* by kernel number */
	uint64_t made[CALL_NR_MAX];
	uint64_t outside[CALL_NR_MAX]; /* in programs we never got ready in */
	uint64_t cut[CALL_NR_MAX]; /* of outside: their process ended first */
	struct strings strangers;  /* programs that we never got ready in */
	uint64_t strangers_calls;
	bool any; /* there was a program, and we got into one */
};

/* coverage_read - count a log of `strace -f -n -i -s 0 -qq -o FILE`.
 * -EBADMSG: it is none.  Clear with coverage_clear(). */
int coverage_read(FILE *log, struct coverage_made *ret_made);
void coverage_clear(struct coverage_made *made);

enum coverage_door { DOOR_SITE, DOOR_SYMBOL, DOOR_NOTIFIED };

struct coverage_row {
	unsigned nr;
	const char *name;
	uint64_t made, seen;
	enum coverage_door door;
	bool nameable; /* a rule can name it */
};

struct coverage {
	struct coverage_row rows[2 * CALL_NR_MAX]; /* a number by two doors */
	size_t count;
	uint64_t made, seen;
	uint64_t alone[CALL_NR_MAX];   /* made, and never touched on purpose */
	uint64_t cut[CALL_NR_MAX];     /* as above, unseen: not in rows */
	uint64_t unnamed[CALL_NR_MAX]; /* where only named ones are asked for */
	struct coverage_made counted;
	const char *counter; /* "strace" or "seccomp" */
	uint32_t refused;    /* enum process_sites: why sites were; or 0 */
	bool notify;	     /* strangers are asked about by the kernel */
	uint64_t processes_lost, foreign;
	struct ending ending;
	bool has_load;
	struct ending load;
};

/* coverage_call_name - "openat" of a kernel number; never NULL. */
const char *coverage_call_name(unsigned nr);
/* coverage_makes_children - a number that the site door leaves alone, and that
 * the symbols of fork, posix_spawn and pthread_create stand for. */
bool coverage_makes_children(unsigned nr);
/* coverage_fill - put what was counted beside what we saw. */
void coverage_fill(struct coverage *c, const struct state *state);
/* coverage_is_enough - do faults reach this command? */
bool coverage_is_enough(const struct coverage *c);
void coverage_print(FILE *out, const struct coverage *c);
json_t *coverage_json(const struct coverage *c); /* new reference */

/* coverage_command - argv: of `doctor`, with --coverage in it.  Exit code. */
int coverage_command(int argc, char **argv);

#endif

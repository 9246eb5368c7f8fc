/* cli.h - what the commands that only read have in common: check, explain, fmt
 * and list.
 */
#ifndef MISHAP_RUNNER_CLI_H
#define MISHAP_RUNNER_CLI_H

#include <getopt.h>
#include <jansson.h>

#include "runner/run.h"

#define CLI_LINES_MAX 256 /* of each of -f, --expect, --phase, --var */

/* cli_next - getopt_long(3) with messages of our own.
 * Returns -1 at the end, '?' after it has said what is wrong and what to do. */
int cli_next(int argc, char **argv, const char *letters,
	     const struct option *options);

/* cli_wrong - "mishap: …", then where help is; returns EXIT_CODE_USAGE. */
int cli_wrong(const char *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* A scenario that the command line adds to, or writes.  Zeroed at first;
 * borrows from argv; cli_clear() frees what it owns. */
struct cli_scenario {
	const char *faults[CLI_LINES_MAX + 1];
	const char *expects[CLI_LINES_MAX + 1];
	const char *phases[CLI_LINES_MAX + 1];
	const char *loads[CLI_LINES_MAX + 1];
	const char *steadies[CLI_LINES_MAX + 1];
	const char *ready;
	struct variable vars[CLI_LINES_MAX];
	size_t vars_count;
	char **run; /* behind `--`; NULL: none */
	struct scenario_extra extra;
};

/* cli_split - cut argv at `--`; what is behind becomes run.  The new argc. */
int cli_split(struct cli_scenario *cli, int argc, char **argv);
/* cli_take - one of CLI_SCENARIO_OPTIONS; 0, or EXIT_CODE_USAGE after a
 * message. */
int cli_take(struct cli_scenario *cli, const char *command, int letter,
	     const char *text);
bool cli_has_lines(const struct cli_scenario *cli);
const struct scenario_extra *cli_extra(struct cli_scenario *cli);
void cli_clear(struct cli_scenario *cli);

#define CLI_SCENARIO_OPTIONS                                                   \
	{ "fault", required_argument, NULL, 'f' },                             \
		{ "expect", required_argument, NULL, 'e' },                    \
		{ "phase", required_argument, NULL, 'p' },                     \
		{ "ready", required_argument, NULL, 'r' },                     \
		{ "load", required_argument, NULL, 'l' },                      \
		{ "steady", required_argument, NULL, 't' },                    \
	{                                                                      \
		"var", required_argument, NULL, 'v'                            \
	}

/* cli_json - write to a file, or to standard output for "-"; takes json.
 * Returns 0, or EXIT_CODE_INVALID after a message. */
int cli_json(const char *path, json_t *json);

#endif

#include "runner/doors.h"
#include "runner/options.h"
#include "runner/cli.h"
#include "runner/session.h"
#include "runner/sweep/sweep.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int print_help(void)
{
	puts("mishap replay - repeat a run with its recorded decisions\n"
	     "\n"
	     "  mishap replay [OPTION...] [RUN]\n"
	     "  mishap replay [--gdb] [--run-dir DIR] RUN:BUG\n"
	     "\n"
	     "RUN is an id, the beginning of one, a run's directory, or last\n"
	     "(the default).  The same scenario runs in the same directory; "
	     "where\n"
	     "a fault struck then, on that thread at that call, it strikes "
	     "now,\n"
	     "and nowhere else.  Threads may race: k of n decisions came "
	     "again.\n"
	     "The exit status is that of the new verdict.\n"
	     "\n"
	     "RUN:BUG is a bug of `mishap sweep`: the one call fails again, "
	     "in\n"
	     "a sandbox, on a copy of the directory.  1: it came again, 0: it\n"
	     "is gone.  With --gdb a debugger stops there.\n"
	     "\n"
	     "options:");
	options_print(FOR_REPLAY, stdout);
	return 0;
}

/* By the doors that were asked for then, whatever is asked for now: a decision
 * of the symbol door may have no counterpart at a site. */
static int doors_restore(const struct command_record *record)
{
	const char *doors =
		json_string_value(json_object_get(record->json, "doors"));

	return (doors ? setenv(DOORS_ENV, doors, 1) : unsetenv(DOORS_ENV)) < 0
		       ? -errno
		       : 0;
}

/* What was recorded, with what is asked for now about reporting. */
static void options_join(struct options *recorded, const struct options *asked)
{
	recorded->json_path = asked->json_path;
	recorded->junit_path = asked->junit_path;
	recorded->events_path = asked->events_path;
	recorded->quiet = asked->quiet;
	recorded->verbose = asked->verbose;
	recorded->color = asked->color;
	recorded->argv = asked->argv;
}

static int report_and_code(const struct options *options,
			   const struct session *session, const char *back)
{
	bool unwritten;

	session_print(options, session);
	if (options->quiet)
		fprintf(session_out(options),
			"  %llu of %llu decisions came again\n",
			(unsigned long long)session->evidence->replay_agreed,
			(unsigned long long)session->evidence->replay_recorded);
	/* Paths on the command line are about where we were called. */
	if (chdir(back) < 0)
		return EXIT_CODE_INVALID;
	unwritten = session_reports(options, session, 1, 0);
	if (fflush(session_out(options)) != 0)
		unwritten = true;
	return session_exit_code(session, unwritten);
}

static int replay(const char *dir, const struct options *asked)
{
	_cleanup_words_ char *scenario = words_say("%s/scenario.yaml", dir);
	_cleanup_words_ char *runs = strdup(dir);
	_cleanup_words_ char *back = getcwd(NULL, 0);
	_cleanup_words_ char *source = NULL;
	struct session old = { 0 }, session = { 0 };
	struct replay_input decisions = { 0 };
	struct command_record record;
	int code, error;

	if (!scenario || !runs || !back)
		return EXIT_CODE_INVALID;
	code = session_load(dir, &old);
	if (code)
		return code;
	error = command_load(dir, &record);
	if (!error && record.options.scenario_path)
		error = words_read(scenario, SCENARIO_BYTES_MAX, &source, NULL);
	if (!error)
		error = session_decisions(old.evidence, &decisions);
	if (!error)
		error = doors_restore(&record);
	if (!error && chdir(record.cwd) < 0)
		error = -errno;
	if (error < 0) {
		fprintf(stderr, "mishap: %s can't be replayed: %s\n", dir,
			strerror(-error));
		session_clear(&old);
		return EXIT_CODE_USAGE;
	}
	options_join(&record.options, asked);
	record.options.runs_dir = dirname(runs); /* beside the old one */
	record.options.replay_of = old.evidence->id;
	code = session_run(&record.options, source, &decisions, 0, &session);
	if (session.judgement)
		code = report_and_code(&record.options, &session, back);
	session_clear(&session);
	session_clear(&old);
	free(decisions.decisions);
	command_clear(&record);
	return code;
}

/* RUN:BUG, which only a sweep has; NULL: none of the words. */
static const char *bug_word(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const char *colon = strrchr(argv[i], ':');

		if (argv[i][0] != '-' && colon && colon != argv[i] &&
		    strchr(colon, '-') && !strchr(colon, '/'))
			return argv[i];
	}
	return NULL;
}

static int replay_bug(const char *word, int argc, char **argv)
{
	_cleanup_words_ char *run = strdup(word);
	const char *runs_dir = NULL;
	bool in_gdb = false;
	char *colon;

	if (!run)
		return EXIT_CODE_INVALID;
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--gdb"))
			in_gdb = true;
		else if (!strcmp(argv[i], "--run-dir") && i + 1 < argc)
			runs_dir = argv[++i];
		else if (!strncmp(argv[i], "--run-dir=", 10))
			runs_dir = argv[i] + 10;
		else if (argv[i] != word)
			return cli_wrong(
				"replay",
				"replay: '%s' doesn't go with a bug of "
				"a sweep",
				argv[i]);
	}
	colon = strrchr(run, ':');
	*colon = '\0';
	return sweep_replay(runs_dir, run, colon + 1, in_gdb);
}

int cmd_replay(int argc, char **argv)
{
	const char *bug = bug_word(argc, argv);
	_cleanup_words_ char *dir = NULL;
	struct parsed parsed;
	int code;

	if (bug)
		return replay_bug(bug, argc, argv);
	if (options_parse(argc, argv, FOR_REPLAY, &parsed) < 0)
		return EXIT_CODE_USAGE;
	if (parsed.help) {
		options_clear(&parsed);
		return print_help();
	}
	code = session_find(&parsed.options, parsed.operand, &dir);
	if (!code)
		code = replay(dir, &parsed.options);
	options_clear(&parsed);
	return code;
}

#include "runner/options.h"
#include "runner/session.h"

#include <errno.h>
#include <string.h>

static int print_help(void)
{
	puts("mishap report - print a finished run again, or in another "
	     "format\n"
	     "\n"
	     "  mishap report [OPTION...] [RUN]\n"
	     "\n"
	     "RUN is an id, the beginning of one, a run's directory, or last\n"
	     "(the default).  The evidence that was kept is judged again, so "
	     "the\n"
	     "verdict and the exit status are those of the run.\n"
	     "\n"
	     "  mishap report                        the last run\n"
	     "  mishap report 20261121-0257          by its id\n"
	     "  mishap report last --json - | jq .   for a program\n"
	     "  mishap report last --junit out.xml   for a CI system\n"
	     "  mishap report last --events -        every decision\n"
	     "  mishap report last --history edn >h.edn; elle-cli -m set "
	     "h.edn\n"
	     "\n"
	     "options:");
	options_print(FOR_REPORT, stdout);
	return 0;
}

int cmd_report(int argc, char **argv)
{
	_cleanup_words_ char *dir = NULL;
	struct session session = { 0 };
	struct parsed parsed;
	struct options *options = &parsed.options;
	int code;

	if (options_parse(argc, argv, FOR_REPORT, &parsed) < 0)
		return EXIT_CODE_USAGE;
	if (parsed.help) {
		options_clear(&parsed);
		return print_help();
	}
	code = session_find(options, parsed.operand, &dir);
	if (!code)
		code = session_load(dir, &session);
	if (!code && options->history) {
		int error = report_history(session.evidence, options->history,
					   stdout);

		if (error == -EINVAL || error == -ENOENT)
			code = EXIT_CODE_USAGE;
		else if (error || fflush(stdout) != 0)
			code = EXIT_CODE_INVALID;
	} else if (!code) {
		bool unwritten;

		session_print(options, &session);
		unwritten = session_reports(options, &session, 1, 0);
		if (fflush(session_out(options)) != 0)
			unwritten = true;
		code = session_exit_code(&session, unwritten);
	}
	session_clear(&session);
	options_clear(&parsed);
	return code;
}

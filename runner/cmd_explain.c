/* cmd_explain.c - `mishap explain`: what would this scenario do? */
#include <string.h>

#include "runner/cli.h"

static const char help[] =
	"usage: mishap explain SCENARIO… [-f RULE]… [-- COMMAND [ARG]…]\n"
	"       mishap explain -f RULE… [--expect LINE]… [-- COMMAND [ARG]…]\n"
	"\n"
	"Says in plain English what a scenario does, in which order its rules\n"
	"are tried, when it passes and what would make it INCONCLUSIVE.\n"
	"Nothing is run.\n"
	"\n"
	"  -f, --fault RULE    a rule, in a file's grammar\n"
	"      --expect LINE   an expectation\n"
	"      --phase TEXT    a phase: 'slow 20s: send delay=1s'\n"
	"      --ready, --load, --steady  as in `mishap run`\n"
	"      --var NAME=VAL  a variable's value\n"
	"  -h, --help          this text\n"
	"\n"
	"examples:\n"
	"  mishap explain scenarios/library/slow-disk.yaml\n"
	"  mishap explain -f 'recv peer=*:6379 delay=p50=20ms,p99=1s'\n"
	"  mishap explain -f 'fsync fail=EIO nth=2' --expect 'exit!=0' -- \\\n"
	"      sqlite3 t.db 'create table t(x)'\n"
	"\n"
	"exit status: 0, or 2 when the scenario is wrong.\n";

static int explain_one(struct cli_scenario *cli, const char *path)
{
	struct scenario *scenario;

	if (scenario_load(path, cli_extra(cli), stderr, &scenario) < 0)
		return EXIT_CODE_USAGE;
	scenario_explain(scenario, stdout);
	scenario_free(scenario);
	return 0;
}

static int explain_all(struct cli_scenario *cli, int argc, char **argv)
{
	static char *program[] = { (char *)"COMMAND", NULL };
	int worst = 0;

	if (optind == argc && !cli_has_lines(cli))
		return cli_wrong("explain", "explain: no scenario to explain");
	if (optind == argc) {
		if (!cli->run)
			cli->run = program;
		return explain_one(cli, NULL);
	}
	for (int i = optind; i < argc; i++) {
		int rc;

		if (i > optind)
			putchar('\n');
		rc = explain_one(cli, argv[i]);
		worst = rc > worst ? rc : worst;
	}
	return worst;
}

int cmd_explain(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		CLI_SCENARIO_OPTIONS,
		{ 0 },
	};
	struct cli_scenario cli = { 0 };
	int letter, rc = 0;

	argc = cli_split(&cli, argc, argv);
	while (!rc &&
	       (letter = cli_next(argc, argv, ":f:e:h", options)) != -1) {
		if (letter == 'h') {
			fputs(help, stdout);
			cli_clear(&cli);
			return 0;
		}
		rc = letter == '?' ? EXIT_CODE_USAGE
				   : cli_take(&cli, "explain", letter, optarg);
	}
	if (!rc)
		rc = explain_all(&cli, argc, argv);
	cli_clear(&cli);
	return rc;
}

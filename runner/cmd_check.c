/* cmd_check.c - `mishap check`: read scenario files, run nothing. */
#include <stdlib.h>
#include <string.h>

#include "runner/cli.h"
#include "runner/words.h"

static const char help[] =
	"usage: mishap check [-q] [--json FILE] [--var NAME=VALUE]… SCENARIO…\n"
	"       mishap check -f RULE… [--expect LINE]… [--phase TEXT]…\n"
	"       mishap check --schema\n"
	"\n"
	"Reads scenario files and says what is wrong with them: every mistake\n"
	"with its line, its column and, where there is one, the right word.\n"
	"Nothing is run.\n"
	"\n"
	"  -q, --quiet         say nothing of files that are good\n"
	"      --json FILE     the result for machines; - is standard output\n"
	"      --var NAME=VAL  as in `mishap run`\n"
	"  -f, --fault RULE    check a rule; may be given more than once\n"
	"      --expect LINE   check an expectation\n"
	"      --phase TEXT    check a phase: 'slow 20s: send delay=1s'\n"
	"      --ready, --load, --steady  as in `mishap run`\n"
	"      --schema        print the JSON Schema, for editors\n"
	"  -h, --help          this text\n"
	"\n"
	"examples:\n"
	"  mishap check scenarios/*.yaml\n"
	"  mishap check -f 'write path=**/out fail=ENOSPC nth=2'\n"
	"  mishap check --schema >scenario-1.schema.json\n"
	"\n"
	"exit status: 0 all are good, 2 some are not or can't be read.\n";

struct check {
	bool quiet, schema;
	const char *json_path;
	struct cli_scenario *cli;
	json_t *files;
	int worst;
};

static void note(struct check *check, const char *name,
		 const struct scenario *scenario, const char *messages)
{
	json_t *item;

	if (!check->json_path)
		return;
	item = json_pack("{s:o, s:b, s:s?, s:o}", "path",
			 words_json_string(name), "ok", scenario != NULL,
			 "name", scenario ? scenario->name : NULL, "messages",
			 words_json_string(messages));
	json_object_set_new(
		item, "rules",
		scenario ? json_integer((json_int_t)scenario->rules_count)
			 : json_null());
	json_object_set_new(
		item, "expectations",
		scenario ? json_integer((json_int_t)scenario->expects_count)
			 : json_null());
	json_array_append_new(check->files, item);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static bool json_is_stdout(const struct check *check)
{
	return check->json_path && !strcmp(check->json_path, "-");
}

static void check_one(struct check *check, const char *path)
{
	const char *name = path ? path : "command line";
	struct scenario *scenario = NULL;
	char *messages = NULL;
	size_t bytes = 0;
	FILE *errors = open_memstream(&messages, &bytes);
	int rc;

	if (!errors) {
		check->worst = EXIT_CODE_INVALID;
		return;
	}
	rc = scenario_load(path, cli_extra(check->cli), errors, &scenario);
	fclose(errors);
	fflush(stdout);
	fputs(messages, stderr);
	if (rc < 0)
		check->worst = EXIT_CODE_USAGE;
	else if (!check->quiet)
		fprintf(json_is_stdout(check) ? stderr : stdout,
			"%s: ok, %zu rule%s, %zu expectation%s\n", name,
			scenario->rules_count, plural(scenario->rules_count),
			scenario->expects_count,
			plural(scenario->expects_count));
	note(check, name, scenario, messages);
	scenario_free(scenario);
	free(messages);
}

static int options_read(struct check *check, int argc, char **argv)
{
	static const struct option options[] = {
		{ "quiet", no_argument, NULL, 'q' },
		{ "json", required_argument, NULL, 'j' },
		{ "schema", no_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		CLI_SCENARIO_OPTIONS,
		{ 0 },
	};
	int letter, rc = 0;

	while (!rc &&
	       (letter = cli_next(argc, argv, ":qf:e:h", options)) != -1) {
		switch (letter) {
		case 'q':
			check->quiet = true;
			break;
		case 'j':
			check->json_path = optarg;
			break;
		case 's':
			check->schema = true;
			break;
		case 'h':
			fputs(help, stdout);
			return -1;
		case '?':
			return EXIT_CODE_USAGE;
		default:
			rc = cli_take(check->cli, "check", letter, optarg);
		}
	}
	return rc;
}

static int check_all(struct check *check, int argc, char **argv)
{
	static char *true_argv[] = { (char *)"true", NULL };

	if (check->schema) {
		scenario_print_schema(stdout);
		return 0;
	}
	if (optind == argc && !cli_has_lines(check->cli))
		return cli_wrong("check", "check: no scenario to check");
	check->files = json_array();
	if (optind == argc) { /* rules alone: any target will do */
		if (!check->cli->run)
			check->cli->run = true_argv;
		check_one(check, NULL);
	}
	for (int i = optind; i < argc; i++)
		check_one(check, argv[i]);
	if (check->json_path) {
		int rc = cli_json(
			check->json_path,
			json_pack("{s:i, s:s, s:s, s:b, s:O}", "version", 1,
				  "command", "check", "mishap", MISHAP_VERSION,
				  "ok", !check->worst, "files", check->files));

		if (rc && !check->worst)
			check->worst = rc;
	}
	json_decref(check->files);
	return check->worst;
}

int cmd_check(int argc, char **argv)
{
	struct cli_scenario cli = { 0 };
	struct check check = { .cli = &cli };
	int rc;

	argc = cli_split(&cli, argc, argv);
	rc = options_read(&check, argc, argv);
	if (!rc)
		rc = check_all(&check, argc, argv);
	cli_clear(&cli);
	return rc < 0 ? 0 : rc;
}

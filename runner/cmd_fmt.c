/* cmd_fmt.c - `mishap fmt`: one way to write a scenario. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/cli.h"

static const char help[] =
	"usage: mishap fmt [-w | -c] SCENARIO…\n"
	"       mishap fmt -f RULE… [--expect LINE]… [--phase TEXT]… [-- "
	"COMMAND]\n"
	"\n"
	"Prints a scenario in its canonical form; comments and variables "
	"stay.\n"
	"Without a file, prints the file that says what the options say: the "
	"way\n"
	"from a one-liner to a scenario.\n"
	"\n"
	"  -w, --write         write the file in place, at once or not at all\n"
	"  -c, --check         print the names of files that would change; "
	"exit 1\n"
	"  -f, --fault RULE    a rule, in a file's grammar\n"
	"      --expect LINE   an expectation\n"
	"      --phase TEXT    a phase: 'slow 20s: send delay=1s'\n"
	"      --ready, --load, --steady  as in `mishap run`\n"
	"      --var NAME=VAL  a variable's value\n"
	"  -h, --help          this text\n"
	"\n"
	"examples:\n"
	"  mishap fmt -w scenarios/*.yaml\n"
	"  mishap fmt -f 'write path=**/out fail=ENOSPC nth=2' \\\n"
	"      --expect 'exit!=0' -- sort -o out in >disk-full.yaml\n"
	"\n"
	"exit status: 0; 1 with -c when a file would change; 2 when a scenario "
	"is\n"
	"wrong; 5 when it can't be written.\n";

enum how { HOW_PRINT, HOW_WRITE, HOW_CHECK };

/* Beside the old one, then renamed over it: a reader sees one or the other. */
static int file_replace(const char *path, const char *bytes, size_t n)
{
	char *real = realpath(path, NULL), *temporary = NULL;
	struct stat st;
	FILE *out = NULL;
	int fd = -1, rc = 0;

	if (!real || stat(real, &st) < 0 ||
	    asprintf(&temporary, "%s.XXXXXX", real) < 0) {
		rc = -errno;
		free(real);
		return rc;
	}
	fd = mkstemp(temporary);
	if (fd >= 0)
		out = fdopen(fd, "w");
	if (!out || fwrite(bytes, 1, n, out) != n || fflush(out) ||
	    fchmod(fd, st.st_mode & 07777) < 0 || fsync(fd) < 0)
		rc = -errno;
	if (out && fclose(out) && !rc)
		rc = -errno;
	if (!rc && rename(temporary, real) < 0)
		rc = -errno;
	if (rc && fd >= 0)
		unlink(temporary);
	free(temporary);
	free(real);
	return rc;
}

static int place(enum how how, const struct scenario *scenario,
		 const char *bytes, size_t n)
{
	bool same = scenario->source && scenario->source_bytes == n &&
		    !memcmp(scenario->source, bytes, n);
	int rc;

	if (how == HOW_PRINT) {
		fwrite(bytes, 1, n, stdout);
		return 0;
	}
	if (same)
		return 0;
	if (how == HOW_CHECK) {
		puts(scenario->path);
		return EXIT_CODE_FAIL;
	}
	rc = file_replace(scenario->path, bytes, n);
	if (!rc)
		return 0;
	fprintf(stderr, "mishap: %s: %s; it is as it was\n", scenario->path,
		strerror(-rc));
	return EXIT_CODE_INVALID;
}

/* What we print must load: an argument that isn't UTF-8 can't stand in a file,
 * and nobody's file is replaced by one that is broken. */
static bool loads(struct cli_scenario *cli, const char *bytes, size_t n)
{
	const struct scenario_extra vars = { .vars = cli->vars,
					     .vars_count = cli->vars_count };
	struct scenario *scenario;

	if (scenario_parse("formatted", bytes, n, &vars, NULL, &scenario) < 0)
		return false;
	scenario_free(scenario);
	return true;
}

static int format_one(enum how how, struct cli_scenario *cli, const char *path)
{
	struct scenario *scenario;
	char *bytes = NULL;
	size_t n = 0;
	FILE *out;
	int rc;

	if (scenario_load(path, cli_extra(cli), stderr, &scenario) < 0)
		return EXIT_CODE_USAGE;
	out = open_memstream(&bytes, &n);
	if (!out) {
		scenario_free(scenario);
		return EXIT_CODE_INVALID;
	}
	scenario_format(scenario, out);
	fclose(out);
	if (loads(cli, bytes, n)) {
		rc = place(how, scenario, bytes, n);
	} else {
		fprintf(stderr,
			"mishap: fmt: %s can't be written as a file: it is not "
			"UTF-8 text\n",
			path ? path : "this command line");
		rc = EXIT_CODE_USAGE;
	}
	free(bytes);
	scenario_free(scenario);
	return rc;
}

static int format_all(enum how how, struct cli_scenario *cli, int argc,
		      char **argv)
{
	int worst = 0;

	if (optind == argc && !cli_has_lines(cli))
		return cli_wrong("fmt", "fmt: no scenario to format");
	if (optind < argc && cli_has_lines(cli))
		return cli_wrong("fmt",
				 "fmt: a file, or rules to make one of, not "
				 "both");
	if (optind == argc && how != HOW_PRINT)
		return cli_wrong("fmt", "fmt: -w and -c want a file");
	if (optind == argc && !cli->run)
		return cli_wrong("fmt",
				 "fmt: a scenario wants a target: -- COMMAND");
	if (optind == argc)
		return format_one(how, cli, NULL);
	for (int i = optind; i < argc; i++) {
		int rc = format_one(how, cli, argv[i]);

		worst = rc > worst ? rc : worst;
	}
	return worst;
}

int cmd_fmt(int argc, char **argv)
{
	static const struct option options[] = {
		{ "write", no_argument, NULL, 'w' },
		{ "check", no_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		CLI_SCENARIO_OPTIONS,
		{ 0 },
	};
	struct cli_scenario cli = { 0 };
	enum how how = HOW_PRINT;
	int letter, rc = 0;

	argc = cli_split(&cli, argc, argv);
	while (!rc &&
	       (letter = cli_next(argc, argv, ":wcf:e:h", options)) != -1) {
		switch (letter) {
		case 'w':
			how = HOW_WRITE;
			break;
		case 'c':
			how = HOW_CHECK;
			break;
		case 'h':
			fputs(help, stdout);
			cli_clear(&cli);
			return 0;
		case '?':
			rc = EXIT_CODE_USAGE;
			break;
		default:
			rc = cli_take(&cli, "fmt", letter, optarg);
		}
	}
	if (!rc)
		rc = format_all(how, &cli, argc, argv);
	cli_clear(&cli);
	return rc;
}

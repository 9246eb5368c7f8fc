#include "runner/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runner/words.h"
#include "scenarios/text.h"

int cli_wrong(const char *command, const char *format, ...)
{
	va_list ap;

	fputs("mishap: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n  try: mishap %s --help\n", command);
	return EXIT_CODE_USAGE;
}

static void unknown_option(const char *command, const char *word,
			   const struct option *options)
{
	size_t n = strcspn(word, "=");
	struct near near = near_start(word + 2, n > 2 ? n - 2 : 0);
	const char *found;

	for (const struct option *o = options; o->name; o++)
		near_try(&near, o->name);
	found = n > 3 ? near_found(&near) : NULL;
	if (found)
		cli_wrong(command,
			  "%s: unknown option '%.*s'; did you mean '--%s'?",
			  command, (int)n, word, found);
	else
		cli_wrong(command, "%s: unknown option '%.*s'", command, (int)n,
			  word);
}

int cli_next(int argc, char **argv, const char *letters,
	     const struct option *options)
{
	char word[3] = "-?";
	int at = optind ? optind : 1, letter;

	opterr = 0;
	letter = getopt_long(argc, argv, letters, options, NULL);
	if (letter != '?' && letter != ':')
		return letter;
	/* an unknown long option leaves optopt 0 and has been stepped over */
	if (letter == ':') {
		cli_wrong(argv[0], "%s: '%s' wants a value", argv[0],
			  argv[optind - 1]);
	} else if (!optopt) {
		unknown_option(argv[0], argv[optind - 1], options);
	} else {
		word[1] = (char)optopt;
		unknown_option(argv[0],
			       at < argc && !strncmp(argv[optind - 1], "--", 2)
				       ? argv[optind - 1]
				       : word,
			       options);
	}
	return '?';
}

/* ---- a scenario from the command line ---------------------------------- */

int cli_split(struct cli_scenario *cli, int argc, char **argv)
{
	optind = 0; /* getopt_long(3), NOTES: start anew */
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		cli->run = argv + i + 1;
		return i;
	}
	return argc;
}

static size_t list_count(const char *const *list)
{
	size_t n = 0;

	while (list[n])
		n++;
	return n;
}

static int take_var(struct cli_scenario *cli, const char *command,
		    const char *text)
{
	struct variable *variable = &cli->vars[cli->vars_count];
	const char *equals = strchr(text, '=');

	if (!equals || equals == text)
		return cli_wrong(command,
				 "%s: --var wants NAME=VALUE; got '%s'",
				 command, text);
	if (cli->vars_count == CLI_LINES_MAX)
		return cli_wrong(command, "%s: too many --var", command);
	*variable = (struct variable){
		.name = strndup(text, (size_t)(equals - text)),
		.value = strdup(equals + 1),
		.mark = { .file = "--var" },
	};
	if (!variable->name || !variable->value)
		return cli_wrong(command, "%s: out of memory", command);
	cli->vars_count++;
	return 0;
}

int cli_take(struct cli_scenario *cli, const char *command, int letter,
	     const char *text)
{
	const char **list = letter == 'f'   ? cli->faults
			    : letter == 'e' ? cli->expects
			    : letter == 'l' ? cli->loads
			    : letter == 't' ? cli->steadies
					    : cli->phases;
	size_t n;

	if (letter == 'r') {
		cli->ready = text;
		return 0;
	}
	if (letter == 'v')
		return take_var(cli, command, text);
	n = list_count(list);
	if (n == CLI_LINES_MAX)
		return cli_wrong(command, "%s: more than %d of one option",
				 command, CLI_LINES_MAX);
	list[n] = text;
	return 0;
}

bool cli_has_lines(const struct cli_scenario *cli)
{
	return cli->faults[0] || cli->expects[0] || cli->phases[0] ||
	       cli->loads[0] || cli->steadies[0] || cli->ready || cli->run;
}

const struct scenario_extra *cli_extra(struct cli_scenario *cli)
{
	cli->extra = (struct scenario_extra){
		.faults = cli->faults,
		.expects = cli->expects,
		.phases = cli->phases,
		.loads = cli->loads,
		.steadies = cli->steadies,
		.ready = cli->ready,
		.run = cli->run,
		.vars = cli->vars,
		.vars_count = cli->vars_count,
	};
	return &cli->extra;
}

void cli_clear(struct cli_scenario *cli)
{
	for (size_t i = 0; i < cli->vars_count; i++) {
		free(cli->vars[i].name);
		free(cli->vars[i].value);
	}
	cli->vars_count = 0;
}

int cli_json(const char *path, json_t *json)
{
	int rc;

	if (!strcmp(path, "-")) {
		rc = json_dumpf(json, stdout, JSON_INDENT(2)) ? -EIO : 0;
		putchar('\n');
	} else {
		rc = words_write_json(path, json);
	}
	json_decref(json);
	if (!rc)
		return 0;
	fprintf(stderr, "mishap: %s: %s\n", path, strerror(-rc));
	return EXIT_CODE_INVALID;
}

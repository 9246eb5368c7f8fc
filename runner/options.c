#include "runner/options.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scenarios/text.h"
#include "scenarios/value.h"

#define REPEAT_MAX  10000
#define SAYS_INDENT "                          "
#define SAYS_COLUMN ((int)sizeof(SAYS_INDENT) - 1)

const struct option_info option_table[OPTION_COUNT] = {
#define OPTION(id, n, l, v, w, s)                                              \
	[OPTION_##id] = {                                                      \
		.name = n, .letter = l, .value = v, .says = s, .who = w        \
	},
#include "runner/options.def"
#undef OPTION
};

static const char *who_name(enum option_for who)
{
	return who == FOR_RUN ? "run" : who == FOR_REPLAY ? "replay" : "report";
}

static int wrong(enum option_for who, const char *format, ...)
{
	va_list ap;

	fputs("mishap: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "\n  try: mishap %s --help\n", who_name(who));
	return -EINVAL;
}

/* lines_take - one more for a list that options borrow from argv.
 * false: this option isn't one that may be given again and again. */
static bool lines_take(struct parsed *parsed, enum option_id id,
		       const char *value)
{
	struct scenario_extra *extra = &parsed->options.extra;
	const struct {
		enum option_id id;
		const char *const **list;
	} table[OPTIONS_LISTS] = {
		{ OPTION_fault, &extra->faults },
		{ OPTION_phase, &extra->phases },
		{ OPTION_expect, &extra->expects },
		{ OPTION_load, &extra->loads },
		{ OPTION_steady, &extra->steadies },
	};

	for (size_t i = 0; i < OPTIONS_LISTS; i++) {
		const char **items = parsed->lists[i];
		size_t n = 0;

		if (table[i].id != id)
			continue;
		while (items[n])
			n++;
		items[n] = value;
		*table[i].list = items;
		return true;
	}
	return false;
}

static int read_number(enum option_for who, const char *name, const char *value,
		       uint64_t min, uint64_t max, uint64_t *ret)
{
	uint64_t number;

	if (!read_count(value, strlen(value), max, &number) || number < min)
		return wrong(who,
			     "--%s wants a number from %llu to %llu; got '%s'",
			     name, (unsigned long long)min,
			     (unsigned long long)max, value);
	*ret = number;
	return 0;
}

static int read_limit(enum option_for who, struct options *options,
		      const char *value)
{
	const char *much = strchr(value, '=');
	size_t n = much ? (size_t)(much - value) : 0, length;

	much = much ? much + 1 : "";
	length = strlen(much);
	if (n == 4 && strncmp(value, "time", n) == 0 &&
	    read_duration(much, length, &options->limit_time_ns))
		return 0;
	if (n == 6 && strncmp(value, "faults", n) == 0 &&
	    read_count(much, length, INT64_MAX, &options->limit_faults))
		return 0;
	if (n == 3 && strncmp(value, "rss", n) == 0 &&
	    read_bytes(much, length, false, &options->limit_rss_bytes))
		return 0;
	return wrong(who,
		     "--limit wants time=30s, faults=1000 or rss=1GiB; got "
		     "'%s'",
		     value);
}

static int read_var(enum option_for who, struct parsed *parsed,
		    const char *value)
{
	struct scenario_extra *extra = &parsed->options.extra;
	const char *equals = strchr(value, '=');
	struct variable *var = &parsed->vars[extra->vars_count];

	if (!equals || equals == value)
		return wrong(who, "--var wants NAME=VALUE; got '%s'", value);
	var->name = strndup(value, (size_t)(equals - value));
	var->value = strdup(equals + 1);
	var->mark = (struct mark){ .file = "--var" };
	extra->vars = parsed->vars;
	extra->vars_count++;
	return var->name && var->value ? 0 : -ENOMEM;
}

static int read_timeout(enum option_for who, struct options *options,
			const char *value)
{
	return read_duration(value, strlen(value), &options->timeout_ns)
		       ? 0
		       : wrong(who,
			       "--timeout wants " DURATION_WANTS "; got '%s'",
			       value);
}

static int read_watch(enum option_for who, struct options *options,
		      const char *value)
{
	if (strcmp(value, "off") == 0)
		options->watch = WATCH_MODE_OFF;
	else if (strcmp(value, "auto") == 0)
		options->watch = WATCH_MODE_UNSET;
	else if (strcmp(value, "lite") == 0)
		options->watch = WATCH_MODE_LITE;
	else if (strcmp(value, "full") == 0)
		options->watch = WATCH_MODE_FULL;
	else
		return wrong(who,
			     "--watch wants auto, lite, full or off; got '%s'",
			     value);
	return 0;
}

static int read_color(enum option_for who, struct options *options,
		      const char *value)
{
	if (strcmp(value, "always") == 0)
		options->color = 1;
	else if (strcmp(value, "never") == 0)
		options->color = 0;
	else if (strcmp(value, "auto") == 0)
		options->color = -1;
	else
		return wrong(who,
			     "--color wants always, never or auto; got "
			     "'%s'",
			     value);
	return 0;
}

static int read_times(enum option_for who, const char *name, const char *value,
		      unsigned *ret)
{
	uint64_t number;
	int error = read_number(who, name, value, 1, REPEAT_MAX, &number);

	*ret = error ? 0 : (unsigned)number;
	return error;
}

static int option_take(enum option_for who, struct parsed *parsed,
		       enum option_id id, const char *value)
{
	struct options *options = &parsed->options;

	if (lines_take(parsed, id, value))
		return 0;
	switch (id) {
	case OPTION_ready:
		options->extra.ready = value;
		break;
	case OPTION_var:
		return read_var(who, parsed, value);
	case OPTION_seed:
		options->seed_set = true;
		return read_number(who, "seed", value, 0, INT64_MAX,
				   &options->seed);
	case OPTION_repeat:
		return read_times(who, "repeat", value, &options->repeat);
	case OPTION_kill_points:
		return read_times(who, "kill-points", value,
				  &options->kill_points);
	case OPTION_timeout:
		return read_timeout(who, options, value);
	case OPTION_limit:
		return read_limit(who, options, value);
	case OPTION_color:
		return read_color(who, options, value);
	case OPTION_watch:
		return read_watch(who, options, value);
	case OPTION_sandbox:
		options->sandbox = true;
		break;
	case OPTION_no_network:
		options->no_network = true;
		break;
	case OPTION_notify:
		options->notify = true;
		break;
	case OPTION_keep_scratch:
		options->keep_scratch = true;
		break;
	case OPTION_run_dir:
		options->runs_dir = value;
		break;
	case OPTION_json:
		options->json_path = value;
		break;
	case OPTION_junit:
		options->junit_path = value;
		break;
	case OPTION_events:
		options->events_path = value;
		break;
	case OPTION_history:
		options->history = value;
		break;
	case OPTION_quiet:
		options->quiet = true;
		break;
	case OPTION_verbose:
		options->verbose = true;
		break;
	case OPTION_help:
		parsed->help = true;
		break;
	default:
		break;
	}
	return 0;
}

/* option_of - which option is this word?  *ret_value: what stands behind its
 * `=` or its letter, NULL if nothing does. */
static enum option_id option_of(enum option_for who, const char *word,
				const char **ret_value)
{
	bool is_long = word[1] == '-';
	size_t n = is_long ? strcspn(word + 2, "=") : 1;

	*ret_value = NULL;
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_info *info = &option_table[i];

		if (!(info->who & who))
			continue;
		if (is_long && (strlen(info->name) != n ||
				strncmp(info->name, word + 2, n) != 0))
			continue;
		if (!is_long && info->letter != word[1])
			continue;
		if (is_long && word[2 + n] == '=')
			*ret_value = word + 3 + n;
		else if (!is_long && word[2])
			*ret_value = word + 2;
		return (enum option_id)i;
	}
	return OPTION_COUNT;
}

static int unknown(enum option_for who, const char *word)
{
	struct near near = near_start(word + 2, strcspn(word + 2, "="));
	const char *found;

	for (int i = 0; i < OPTION_COUNT; i++)
		if (option_table[i].who & who)
			near_try(&near, option_table[i].name);
	found = word[1] == '-' ? near_found(&near) : NULL;
	if (found)
		return wrong(who, "no option %s; did you mean --%s?", word,
			     found);
	return wrong(who, "no option %s", word);
}

static int words_parse(int argc, char **argv, enum option_for who,
		       struct parsed *parsed)
{
	for (int i = 1; i < argc; i++) {
		const char *value;
		enum option_id id;
		int error;

		if (strcmp(argv[i], "--") == 0) {
			if (who != FOR_RUN)
				return wrong(who, "nothing may follow --");
			if (!argv[i + 1])
				return wrong(who, "-- wants a command after "
						  "it");
			parsed->options.extra.run = &argv[i + 1];
			return 0;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (parsed->operand)
				return wrong(
					who,
					"one %s is enough: '%s' and '%s'"
					"%s",
					who == FOR_RUN ? "scenario" : "run",
					parsed->operand, argv[i],
					who == FOR_RUN ? "; a command stands "
							 "after --"
						       : "");
			parsed->operand = argv[i];
			continue;
		}
		id = option_of(who, argv[i], &value);
		if (id == OPTION_COUNT)
			return unknown(who, argv[i]);
		if (!option_table[id].value && value)
			return wrong(who, "%s: --%s takes no value", argv[i],
				     option_table[id].name);
		if (option_table[id].value && !value)
			value = argv[++i];
		if (option_table[id].value && !value)
			return wrong(who, "--%s wants a %s after it",
				     option_table[id].name,
				     option_table[id].value);
		error = option_take(who, parsed, id, value);
		if (error < 0)
			return error;
	}
	return 0;
}

int options_parse(int argc, char **argv, enum option_for who,
		  struct parsed *ret_parsed)
{
	struct parsed parsed = { .options = { .color = -1 } };
	int error = 0;

	parsed.options.argv = (const char *const *)argv;
	for (size_t i = 0; i < OPTIONS_LISTS; i++) {
		parsed.lists[i] = calloc((size_t)argc + 1, sizeof(char *));
		if (!parsed.lists[i])
			error = -ENOMEM;
	}
	parsed.vars = calloc((size_t)argc + 1, sizeof(*parsed.vars));
	if (!parsed.vars)
		error = -ENOMEM;
	if (!error)
		error = words_parse(argc, argv, who, &parsed);
	if (!error && who == FOR_RUN && !parsed.help && !parsed.operand &&
	    !parsed.options.extra.run)
		error = wrong(who,
			      "there is no target: give a scenario file, or "
			      "-- COMMAND");
	if (error < 0) {
		options_clear(&parsed);
		return error;
	}
	if (who == FOR_RUN)
		parsed.options.scenario_path = parsed.operand;
	*ret_parsed = parsed;
	return 0;
}

void options_clear(struct parsed *parsed)
{
	for (size_t i = 0; i < OPTIONS_LISTS; i++)
		free(parsed->lists[i]);
	for (size_t i = 0; parsed->vars && i < parsed->options.extra.vars_count;
	     i++) {
		free(parsed->vars[i].name);
		free(parsed->vars[i].value);
	}
	free(parsed->vars);
	*parsed = (struct parsed){ 0 };
}

void options_print(enum option_for who, FILE *out)
{
	for (int i = 0; i < OPTION_COUNT; i++) {
		const struct option_info *info = &option_table[i];
		char name[80], first[80] = SAYS_INDENT;
		int n;

		if (!(info->who & who))
			continue;
		n = snprintf(name, sizeof(name), "  %s%c%s--%s%s%s",
			     info->letter ? "-" : " ",
			     info->letter ? info->letter : ' ',
			     info->letter ? ", " : "  ", info->name,
			     info->value ? " " : "",
			     info->value ? info->value : "");
		if (n > SAYS_COLUMN - 2)
			fprintf(out, "%s\n", name);
		else
			snprintf(first, sizeof(first), "%-*s", SAYS_COLUMN,
				 name);
		print_wrapped(out, first, SAYS_INDENT, 80, info->says);
	}
}

bool options_color(const struct options *options, FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	if (options->color >= 0)
		return options->color;
	return isatty(fileno(out)) && !(no && *no) &&
	       !(term && strcmp(term, "dumb") == 0);
}

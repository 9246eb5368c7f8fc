/* report.c - a sweep for a person at a terminal, 80 columns. */
#include <string.h>

#include "runner/site_id.h"
#include "runner/sweep/sweep.h"

#define BUGS_TOLD   20 /* with --verbose: all */
#define FRAMES_TOLD 6
#define NOTES_TOLD  6
#define COLUMNS	    80

static const char *last_component(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

/* A label and words, folded at COLUMNS. */
static void fold(FILE *out, const char *label, const char *text)
{
	const size_t indent = 11, width = COLUMNS - indent;
	size_t n = strlen(text);

	while (n) {
		size_t cut = n;

		if (cut > width)
			for (cut = width; cut && text[cut] != ' '; cut--)
				;
		if (!cut)
			cut = n < width ? n : width;
		fprintf(out, "  %-8s %.*s\n", label, (int)cut, text);
		text += cut;
		n -= cut;
		while (n && *text == ' ') {
			text++;
			n--;
		}
		label = "";
	}
}

/* Below the working directory it is told from there. */
static const char *path_told(const struct sweep *sweep, const char *path)
{
	size_t n = strlen(sweep->cwd);

	if (!strncmp(path, sweep->cwd, n) && path[n] == '/')
		return path + n + 1;
	return path;
}

static const char *object_told(const struct sweep *sweep,
			       const struct sweep_site *site)
{
	switch (site->object) {
	case OBJECT_STDIN:
		return "standard input";
	case OBJECT_STDOUT:
		return "standard output";
	case OBJECT_STDERR:
		return "standard error";
	}
	return *site->path ? path_told(sweep, site->path) : NULL;
}

/* Looking and asking is no news; what it changes is. */
static bool is_dull(const struct sweep_note *note)
{
	static const char *const dull[] = {
		"stat",	 "lstat", "fstat", "statx",
		"fcntl", "dup",	  "read",  "pread"
	};

	for (size_t i = 0; i < sizeof(dull) / sizeof(*dull); i++)
		if (!strcmp(call_table[note->call].name, dull[i]))
			return true;
	return false;
}

static char *next_told(const struct sweep *sweep,
		       const struct cell_result *result)
{
	char text[512];
	size_t at = 0, told = 0;

	*text = '\0';
	for (uint32_t i = 0; i < result->notes_count && told < NOTES_TOLD;
	     i++) {
		const struct sweep_note *note = &result->notes[i];
		const char *path = path_told(sweep, note->path);

		if (is_dull(note))
			continue;
		at += (size_t)snprintf(
			text + at, sizeof(text) - at, "%s%s(%s)%s",
			told++ ? ", " : "", call_table[note->call].name,
			note->object == OBJECT_STDERR	? "stderr"
			: note->object == OBJECT_STDOUT ? "stdout"
			: *path				? last_component(path)
							: "",
			note->failed ? " failed too" : "");
		if (at >= sizeof(text))
			break;
	}
	return strdup(text);
}

static void frame_print(const json_t *frame, FILE *out)
{
	const char *function =
		json_string_value(json_object_get(frame, "function"));
	const char *module = last_component(
		json_string_value(json_object_get(frame, "module")));
	const char *file = last_component(
		json_string_value(json_object_get(frame, "file")));
	const char *offset =
		json_string_value(json_object_get(frame, "offset"));
	long long line = json_integer_value(json_object_get(frame, "line"));

	if (function && file && line)
		fprintf(out, "             %.40s (%s:%lld)\n", function, file,
			line);
	else if (function)
		fprintf(out, "             %.40s (%s)\n", function,
			module ? module : "?");
	else
		fprintf(out, "             %s+%s\n", module ? module : "?",
			offset ? offset : "?");
}

static void deaths_print(const struct bug *bug, FILE *out)
{
	const json_t *death = json_array_get(bug->deaths, 0);
	const json_t *threads = json_object_get(death, "threads");
	size_t shown = 0;

	for (size_t t = 0; t < json_array_size(threads) && t < 3; t++) {
		const json_t *thread = json_array_get(threads, t);
		const json_t *frames = json_object_get(thread, "frames");
		const char *call =
			json_string_value(json_object_get(thread, "call"));

		fprintf(out, "  %-8s ",
			t			   ? ""
			: bug->class == CLASS_HUNG ? "hangs"
						   : "dies");
		fprintf(out, "%s%s\n", bug->class == CLASS_HUNG ? "in " : "in",
			bug->class == CLASS_HUNG && call ? call : "");
		for (size_t i = 0;
		     i < json_array_size(frames) && i < FRAMES_TOLD; i++)
			frame_print(json_array_get(frames, i), out);
		shown++;
		if (bug->class != CLASS_HUNG)
			break;
	}
	(void)shown;
}

static const char *says(unsigned class)
{
	switch (class) {
	case CLASS_SILENT:
		return "exits as if all were well";
	case CLASS_MUTE:
		return "fails without a word";
	case CLASS_CRASHED:
		return "crashes";
	case CLASS_HUNG:
		return "hangs";
	case CLASS_LEAKED:
		return "leaves something behind";
	case CLASS_CORRUPTED:
		return "leaves damage";
	}
	return "";
}

static void bug_print(const struct sweep *sweep, const struct bug *bug,
		      FILE *out)
{
	const struct cell *cell = &sweep->cells[bug->cell];
	const struct cell_result *result = &sweep->results[bug->cell];
	const struct spot *site = &sweep->sites[bug->site];
	const char *object = object_told(sweep, &site->seen);
	_cleanup_words_ char *where = site_words(site);
	_cleanup_words_ char *next = next_told(sweep, result);
	_cleanup_words_ char *line = NULL;
	char words[120];

	fprintf(out, "%s: %s\n", bug->id, says(bug->class));
	cell_words(sweep, cell, words);
	line = words_say("%s%s%s", words, object ? " on " : "",
			 object ? object : "");
	fold(out, "fault", line ? line : words);
	fold(out, "at", where ? where : "?");
	if (*result->what)
		fold(out, "then", result->what);
	if (next && *next)
		fold(out, "next", next);
	if (bug->deaths)
		deaths_print(bug, out);
	if (bug->runs > 1) {
		fprintf(out, "  %-8s %u cells at %u site%s show it\n", "seen",
			bug->runs, bug->sites, bug->sites == 1 ? "" : "s");
	}
	fprintf(out, "  %-8s mishap replay %s:%s\n\n", "replay",
		sweep->place.id, bug->id);
}

static void minor_print(const struct sweep *sweep, FILE *out)
{
	for (size_t i = sweep->bugs_count - sweep->minor_count;
	     i < sweep->bugs_count; i++) {
		const struct bug *bug = &sweep->bugs[i];
		_cleanup_words_ char *where =
			site_words(&sweep->sites[bug->site]);
		char words[120];

		fprintf(out, "%s: noted only, %s\n", bug->id, bug->minor);
		fold(out, "fault",
		     cell_words(sweep, &sweep->cells[bug->cell], words));
		fold(out, "at", where ? where : "?");
	}
	if (sweep->minor_count)
		fputc('\n', out);
}

static void counts_print(const struct sweep *sweep, FILE *out)
{
	size_t counts[CLASS_COUNT] = { 0 };

	for (size_t i = 0; i < sweep->cells_count; i++) {
		unsigned class = sweep->results[i].class;

		if (class_is_finding(class) && !sweep->results[i].confirmed)
			class = CLASS_HANDLED; /* it didn't come again */
		counts[class]++;
	}
	for (unsigned class = CLASS_HANDLED; class < CLASS_COUNT; class ++)
		if (counts[class])
			fprintf(out, "  %7zu  %s\n", counts[class],
				sweep_class_names[class]);
	if (counts[CLASS_UNTRIED])
		fprintf(out, "  %7zu  not tried\n", counts[CLASS_UNTRIED]);
}

static void coverage_print(const struct sweep *sweep, FILE *out)
{
	size_t failed = 0, may = 0, well = 0;

	for (size_t i = 0; i < sweep->sites_count; i++) {
		const struct spot *site = &sweep->sites[i];

		may += site->cells > 0;
		failed += site->failed > 0;
		well += site->failed && site->handled == site->failed;
	}
	if (!may || sweep->interpreter)
		return;
	fprintf(out,
		"  error handling: %zu of %zu sites failed (%zu %%), %zu of "
		"them well (%zu %%)\n",
		failed, may, 100 * failed / may, well,
		failed ? 100 * well / failed : 0);
}

static void head_print(const struct sweep *sweep, FILE *out)
{
	char clean[WORDS_SHORT_MAX], limit[WORDS_SHORT_MAX];
	struct strings argv = { 0 };
	_cleanup_words_ char *joined = NULL;

	for (size_t i = 0; sweep->options->argv[i]; i++)
		argv.count++;
	argv.items = sweep->options->argv;
	joined = words_join(&argv);
	fprintf(out, "%s\n", last_component(sweep->options->argv[0]));
	fold(out, "command", joined ? joined : "?");
	fprintf(out,
		"  clean    %s, exit status %d, %zu bytes out, %zu files "
		"changed\n",
		words_duration(sweep->base[0].duration_ns, clean),
		sweep->base[0].status, (size_t)sweep->base[0].out_size,
		sweep->base[0].files.count);
	fprintf(out, "  sites    %zu, %zu cells; a hang is %s\n",
		sweep->sites_count, sweep->cells_count,
		words_duration(sweep->timeout_ns, limit));
	for (size_t i = 0; i < sweep->notes.count; i++)
		fold(out, "note", sweep->notes.items[i]);
	fputc('\n', out);
}

static void list_print(const struct sweep *sweep, FILE *out)
{
	for (size_t i = 0; i < sweep->sites_count; i++) {
		const struct spot *site = &sweep->sites[i];
		const char *object = object_told(sweep, &site->seen);
		_cleanup_words_ char *where = site_words(site);

		fprintf(out, "%016llx %6u %s%s%s%s at %s%s\n",
			(unsigned long long)site->seen.id, site->seen.count,
			call_table[site->seen.call].name, object ? " (" : "",
			object ? object : "", object ? ")" : "",
			where ? where : "?",
			site->cells ? "" : " [nothing plausible]");
	}
}

void sweep_print(const struct sweep *sweep, FILE *out)
{
	static const char *const verdicts[] = {
		[VERDICT_PASS] = "PASS",
		[VERDICT_INCONCLUSIVE] = "INCONCLUSIVE",
		[VERDICT_ABORTED] = "ABORTED",
		[VERDICT_FAIL] = "FAIL",
		[VERDICT_INVALID] = "INVALID",
	};
	char took[WORDS_SHORT_MAX];
	size_t told = 0, bugs = sweep->bugs_count - sweep->minor_count;

	if (sweep->options->list_only) {
		list_print(sweep, out);
		return;
	}
	if (!sweep->options->quiet) {
		head_print(sweep, out);
		for (; told < bugs &&
		       (told < BUGS_TOLD || sweep->options->verbose);
		     told++)
			bug_print(sweep, &sweep->bugs[told], out);
		if (told < bugs)
			fprintf(out,
				"and %zu more: --verbose, or sweep.json\n\n",
				bugs - told);
		minor_print(sweep, out);
		counts_print(sweep, out);
		coverage_print(sweep, out);
		fputc('\n', out);
	}
	fprintf(out, "%s  %zu of %zu cells tried; %s\n",
		verdicts[sweep->verdict], sweep->tried, sweep->cells_count,
		words_duration(sweep->baseline_ns + sweep->sweep_ns +
				       sweep->confirm_ns,
			       took));
	for (size_t i = 0; i < sweep->reasons.count; i++)
		fold(out, i ? "" : "because", sweep->reasons.items[i]);
	fold(out, "kept", sweep->place.run_dir);
}

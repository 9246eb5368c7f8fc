/* The page that a person reads: 80 columns, and as clear without colour. */
#include "runner/doors.h"
#include "runner/report/report.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <wchar.h>

#define COLUMNS	    80
#define NAMED_KINDS 2
#define TAIL_LINES  5

struct page {
	FILE *out;
	bool color;
};

static const char *style(const struct page *page, const char *code)
{
	return page->color ? code : "";
}

static const char *verdict_style(const struct page *page, enum verdict verdict)
{
	return style(page,
		     verdict == VERDICT_PASS ? "\033[1;32m"
		     : verdict == VERDICT_FAIL || verdict == VERDICT_INVALID
			     ? "\033[1;31m"
			     : "\033[1;33m");
}

/* A column per code point: good enough for what stands in a report. */
static int columns(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* cut - a copy of at most so many columns, "..." at its end if it was longer,
 * control characters made visible. */
static char *cut(const char *text, size_t n, int max)
{
	char *copy = strndup(text, n);

	for (char *p = copy; p && *p; p++) {
		if (iscntrl((unsigned char)*p))
			*p = *p == '\t' ? ' ' : '?';
		if (columns(copy) > max && p - copy == max - 3) {
			while (p > copy && ((unsigned char)*p & 0xc0) == 0x80)
				p--;
			strcpy(p, "...");
			break;
		}
	}
	return copy;
}

/* wrapped - text from column `indent` on, broken at spaces; the first line's
 * indent has been written.  A word longer than a line stands as it is. */
static void wrapped(const struct page *page, const char *text, int indent)
{
	int at = indent;

	while (*text) {
		size_t n = strcspn(text, " ");
		char *word = strndup(text, n);
		int wide = word ? columns(word) : 0;

		if (at > indent && at + 1 + wide > COLUMNS) {
			fprintf(page->out, "\n%*s", indent, "");
			at = indent;
		} else if (at > indent) {
			fputc(' ', page->out);
			at++;
		}
		fputs(word ? word : "", page->out);
		at += wide;
		free(word);
		text += n + strspn(text + n, " ");
	}
	fputc('\n', page->out);
}

/* spread - left and right on one line, or on two if they don't fit. */
static void spread(const struct page *page, int at, const char *left,
		   const char *right)
{
	int gap = COLUMNS - at - columns(left) - columns(right);

	if (!*right)
		wrapped(page, left, at);
	else if (gap >= 2)
		fprintf(page->out, "%s%*s%s%s%s\n", left, gap, "",
			style(page, "\033[2m"), right, style(page, "\033[0m"));
	else {
		wrapped(page, left, at);
		fprintf(page->out, "%*s%s%s%s\n", at, "",
			style(page, "\033[2m"), right, style(page, "\033[0m"));
	}
}

static void header(const struct page *page, const struct evidence *evidence)
{
	_cleanup_words_ char *title = report_title(evidence);
	_cleanup_words_ char *run = words_join(&evidence->scenario->target.run);
	_cleanup_words_ char *seed =
		words_say("seed %llu", (unsigned long long)evidence->seed);
	_cleanup_words_ char *short_run = NULL;
	uint64_t patched, left;
	char sites[64] = "";

	report_sites(evidence, &patched, &left);
	if (patched + left)
		snprintf(sites, sizeof(sites), "%llu of %llu sites",
			 (unsigned long long)patched,
			 (unsigned long long)(patched + left));
	if (doors_by_symbols(evidence))
		strcat(sites, *sites ? "; door: symbols" : "door: symbols");
	if (report_notified(evidence))
		strcat(sites, *sites ? "; door: notify" : "door: notify");
	fputs(style(page, "\033[1m"), page->out);
	spread(page, 0, title ? title : "", seed ? seed : "");
	fputs(style(page, "\033[0m"), page->out);
	if (!run || !title)
		return;
	short_run = cut(run, strlen(run), COLUMNS - 6 - columns(sites));
	if (strcmp(run, title) != 0 || *sites) {
		fputs("  ", page->out);
		spread(page, 2, short_run ? short_run : "", sites);
	}
}

static int phase_line(const struct page *page, const struct evidence *evidence,
		      size_t index)
{
	const struct scenario *scenario = evidence->scenario;
	const char *name =
		scenario->phases_written ? scenario->phases[index].name : "run";
	_cleanup_words_ char *faults =
		report_faults(evidence, (int)index, NAMED_KINDS);
	char lasted[WORDS_SHORT_MAX], p99[WORDS_SHORT_MAX];
	struct report_phase stats;
	int error = report_phase(evidence, index, &stats), at;

	if (error < 0 || !faults)
		return -ENOMEM;
	if (!evidence->phases[index].reached) {
		fprintf(page->out, "  %-10s  never reached\n", name);
		return 0;
	}
	words_duration(stats.lasted_ns, lasted);
	words_duration(stats.p99_ns, p99);
	at = fprintf(page->out, "  %-10s %6s", name, lasted);
	if (stats.samples) {
		at += fprintf(page->out, "  %5zu samples", stats.samples);
		at += fprintf(page->out, "  p99 %6s",
			      stats.healthy ? p99 : "-");
		if (stats.healthy < stats.samples)
			at += fprintf(page->out, "  %zu failed",
				      stats.samples - stats.healthy);
	}
	if (at + 2 + columns(faults) <= COLUMNS)
		fprintf(page->out, "  %s\n", faults);
	else
		fprintf(page->out, "\n%*s%s\n", 21, "", faults);
	return 0;
}

static void labelled(const struct page *page, const char *label,
		     const char *text)
{
	if (!text)
		return;
	fprintf(page->out, "     %-9s", label);
	wrapped(page, text, 14);
}

static void finding_lines(const struct page *page,
			  const struct finding *finding)
{
	_cleanup_words_ char *mark = report_mark(finding->mark);
	const char *name = verdict_name(finding->verdict);

	fprintf(page->out, "%s%s%s ", verdict_style(page, finding->verdict),
		name, style(page, "\033[0m"));
	spread(page, columns(name) + 1, finding->name, mark ? mark : "");
	if (finding->verdict == VERDICT_INCONCLUSIVE ||
	    finding->verdict == VERDICT_ABORTED) {
		labelled(page, "because", finding->seen);
		return;
	}
	labelled(page, "expected", finding->expected);
	labelled(page, "seen", finding->seen);
	labelled(page, "since", finding->since);
	labelled(page, "fault", finding->site);
}

static void passed_line(const struct page *page, const struct finding *finding)
{
	fprintf(page->out, "%sok%s   ", style(page, "\033[32m"),
		style(page, "\033[0m"));
	if (columns(finding->name) <= 26 &&
	    columns(finding->seen) <= COLUMNS - 33) {
		fprintf(page->out, "%-26s  %s\n", finding->name, finding->seen);
		return;
	}
	wrapped(page, finding->name, 5);
	fprintf(page->out, "%*s", 7, "");
	wrapped(page, finding->seen, 7);
}

static void rule_lines(const struct page *page, const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;

	if (!scenario->rules_count)
		return;
	fprintf(page->out, "\n%s     fired  matched  rule%s\n",
		style(page, "\033[2m"), style(page, "\033[0m"));
	for (size_t i = 0; i < scenario->rules_count; i++) {
		fprintf(page->out, "%10llu %8llu  ",
			(unsigned long long)evidence->fired[i],
			(unsigned long long)evidence->matched[i]);
		wrapped(page, scenario->rules[i].written, 21);
	}
}

/* The last lines of the target's stderr: often they say it all. */
static void stderr_tail(const struct page *page,
			const struct evidence *evidence)
{
	const struct text *err = &evidence->err;
	size_t from = err->count, lines = 0;

	if (!err->bytes || !err->count)
		return;
	if (from && err->bytes[from - 1] == '\n')
		from--;
	while (from > 0 &&
	       (err->bytes[from - 1] != '\n' || ++lines < TAIL_LINES))
		from--;
	fprintf(page->out, "\n     %sthe target's standard error%s:\n",
		from ? "the end of " : "",
		evidence->restarts ? " (all starts)" : "");
	while (from < err->count) {
		const char *at = err->bytes + from;
		const char *end = memchr(at, '\n', err->count - from);
		size_t n = end ? (size_t)(end - at) : err->count - from;
		_cleanup_words_ char *line = cut(at, n, COLUMNS - 7);

		fprintf(page->out, "     | %s\n", line ? line : "");
		from += n + 1;
	}
}

/* Behind a blank line, if there is anything. */
static void stacks(const struct page *page, const struct evidence *evidence)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);

	if (!out)
		return;
	report_deaths(evidence, page->color, out);
	fclose(out);
	if (bytes)
		fprintf(page->out, "\n%s", text);
	free(text);
}

/* An interpreter whose functions can't be told apart. */
static void collapsed(const struct page *page, const struct evidence *evidence)
{
	_cleanup_json_ json_t *sites = report_call_sites(evidence);
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(sites, "interpreters"), i, item)
	{
		_cleanup_words_ char *said =
			words_say("%s: sites collapsed, for its functions "
				  "can't be told apart",
				  json_string_value(item));

		fputs("  sites   ", page->out);
		wrapped(page, said ? said : "", 10);
	}
}

static int watch_lines(const struct page *page, const struct evidence *evidence)
{
	struct strings lines = { 0 };
	int error = report_watch_lines(evidence, &lines);

	if (lines.count)
		fputc('\n', page->out);
	for (size_t i = 0; i < lines.count && !error; i++) {
		char *text = strchr(lines.items[i], '\t');

		*text++ = '\0';
		fprintf(page->out, "     %-9s", lines.items[i]);
		wrapped(page, text, 14);
	}
	words_clear(&lines);
	return error;
}

static void summary(const struct page *page, const struct evidence *evidence,
		    const struct judgement *judgement)
{
	const struct scenario *scenario = evidence->scenario;
	const char *name = verdict_name(judgement->verdict);
	size_t expects = 0, held = 0, failed = 0, fired = 0;
	char lasted[WORDS_SHORT_MAX];
	_cleanup_words_ char *said = NULL;
	uint64_t faults = report_fired(evidence);

	for (size_t i = 0; i < judgement->findings.count; i++) {
		const struct finding *finding = &judgement->findings.items[i];

		failed += finding->verdict == VERDICT_FAIL;
		if (!finding->expect)
			continue;
		expects++;
		held += finding->verdict == VERDICT_PASS;
	}
	for (size_t i = 0; i < scenario->rules_count; i++)
		fired += evidence->fired[i] > 0;
	words_duration(evidence->end_ns > evidence->start_ns
			       ? evidence->end_ns - evidence->start_ns
			       : 0,
		       lasted);
	said = words_say(
		"%zu of %zu expectation%s hold%s%s; %zu of %zu rule%s "
		"fired, %llu fault%s; %s",
		held, expects, expects == 1 ? "" : "s", expects == 1 ? "s" : "",
		failed && held == expects ? ", but see above" : "", fired,
		scenario->rules_count, scenario->rules_count == 1 ? "" : "s",
		(unsigned long long)faults, faults == 1 ? "" : "s", lasted);
	fprintf(page->out, "\n%s%s%s  ",
		verdict_style(page, judgement->verdict), name,
		style(page, "\033[0m"));
	wrapped(page, said ? said : "", columns(name) + 2);
	if (evidence->uring_refused)
		fprintf(page->out,
			"  note    io_uring was refused %llu time%s (EPERM): "
			"its calls can't be seen\n",
			(unsigned long long)evidence->uring_refused,
			evidence->uring_refused == 1 ? "" : "s");
	if (evidence->is_replay)
		fprintf(page->out,
			"  again   %llu of %llu decisions came again\n",
			(unsigned long long)evidence->replay_agreed,
			(unsigned long long)evidence->replay_recorded);
	collapsed(page, evidence);
	fprintf(page->out, "  replay  %s\n", judgement->replay);
	fprintf(page->out, "  kept    %s\n",
		evidence->run_dir ? evidence->run_dir : "nothing");
}

int report_terminal(const struct evidence *evidence,
		    const struct judgement *judgement, bool color, FILE *out)
{
	struct page page = { .out = out, .color = color };
	bool failed = judgement->verdict == VERDICT_FAIL ||
		      judgement->verdict == VERDICT_INVALID;
	int error = 0;

	header(&page, evidence);
	for (size_t i = 0; i < evidence->scenario->phases_count && !error; i++)
		error = phase_line(&page, evidence, i);
	fputc('\n', out);
	for (int verdict = VERDICT_INVALID; verdict > VERDICT_PASS; verdict--)
		for (size_t i = 0; i < judgement->findings.count; i++)
			if (judgement->findings.items[i].verdict ==
			    (enum verdict)verdict)
				finding_lines(&page,
					      &judgement->findings.items[i]);
	for (size_t i = 0; i < judgement->findings.count; i++) {
		const struct finding *finding = &judgement->findings.items[i];

		if (finding->verdict == VERDICT_PASS && finding->expect)
			passed_line(&page, finding);
	}
	if (failed)
		stacks(&page, evidence);
	rule_lines(&page, evidence);
	if (!error)
		error = watch_lines(&page, evidence);
	if (failed)
		stderr_tail(&page, evidence);
	summary(&page, evidence, judgement);
	return error ? error : ferror(out) ? -EIO : 0;
}

/* JUnit XML as CI systems read it: a suite per run, a case per expectation,
 * rule and check of ours.  FAIL is a failure; what proves nothing is an error,
 * never skipped, since many systems show skipped cases as green. */
#include "runner/report/report.h"

#include <errno.h>
#include <string.h>

/* XML 1.0 has no place for control characters, not even escaped. */
static void put_text(FILE *out, const char *text)
{
	_cleanup_json_ json_t *clean = words_json_string(text ? text : "");
	const char *at = json_string_value(clean);

	for (; at && *at; at++) {
		switch (*at) {
		case '<':
			fputs("&lt;", out);
			break;
		case '>':
			fputs("&gt;", out);
			break;
		case '&':
			fputs("&amp;", out);
			break;
		case '"':
			fputs("&quot;", out);
			break;
		case '\n':
			fputs("&#10;", out);
			break;
		case '\t':
			fputs("&#9;", out);
			break;
		case '\xef': /* U+FFFE and U+FFFF aren't characters */
			if (at[1] == '\xbf' &&
			    (at[2] == '\xbe' || at[2] == '\xbf')) {
				fputc('?', out);
				at += 2;
				break;
			}
			fputc(*at, out);
			break;
		default:
			fputc((unsigned char)*at < 0x20 || *at == 0x7f ? '?'
								       : *at,
			      out);
		}
	}
}

static void put_attribute(FILE *out, const char *name, const char *value)
{
	fprintf(out, " %s=\"", name);
	put_text(out, value);
	fputc('"', out);
}

/* case_number - how many cases before this one have its name; names must be
 * unique, since some systems drop the second of two. */
static size_t case_number(const struct findings *findings, size_t index)
{
	const struct finding *finding = &findings->items[index];
	size_t count = 0;

	for (size_t i = 0; i < index; i++)
		count += strcmp(findings->items[i].name, finding->name) == 0;
	return count;
}

/* Of a failure that a death or a hang may stand behind. */
static void put_deaths(FILE *out, const struct evidence *evidence)
{
	char *text = NULL;
	size_t bytes = 0;
	FILE *memory = open_memstream(&text, &bytes);

	if (!memory)
		return;
	report_deaths(evidence, false, memory);
	fclose(memory);
	if (bytes) {
		fputs("\nstacks:", out);
		for (char *save, *line = strtok_r(text, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			fputc('\n', out);
			put_text(out, line);
		}
	}
	free(text);
}

static void put_problem(FILE *out, const struct evidence *evidence,
			const struct finding *finding)
{
	bool fail = finding->verdict == VERDICT_FAIL;
	const char *type =
		fail && finding->expect
			? expect_subject_name(finding->expect->subject)
		: fail					   ? "check"
		: finding->verdict == VERDICT_ABORTED	   ? "aborted"
		: finding->verdict == VERDICT_INCONCLUSIVE ? "inconclusive"
							   : "invalid";

	fprintf(out, "\n      <%s", fail ? "failure" : "error");
	put_attribute(out, "type", type);
	put_attribute(out, "message", finding->seen);
	fputs(">expected: ", out);
	put_text(out, finding->expected);
	fputs("\nseen: ", out);
	put_text(out, finding->seen);
	if (finding->since) {
		fputs("\nsince: ", out);
		put_text(out, finding->since);
	}
	if (finding->site) {
		fputs("\nat: ", out);
		put_text(out, finding->site);
	}
	if (fail)
		put_deaths(out, evidence);
	fprintf(out, "</%s>\n    ", fail ? "failure" : "error");
}

static void put_case(FILE *out, const struct evidence *evidence,
		     const struct findings *findings, size_t index,
		     const char *suite)
{
	const struct finding *finding = &findings->items[index];
	size_t number = case_number(findings, index);
	_cleanup_words_ char *name =
		number ? words_say("%s (%zu)", finding->name, number + 1)
		       : strdup(finding->name);

	fputs("    <testcase", out);
	put_attribute(out, "classname", suite);
	put_attribute(out, "name", name);
	if (finding->mark && finding->mark->file && finding->mark->line) {
		put_attribute(out, "file", finding->mark->file);
		fprintf(out, " line=\"%u\"", finding->mark->line);
	}
	fputs(" time=\"0\">", out);
	if (finding->verdict != VERDICT_PASS)
		put_problem(out, evidence, finding);
	fputs("</testcase>\n", out);
}

static void put_watch(FILE *out, const struct evidence *evidence)
{
	struct strings lines = { 0 };

	report_watch_lines(evidence, &lines);
	for (size_t i = 0; i < lines.count; i++) {
		char *text = strchr(lines.items[i], '\t');

		*text++ = '\0';
		fputs("      <property", out);
		put_attribute(out, "name", lines.items[i]);
		put_attribute(out, "value", text);
		fputs("/>\n", out);
	}
	words_clear(&lines);
}

static void put_suite(FILE *out, const struct evidence *evidence,
		      const struct judgement *judgement, size_t number)
{
	const struct findings *findings = &judgement->findings;
	_cleanup_words_ char *title = report_title(evidence);
	_cleanup_words_ char *suite =
		number ? words_say("%s (run %zu)", title, number + 1)
		       : strdup(title ? title : "");
	size_t failures = 0, errors = 0;

	for (size_t i = 0; i < findings->count; i++) {
		enum verdict verdict = findings->items[i].verdict;

		failures += verdict == VERDICT_FAIL;
		errors += verdict != VERDICT_FAIL && verdict != VERDICT_PASS;
	}
	fputs("  <testsuite", out);
	put_attribute(out, "name", suite);
	fprintf(out,
		" tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"0\" "
		"time=\"%.3f\">\n    <properties>\n",
		findings->count, failures, errors,
		evidence->end_ns > evidence->start_ns
			? (double)(evidence->end_ns - evidence->start_ns) / 1e9
			: 0);
	fprintf(out, "      <property name=\"seed\" value=\"%llu\"/>\n",
		(unsigned long long)evidence->seed);
	fputs("      <property name=\"replay\"", out);
	put_attribute(out, "value", judgement->replay);
	fputs("/>\n      <property name=\"verdict\"", out);
	put_attribute(out, "value", verdict_name(judgement->verdict));
	fprintf(out, "/>\n      <property name=\"faults\" value=\"%llu\"/>\n",
		(unsigned long long)report_fired(evidence));
	put_watch(out, evidence);
	fputs("    </properties>\n", out);
	for (size_t i = 0; i < findings->count; i++)
		put_case(out, evidence, findings, i, suite ? suite : "");
	fputs("    <system-out>kept in ", out);
	put_text(out, evidence->run_dir);
	fputs("</system-out>\n  </testsuite>\n", out);
}

int report_junit(const struct evidence *const *evidences,
		 const struct judgement *const *judgements, size_t count,
		 FILE *out)
{
	fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	      "<testsuites name=\"mishap\">\n",
	      out);
	for (size_t i = 0; i < count; i++)
		put_suite(out, evidences[i], judgements[i], i);
	fputs("</testsuites>\n", out);
	return ferror(out) ? -EIO : 0;
}

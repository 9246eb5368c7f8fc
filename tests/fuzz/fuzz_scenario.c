/* fuzz_scenario.c - any bytes as a scenario, a rule, an expectation, a phase.
 *
 * The first byte says which: f, e and p are lines of the command line, r is a
 * word behind `--`, all else begins a file.  What loads must compile to a plan
 * that opens, explain itself, and print a canonical form that loads again and
 * prints the same. A rule's text must read as the same rule. */
#include <stdlib.h>
#include <string.h>

#include "scenarios/fault_line.h"

static FILE *nowhere;

#define must(holds) must_at(holds, __LINE__)

static void must_at(bool holds, int line)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_scenario.c:%d doesn't hold\n", line);
	abort();
}

static void compile(const struct scenario *scenario)
{
	struct plan plan;
	void *bytes;
	size_t n;
	int rc = scenario_compile(scenario, 1, "/some/w*rk", NULL, 0, false,
				  &bytes, &n);

	must(rc == 0 || rc == -7); /* E2BIG */
	if (rc)
		return;
	must(plan_open(bytes, n, &plan) == 0);
	must(plan.header->rules_count == scenario->rules_count);
	free(bytes);
}

static void rules_again(const struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->rules_count; i++) {
		const struct rule *rule = &scenario->rules[i];
		struct arena *arena = arena_open();
		struct diag diag = { .arena = arena };
		struct line line = line_of_text(&diag, "-f", rule->text);
		struct rule again;

		must(fault_line_parse(&diag, &line, &(struct scope){ 0 },
				      rule->phases, &again));
		must(!strcmp(rule->text, again.text));
		must(rule->plan.triggers == again.plan.triggers &&
		     rule->plan.selectors == again.plan.selectors &&
		     !memcmp(&rule->plan.arg, &again.plan.arg,
			     sizeof(again.plan.arg)) &&
		     rule->calls_count == again.calls_count);
		arena_free(arena);
	}
}

static char *formatted(const struct scenario *scenario, size_t *n)
{
	char *bytes = NULL;
	FILE *out = open_memstream(&bytes, n);

	must(out != NULL);
	scenario_format(scenario, out);
	fclose(out);
	return bytes;
}

static void format_again(const struct scenario *scenario)
{
	struct scenario *again;
	size_t n, m;
	char *first = formatted(scenario, &n), *second;

	if (scenario_parse("formatted", first, n, NULL, stderr, &again)) {
		fprintf(stderr, "does not load:\n%s", first);
		abort();
	}
	must(again->rules_count == scenario->rules_count &&
	     again->expects_count == scenario->expects_count &&
	     again->target.run.count == scenario->target.run.count);
	second = formatted(again, &m);
	if (n != m || memcmp(first, second, n)) {
		fprintf(stderr, "changes from:\n%s\nto:\n%s", first, second);
		abort();
	}
	free(first);
	free(second);
	scenario_free(again);
}

/* What a file can hold: fmt refuses a command line that isn't text. */
static bool is_text(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0, step; i < n; i += step) {
		uint32_t point;

		step = utf8_next(text + i, n - i, &point);
		if (!step)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char program[] = "true";
	char *run[] = { program, NULL, NULL };
	struct scenario_extra extra = { .run = run };
	struct scenario *scenario = NULL;
	const char *lines[2] = { NULL, NULL };
	char *text;
	int rc;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	text = malloc(size + 1);
	must(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	if (size && text[0] == 'r' && is_text(text + 1)) {
		run[1] = text + 1;
		rc = scenario_load(NULL, &extra, nowhere, &scenario);
	} else if (size && strchr("fep", text[0])) {
		lines[0] = text + 1;
		if (text[0] == 'f')
			extra.faults = lines;
		else if (text[0] == 'e')
			extra.expects = lines;
		else
			extra.phases = lines;
		rc = scenario_load(NULL, &extra, nowhere, &scenario);
	} else {
		rc = scenario_parse("fuzz.yaml", text, size, NULL, nowhere,
				    &scenario);
	}
	if (!rc) {
		compile(scenario);
		rules_again(scenario);
		format_again(scenario);
		scenario_explain(scenario, nowhere);
		scenario_free(scenario);
	}
	free(text);
	return 0;
}

/* What a person reads when a scenario is wrong, word for word.
 *
 * tests/unit/golden/scenario.txt holds the cases: `#### KIND: title`, the
 * input, `#----`, the messages; KIND is file, or f, e, p for a line of -f,
 * --expect, --phase.  `test_scenario_golden write` prints the file anew; read
 * the difference before you keep it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "scenarios/text.h"

#define GOLDEN "tests/unit/golden/scenario.txt"

struct golden {
	char *title, *input, *expected;
};

static struct golden cases[256];
static size_t cases_count;

/* From the root of the source tree, wherever the test was started. */
static FILE *golden_open(void)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n < 0)
		return NULL;
	exe[n] = '\0';
	while ((slash = strrchr(exe, '/'))) {
		*slash = '\0';
		if (!chdir(exe) && !access(GOLDEN, R_OK))
			return fopen(GOLDEN, "r");
	}
	return NULL;
}

static void append(char **text, const char *line)
{
	size_t n = *text ? strlen(*text) : 0;

	*text = realloc(*text, n + strlen(line) + 1);
	assert_non_null(*text);
	strcpy(*text + n, line);
}

static void golden_read(void)
{
	FILE *in = golden_open();
	struct golden *now = NULL;
	char line[1024];
	bool input = false;

	if (!in) {
		puts("1..0 # SKIP " GOLDEN " is not there");
		exit(0);
	}
	while (fgets(line, sizeof(line), in)) {
		if (!strncmp(line, "#### ", 5)) {
			now = &cases[cases_count++];
			append(&now->title, line + 5);
			now->title[strlen(now->title) - 1] = '\0';
			append(&now->input, "");
			append(&now->expected, "");
			input = true;
		} else if (!strcmp(line, "#----\n")) {
			input = false;
		} else if (now) {
			append(input ? &now->input : &now->expected, line);
		}
	}
	fclose(in);
}

static char *messages(const struct golden *golden)
{
	static char program[] = "true";
	static char *run[] = { program, NULL };
	struct scenario_extra extra = { .run = run };
	struct scenario *scenario;
	const char *lines[2] = { NULL, NULL };
	char *said = NULL;
	size_t n;
	FILE *out = open_memstream(&said, &n);
	int rc;

	assert_non_null(out);
	if (!strncmp(golden->title, "file: ", 6)) {
		rc = scenario_parse("bad.yaml", golden->input,
				    strlen(golden->input), NULL, out,
				    &scenario);
	} else {
		size_t length = strlen(golden->input);

		if (length && golden->input[length - 1] == '\n')
			golden->input[length - 1] = '\0';
		lines[0] = golden->input;
		if (golden->title[0] == 'f')
			extra.faults = lines;
		else if (golden->title[0] == 'e')
			extra.expects = lines;
		else
			extra.phases = lines;
		rc = scenario_load(NULL, &extra, out, &scenario);
	}
	if (!rc) {
		fputs("loads\n", out);
		scenario_free(scenario);
	}
	fclose(out);
	return said;
}

static void every_mistake_is_told_as_it_was_agreed(void **state)
{
	(void)state;
	assert_true(cases_count > 50);
	for (size_t i = 0; i < cases_count; i++) {
		char *said = messages(&cases[i]);

		if (strcmp(said, cases[i].expected))
			print_error("%s\n", cases[i].title);
		assert_string_equal(said, cases[i].expected);
		free(said);
	}
}

/* The first line of each may be longer: it starts with a path. */
static void nothing_drawn_is_wider_than_a_terminal(void **state)
{
	(void)state;
	for (size_t i = 0; i < cases_count; i++) {
		char *said = messages(&cases[i]), *rest = said, *line;

		while ((line = strsep(&rest, "\n")))
			if (!strstr(line, ": error: ") &&
			    !strstr(line, ": warning: "))
				assert_in_range(utf8_count(line, strlen(line)),
						0, 80);
		free(said);
	}
}

static int write_anew(void)
{
	for (size_t i = 0; i < cases_count; i++) {
		char *input = strdup(cases[i].input);
		char *said = messages(&cases[i]);

		printf("#### %s\n%s#----\n%s", cases[i].title, input, said);
		free(input);
		free(said);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mistake_is_told_as_it_was_agreed),
		cmocka_unit_test(nothing_drawn_is_wider_than_a_terminal),
	};

	golden_read();
	if (argc > 1 && !strcmp(argv[1], "write"))
		return write_anew();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

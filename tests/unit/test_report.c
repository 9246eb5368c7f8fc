/* Reports: what must stand in them, and that machines can read them. */
#include "tests/unit/judge_made.h"

#include <sys/wait.h>

#include "runner/report/report.h"

static char *page(const struct made *made, bool color)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_int_equal(
		report_terminal(made->evidence, made->judgement, color, out),
		0);
	fclose(out);
	return text;
}

static char *junit(const struct made *made)
{
	const struct evidence *evidences[] = { made->evidence, made->evidence };
	const struct judgement *judgements[] = { made->judgement,
						 made->judgement };
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_int_equal(report_junit(evidences, judgements, 2, out), 0);
	fclose(out);
	return text;
}

static void must_say(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("nothing says '%s' in:\n%s", words, text);
}

static void a_failed_page_says_all_that_the_contract_wants(void **state)
{
	struct made made = made_open("exit!=0\ncrash==none");
	char *text;

	(void)state;
	made_text(&made.evidence->err, "one\ntwo\nthree\nfour\nfive\nsix: "
				       "\033[31mNo space\n");
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	text = page(&made, false);
	must_say(text, "FAIL exit!=0");
	must_say(text, "made.yaml:14");
	must_say(text, "expected exit status other than 0");
	must_say(text, "seen     exit status 0");
	must_say(text, "since    25.0s, phase storm");
	must_say(text, "fault    write ENOSPC");
	must_say(text, "ok   crash==none");
	must_say(text, "write fail=ENOSPC nth=2");
	must_say(text, "| six: ?[31mNo space");
	must_say(text, "replay  mishap replay");
	must_say(text, "seed 7");
	assert_null(strstr(text, "| one\n")); /* only the end of it */
	assert_null(strstr(text, "\033"));    /* nothing but text */
	free(text);
	text = page(&made, true);
	must_say(text, "\033[1;31mFAIL");
	free(text);
	made_close(&made);
}

static void a_page_keeps_to_80_columns(void **state)
{
	struct made made = made_open(
		"exit!=0\n"
		"stderr~\"a very long expression that goes on and on, for "
		"longer than any line of a terminal is wide\"");
	char *text, *save = NULL;

	(void)state;
	made_text(&made.evidence->err,
		  "0123456789 0123456789 0123456789 0123456789 0123456789 "
		  "0123456789 0123456789 0123456789 0123456789 0123456789\n");
	made.evidence->fired[0] = 0;
	made.evidence->events_count = 0;
	made.evidence->processes[0].fired = 0;
	made_verdict(&made);
	text = page(&made, false);
	for (char *line = strtok_r(text, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (strlen(line) > 80)
			fail_msg("%zu columns: %s", strlen(line), line);
	free(text);
	made_close(&made);
}

static void json_is_as_docs_json_md_says(void **state)
{
	struct made made = made_open("exit!=0");
	const json_t *rule, *expectation, *target;
	json_t *json;

	(void)state;
	made_verdict(&made);
	json = report_json(made.evidence, made.judgement);
	assert_int_equal(json_integer_value(json_object_get(json, "version")),
			 1);
	assert_string_equal(json_string_value(json_object_get(json, "verdict")),
			    "FAIL");
	assert_int_equal(json_integer_value(json_object_get(json, "exit")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "seed")), 7);
	assert_true(json_is_string(json_object_get(json, "replay")));
	target = json_object_get(json, "target");
	assert_int_equal(json_integer_value(json_object_get(target, "exit")),
			 0);
	assert_true(json_is_null(json_object_get(target, "signal")));
	assert_string_equal(json_string_value(json_array_get(
				    json_object_get(target, "argv"), 0)),
			    "made");
	rule = json_array_get(json_object_get(json, "rules"), 0);
	assert_string_equal(json_string_value(json_object_get(rule, "text")),
			    "write fail=ENOSPC nth=2");
	assert_int_equal(json_integer_value(json_object_get(rule, "matched")),
			 2);
	assert_int_equal(json_integer_value(json_object_get(rule, "fired")), 1);
	assert_true(json_integer_value(json_object_get(rule, "line")) > 0);
	expectation = json_array_get(json_object_get(json, "expectations"), 0);
	assert_string_equal(
		json_string_value(json_object_get(expectation, "verdict")),
		"FAIL");
	assert_string_equal(
		json_string_value(json_object_get(expectation, "seen")),
		"exit status 0");
	assert_int_equal(json_array_size(json_object_get(json, "phases")), 3);
	assert_true(json_is_object(json_object_get(json, "coverage")));
	assert_int_equal(json_array_size(json_object_get(json, "reasons")), 1);
	json_decref(json);
	made_close(&made);
}

/* xmllint where it is installed; else what a reader must not stumble over. */
static void junit_is_well_formed_with_unique_names(void **state)
{
	struct made made = made_open("exit!=0\nexit!=0\n"
				     "stdout!~\"<b>&\\\"quoted\\\"</b>\"");
	char path[] = "/tmp/mishap-junit-XXXXXX";
	char *text, *command;
	FILE *out;
	int fd;

	(void)state;
	made_text(&made.evidence->out, "<b>&\"quoted\"</b> \x01\xff\n");
	made_verdict(&made);
	text = junit(&made);
	must_say(text, "<failure type=\"exit\" message=\"exit status 0\"");
	must_say(text, "name=\"exit!=0 (2)\"");
	must_say(text, "line=\"14\"");
	must_say(text, "<property name=\"seed\" value=\"7\"/>");
	must_say(text, "made by hand (run 2)");
	assert_null(strstr(text, "<skipped"));
	assert_null(strstr(text, "\x01"));
	fd = mkstemp(path);
	out = fdopen(fd, "w");
	fputs(text, out);
	fclose(out);
	if (system("command -v xmllint >/dev/null") == 0) {
		command = words_say("xmllint --noout %s", path);
		assert_int_equal(system(command), 0);
		free(command);
	}
	unlink(path);
	free(text);
	made_close(&made);
}

static void what_proves_nothing_is_an_error_in_junit(void **state)
{
	struct made made = made_open("exit==0");
	char *text;

	(void)state;
	made.evidence->unresolved = 1;
	made_verdict(&made);
	text = junit(&made);
	must_say(text, "<error type=\"inconclusive\"");
	must_say(text, "failures=\"0\" errors=\"1\"");
	free(text);
	made_close(&made);
}

static void a_duration_has_three_digits_and_its_unit(void **state)
{
	char text[WORDS_SHORT_MAX];

	(void)state;
	assert_string_equal(words_duration(0, text), "0s");
	assert_string_equal(words_duration(380000, text), "380us");
	assert_string_equal(words_duration(41300000, text), "41.3ms");
	assert_string_equal(words_duration(9824000000, text), "9.82s");
	assert_string_equal(words_duration(200 * SECOND, text), "3m20s");
	assert_string_equal(words_bytes(1536, text), "1.5KiB");
	assert_string_equal(words_bytes(65536, text), "64KiB");
	assert_int_equal(words_signal_find("SEGV"), SIGSEGV);
	assert_int_equal(words_signal_find("SIGSEGV"), SIGSEGV);
	assert_int_equal(words_signal_find("11"), SIGSEGV);
	assert_int_equal(words_signal_find("nonsense"), 0);
}

static void events_are_lines_of_json(void **state)
{
	struct made made = made_open("exit==0");
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	json_t *event;

	(void)state;
	assert_int_equal(report_events(made.evidence, out), 0);
	fclose(out);
	event = json_loads(text, 0, NULL);
	assert_non_null(event);
	assert_string_equal(json_string_value(json_object_get(event, "call")),
			    "write");
	assert_string_equal(json_string_value(json_object_get(event, "error")),
			    "ENOSPC");
	assert_string_equal(json_string_value(json_object_get(event, "phase")),
			    "storm");
	json_decref(event);
	free(text);
	made_close(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_failed_page_says_all_that_the_contract_wants),
		TEST(a_page_keeps_to_80_columns),
		TEST(json_is_as_docs_json_md_says),
		TEST(junit_is_well_formed_with_unique_names),
		TEST(what_proves_nothing_is_an_error_in_junit),
		TEST(a_duration_has_three_digits_and_its_unit),
		TEST(events_are_lines_of_json),
	};

	return TESTS_RUN(tests);
}

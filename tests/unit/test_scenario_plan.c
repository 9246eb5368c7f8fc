/* From rules to the plan, and which rule stands in the way of which. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenarios/explain.h"
#include "scenarios/scenario.h"

static const char *const two_rules =
	"version: 1\n"
	"name: x\n"
	"target: {run: [a]}\n"
	"phases:\n"
	"  - {name: calm, for: 2s}\n"
	"  - name: storm\n"
	"    for: 2s\n"
	"    faults: [\"write path=/d/x* fail=EIO\"]\n"
	"  - {name: after, for: 3s}\n"
	"faults: [recv delay=1s]\n";

static struct scenario *load(const char *text)
{
	struct scenario *s = NULL;

	assert_int_equal(
		scenario_parse("t.yaml", text, strlen(text), NULL, stderr, &s),
		0);
	return s;
}

/* ---- the plan ---------------------------------------------------------- */

static void *compile(const struct scenario *s, const char *cwd,
		     struct plan *ret_plan)
{
	size_t n;
	void *bytes;

	assert_int_equal(
		scenario_compile(s, 7, cwd, NULL, 0, false, &bytes, &n), 0);
	assert_int_equal(plan_open(bytes, n, ret_plan), 0);
	return bytes;
}

static void the_plan_says_what_the_rules_say(void **state)
{
	struct scenario *s = load(two_rules);
	struct plan plan;
	void *bytes = compile(s, "/work dir", &plan);

	(void)state;
	assert_true(plan.header->seed == 7);
	assert_int_equal(plan.header->rules_count, 2);
	assert_int_equal(plan.header->phases_count, 3);
	assert_int_equal(plan.chain[CALL_write][1], 1);
	assert_int_equal(plan.index[plan.chain[CALL_write][0]], 0);
	assert_int_equal(plan.chain[CALL_recv][1], 1);
	assert_int_equal(plan.index[plan.chain[CALL_recv][0]], 1);
	assert_int_equal(plan.chain[CALL_read][1], 0);
	assert_int_equal(plan.rules[0].phases, 1u << 1);
	assert_int_equal(plan.rules[0].line, 8);
	assert_string_equal(plan_string(&plan, plan.rules[0].text_off),
			    s->rules[0].text);
	assert_string_equal(plan_string(&plan, plan.rules[0].path_off),
			    "/d/x*");
	assert_int_equal(plan.rules[1].path_off, 0);
	free(bytes);
	scenario_free(s);
}

static void a_chain_keeps_the_order_of_the_rules(void **state)
{
	struct scenario *s = load("version: 1\nname: x\ntarget: {run: [a]}\n"
				  "faults:\n"
				  "  - write nth=1 fail=EIO\n"
				  "  - file nth=2 fail=EIO\n"
				  "  - write nth=3 fail=EIO\n");
	struct plan plan;
	void *bytes = compile(s, "/", &plan);
	const uint16_t *chain = plan.chain[CALL_write];

	(void)state;
	assert_int_equal(chain[1], 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(plan.index[chain[0] + i], i);
	free(bytes);
	scenario_free(s);
}

static void a_relative_glob_is_anchored(void **state)
{
	static const struct {
		const char *glob, *cwd, *anchored;
	} cases[] = {
		{ "out", "/home/me", "/home/me/out" },
		{ "./out", "/home/me/", "/home/me/out" },
		{ "../out", "/home/me", "/home/out" },
		{ "../../../out", "/home/me", "/out" },
		{ "*.db", "/", "/*.db" },
		{ "/abs/*", "/home/me", "/abs/*" },
		{ "**/out", "/home/me", "**/out" },
		{ "data/**", "/h*me/[me]", "/h[*]me/[[]me]/data/**" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct scenario *s;
		struct plan plan;
		char text[256];
		void *bytes;

		snprintf(text, sizeof(text),
			 "version: 1\nname: x\ntarget: {run: [a]}\n"
			 "faults: [\"open path=%s fail=EIO\"]\n",
			 cases[i].glob);
		s = load(text);
		bytes = compile(s, cases[i].cwd, &plan);
		assert_string_equal(plan_string(&plan, plan.rules[0].path_off),
				    cases[i].anchored);
		free(bytes);
		scenario_free(s);
	}
}

/* The directory's brackets must match themselves in the target. */
static void an_anchored_glob_matches_the_file_that_was_meant(void **state)
{
	struct scenario *s = load("version: 1\nname: x\ntarget: {run: [a]}\n"
				  "faults: [\"open path=*.db fail=EIO\"]\n");
	struct plan plan;
	void *bytes = compile(s, "/h*me/[me]?", &plan);
	const char *glob = plan_string(&plan, plan.rules[0].path_off);

	(void)state;
	assert_true(glob_match(glob, "/h*me/[me]?/t.db"));
	assert_false(glob_match(glob, "/home/m/t.db"));
	assert_false(glob_match(glob, "/home/[me]x/t.db"));
	free(bytes);
	scenario_free(s);
}

static void recorded_decisions_travel_in_the_plan(void **state)
{
	struct plan_decision decisions[2] = { { .rule = 0, .index = 3 },
					      { .rule = 1, .index = 1 } };
	struct scenario *s = load(two_rules);
	struct plan plan;
	void *bytes;
	size_t n;

	(void)state;
	assert_int_equal(
		scenario_compile(s, 1, "/", decisions, 2, true, &bytes, &n), 0);
	assert_int_equal(plan_open(bytes, n, &plan), 0);
	assert_int_equal(plan.header->replay, 1);
	assert_int_equal(plan.header->decisions_count, 2);
	assert_true(plan.decisions[0].index == 3);
	free(bytes);
	scenario_free(s);
}

/* ---- precedence -------------------------------------------------------- */

static enum shadow shadow(const char *first, const char *second)
{
	static char program[] = "a";
	static char *run[] = { program, NULL };
	const char *faults[] = { first, second, NULL };
	struct scenario_extra extra = { .faults = faults, .run = run };
	struct scenario *s;
	enum shadow result;

	assert_int_equal(scenario_load(NULL, &extra, NULL, &s), 0);
	result = explain_shadow(&s->rules[0], &s->rules[1]);
	scenario_free(s);
	return result;
}

static void a_rule_that_never_acts_is_known(void **state)
{
	(void)state;
	assert_int_equal(shadow("write fail=EIO", "write path=x fail=ENOSPC"),
			 SHADOW_WHOLE);
	assert_int_equal(shadow("file fail=EIO", "fsync,write lie"),
			 SHADOW_WHOLE);
	assert_int_equal(shadow("write fail=EIO nth=1", "write fail=EIO"),
			 SHADOW_MAYBE);
	assert_int_equal(shadow("write path=x fail=EIO", "write fail=EIO"),
			 SHADOW_MAYBE);
	assert_int_equal(shadow("write fail=EIO", "write,fsync fail=EIO"),
			 SHADOW_MAYBE);
	/* short passes over calls that it can't cut, EAGAIN over blocking fds
	 */
	assert_int_equal(shadow("write short=9", "write fail=EIO"),
			 SHADOW_MAYBE);
	assert_int_equal(shadow("write fail=EAGAIN", "write fail=EIO"),
			 SHADOW_MAYBE);
	assert_int_equal(shadow("write delay=1s also", "write fail=EIO"),
			 SHADOW_NONE);
	assert_int_equal(shadow("write fail=EIO", "read fail=EIO"),
			 SHADOW_NONE);
	assert_int_equal(shadow("write path=/a fail=EIO", "write path=/b "
							  "fail=EIO"),
			 SHADOW_NONE);
	assert_int_equal(shadow("write fd=1 fail=EIO", "write fd=2 fail=EIO"),
			 SHADOW_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan_says_what_the_rules_say),
		cmocka_unit_test(a_chain_keeps_the_order_of_the_rules),
		cmocka_unit_test(a_relative_glob_is_anchored),
		cmocka_unit_test(
			an_anchored_glob_matches_the_file_that_was_meant),
		cmocka_unit_test(recorded_decisions_travel_in_the_plan),
		cmocka_unit_test(a_rule_that_never_acts_is_known),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

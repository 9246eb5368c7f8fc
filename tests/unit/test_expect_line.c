/* One expectation in one line: what it reads, what it prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenarios/expect_line.h"

struct outcome {
	struct arena *arena;
	struct expect expect;
	bool good;
};

static struct outcome parse(const char *text, int phase)
{
	struct outcome o = { .arena = arena_open() };
	struct diag diag = { .out = stderr, .arena = o.arena };
	struct line line = line_of_text(&diag, "--expect", text);

	o.good = expect_line_parse(&diag, &line, &(struct scope){ 0 }, phase,
				   &o.expect);
	diag_flush(&diag);
	return o;
}

static const struct {
	const char *text, *canonical;
	double number;
} good[] = {
	{ "exit!=0", "exit!=0", 0 },
	{ "exit != 0", "exit!=0", 0 },
	{ "exit =3", "exit==3", 3 },
	{ "exit in 0,1", "exit in 0,1", 0 },
	{ "exit in 2, 1", "exit in 2,1", 2 },
	{ "signal==SIGKILL", "signal==KILL", 9 },
	{ "signal == none", "signal==none", 0 },
	{ "stderr~\"No space left\"", "stderr~\"No space left\"", 0 },
	{ "stderr ~ error", "stderr~\"error\"", 0 },
	{ "stdout!~\"a|b\"", "stdout!~\"a|b\"", 0 },
	{ "stdout~'a\\.b'", "stdout~'a\\.b'", 0 },
	{ "stdout == \"a b\"", "stdout==\"a b\"", 0 },
	{ "stdout==\"\"", "stdout==\"\"", 0 },
	{ "output~\"a = b\"", "output~\"a = b\"", 0 },
	{ "file out unchanged", "file out unchanged", 0 },
	{ "file \"a b\" equals in", "file \"a b\" equals in", 0 },
	{ "file a=b exists", "file a=b exists", 0 },
	{ "check sh -c 'test a = b'", "check sh -c \"test a = b\"", 0 },
	{ "leftovers data *.tmp == none", "leftovers data *.tmp == none", 0 },
	{ "secrets \"a=b\" hunter2==none", "secrets \"a=b\" hunter2 == none",
	  0 },
	{ "availability>=99.5%", "availability>=99.5%", 0.995 },
	{ "p99<1500ms", "p99<1500ms", 1.5 },
	{ "p99 home<1500ms", "p99 home < 1500ms", 1.5 },
	{ "calls connect<=40/s", "calls connect <= 40/s", 40 },
	{ "calls connect<=120/m", "calls connect <= 120/m", 2 },
	{ "calls openat==3", "calls openat == 3", 3 },
	{ "rss<=64MiB", "rss<=64MiB", 64 << 20 },
	{ "fds<=5", "fds<=5", 5 },
};

static void an_expectation_prints_as_its_canonical_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct outcome a = parse(good[i].text, -1), b;

		assert_true(a.good);
		assert_string_equal(a.expect.text, good[i].canonical);
		if (a.expect.has_number)
			assert_true(a.expect.number == good[i].number);
		b = parse(a.expect.text, -1);
		assert_true(b.good);
		assert_string_equal(a.expect.text, b.expect.text);
		assert_int_equal(a.expect.op, b.expect.op);
		assert_int_equal(a.expect.values.count, b.expect.values.count);
		arena_free(a.arena);
		arena_free(b.arena);
	}
}

static void every_example_in_the_table_parses(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXPECT_COUNT; i++) {
		struct outcome o = parse(expect_table[i].example, -1);

		assert_true(o.good);
		assert_int_equal(o.expect.subject, i);
		arena_free(o.arena);
	}
}

static void what_is_judged_by_phase_may_stand_in_one(void **state)
{
	(void)state;
	for (unsigned i = 0; i < EXPECT_COUNT; i++) {
		struct arena *arena = arena_open();
		struct diag diag = { .arena = arena };
		struct line line = line_of_text(&diag, "--expect",
						expect_table[i].example);
		struct expect expect;

		assert_int_equal(expect_line_parse(&diag, &line,
						   &(struct scope){ 0 }, 0,
						   &expect),
				 expect_table[i].scope == SCOPE_phase);
		arena_free(arena);
	}
}

static void a_regular_expression_may_ignore_case(void **state)
{
	regex_t regex;

	(void)state;
	assert_int_equal(expect_regcomp("(?i)no space", REG_NOSUB, &regex), 0);
	assert_int_equal(regexec(&regex, "No Space left", 0, NULL, 0), 0);
	regfree(&regex);
	assert_int_equal(expect_regcomp("no space", REG_NOSUB, &regex), 0);
	assert_int_not_equal(regexec(&regex, "No Space left", 0, NULL, 0), 0);
	regfree(&regex);
}

static void a_rate_knows_that_it_is_one(void **state)
{
	struct outcome rate = parse("calls connect<=40/s", -1);
	struct outcome count = parse("calls connect<=40", -1);

	(void)state;
	assert_true(rate.expect.per_second);
	assert_false(count.expect.per_second);
	arena_free(rate.arena);
	arena_free(count.arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_expectation_prints_as_its_canonical_line),
		cmocka_unit_test(every_example_in_the_table_parses),
		cmocka_unit_test(what_is_judged_by_phase_may_stand_in_one),
		cmocka_unit_test(a_regular_expression_may_ignore_case),
		cmocka_unit_test(a_rate_knows_that_it_is_one),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

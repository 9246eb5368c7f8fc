/* The verdict: what our own books find, and which finding wins. */
#include "tests/unit/judge_made.h"

typedef void spoil(struct evidence *e);

struct row {
	const char *says; /* what one finding must say */
	enum verdict verdict;
	spoil *how;
};

static void nothing(struct evidence *e)
{
	(void)e;
}
static void never_fired(struct evidence *e)
{
	e->fired[0] = 0;
	e->events_count = 0;
	e->processes[0].fired = 0;
}
static void never_matched(struct evidence *e)
{
	never_fired(e);
	e->matched[0] = 0;
}
static void never_called(struct evidence *e)
{
	never_matched(e);
	e->calls[CALL_write] = 0;
}
static void never_reached(struct evidence *e)
{
	never_fired(e);
	e->phases[1].reached = false;
}
static void unreachable(struct evidence *e)
{
	e->unreachable = strdup("it is statically linked");
}
static void nobody_came(struct evidence *e)
{
	never_called(e);
	e->processes_count = 0;
}
static void left_us(struct evidence *e)
{
	e->processes[0].status = PROCESS_LOST;
	strcpy(e->processes[0].exe, "busybox");
}
static void no_plan(struct evidence *e)
{
	e->processes[0].sites = SITES_NO_PLAN;
}
static void mismatch(struct evidence *e)
{
	e->processes[0].sites = SITES_MISMATCH;
}
static void no_memory(struct evidence *e)
{
	e->processes[0].sites = SITES_NO_MEMORY;
}
static void half_patched(struct evidence *e)
{
	e->processes[0].sites_left = 500;
}
static void call_left(struct evidence *e)
{
	e->sites[CALL_write] = 5;
	e->sites_left[CALL_write] = 1;
}
static void call_left_of_many(struct evidence *e)
{
	e->sites[CALL_write] = 100;
	e->sites_left[CALL_write] = 5; /* 95 % are patched */
}
static void other_call_left(struct evidence *e)
{
	e->sites[CALL_mkdir] = 1;
	e->sites_left[CALL_mkdir] = 1;
}
static void events_lost(struct evidence *e)
{
	e->events_lost = 3;
}
static void lapsed(struct evidence *e)
{
	e->lapses = 1;
}
static void module_missed(struct evidence *e)
{
	e->late_missed = 2;
}
static void in_doubt(struct evidence *e)
{
	e->unresolved = 1;
}
static void no_slot(struct evidence *e)
{
	e->processes_lost = 1;
}
static void idle(struct evidence *e)
{
	e->workloads[0].started = false;
}
static void not_ready(struct evidence *e)
{
	e->ready = false;
	e->ready_why = strdup("connection refused");
}
static void unsteady(struct evidence *e)
{
	e->phases[2].steady_again = false;
}
static void halted(struct evidence *e)
{
	e->aborted = strdup("past the limit of 5 s");
}
static void two_events(struct evidence *e)
{
	e->events = realloc(e->events, 2 * sizeof(*e->events));
	e->events[1] = e->events[0];
	e->events_count = 2;
}
static void fired_more_than_matched(struct evidence *e)
{
	e->matched[0] = 0;
}
static void event_missing(struct evidence *e)
{
	e->events_count = 0;
}
static void process_disagrees(struct evidence *e)
{
	e->processes[0].fired = 5;
}
static void status_3(struct evidence *e)
{
	e->target.status = 3;
}

static void notified(struct evidence *e)
{
	e->processes[0].sites = SITES_NOTIFIED;
	e->processes[0].sites_patched = e->processes[0].sites_left = 0;
	e->notify = true;
	e->uring_refused = 1;
}
static void undone(struct evidence *e)
{
	notified(e);
	e->undone[0] = 2;
}
static void foreign(struct evidence *e)
{
	notified(e);
	e->foreign = 1;
}
static void guardian_lost(struct evidence *e)
{
	notified(e);
	e->notify_lost = true;
}

static const struct row rows[] = {
	{ NULL, VERDICT_PASS, nothing },
	{ "nth=2 never held", VERDICT_INCONCLUSIVE, never_fired },
	{ "never matched: 60 calls of write", VERDICT_INCONCLUSIVE,
	  never_matched },
	{ "never called write", VERDICT_INCONCLUSIVE, never_called },
	{ "phase was never reached", VERDICT_INCONCLUSIVE, never_reached },
	{ "it is statically linked", VERDICT_INCONCLUSIVE, unreachable },
	{ "never checked in", VERDICT_INCONCLUSIVE, nobody_came },
	{ "became busybox", VERDICT_INCONCLUSIVE, left_us },
	{ "no patch plan", VERDICT_INCONCLUSIVE, no_plan },
	{ "isn't what the patch plan", VERDICT_INCONCLUSIVE, mismatch },
	{ "no room for stubs", VERDICT_INCONCLUSIVE, no_memory },
	{ "500 of 1000", VERDICT_INCONCLUSIVE, half_patched },
	{ "1 of 5 can't be", VERDICT_INCONCLUSIVE, call_left },
	{ NULL, VERDICT_PASS, call_left_of_many },
	{ NULL, VERDICT_PASS, other_call_left },
	{ "3 decisions weren't recorded", VERDICT_INCONCLUSIVE, events_lost },
	{ "the runner had stalled", VERDICT_INCONCLUSIVE, lapsed },
	{ "2 of the target's weren't", VERDICT_INCONCLUSIVE, module_missed },
	{ "in doubt", VERDICT_INCONCLUSIVE, in_doubt },
	{ "no place in the books", VERDICT_INCONCLUSIVE, no_slot },
	{ "load never ran", VERDICT_INCONCLUSIVE, idle },
	{ "connection refused", VERDICT_FAIL, not_ready },
	{ "steady again", VERDICT_FAIL, unsteady },
	{ "past the limit", VERDICT_ABORTED, halted },
	{ "2 events", VERDICT_INVALID, two_events },
	{ "matched 0, fired 1", VERDICT_INVALID, fired_more_than_matched },
	{ "0 events", VERDICT_INVALID, event_missing },
	{ "processes say 5", VERDICT_INVALID, process_disagrees },
	{ "exit status 3", VERDICT_FAIL, status_3 },
	{ NULL, VERDICT_PASS, notified },
	{ "2 matching calls were let go", VERDICT_INCONCLUSIVE, undone },
	{ "1 call of another (i386, x32)", VERDICT_INCONCLUSIVE, foreign },
	{ "failed with ENOSYS", VERDICT_INVALID, guardian_lost },
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static void each_way_to_prove_nothing_is_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct made made = made_open("exit==0");
		enum verdict got;

		rows[i].how(made.evidence);
		got = made_verdict(&made);
		if (got != rows[i].verdict)
			fail_msg("row %zu (%s): %s, not %s", i,
				 rows[i].says ? rows[i].says : "good",
				 verdict_name(got),
				 verdict_name(rows[i].verdict));
		if (rows[i].says && !made_has(&made, rows[i].says))
			fail_msg("row %zu: nothing says '%s'", i, rows[i].says);
		if (rows[i].says)
			assert_true(made.judgement->reasons.count > 0);
		made_close(&made);
	}
}

static void the_strongest_finding_wins(void **state)
{
	/* One spoiler for each verdict, by rising precedence. */
	static spoil *const by_verdict[] = {
		[VERDICT_PASS] = nothing,
		[VERDICT_INCONCLUSIVE] = in_doubt,
		[VERDICT_ABORTED] = halted,
		[VERDICT_FAIL] = unsteady,
		[VERDICT_INVALID] = fired_more_than_matched,
	};

	(void)state;
	for (int a = VERDICT_PASS; a <= VERDICT_INVALID; a++)
		for (int b = VERDICT_PASS; b <= VERDICT_INVALID; b++) {
			struct made made = made_open("crash==none");
			enum verdict wanted = (enum verdict)(a > b ? a : b);

			/* Nothing of ours is judged but the crash once a run
			 * is cut short, so that a FAIL must come from it; and
			 * books of a killed run may lack a line. */
			if ((a == VERDICT_ABORTED && b >= VERDICT_FAIL) ||
			    (b == VERDICT_ABORTED && a >= VERDICT_FAIL)) {
				made_close(&made);
				continue;
			}
			by_verdict[a](made.evidence);
			if (a != b)
				by_verdict[b](made.evidence);
			if (made_verdict(&made) != wanted)
				fail_msg("%s and %s: %s", verdict_name(a),
					 verdict_name(b),
					 verdict_name(made.judgement->verdict));
			made_close(&made);
		}
}

static void a_failure_before_the_abort_stays_a_failure(void **state)
{
	struct made made = made_open("crash==none\nexit==0");
	struct evidence *e = made.evidence;

	(void)state;
	halted(e);
	status_3(e); /* we stopped it: its status says nothing */
	e->target.stopped_by_us = true;
	assert_int_equal(made_verdict(&made), VERDICT_ABORTED);
	e->crashes = calloc(1, sizeof(*e->crashes));
	e->crashes[0] = (struct ending){ .started = true,
					 .ended = true,
					 .signal = SIGSEGV,
					 .end_ns = START + SECOND };
	e->crashes_count = 1;
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	made_close(&made);
}

static void exit_codes_are_those_of_the_contract(void **state)
{
	struct evidence e = { .aborted_signal = SIGINT };
	struct judgement judgement = { .verdict = VERDICT_ABORTED };

	(void)state;
	assert_int_equal(verdict_exit_code(VERDICT_PASS), 0);
	assert_int_equal(verdict_exit_code(VERDICT_FAIL), 1);
	assert_int_equal(verdict_exit_code(VERDICT_INCONCLUSIVE), 3);
	assert_int_equal(verdict_exit_code(VERDICT_ABORTED), 4);
	assert_int_equal(verdict_exit_code(VERDICT_INVALID), 5);
	assert_int_equal(judgement_exit_code(&judgement, &e), 130);
	judgement.verdict = VERDICT_FAIL;
	assert_int_equal(judgement_exit_code(&judgement, &e), 1);
}

static void a_toothless_expectation_makes_no_pass(void **state)
{
	struct made made = made_open("stdout~\".*\"");

	(void)state; /* it matches whatever is said */
	assert_int_equal(made_verdict(&made), VERDICT_INCONCLUSIVE);
	assert_true(made_has(&made, "it can't fail"));
	assert_int_equal(made.judgement->findings.items[0].trial,
			 TRIAL_TOOTHLESS);
	made_close(&made);
}

static void a_passed_oracle_was_tried(void **state)
{
	struct made made = made_open("exit==0");

	(void)state;
	assert_int_equal(made_verdict(&made), VERDICT_PASS);
	assert_int_equal(made.judgement->findings.items[0].trial, TRIAL_BITES);
	/* The trial spoilt a copy. */
	assert_int_equal(made.evidence->target.status, 0);
	made_close(&made);
}

static void without_expectations_crash_and_hang_are_judged(void **state)
{
	struct made made = made_open("");

	(void)state;
	assert_int_equal(made_verdict(&made), VERDICT_PASS);
	assert_string_equal(made.judgement->findings.items[0].name,
			    "crash==none");
	assert_string_equal(made.judgement->findings.items[1].name,
			    "hang==none");
	made.evidence->target.timed_out = true;
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	made_close(&made);
}

static void nothing_expected_is_nothing_shown(void **state)
{
	static const char yaml[] = "version: 1\nname: n\ntarget: {run: [x]}\n"
				   "expect: [\"exit==0\"]\n";
	struct made made = { 0 };

	(void)state;
	assert_int_equal(scenario_parse("n", yaml, strlen(yaml), NULL, stderr,
					&made.scenario),
			 0);
	made.evidence = made_evidence(made.scenario);
	free(made.evidence->workload_outs->bytes); /* it has no workload */
	free(made.evidence->workload_outs);
	made.evidence->workload_outs = NULL;
	never_called(made.evidence);
	made.evidence->matched[0] = 0;
	made.scenario->expects_count = 0; /* as if it had none */
	assert_int_equal(made_verdict(&made), VERDICT_INCONCLUSIVE);
	assert_true(made_has(&made, "nothing was expected"));
	made_close(&made);
}

static void
what_only_a_fault_brings_about_is_not_missed_without_one(void **state)
{
	struct made made = made_open("exit!=0");

	(void)state;
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	never_fired(made.evidence);
	assert_int_equal(made_verdict(&made), VERDICT_INCONCLUSIVE);
	assert_true(made_has(&made, "no fault came to pass"));
	made_close(&made);
}

static void a_failure_says_since_when_and_at_which_call(void **state)
{
	struct made made = made_open("exit!=0");
	const struct finding *finding;

	(void)state;
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	finding = &made.judgement->findings.items[0];
	assert_string_equal(finding->expected, "exit status other than 0");
	assert_string_equal(finding->seen, "exit status 0");
	assert_string_equal(finding->since, "25.0s, phase storm");
	assert_string_equal(finding->site, "write ENOSPC");
	assert_int_equal(finding->mark->line, 14);
	assert_string_equal(made.judgement->replay,
			    "mishap replay /nowhere/made-by-hand");
	made_close(&made);
}

static void slow_at_once(struct evidence *e)
{
	for (size_t i = 0; i < e->samples_count; i++)
		e->samples[i].latency_ns = 5 * SECOND;
}

static void no_fault_is_blamed_for_what_was_there_before_it(void **state)
{
	struct made made = made_open("p99<1s");
	const struct finding *finding;

	(void)state;
	slow_at_once(made.evidence);
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	finding = &made.judgement->findings.items[0];
	assert_string_equal(finding->since, "0s, phase calm");
	assert_null(finding->site);
	made_close(&made);
}

static void a_missing_line_of_a_killed_process_is_a_loss_not_a_lie(void **state)
{
	struct made made = made_open("crash==none");

	(void)state;
	event_missing(made.evidence);
	made.evidence->target.signal = SIGKILL;
	made.evidence->target.stopped_by_us = true;
	assert_int_equal(made_verdict(&made), VERDICT_INCONCLUSIVE);
	two_events(made.evidence); /* more lines than deeds is never right */
	assert_int_equal(made_verdict(&made), VERDICT_INVALID);
	made_close(&made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_way_to_prove_nothing_is_named),
		TEST(the_strongest_finding_wins),
		TEST(a_failure_before_the_abort_stays_a_failure),
		TEST(exit_codes_are_those_of_the_contract),
		TEST(a_toothless_expectation_makes_no_pass),
		TEST(a_passed_oracle_was_tried),
		TEST(without_expectations_crash_and_hang_are_judged),
		TEST(nothing_expected_is_nothing_shown),
		TEST(what_only_a_fault_brings_about_is_not_missed_without_one),
		TEST(a_failure_says_since_when_and_at_which_call),
		TEST(no_fault_is_blamed_for_what_was_there_before_it),
		TEST(a_missing_line_of_a_killed_process_is_a_loss_not_a_lie),
	};

	return TESTS_RUN(tests);
}

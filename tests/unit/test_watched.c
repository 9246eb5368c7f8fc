/* What probes saw: kept, copied, counted, said, judged. */
#include "tests/unit/judge_made.h"

#include <errno.h>

static void child_killed(struct evidence *e)
{
	e->watched.exits[0].signal = SIGKILL;
	e->watched.exits[0].sender_known = true;
	e->watched.exits[0].sender = 4711;
	strcpy(e->watched.exits[0].sender_comm, "reaper");
}

static void storm(struct evidence *e)
{
	free(e->watched.net);
	e->watched.net = calloc(50, sizeof(*e->watched.net));
	e->watched.net_count = 50;
	for (size_t i = 0; i < 50; i++)
		e->watched.net[i] = (struct watched_net){
			.at_ns = START + 20 * SECOND + i * WATCHED_BUCKET_NS,
			.until_ns = START + 20 * SECOND +
				    (i + 1) * WATCHED_BUCKET_NS,
			.connects = 3,
			.retransmits = 1,
		};
}

static void
an_oom_kill_that_was_seen_stands_though_records_were_lost(void **state)
{
	struct made made = made_open("oom==none");

	(void)state;
	made.evidence->watched.exits[0].signal = SIGKILL;
	made.evidence->watched.exits[0].oom = true;
	made.evidence->watched.groups[WATCHED_life].lost = 3;
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	made_close(&made);
}

static void who_sent_the_signal_is_told(void **state)
{
	struct made made = made_open("exits==0");

	(void)state;
	child_killed(made.evidence);
	assert_int_equal(made_verdict(&made), VERDICT_FAIL);
	assert_true(made_has(&made, "killed by SIGKILL, sent by reaper "
				    "(pid 4711)"));
	made_close(&made);
}

static void a_storm_is_measured_in_its_worst_second(void **state)
{
	struct made made = made_open("retry_rate<=20/s");
	uint64_t at_ns;

	(void)state;
	storm(made.evidence);
	assert_int_equal(watched_connects_peak(&made.evidence->watched, 0,
					       UINT64_MAX, &at_ns),
			 30);
	assert_int_equal(at_ns, START + 20 * SECOND);
	assert_int_equal(watched_connects_peak(&made.evidence->watched, START,
					       START + 20 * SECOND, &at_ns),
			 0);
	made_close(&made);
}

/* ---- the books ---------------------------------------------------------- */

static enum verdict books_of(void (*spoil)(struct evidence *e),
			     const char *words)
{
	struct made made = made_open("exit==0");
	enum verdict verdict;

	if (spoil)
		spoil(made.evidence);
	verdict = made_verdict(&made);
	if (words && !made_has(&made, words))
		fail_msg("nobody says '%s'", words);
	made_close(&made);
	return verdict;
}

static void books_that_agree_are_good(void **state)
{
	(void)state;
	assert_int_equal(books_of(NULL, NULL), VERDICT_PASS);
}

static void one_more(struct evidence *e)
{
	e->watched.calls[0].marked++;
}
static void one_less(struct evidence *e)
{
	e->watched.calls[0].marked--;
}
static void one_less_of_the_dead(struct evidence *e)
{
	one_less(e);
	e->watched.in_flight = 1;
}
static void one_in_doubt(struct evidence *e)
{
	one_less(e);
	e->watched.calls[0].unknown = 1;
}
static void one_more_of_the_dead(struct evidence *e)
{
	one_more(e);
	e->watched.in_flight = 5;
}
static void good_execs(struct evidence *e)
{
	e->watched.calls[0].nr = 59;
	one_less(e);
}

static void books_that_differ_make_the_run_invalid(void **state)
{
	(void)state;
	assert_int_equal(books_of(one_more, "write: 60 let go on, 61 came"),
			 VERDICT_INVALID);
	assert_int_equal(books_of(one_less, "write: 60 let go on, 59 came"),
			 VERDICT_INVALID);
	assert_int_equal(books_of(one_more_of_the_dead, NULL), VERDICT_INVALID);
}

static void what_was_under_way_or_cannot_be_told_is_borne(void **state)
{
	(void)state;
	assert_int_equal(books_of(one_less_of_the_dead, NULL), VERDICT_PASS);
	assert_int_equal(books_of(one_in_doubt, NULL), VERDICT_PASS);
	assert_int_equal(books_of(good_execs, NULL), VERDICT_PASS);
}

static void escape(struct evidence *e, unsigned way, uint16_t nr,
		   const char *name, uint64_t count)
{
	e->watched.escapes = calloc(1, sizeof(*e->watched.escapes));
	e->watched.escapes_count = 1;
	e->watched.escapes[0] =
		(struct watched_escape){ .nr = nr,
					 .way = (uint8_t)way,
					 .bits = 64,
					 .count = count,
					 .site = strdup("store (db.c:12)") };
	strcpy(e->watched.escapes[0].comm, name);
}
static void many_past_us(struct evidence *e)
{
	e->watched.calls[0].escaped = 4;
	escape(e, WATCHED_raw, 1, "prog", 4);
}
static void few_past_us(struct evidence *e)
{
	e->watched.calls[0].escaped = 3; /* of 63: 4.8 % */
	escape(e, WATCHED_raw, 1, "prog", 3);
}
static void many_in_doubt(struct evidence *e)
{
	e->watched.calls[0].unknown = 4;
}
static void many_by_uring(struct evidence *e)
{
	escape(e, WATCHED_uring, 23, "write", 10);
}
static void many_of_what_no_rule_names(struct evidence *e)
{
	escape(e, WATCHED_uring, 22, "read", 10);
}

static void calls_past_us_count_against_min_coverage(void **state)
{
	(void)state;
	assert_int_equal(
		books_of(many_past_us,
			 "4 of 64 calls of write came to the kernel "
			 "past us: 4 write by store (db.c:12) in prog"),
		VERDICT_INCONCLUSIVE);
	assert_int_equal(books_of(few_past_us, NULL), VERDICT_PASS);
	assert_int_equal(books_of(many_in_doubt, "4 of 64 calls of write"),
			 VERDICT_INCONCLUSIVE);
	assert_int_equal(books_of(many_by_uring, "10 write by io_uring"),
			 VERDICT_INCONCLUSIVE);
	assert_int_equal(books_of(many_of_what_no_rule_names, NULL),
			 VERDICT_PASS);
}

static void kernel_error(struct evidence *e, uint16_t nr, int error)
{
	e->watched.errors = calloc(1, sizeof(*e->watched.errors));
	e->watched.errors_count = 1;
	e->watched.errors[0] =
		(struct watched_error){ .nr = nr, .error = error, .count = 2 };
}
static void really_full(struct evidence *e)
{
	kernel_error(e, 1, ENOSPC);
}
static void really_full_and_it_failed(struct evidence *e)
{
	kernel_error(e, 1, ENOSPC);
	e->target.status = 1;
}
static void everyday(struct evidence *e)
{
	kernel_error(e, 257, ENOENT);
}

static void a_machine_that_fails_by_itself_shows_nothing(void **state)
{
	(void)state;
	assert_int_equal(books_of(really_full, "write failed 2 times with "
					       "ENOSPC, and not by a fault"),
			 VERDICT_INCONCLUSIVE);
	assert_int_equal(books_of(really_full_and_it_failed,
				  "but the machine itself failed"),
			 VERDICT_INCONCLUSIVE);
	assert_int_equal(books_of(everyday, NULL), VERDICT_PASS);
}

static void never_on(struct evidence *e)
{
	one_more(e);
	e->watched.unobserved = strdup("no rights");
}
static void lost_some(struct evidence *e)
{
	one_more(e);
	e->watched.groups[WATCHED_sys].lost = 1;
}
static void cut_off(struct evidence *e)
{
	e->watched.groups[WATCHED_sys].why = strdup("mishap-watch stalled");
}

static void books_that_are_not_whole_say_nothing_of_the_balance(void **state)
{
	(void)state;
	assert_int_equal(books_of(never_on, NULL), VERDICT_PASS);
	assert_int_equal(books_of(lost_some, "1 records of the probes 'sys'"),
			 VERDICT_INCONCLUSIVE);
	assert_int_equal(books_of(cut_off, "mishap-watch stalled"),
			 VERDICT_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_oom_kill_that_was_seen_stands_though_records_were_lost),
		TEST(who_sent_the_signal_is_told),
		TEST(a_storm_is_measured_in_its_worst_second),
		TEST(books_that_agree_are_good),
		TEST(books_that_differ_make_the_run_invalid),
		TEST(what_was_under_way_or_cannot_be_told_is_borne),
		TEST(calls_past_us_count_against_min_coverage),
		TEST(a_machine_that_fails_by_itself_shows_nothing),
		TEST(books_that_are_not_whole_say_nothing_of_the_balance),
	};

	return TESTS_RUN(tests);
}

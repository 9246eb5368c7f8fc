/* Every oracle: green on good evidence, red on bad, undecided without data,
 * and its tampering turns it red. */
#include "tests/unit/judge_made.h"

struct row {
	const char *expect;
	void (*bad)(struct evidence *e);  /* must go red */
	void (*none)(struct evidence *e); /* must be undecided; NULL: always
					     has data */
	void (*good)(struct evidence *e); /* makes it green first; or NULL */
};

static void status_0(struct evidence *e)
{
	e->target.status = 0;
}
static void status_1(struct evidence *e)
{
	e->target.status = 1;
	made_text(&e->err, "no space\n");
}
static void segv(struct evidence *e)
{
	e->target.signal = SIGSEGV;
}
static void unseen(struct evidence *e)
{
	e->target.ended = false;
}
static void unstarted(struct evidence *e)
{
	e->target.started = false;
}
static void by_rule(struct evidence *e)
{
	e->target.signal = SIGKILL;
	e->target.killed_by_rule = true;
}
static void late(struct evidence *e)
{
	e->target.timed_out = true;
}
static void crash(struct evidence *e)
{
	e->crashes = calloc(1, sizeof(*e->crashes));
	e->crashes[0] = e->target;
	e->crashes[0].signal = SIGABRT;
	e->crashes_count = 1;
}
static void out_other(struct evidence *e)
{
	made_text(&e->out, "no\n");
}
static void out_this(struct evidence *e)
{
	made_text(&e->out, "just this\n");
}
static void out_none(struct evidence *e)
{
	free(e->out.bytes);
	e->out.bytes = NULL;
	e->out.count = 0;
}
static void err_other(struct evidence *e)
{
	made_text(&e->err, "Error!\n");
}
static void err_none(struct evidence *e)
{
	free(e->err.bytes);
	e->err.bytes = NULL;
}
static void err_cut(struct evidence *e)
{
	e->err.truncated = true;
}
static void file_gone(struct evidence *e)
{
	e->files[0].exists_after = false;
	e->files[0].error_after = ENOENT;
}
static void file_other(struct evidence *e)
{
	e->files[0].hash_after = 99;
}
static void file_unseen(struct evidence *e)
{
	e->files[0].error_after = EAGAIN; /* nobody looked */
}
static void file_unread(struct evidence *e)
{
	e->files[0].error_after = EIO;
}
static void other_unread(struct evidence *e)
{
	e->files[0].error_other[0] = ENOENT;
}
static void left(struct evidence *e)
{
	words_push(&e->names[0].after, strdup("sub/new.tmp"));
}
static void unlisted(struct evidence *e)
{
	e->names[0].error_after = EACCES;
}
static void check_1(struct evidence *e)
{
	e->commands[0].ending.status = 1;
}
static void check_3(struct evidence *e)
{
	e->commands[0].ending.status = 3;
}
static void work_1(struct evidence *e)
{
	e->workloads[0].status = 1;
}
static void work_none(struct evidence *e)
{
	e->workloads[0].started = false;
}
static void sick(struct evidence *e)
{
	for (size_t i = 300; i < 320; i++)
		e->samples[i].ok = false;
}
static void sick_for_ever(struct evidence *e)
{
	for (size_t i = 300; i < 600; i++)
		e->samples[i].ok = false;
}
static void slow(struct evidence *e)
{
	for (size_t i = 200; i < 600; i++)
		e->samples[i].latency_ns = 5 * SECOND;
}
static void sampleless(struct evidence *e)
{
	e->samples_count = 0;
}
static void restarted(struct evidence *e)
{
	e->restarts = 5;
}
static void called(struct evidence *e)
{
	e->calls[CALL_write] = 100000;
}
static void absent(struct evidence *e)
{
	e->unreachable = strdup("static");
}
static void grown(struct evidence *e)
{
	e->at_end = (struct growth){ 100, 30, 1 << 30, true };
}
static void unread(struct evidence *e)
{
	e->at_end.known = false;
}
static void bareless(struct evidence *e)
{
	e->bare = NULL;
}
static void muted(struct evidence *e)
{
	e->target.status = 1;
	made_text(&e->out, "ok\n");
}
static void leaked(struct evidence *e)
{
	made_text(&e->err, "cannot log in as hunter2!\n");
}
static void leaked_base64(struct evidence *e) /* "xx hunter2 yy" */
{
	made_text(&e->err, "token=eHggaHVudGVyMiB5eQ==\n");
}
static void leaked_hex(struct evidence *e)
{
	made_text(&e->out, "68756E74657232\n");
}
static void lost(struct evidence *e)
{
	free(e->commands[0].output);
	e->commands[0].output = strdup("done\n");
	e->commands[0].bytes = 5;
}
static void by_fd(struct evidence *e)
{
	made_text(&e->ledger, "invoke s 9 z\nack s 9 z\n");
}
static void doubled(struct evidence *e)
{
	free(e->commands[0].output);
	e->commands[0].output = strdup("present s 1 a\npresent s 1 a\ndone\n");
	e->commands[0].bytes = strlen(e->commands[0].output);
}
static void phantom(struct evidence *e)
{
	free(e->commands[0].output);
	e->commands[0].output = strdup("present s 1 a\npresent s 2 b\ndone\n");
	e->commands[0].bytes = strlen(e->commands[0].output);
}
static void altered(struct evidence *e)
{
	free(e->commands[0].output);
	e->commands[0].output = strdup("present s 1 z\ndone\n");
	e->commands[0].bytes = strlen(e->commands[0].output);
}
static void unsound(struct evidence *e)
{
	free(e->commands[0].output);
	e->commands[0].output =
		strdup("present s 1 a\ninvariant sum bad\ndone\n");
	e->commands[0].bytes = strlen(e->commands[0].output);
}
static void undone(struct evidence *e)
{
	e->commands[0].bytes = strlen("present s 1 a\n");
}

static void unwatched(struct evidence *e)
{
	watched_clear(&e->watched);
}
static void forbidden(struct evidence *e)
{
	e->watched.unobserved = strdup("no rights; run it as root");
}
static void records_lost(struct evidence *e)
{
	for (unsigned i = 0; i < WATCHED_GROUPS; i++)
		e->watched.groups[i].lost = 3;
}
static void watcher_died(struct evidence *e)
{
	for (unsigned i = 0; i < WATCHED_GROUPS; i++)
		e->watched.groups[i].why = strdup("mishap-watch died");
}
static void child_7(struct evidence *e)
{
	e->watched.exits[0].status = 7;
}
static void child_killed(struct evidence *e)
{
	e->watched.exits[0].signal = SIGKILL;
	e->watched.exits[0].sender_known = true;
	e->watched.exits[0].sender = 4711;
	strcpy(e->watched.exits[0].sender_comm, "reaper");
}
static void no_exit(struct evidence *e)
{
	e->watched.exits_count = 0;
}
static void oom_killed(struct evidence *e)
{
	e->watched.exits[0].signal = SIGKILL;
	e->watched.exits[0].oom = true;
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
static void stalled(struct evidence *e)
{
	e->stall.longest_ns = 5 * SECOND;
	words_push(&e->stall.stacks, strdup("made 100: futex_wait"));
}
static void nobody_looked(struct evidence *e)
{
	e->stall = (struct stall_seen){ 0 };
}
static void acked_dirty(struct evidence *e)
{
	e->watched.acks[2] = (struct watched_acks){ .acks = 3001,
						    .dirty = 2990,
						    .writes = 3000,
						    .syncs = 3,
						    .first_ns = START + SECOND,
						    .window_max_ns = SECOND };
}
static void unanswered(struct evidence *e)
{
	e->watched.acks[1] = (struct watched_acks){ .writes = 9 };
}
static void unwritten(struct evidence *e)
{
	e->watched.acks[1] = (struct watched_acks){ .acks = 9 };
}

static const struct row rows[] = {
	{ "exit==0", status_1, unseen, NULL },
	{ "exit!=0", status_0, by_rule, status_1 },
	{ "exit in 0,3", status_1, unstarted, NULL },
	{ "exit==0", segv, NULL, NULL },
	{ "exit==0", late, NULL, NULL },
	{ "signal==none", segv, unseen, NULL },
	{ "crash==none", crash, unstarted, NULL },
	{ "hang==none", late, unseen, NULL },
	{ "stdout~\"^second\"", out_other, out_none, NULL },
	{ "stdout==\"just this\"", out_other, out_none, out_this },
	{ "stderr!~\"(?i)error\"", err_other, err_none, NULL },
	{ "stderr!~\"[Ee]rr(or|eur)+!?$\"", err_other, err_cut, NULL },
	{ "output!~\"Error\"", err_other, err_none, NULL },
	{ "file doc exists", file_gone, file_unseen, NULL },
	{ "file doc absent", NULL, file_unseen, file_gone },
	{ "file doc unchanged", file_other, file_unread, NULL },
	{ "file doc equals new", file_other, other_unread, NULL },
	{ "file doc one-of old new", file_gone, other_unread, NULL },
	{ "file doc one-of old new", file_other, NULL, NULL },
	{ "leftovers data *.tmp == none", left, unlisted, NULL },
	{ "check sqlite3 t.db", check_1, check_3, NULL },
	{ "workload==0", work_1, work_none, NULL },
	{ "workload load==0", work_1, work_none, NULL },
	{ "availability>=99%", sick, sampleless, NULL },
	{ "availability home>=99%", sick, sampleless, NULL },
	{ "p50<20ms", slow, sampleless, NULL },
	{ "p95<200ms", slow, sampleless, NULL },
	{ "p99<1500ms", slow, sampleless, NULL },
	{ "p99<1500ms", sick, NULL, NULL },
	{ "recovery<5s", sick_for_ever, sampleless, NULL },
	{ "restarts<=1", restarted, unstarted, NULL },
	{ "calls write<=100", called, absent, NULL },
	{ "calls write<=40/s", called, absent, NULL },
	{ "fds<=5", grown, unread, NULL },
	{ "threads<=2", grown, unread, NULL },
	{ "rss<=64MiB", grown, unread, NULL },
	{ "silent==none", out_other, bareless, NULL },
	{ "mute==none", muted, err_none, NULL },
	{ "secrets hunter2 == none", leaked, err_none, NULL },
	{ "secrets hunter2 == none", leaked_base64, NULL, NULL },
	{ "secrets hunter2 == none", leaked_hex, NULL, NULL },
	{ "ledger read-back == strict", lost, undone, NULL },
	{ "ledger read-back == strict", by_fd, NULL, NULL },
	{ "ledger read-back == strict", doubled, NULL, NULL },
	{ "ledger read-back == strict", phantom, NULL, NULL },
	{ "ledger read-back == strict", altered, NULL, NULL },
	{ "ledger read-back == strict", unsound, NULL, NULL },
	{ "exits==0", child_7, unwatched, NULL },
	{ "exits in 0,1", child_killed, forbidden, NULL },
	{ "exits worker == 0", child_7, no_exit, NULL },
	{ "oom==none", oom_killed, watcher_died, NULL },
	{ "retry_rate<=20/s", storm, forbidden, NULL },
	{ "retry_rate<=20/s", storm, records_lost, NULL },
	{ "retransmits<=10", storm, unwatched, NULL },
	{ "stall<2s", stalled, nobody_looked, NULL },
	{ "ack_before_sync data == 0", acked_dirty, unanswered, NULL },
	{ "ack_before_sync data == 0", acked_dirty, unwritten, NULL },
	{ "ack_before_sync data <= 5", acked_dirty, watcher_died, NULL },
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static enum verdict judged(const struct row *row,
			   void (*how)(struct evidence *e), bool tampered)
{
	struct made made = made_open(row->expect);
	const struct expect *expect = &made.scenario->expects[0];
	const struct oracle *oracle = oracle_table[expect->subject];
	struct finding finding = { .rule = -1 };
	enum verdict verdict;

	if (row->good)
		row->good(made.evidence);
	if (how)
		how(made.evidence);
	if (tampered && oracle->tamper(expect, made.evidence) != 0)
		fail_msg("%s: couldn't be tampered with", row->expect);
	assert_int_equal(oracle->judge(expect, made.evidence, &finding), 0);
	assert_non_null(finding.seen);
	verdict = finding.verdict;
	finding_clear(&finding);
	made_close(&made);
	return verdict;
}

static void expect_verdict(const struct row *row, enum verdict got,
			   enum verdict wanted, const char *on)
{
	if (got != wanted)
		fail_msg("%s on %s evidence: %s, not %s", row->expect, on,
			 verdict_name(got), verdict_name(wanted));
}

static void every_oracle_is_green_on_good_evidence(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		expect_verdict(&rows[i], judged(&rows[i], NULL, false),
			       VERDICT_PASS, "good");
}

static void every_oracle_is_red_on_bad_evidence(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].bad)
			expect_verdict(&rows[i],
				       judged(&rows[i], rows[i].bad, false),
				       VERDICT_FAIL, "bad");
}

static void no_oracle_passes_without_data(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].none)
			expect_verdict(&rows[i],
				       judged(&rows[i], rows[i].none, false),
				       VERDICT_INCONCLUSIVE, "no");
}

static void tampering_turns_every_oracle_red(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		expect_verdict(&rows[i], judged(&rows[i], NULL, true),
			       VERDICT_FAIL, "tampered");
}

static void every_expectation_of_the_table_was_tried(void **state)
{
	bool tried[EXPECT_COUNT] = { false };

	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		struct made made = made_open(rows[i].expect);

		tried[made.scenario->expects[0].subject] = true;
		made_close(&made);
	}
	for (unsigned i = 0; i < EXPECT_COUNT; i++)
		if (!tried[i])
			fail_msg("no row for %s", expect_subject_name(i));
}

/* ---- finer points ------------------------------------------------------ */

static enum verdict verdict_of(const char *expect,
			       void (*how)(struct evidence *e))
{
	struct row row = { .expect = expect };

	return judged(&row, how, false);
}

static void few(struct evidence *e)
{
	e->samples_count = 15;
}
static void few_and_slow(struct evidence *e)
{
	e->samples_count = 15;
	e->samples[3].latency_ns = e->samples[4].latency_ns = 9 * SECOND;
}

static void
a_quantile_of_few_samples_is_undecided_unless_past_mending(void **state)
{
	(void)state;
	assert_int_equal(verdict_of("p95<1s", few), VERDICT_INCONCLUSIVE);
	assert_int_equal(verdict_of("p99<1s", few), VERDICT_INCONCLUSIVE);
	assert_int_equal(verdict_of("p50<1s", few), VERDICT_PASS);
	assert_int_equal(verdict_of("p95<1s", few_and_slow), VERDICT_FAIL);
}

static void killed_by_rule(struct evidence *e)
{
	crash(e);
	e->crashes[0].killed_by_rule = true;
}

static void a_death_that_a_rule_asked_for_is_no_crash(void **state)
{
	(void)state;
	assert_int_equal(verdict_of("crash==none", killed_by_rule),
			 VERDICT_PASS);
}

static void out_other_and_said(struct evidence *e)
{
	out_other(e);
	made_text(&e->err, "write failed\n");
}
static void out_other_and_failed(struct evidence *e)
{
	out_other(e);
	e->target.status = 1;
}
static void nothing_failed(struct evidence *e)
{
	out_other(e);
	e->events[0].error = 0;
}

static void silence_is_broken_by_a_message_or_a_status(void **state)
{
	(void)state;
	assert_int_equal(verdict_of("silent==none", out_other_and_said),
			 VERDICT_PASS);
	assert_int_equal(verdict_of("silent==none", out_other_and_failed),
			 VERDICT_PASS);
	assert_int_equal(verdict_of("silent==none", nothing_failed),
			 VERDICT_INCONCLUSIVE);
}

static void recovers_late(struct evidence *e)
{
	for (size_t i = 200; i < 460; i++)
		e->samples[i].ok = false;
}

static void recovery_counts_from_the_end_of_the_last_fault(void **state)
{
	(void)state; /* the storm ends at 40 s, health is back at 46 s */
	assert_int_equal(verdict_of("recovery<5s", recovers_late),
			 VERDICT_FAIL);
	assert_int_equal(verdict_of("recovery<7s", recovers_late),
			 VERDICT_PASS);
}

static void unacked_is_there(struct evidence *e)
{
	made_text(&e->ledger, "invoke s 1 a\nack s 1 a\ninvoke s 2 b\n");
	phantom(e);
}
static void failed_is_there(struct evidence *e)
{
	made_text(&e->ledger, "invoke s 1 a\nack s 1 a\ninvoke s 2 b\n"
			      "fail s 2 b\n");
	phantom(e);
}
static void nothing_acked(struct evidence *e)
{
	made_text(&e->ledger, "invoke s 1 a\n");
}

static void an_unanswered_record_may_be_there_a_failed_one_may_not(void **state)
{
	(void)state;
	assert_int_equal(
		verdict_of("ledger read-back == strict", unacked_is_there),
		VERDICT_PASS);
	assert_int_equal(
		verdict_of("ledger read-back == strict", failed_is_there),
		VERDICT_FAIL);
	assert_int_equal(
		verdict_of("ledger read-back == strict", nothing_acked),
		VERDICT_INCONCLUSIVE);
}

static void a_sample_text_matches_its_expression(void **state)
{
	static const char *const regexes[] = {
		"error",	  "^a.c$",
		"(foo|bar)+baz?", "[[:digit:]]{3}-x",
		"[^a-z]q",	  "(?i)No space",
		"a\\.b\\(c\\)",	  "(a|(b|c)d)e",
		"x{2,4}y*z+",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(regexes) / sizeof(*regexes); i++) {
		char *sample = oracle_sample(regexes[i]);

		if (!sample)
			fail_msg("no sample for %s", regexes[i]);
		free(sample);
	}
	assert_null(oracle_sample("$a")); /* nothing matches it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_oracle_is_green_on_good_evidence),
		TEST(every_oracle_is_red_on_bad_evidence),
		TEST(no_oracle_passes_without_data),
		TEST(tampering_turns_every_oracle_red),
		TEST(every_expectation_of_the_table_was_tried),
		TEST(a_quantile_of_few_samples_is_undecided_unless_past_mending),
		TEST(a_death_that_a_rule_asked_for_is_no_crash),
		TEST(silence_is_broken_by_a_message_or_a_status),
		TEST(recovery_counts_from_the_end_of_the_last_fault),
		TEST(an_unanswered_record_may_be_there_a_failed_one_may_not),
		TEST(a_sample_text_matches_its_expression),
	};

	return TESTS_RUN(tests);
}

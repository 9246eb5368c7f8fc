/* Evidence goes to its directory and comes back the same, and a damaged
 * directory is refused. */
#include "tests/unit/judge_made.h"

#include <errno.h>
#include <fcntl.h>

#include "runner/rundir.h"

static char dir[] = "/tmp/mishap-evidence-XXXXXX";

static int dir_make(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int dir_remove(void **state)
{
	(void)state;
	return tree_remove(dir);
}

static void live_in(struct evidence *evidence, const char *where)
{
	free(evidence->run_dir);
	evidence->run_dir = strdup(where);
	assert_int_equal(rundir_check(where, NULL), 0);
}

static const char *const expects = "exit==0\nfile doc unchanged\n"
				   "leftovers data == none\n"
				   "ledger read-back == strict\n"
				   "p99<20ms\nworkload==0\nsilent==none\n"
				   "calls write<=100\nfds<=5";

static void the_same_comes_back_and_is_judged_the_same(void **state)
{
	struct made made = made_open(expects);
	struct evidence *back = NULL;
	struct judgement *again;
	char *bare = words_say("%s/bare", dir);
	json_t *a, *b;

	(void)state;
	live_in(made.evidence, dir);
	live_in(made.bare, bare);
	made_text(&made.evidence->out, "bytes \xff that are no text\n");
	made_text(&made.bare->out, "bytes \xff that are no text\n");
	assert_int_equal(made_verdict(&made), VERDICT_PASS);
	assert_int_equal(evidence_save(made.evidence), 0);
	assert_int_equal(evidence_load(dir, made.scenario, &back), 0);
	assert_non_null(back->bare);
	assert_int_equal(back->events_count, 1);
	assert_memory_equal(back->events, made.evidence->events,
			    sizeof(struct event));
	assert_true(oracle_text_same(&back->out, &made.evidence->out));
	assert_int_equal(verdict_reach(back, &again), 0);
	a = report_json(made.evidence, made.judgement);
	b = report_json(back, again);
	assert_true(json_equal(a, b));
	json_decref(a);
	json_decref(b);
	judgement_free(again);
	evidence_free((struct evidence *)back->bare);
	evidence_free(back);
	free(bare);
	made_close(&made);
}

static void what_was_not_captured_stays_unknown(void **state)
{
	struct made made = made_open("stdout~\"ok\"");
	struct evidence *back = NULL;
	struct judgement *again;

	(void)state;
	live_in(made.evidence, dir);
	made.evidence->bare = NULL;
	free(made.evidence->out.bytes);
	made.evidence->out = (struct text){ 0 };
	assert_int_equal(evidence_save(made.evidence), 0);
	assert_int_equal(evidence_load(dir, made.scenario, &back), 0);
	assert_null(back->out.bytes);
	assert_int_equal(verdict_reach(back, &again), 0);
	assert_int_equal(again->verdict, VERDICT_INCONCLUSIVE);
	judgement_free(again);
	evidence_free((struct evidence *)back->bare);
	evidence_free(back);
	made_close(&made);
}

static void overwrite(const char *name, const char *bytes)
{
	char *path = words_say("%s/%s", dir, name);
	FILE *out = fopen(path, "w");

	fputs(bytes, out);
	fclose(out);
	free(path);
}

static void a_damaged_directory_is_refused(void **state)
{
	static const struct {
		const char *name, *bytes;
	} damages[] = {
		{ "events.bin", "short" },
		{ "events.bin", "" },
		{ "evidence.json", "{}" },
		{ "evidence.json", "{\"version\": 1}" },
		{ "evidence.json", "not json" },
		{ "stdout", "" },
	};
	struct made made = made_open("exit==0");
	struct evidence *back = NULL;

	(void)state;
	live_in(made.evidence, dir);
	made.evidence->bare = NULL;
	for (size_t i = 0; i < sizeof(damages) / sizeof(*damages); i++) {
		assert_int_equal(evidence_save(made.evidence), 0);
		overwrite(damages[i].name, damages[i].bytes);
		assert_int_equal(evidence_load(dir, made.scenario, &back),
				 -EBADMSG);
	}
	assert_int_equal(evidence_load("/nowhere/at/all", made.scenario, &back),
			 -ENOENT);
	made_close(&made);
}

static void a_copy_shares_nothing_that_can_be_spoilt(void **state)
{
	struct made made = made_open(expects);
	struct evidence *copy;

	(void)state;
	assert_int_equal(evidence_copy(made.evidence, &copy), 0);
	for (size_t i = 0; i < made.scenario->expects_count; i++) {
		const struct expect *expect = &made.scenario->expects[i];

		assert_int_equal(
			oracle_table[expect->subject]->tamper(expect, copy), 0);
	}
	evidence_free(copy);
	assert_int_equal(made_verdict(&made), VERDICT_PASS);
	made_close(&made);
}

static void a_time_falls_into_its_phase(void **state)
{
	struct made made = made_open("exit==0");

	(void)state;
	assert_int_equal(evidence_phase_at(made.evidence, START - 1), -1);
	assert_int_equal(evidence_phase_at(made.evidence, START), 0);
	assert_int_equal(evidence_phase_at(made.evidence, START + 20 * SECOND),
			 1);
	assert_int_equal(evidence_phase_at(made.evidence, START + 60 * SECOND),
			 -1);
	made_close(&made);
}

static int put_half(FILE *out, const void *what)
{
	fputs(what, out);
	return -ENOSPC;
}

static void a_file_is_written_whole_or_not_at_all(void **state)
{
	char *path = words_say("%s/whole", dir);
	json_t *json = json_object();
	char *bytes = NULL;

	(void)state;
	overwrite("whole", "old");
	assert_int_equal(words_write(path, put_half, "half of it"), -ENOSPC);
	assert_int_equal(words_read(path, 100, &bytes, NULL), 0);
	assert_string_equal(bytes, "old");
	free(bytes);
	free(path);
	assert_int_equal(words_write_json("/dev/full", json), -ENOSPC);
	assert_int_equal(words_write_json("/nowhere/x", json), -ENOENT);
	json_decref(json);
}

static void runs_are_found_by_id_beginning_directory_and_last(void **state)
{
	char *one = words_say("%s/runs/20260101-000000-aaaa", dir);
	char *two = words_say("%s/runs/20260101-000001-bbbb", dir);
	char *runs = words_say("%s/runs", dir);
	char *found = NULL;
	char *mark;

	(void)state;
	assert_int_equal(rundir_check(one, NULL), 0);
	assert_int_equal(rundir_check(two, NULL), 0);
	overwrite("runs/20260101-000000-aaaa/evidence.json", "{}");
	usleep(20000);
	overwrite("runs/20260101-000001-bbbb/evidence.json", "{}");
	assert_int_equal(rundir_find(runs, "last", &found), 0);
	assert_string_equal(found, two);
	free(found);
	assert_int_equal(rundir_find(runs, "20260101-000000", &found), 0);
	assert_string_equal(found, one);
	free(found);
	assert_int_equal(rundir_find(runs, "20260101-000001-bbbb", &found), 0);
	free(found);
	assert_int_equal(rundir_find("/nowhere", one, &found), 0);
	free(found);
	assert_int_equal(rundir_find(runs, "2026", &found), -ENOTUNIQ);
	assert_int_equal(rundir_find(runs, "x", &found), -ENOENT);
	mark = words_say("%s/runs/.probe", dir);
	assert_int_not_equal(access(mark, F_OK), 0); /* nothing is left */
	free(mark);
	free(one);
	free(two);
	free(runs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_same_comes_back_and_is_judged_the_same),
		TEST(what_was_not_captured_stays_unknown),
		TEST(a_damaged_directory_is_refused),
		TEST(a_copy_shares_nothing_that_can_be_spoilt),
		TEST(a_time_falls_into_its_phase),
		TEST(a_file_is_written_whole_or_not_at_all),
		TEST(runs_are_found_by_id_beginning_directory_and_last),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, dir_make, dir_remove);
}

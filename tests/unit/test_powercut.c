/* What a power loss may leave, by logs that are written by hand. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/powercut/builtin.h"
#include "runner/powercut/check.h"
#include "runner/powercut/finding.h"
#include "runner/powercut/lay.h"

/* ---- a log, by hand -------------------------------------------------------
 */
struct made {
	char *bytes;
	size_t count, room;
	uint64_t order;
};

static void put(struct made *log, const void *from, size_t n)
{
	if (log->count + n > log->room) {
		log->room = 2 * (log->count + n) + 4096;
		log->bytes = realloc(log->bytes, log->room);
		assert_non_null(log->bytes);
	}
	memcpy(log->bytes + log->count, from, n);
	log->count += n;
}

static void record(struct made *log, struct oplog_record what, const char *name,
		   const char *name2, const char *data)
{
	static const char zeroes[8];
	size_t bytes;

	what.issued = ++log->order;
	what.returned = ++log->order;
	what.name_bytes = name ? (uint32_t)strlen(name) : 0;
	what.name2_bytes = name2 ? (uint32_t)strlen(name2) : 0;
	what.data_bytes = data ? strlen(data) : 0;
	bytes = sizeof(what) + what.name_bytes + what.name2_bytes +
		what.data_bytes;
	put(log, &what, sizeof(what));
	put(log, name, what.name_bytes);
	put(log, name2, what.name2_bytes);
	put(log, data, what.data_bytes);
	put(log, zeroes, oplog_bytes(&what) - bytes);
}

#define R(...) ((struct oplog_record){ __VA_ARGS__ })

static void begin(struct made *log)
{
	struct oplog_header header = { .magic = OPLOG_MAGIC,
				       .version = OPLOG_VERSION,
				       .root_bytes = 2,
				       .root = "/t" };

	put(log, &header, sizeof(header));
	record(log, R(.kind = OPLOG_BASE_DIR, .ino = 1, .size = 0755), NULL,
	       NULL, NULL);
	record(log,
	       R(.kind = OPLOG_BASE_FILE, .ino = 2, .dir = 1, .size = 0644),
	       "f", NULL, "old");
}

static void write_new(struct made *log, bool synced)
{
	record(log, R(.kind = OPLOG_CREATE, .ino = 3, .dir = 1, .size = 0644),
	       "f.tmp", NULL, NULL);
	record(log, R(.kind = OPLOG_WRITE, .ino = 3), NULL, NULL, "new one");
	if (synced)
		record(log, R(.kind = OPLOG_FSYNC, .ino = 3), NULL, NULL, NULL);
	record(log, R(.kind = OPLOG_CLOSE, .ino = 3), NULL, NULL, NULL);
	record(log, R(.kind = OPLOG_RENAME, .dir = 1, .dir2 = 1), "f.tmp", "f",
	       NULL);
}

static void finish(struct made *log, const char *f)
{
	record(log,
	       R(.kind = OPLOG_FINAL_FILE, .size = strlen(f),
		 .offset = oplog_hash(f, strlen(f)).a),
	       "f", NULL, NULL);
	record(log, R(.kind = OPLOG_END), NULL, NULL, NULL);
}

/* Replaced by rename, with or without an fsync before. */
static void replaced(struct made *log, bool synced)
{
	begin(log);
	write_new(log, synced);
	finish(log, "new one");
}

/* ---- reading --------------------------------------------------------------
 */
static void a_log_that_leads_to_the_tree_is_believed(void **unused)
{
	struct made log = { 0 };
	struct history history;
	char *why;

	(void)unused;
	replaced(&log, true);
	assert_int_equal(history_read(log.bytes, log.count, &history), 0);
	assert_int_equal(history.ops_count, 5);
	assert_int_equal(history_check(&history, &why), 0);
	assert_null(why);
	history_clear(&history);
	free(log.bytes);
}

static void a_write_that_was_missed_makes_it_unsound(void **unused)
{
	struct made log = { 0 };
	struct history history;
	char *why;

	(void)unused;
	begin(&log);
	write_new(&log, true);
	finish(&log, "another");
	assert_int_equal(history_read(log.bytes, log.count, &history), 0);
	assert_int_equal(history_check(&history, &why), 0);
	assert_non_null(why);
	assert_non_null(strstr(why, "f has another content"));
	free(why);
	history_clear(&history);
	free(log.bytes);
}

static void a_name_that_was_missed_makes_it_unsound(void **unused)
{
	struct made log = { 0 };
	struct history history;
	char *why;

	(void)unused;
	begin(&log);
	record(&log, R(.kind = OPLOG_CREATE, .ino = 3, .dir = 1), "g", NULL,
	       NULL);
	finish(&log, "old");
	assert_int_equal(history_read(log.bytes, log.count, &history), 0);
	assert_int_equal(history_check(&history, &why), 0);
	assert_non_null(why);
	free(why);
	history_clear(&history);
	free(log.bytes);
}

static void a_torn_log_is_refused_at_every_length(void **unused)
{
	struct made log = { 0 };
	struct history history;

	(void)unused;
	replaced(&log, true);
	for (size_t n = 0; n < log.count; n++)
		assert_true(history_read(log.bytes, n, &history) < 0);
	free(log.bytes);
}

static void a_rename_of_nothing_is_refused(void **unused)
{
	struct made log = { 0 };
	struct history history;

	(void)unused;
	begin(&log);
	record(&log, R(.kind = OPLOG_RENAME, .dir = 1, .dir2 = 1), "g", "h",
	       NULL);
	finish(&log, "old");
	assert_int_equal(history_read(log.bytes, log.count, &history),
			 -EBADMSG);
	free(log.bytes);
}

/* ---- models ---------------------------------------------------------------
 */
struct seen {
	struct history history;
	struct dag dag;
	struct shape shape;
	struct states states;
};

static void see(struct made *log, enum model_id model, struct seen *seen)
{
	struct enumerate enumerate = {
		.dag = &seen->dag, .seed = 1, .states_max = 1000, .random = 100
	};

	assert_int_equal(history_read(log->bytes, log->count, &seen->history),
			 0);
	assert_int_equal(dag_make(&seen->history, seen->history.ops,
				  seen->history.ops_count, &model_table[model],
				  &seen->dag),
			 0);
	assert_int_equal(shape_make(&seen->dag, &seen->shape), 0);
	assert_int_equal(enumerate_states(&enumerate, &seen->states), 0);
}

static void unsee(struct seen *seen)
{
	states_clear(&seen->states);
	shape_clear(&seen->shape);
	dag_clear(&seen->dag);
	history_clear(&seen->history);
}

/* Is there a state in which f holds just that?  NULL: no f. */
static bool may_hold(struct seen *seen, const char *text)
{
	uint32_t slot = history_slot(&seen->history, 0, "f", 1);

	for (uint32_t i = 0; i < seen->states.count; i++) {
		const uint64_t *set = seen->states.items[i].set;
		const uint8_t *bytes;
		uint64_t n;

		shape_take(&seen->shape, set);
		if (seen->shape.child[slot] == NONE) {
			if (!text)
				return true;
			continue;
		}
		n = shape_content(&seen->shape, set, seen->shape.child[slot],
				  &bytes);
		if (text && n == strlen(text) && !memcmp(bytes, text, n))
			return true;
	}
	return false;
}

static bool model_may_hold(enum model_id model, bool synced, const char *text)
{
	struct made log = { 0 };
	struct seen seen;
	bool may;

	replaced(&log, synced);
	see(&log, model, &seen);
	may = may_hold(&seen, text);
	unsee(&seen);
	free(log.bytes);
	return may;
}

static void old_and_new_may_be_there_under_every_model(void **unused)
{
	(void)unused;
	for (int m = 0; m < MODEL_COUNT; m++) {
		assert_true(model_may_hold((enum model_id)m, false, "old"));
		assert_true(model_may_hold((enum model_id)m, false, "new one"));
	}
}

static void ext4_flushes_what_a_rename_puts_in_place(void **unused)
{
	(void)unused;
	assert_false(model_may_hold(MODEL_EXT4_ORDERED, false, ""));
}

static void xfs_and_btrfs_leave_an_empty_file_after_a_rename(void **unused)
{
	(void)unused;
	assert_true(model_may_hold(MODEL_XFS, false, ""));
	assert_true(model_may_hold(MODEL_BTRFS, false, ""));
	assert_true(model_may_hold(MODEL_POSIX_MIN, false, ""));
}

static void an_fsync_before_the_rename_helps_everywhere(void **unused)
{
	(void)unused;
	for (int m = 0; m < MODEL_COUNT; m++) {
		assert_false(model_may_hold((enum model_id)m, true, ""));
		assert_false(model_may_hold((enum model_id)m, true, NULL));
		assert_true(model_may_hold((enum model_id)m, true, "old"));
	}
}

/* The promise of every model: closed, and with all that is durable. */
static void every_state_is_closed_and_holds_what_is_durable(void **unused)
{
	(void)unused;
	for (int m = 0; m < MODEL_COUNT; m++) {
		struct made log = { 0 };
		struct seen seen;
		uint64_t *full, *mini;

		replaced(&log, true);
		see(&log, (enum model_id)m, &seen);
		full = calloc(seen.dag.words, sizeof(*full));
		mini = calloc(seen.dag.words, sizeof(*mini));
		for (uint32_t i = 0; i < seen.states.count; i++) {
			const struct cut_state *state = &seen.states.items[i];

			cut_sets(&seen.dag, state->cut, full, mini);
			for (uint32_t w = 0; w < seen.dag.words; w++) {
				assert_int_equal(mini[w] & ~state->set[w], 0);
				assert_int_equal(state->set[w] & ~full[w], 0);
			}
			for (uint32_t id = 0; id < seen.dag.count; id++)
				for (uint32_t e = seen.dag.needs_at[id];
				     e < seen.dag.needs_at[id + 1]; e++)
					assert_true(!set_has(state->set, id) ||
						    set_has(state->set,
							    seen.dag.needs[e]));
		}
		free(full);
		free(mini);
		unsee(&seen);
		free(log.bytes);
	}
}

static void the_same_seed_gives_the_same_states(void **unused)
{
	struct made log = { 0 };
	struct seen a, b;

	(void)unused;
	replaced(&log, false);
	see(&log, MODEL_POSIX_MIN, &a);
	see(&log, MODEL_POSIX_MIN, &b);
	assert_int_equal(a.states.count, b.states.count);
	for (uint32_t i = 0; i < a.states.count; i++)
		assert_int_equal(a.states.items[i].tree.a,
				 b.states.items[i].tree.a);
	unsee(&a);
	unsee(&b);
	free(log.bytes);
}

/* A barrier that began before a write had returned says nothing of it. */
static void a_barrier_covers_only_what_had_returned(void **unused)
{
	struct made log = { 0 };
	struct seen seen;
	struct oplog_record *last;

	(void)unused;
	begin(&log);
	record(&log, R(.kind = OPLOG_WRITE, .ino = 2), NULL, NULL, "NEW");
	record(&log, R(.kind = OPLOG_FSYNC, .ino = 2), NULL, NULL, NULL);
	last = (struct oplog_record *)(log.bytes + log.count - sizeof(*last));
	last->issued = 0; /* before anything */
	finish(&log, "NEW");
	see(&log, MODEL_POSIX_MIN, &seen);
	assert_int_equal(seen.dag.micros[0].durable, NONE);
	unsee(&seen);
	free(log.bytes);
}

static void a_failed_fsync_drops_what_was_pending(void **unused)
{
	struct made log = { 0 };
	struct seen seen;

	(void)unused;
	begin(&log);
	record(&log, R(.kind = OPLOG_WRITE, .ino = 2), NULL, NULL, "NEW");
	record(&log, R(.kind = OPLOG_FSYNC_FAILED, .ino = 2), NULL, NULL, NULL);
	record(&log, R(.kind = OPLOG_FSYNC, .ino = 2), NULL, NULL, NULL);
	record(&log, R(.kind = OPLOG_LEDGER), "ack s 1", NULL, NULL);
	finish(&log, "NEW");
	see(&log, MODEL_XFS, &seen);
	assert_true(may_hold(&seen, "old"));
	assert_true(seen.dag.micros[0].failed);
	unsee(&seen);
	free(log.bytes);
}

/* ---- the built-in oracle, and barriers ------------------------------------
 */
static void explored(struct made *log, enum model_id model,
		     struct history *history, struct explore *explore)
{
	assert_int_equal(history_read(log->bytes, log->count, history), 0);
	*explore = (struct explore){
		.history = history, .states_max = 1000, .random = 100, .seed = 1
	};
	assert_int_equal(explore_open(explore), 0);
	assert_int_equal(explore_add(explore, &model_table[model], 0), 0);
	assert_int_equal(explore_judge(explore, 0), 0);
}

static void a_careless_replace_is_found_with_its_barrier(void **unused)
{
	struct made log = { 0 };
	struct history history;
	struct explore explore;
	struct cut_findings findings = { 0 };

	(void)unused;
	replaced(&log, false);
	explored(&log, MODEL_XFS, &history, &explore);
	assert_true(explore.models[0].bad > 0);
	assert_int_equal(findings_make(&explore, UINT64_MAX / 2, &findings), 0);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.items[0].class, VIOLATION_CORRUPT);
	assert_string_equal(findings.items[0].says, "f is empty");
	assert_int_equal(findings.items[0].missing_count, 1);
	assert_int_equal(findings.barriers[0].count, 1);
	assert_string_equal(findings.barriers[0].texts[0],
			    "fsync(f.tmp) before rename(f.tmp -> f)");
	assert_int_equal(findings.barriers[0].after[0], 0);
	findings_clear(&findings);
	explore_close(&explore);
	history_clear(&history);
	free(log.bytes);
}

static void a_careful_replace_is_clean_under_every_model(void **unused)
{
	(void)unused;
	for (int m = 0; m < MODEL_COUNT; m++) {
		struct made log = { 0 };
		struct history history;
		struct explore explore;

		replaced(&log, true);
		explored(&log, (enum model_id)m, &history, &explore);
		assert_true(explore.models[0].judged > 2);
		assert_int_equal(explore.models[0].bad, 0);
		explore_close(&explore);
		history_clear(&history);
		free(log.bytes);
	}
}

/* ---- the ledger -----------------------------------------------------------
 */
static unsigned judged(const char *const *lines, const char *answer_text,
		       struct promise promise, uint32_t issued)
{
	struct made log = { 0 };
	struct history history;
	struct ledger ledger;
	struct answer answer;
	uint8_t present[64];
	struct outcome outcome = { .kind = OUTCOME_EXITED,
				   .text = (char *)(uintptr_t)answer_text,
				   .bytes = (uint32_t)strlen(answer_text) };
	struct evaluation evaluation = { .ledger = &ledger,
					 .promise = promise,
					 .present = present };
	unsigned bits;

	begin(&log);
	for (; *lines; lines++)
		record(&log, R(.kind = OPLOG_LEDGER), *lines, NULL, NULL);
	finish(&log, "old");
	assert_int_equal(history_read(log.bytes, log.count, &history), 0);
	assert_int_equal(ledger_read(&history, &ledger), 0);
	assert_int_equal(answer_read(&ledger, &outcome, &answer), 0);
	bits = evaluate(&evaluation, &answer, issued, UINT64_MAX, NULL);
	answer_clear(&answer);
	ledger_clear(&ledger);
	history_clear(&history);
	free(log.bytes);
	return bits;
}

static const char *const three[] = { "ack s 1", "ack s 2", "ack s 3", NULL };
static const struct promise strict = { PROMISE_STRICT, 0 };
static const struct promise prefix = { PROMISE_PREFIX, 0 };

static void what_was_acknowledged_must_be_there(void **unused)
{
	(void)unused;
	assert_int_equal(judged(three,
				"present s 1\npresent s 2\npresent s 3\n"
				"done\n",
				strict, 3),
			 0);
	assert_int_equal(
		judged(three, "present s 1\npresent s 3\ndone\n", strict, 3),
		1u << VIOLATION_LOST);
	/* Not yet told anybody: no loss. */
	assert_int_equal(judged(three, "present s 1\ndone\n", strict, 1), 0);
}

static void a_prefix_may_end_early_but_has_no_holes(void **unused)
{
	(void)unused;
	assert_int_equal(judged(three, "present s 1\ndone\n", prefix, 3), 0);
	assert_int_equal(judged(three, "present s 2\ndone\n", prefix, 3),
			 1u << VIOLATION_LOST);
}

static void twice_or_unasked_for_is_inconsistent(void **unused)
{
	(void)unused;
	assert_int_equal(judged(three,
				"present s 1\npresent s 1\npresent s 2\n"
				"present s 3\ndone\n",
				strict, 3),
			 1u << VIOLATION_INCONSISTENT);
	assert_int_equal(judged(three,
				"present s 1\npresent s 2\npresent s 3\n"
				"present s 9\ndone\n",
				strict, 3),
			 1u << VIOLATION_INCONSISTENT);
}

static void an_older_value_is_lost_another_is_corrupt(void **unused)
{
	static const char *const values[] = { "ack r x 1", "ack r x 2", NULL };

	(void)unused;
	assert_int_equal(judged(values, "present r x 2\ndone\n", strict, 2), 0);
	assert_int_equal(judged(values, "present r x 1\ndone\n", strict, 2),
			 1u << VIOLATION_LOST);
	assert_int_equal(judged(values, "present r x 7\ndone\n", strict, 2),
			 1u << VIOLATION_CORRUPT);
	assert_int_equal(judged(values, "present r x 2\ndone\n", strict, 1), 0);
}

static void a_reader_that_does_not_finish_has_failed(void **unused)
{
	(void)unused;
	assert_int_equal(judged(three, "present s 1\npresent s 2\n", strict, 1),
			 1u << VIOLATION_INCONSISTENT);
}

/* ---- laying out -----------------------------------------------------------
 */
static void a_state_is_laid_out_as_it_is_hashed(void **unused)
{
	char dir[] = "/tmp/mishap-unit.XXXXXX", path[64], text[32] = "";
	struct made log = { 0 };
	struct seen seen;
	struct lay lay;
	int fd, file;

	(void)unused;
	replaced(&log, true);
	see(&log, MODEL_POSIX_MIN, &seen);
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(lay_make(&seen.shape, &lay), 0);
	assert_int_equal(lay_all(&lay, seen.states.items[0].set, fd), 0);
	snprintf(path, sizeof(path), "%s/f", dir);
	file = open(path, O_RDONLY);
	assert_true(read(file, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "new one");
	close(file);
	assert_int_equal(lay_wipe(fd), 0);
	assert_int_equal(rmdir(dir), 0);
	close(fd);
	lay_clear(&lay);
	unsee(&seen);
	free(log.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_log_that_leads_to_the_tree_is_believed),
		cmocka_unit_test(a_write_that_was_missed_makes_it_unsound),
		cmocka_unit_test(a_name_that_was_missed_makes_it_unsound),
		cmocka_unit_test(a_torn_log_is_refused_at_every_length),
		cmocka_unit_test(a_rename_of_nothing_is_refused),
		cmocka_unit_test(old_and_new_may_be_there_under_every_model),
		cmocka_unit_test(ext4_flushes_what_a_rename_puts_in_place),
		cmocka_unit_test(
			xfs_and_btrfs_leave_an_empty_file_after_a_rename),
		cmocka_unit_test(an_fsync_before_the_rename_helps_everywhere),
		cmocka_unit_test(
			every_state_is_closed_and_holds_what_is_durable),
		cmocka_unit_test(the_same_seed_gives_the_same_states),
		cmocka_unit_test(a_barrier_covers_only_what_had_returned),
		cmocka_unit_test(a_failed_fsync_drops_what_was_pending),
		cmocka_unit_test(a_careless_replace_is_found_with_its_barrier),
		cmocka_unit_test(a_careful_replace_is_clean_under_every_model),
		cmocka_unit_test(what_was_acknowledged_must_be_there),
		cmocka_unit_test(a_prefix_may_end_early_but_has_no_holes),
		cmocka_unit_test(twice_or_unasked_for_is_inconsistent),
		cmocka_unit_test(an_older_value_is_lost_another_is_corrupt),
		cmocka_unit_test(a_reader_that_does_not_finish_has_failed),
		cmocka_unit_test(a_state_is_laid_out_as_it_is_hashed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

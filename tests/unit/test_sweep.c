/* What a sweep concludes from what it sees: no target is needed. */
#include "runner/sweep/sweep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test.h"

/* A run that wrote `out` and `kept` (NULL: not), and said `err`. */
static struct sight sight_made(const char *out, const char *file,
			       const char *err)
{
	struct sight sight = { .ended = true, .leader_pid = 2 };

	sight.out = strdup(out);
	sight.out_bytes = sight.out_size = strlen(out);
	sight.out_hash = 31 * strlen(out) + (uint8_t)*out;
	sight.err = strdup(err);
	sight.err_bytes = strlen(err);
	if (file) {
		struct entry entry = { .path = strdup("kept"),
				       .kind = ENTRY_FILE,
				       .size = strlen(file),
				       .hash = strlen(file) +
					       31u * (uint8_t)*file };

		entries_add(&sight.files, &entry);
	}
	return sight;
}

static void entry_put(struct sight *sight, const char *path, uint8_t kind)
{
	struct entry entry = { .path = strdup(path), .kind = kind };

	entries_add(&sight->files, &entry);
	entries_sort(&sight->files);
}

struct made {
	struct sight clean[3], run;
	struct baseline baseline;
	struct difference difference;
};

static void compare(struct made *made)
{
	baseline_make(&made->baseline, made->clean, 3);
	sight_compare(&made->baseline, &made->run, &made->difference);
}

static void made_clear(struct made *made)
{
	for (int i = 0; i < 3; i++)
		sight_clear(&made->clean[i]);
	sight_clear(&made->run);
}

static void made_clean(struct made *made, const char *out, const char *file)
{
	for (int i = 0; i < 3; i++)
		made->clean[i] = sight_made(out, file, "");
}

static void equal_runs_do_not_differ(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "x", "data");
	made.run = sight_made("x", "data", "");
	compare(&made);
	assert_false(made.difference.out || made.difference.files ||
		     made.difference.said);
	made_clear(&made);
}

static void a_shorter_file_differs_and_is_named(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "x", "data");
	made.run = sight_made("x", "d", "");
	compare(&made);
	assert_true(made.difference.files);
	assert_non_null(strstr(made.difference.what, "kept has 1 bytes"));
	made_clear(&made);
}

static void other_output_differs(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "xy", NULL);
	made.run = sight_made("x", NULL, "");
	compare(&made);
	assert_true(made.difference.out);
	made_clear(&made);
}

static void a_message_is_new_but_for_its_numbers(void **state)
{
	struct made made = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		made.clean[i] = sight_made("", NULL, "pid 17 begins\n");
	made.run = sight_made("", NULL, "pid 4711 begins\n");
	compare(&made);
	assert_false(made.difference.said);
	sight_clear(&made.run);
	made.run = sight_made("", NULL, "pid 4711 begins\nit fails\n");
	compare(&made);
	assert_true(made.difference.said);
	assert_string_equal(made.difference.message, "it fails");
	made_clear(&made);
}

static void what_changes_by_itself_is_only_measured(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "x", "data");
	sight_clear(&made.clean[1]);
	made.clean[1] = sight_made("x", "Xata", "");
	made.run = sight_made("x", "Yata", "");
	compare(&made);
	assert_int_equal(made.baseline.files_unstable, 1);
	assert_false(made.difference.files);
	sight_clear(&made.run);
	made.run = sight_made("x", "", ""); /* empty is no other nonce */
	compare(&made);
	assert_true(made.difference.files);
	made_clear(&made);
}

static void an_input_that_is_gone_is_destroyed(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "x", "data");
	made.run = sight_made("x", "data", "");
	entry_put(&made.run, "in", ENTRY_GONE);
	compare(&made);
	assert_true(made.difference.destroyed);
	assert_non_null(strstr(made.difference.what, "in, which was there"));
	made_clear(&made);
}

static void an_input_removed_for_a_bad_result_is_told(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "x", "data");
	for (int i = 0; i < 3; i++)
		entry_put(&made.clean[i], "in", ENTRY_GONE);
	made.run = sight_made("x", "d", "");
	entry_put(&made.run, "in", ENTRY_GONE);
	compare(&made);
	assert_true(made.difference.source_gone);
	assert_non_null(strstr(made.difference.what, "in is removed"));
	made_clear(&made);
}

static void what_is_left_behind_alone_is_extra(void **state)
{
	struct made made = { 0 };

	(void)state;
	made_clean(&made, "x", "data");
	made.run = sight_made("x", "data", "");
	entry_put(&made.run, "out.tmp", ENTRY_FILE);
	compare(&made);
	assert_true(made.difference.files && made.difference.extra_only);
	made_clear(&made);
}

static void sights_cross_processes_whole(void **state)
{
	struct sight sight = sight_made("out", "data", "err"), got;
	char name[] = "/tmp/mishap-sight-XXXXXX";
	int fd = mkstemp(name);

	(void)state;
	unlink(name);
	assert_int_equal(sight_write(&sight, fd), 0);
	assert_int_equal(sight_write(&sight, fd), 0);
	lseek(fd, 0, SEEK_SET);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(sight_read(fd, &got), 0);
		assert_string_equal(got.out, "out");
		assert_string_equal(got.err, "err");
		assert_true(sight_same_files(&got, &sight));
		sight_clear(&got);
	}
	assert_int_equal(sight_read(fd, &got), -ENODATA);
	sight_clear(&sight);
	close(fd);
}

/* ---- faults ------------------------------------------------------------- */

static size_t faults(unsigned call, unsigned object, const char *path,
		     struct plausible ret[FAULTS_MAX])
{
	struct spot spot = { .seen = { .call = (uint16_t)call,
				       .object = (uint8_t)object,
				       .count = 1,
				       .bytes = 100 } };

	strcpy(spot.seen.path, path);
	return faults_of(&spot, ret);
}

static void every_fault_is_one_that_the_call_may_have(void **state)
{
	(void)state;
	for (unsigned call = 0; call < CALL_COUNT; call++)
		for (unsigned object = 0; object < OBJECT_COUNT; object++) {
			struct plausible got[FAULTS_MAX];
			size_t n = faults(call, object, "/x", got);

			for (size_t i = 0; i < n; i++)
				assert_true(got[i].kind == KIND_SHORT ||
					    call_allows(call, got[i].error));
		}
}

static void a_file_may_be_full_and_a_pipe_may_not(void **state)
{
	struct plausible got[FAULTS_MAX];

	(void)state;
	assert_true(faults(CALL_write, OBJECT_FILE_WRITE, "/x", got) > 1);
	assert_int_equal(got[0].error, ENOSPC);
	assert_int_equal(faults(CALL_write, OBJECT_PIPE, "", got), 1);
	assert_int_equal(got[0].kind, KIND_SHORT);
	assert_int_equal(faults(CALL_write, OBJECT_STDERR, "", got), 0);
}

static void what_the_kernel_makes_up_does_not_fail(void **state)
{
	struct plausible got[FAULTS_MAX];

	(void)state;
	assert_int_equal(
		faults(CALL_read, OBJECT_FILE_READ, "/proc/self/maps", got), 0);
	assert_int_equal(faults(CALL_read, OBJECT_FILE_READ, "/procedure", got),
			 1);
}

static void from_here_on_fails_what_writes_and_no_more(void **state)
{
	struct sweep_cell cell = { .object = OBJECT_FILE_WRITE };

	(void)state;
	faults_group(CALL_write, &cell);
	assert_true(cell.group[CALL_write] && cell.group[CALL_pwrite]);
	assert_false(cell.group[CALL_read] || cell.group[CALL_close]);
	assert_true(cell.group_objects >> OBJECT_STDOUT & 1);
	assert_false(cell.group_objects >> OBJECT_STDERR & 1);
}

/* ---- cells and classes -------------------------------------------------- */

static struct sweep_options options;

static struct sweep sweep_made(struct spot *spots, size_t count)
{
	return (struct sweep){ .options = &options,
			       .sites = spots,
			       .sites_count = count };
}

static void each_site_is_tried_once_before_any_is_again(void **state)
{
	struct spot spots[2] = {
		{ .seen = { .id = 1,
			    .call = CALL_read,
			    .count = 9,
			    .object = OBJECT_FILE_READ,
			    .path = "/a" },
		  .own = 1 },
		{ .seen = { .id = 2,
			    .call = CALL_write,
			    .count = 1,
			    .object = OBJECT_FILE_WRITE,
			    .path = "/b",
			    .bytes = 9 },
		  .own = 2 },
	};
	struct sweep sweep = sweep_made(spots, 2);
	bool middle = false, last = false;

	(void)state;
	assert_int_equal(cells_make(&sweep), 0);
	assert_int_equal(sweep.cells[0].site, 1); /* it writes */
	assert_int_equal(sweep.cells[1].site, 0);
	assert_int_equal(sweep.cells[0].nth, 1);
	for (size_t i = 0; i < sweep.cells_count; i++) {
		middle |= !sweep.cells[i].site && sweep.cells[i].nth == 5;
		last |= !sweep.cells[i].site && sweep.cells[i].nth == 9;
	}
	assert_true(middle && last);
	free(sweep.cells);
}

static unsigned class_of(struct sweep *sweep, const char *file, int status,
			 const char *err, uint32_t fired, bool hung)
{
	struct sight run = sight_made("", file, err);
	struct sweep_area *area = calloc(1, sizeof(*area));
	struct cell cell = { .error = ENOSPC };
	struct cell_result result = { 0 };

	run.status = status;
	run.hung = hung;
	area->fired = fired;
	area->fired_pid = 2;
	judge_cell(sweep, &cell, &run, area, &result);
	sight_clear(&run);
	free(area);
	return result.class;
}

static void classes_are_told_apart(void **state)
{
	struct spot spot = { .seen = { .call = CALL_write,
				       .object = OBJECT_FILE_WRITE } };
	struct sweep sweep = sweep_made(&spot, 1);

	(void)state;
	for (int i = 0; i < 3; i++)
		sweep.base[i] = sight_made("", "data", "");
	baseline_make(&sweep.baseline, sweep.base, 3);
	assert_int_equal(class_of(&sweep, "data", 0, "", 0, false),
			 CLASS_UNREACHED);
	assert_int_equal(class_of(&sweep, "data", 0, "", 1, false),
			 CLASS_HANDLED);
	assert_int_equal(class_of(&sweep, "d", 0, "", 1, false), CLASS_SILENT);
	assert_int_equal(class_of(&sweep, "d", 1, "full\n", 1, false),
			 CLASS_REPORTED);
	assert_int_equal(class_of(&sweep, "d", 1, "", 1, false), CLASS_MUTE);
	assert_int_equal(class_of(&sweep, "d", 139, "", 1, false),
			 CLASS_CRASHED);
	assert_int_equal(class_of(&sweep, "d", 0, "", 1, true), CLASS_HUNG);
	spot.seen.call = CALL_fsync;
	assert_int_equal(class_of(&sweep, "data", 0, "", 1, false),
			 CLASS_SILENT);
	assert_int_equal(class_of(&sweep, "data", 0, "careful\n", 1, false),
			 CLASS_HANDLED);
	for (int i = 0; i < 3; i++)
		sight_clear(&sweep.base[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(equal_runs_do_not_differ),
		TEST(a_shorter_file_differs_and_is_named),
		TEST(other_output_differs),
		TEST(a_message_is_new_but_for_its_numbers),
		TEST(what_changes_by_itself_is_only_measured),
		TEST(an_input_that_is_gone_is_destroyed),
		TEST(an_input_removed_for_a_bad_result_is_told),
		TEST(what_is_left_behind_alone_is_extra),
		TEST(sights_cross_processes_whole),
		TEST(every_fault_is_one_that_the_call_may_have),
		TEST(a_file_may_be_full_and_a_pipe_may_not),
		TEST(what_the_kernel_makes_up_does_not_fail),
		TEST(from_here_on_fails_what_writes_and_no_more),
		TEST(each_site_is_tried_once_before_any_is_again),
		TEST(classes_are_told_apart),
	};

	return TESTS_RUN(tests);
}

/* run.c - surroundings, clean runs, sites, cells, findings once more, bugs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/rundir.h"
#include "runner/sweep/area.h"
#include "runner/sweep/sweep.h"
#include "runner/sweep/team.h"

#define HANG_LEAST_NS (2 * NS_PER_S)
#define HANG_FACTOR   10

static int broken(int error, const char *why)
{
	if (!error)
		return 0;
	return sweep_fail(error == -EFBIG ? EXIT_CODE_USAGE : EXIT_CODE_INVALID,
			  "%s", *why ? why : strerror(-error));
}

/* ---- clean runs --------------------------------------------------------- */

static int baseline_judge(struct sweep *sweep)
{
	const struct sight *first = &sweep->base[0];
	uint64_t longest = 0;

	for (unsigned i = 0; i < SWEEP_BASELINES; i++) {
		const struct sight *sight = &sweep->base[i];

		if (i == 3)
			continue;
		if (sight->hung || !sight->ended)
			return sweep_fail(
				EXIT_CODE_INCONCLUSIVE,
				"without any fault it doesn't end within "
				"two minutes; nothing can be said of it");
		if (sight->signal || sight->status == 127)
			return sweep_fail(EXIT_CODE_INCONCLUSIVE,
					  "without any fault it %s: %.200s",
					  sight->signal
						  ? "is killed by a signal"
						  : "can't be started",
					  sight->err);
		if (sight->duration_ns > longest)
			longest = sight->duration_ns;
	}
	baseline_make(&sweep->baseline, sweep->base, 3);
	if (sweep->baseline.status_unstable)
		return sweep_fail(
			EXIT_CODE_INCONCLUSIVE,
			"without any fault its exit status changes from "
			"run to run (%d, %d, %d); nothing can be said of "
			"it",
			first->status, sweep->base[1].status,
			sweep->base[2].status);
	sweep->timeout_ns = sweep->options->timeout_ns;
	if (!sweep->timeout_ns) {
		sweep->timeout_ns = HANG_FACTOR * longest;
		if (sweep->timeout_ns < HANG_LEAST_NS)
			sweep->timeout_ns = HANG_LEAST_NS;
	}
	sweep->rerun_ok = sweep->base[3].ended && !sweep->base[3].signal &&
			  sweep->base[3].status == first->status;
	sweep->rerun_same = sweep->rerun_ok &&
			    !sweep->baseline.files_unstable &&
			    sight_same_files(&sweep->base[3], first);
	return 0;
}

static void baseline_note(struct sweep *sweep)
{
	const struct baseline *baseline = &sweep->baseline;

	if (sweep->base[0].status)
		words_push(&sweep->notes,
			   words_say("without any fault it ends with exit "
				     "status %d",
				     sweep->base[0].status));
	if (baseline->out_unstable)
		words_push(&sweep->notes,
			   words_say("standard output changes from run to run: "
				     "only its length is compared"));
	if (baseline->files_unstable)
		words_push(&sweep->notes,
			   words_say("%zu of %zu files change from run to run "
				     "(%s): only their length is compared",
				     baseline->files_unstable,
				     sweep->base[0].files.count,
				     baseline->unstable_path));
	if (sweep->interpreter)
		words_push(&sweep->notes,
			   words_say("interpreter (%s): sites of its functions "
				     "aren't told apart, coverage is withheld",
				     sweep->interpreter));
	if (sweep->shell_sites)
		words_push(&sweep->notes,
			   words_say("%llu sites are the shell's own: with "
				     "--shell they are failed, too",
				     (unsigned long long)sweep->shell_sites));
	if (sweep->sites_lost)
		sweep_because(
			sweep, VERDICT_INCONCLUSIVE,
			words_say("more than %d call sites: %llu calls weren't "
				  "listed",
				  SWEEP_SITES_MAX,
				  (unsigned long long)sweep->sites_lost));
}

/* ---- cells -------------------------------------------------------------- */

int sweep_results(struct sweep *sweep)
{
	size_t bytes = (sweep->cells_count + 1) * sizeof(*sweep->results);
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return -errno;
	sweep->results = at;
	return 0;
}

static int cells_try(struct sweep *sweep, char *why)
{
	uint32_t *order = calloc(sweep->cells_count + 1, sizeof(*order));
	uint64_t start = clock_now_ns();
	uint64_t budget = sweep->options->budget_ns;
	int error;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < sweep->cells_count; i++)
		order[i] = i;
	/* A fifth is kept for what was found. */
	error = team_cells(sweep, order, (uint32_t)sweep->cells_count,
			   budget ? start + budget / 5 * 4 : UINT64_MAX,
			   "cells", why);
	free(order);
	sweep->sweep_ns = clock_now_ns() - start;
	return error;
}

/* Nothing is told that doesn't come again. */
static int findings_confirm(struct sweep *sweep, char *why)
{
	uint32_t *order = calloc(sweep->cells_count + 1, sizeof(*order));
	uint64_t start = clock_now_ns();
	uint32_t count = 0;
	int error = 0;

	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < sweep->cells_count; i++) {
		sweep->results[i].confirmed = false;
		if (class_is_finding(sweep->results[i].class))
			order[count++] = i;
	}
	if (count && !interrupt_signal())
		error = team_cells(sweep, order, count, UINT64_MAX,
				   "findings once more", why);
	for (uint32_t i = 0; i < count; i++)
		sweep->refuted += !sweep->results[order[i]].confirmed &&
				  !sweep->results[order[i]].skipped;
	free(order);
	sweep->confirm_ns = clock_now_ns() - start;
	return error;
}

static void spots_count(struct sweep *sweep)
{
	for (size_t i = 0; i < sweep->cells_count; i++) {
		const struct cell_result *result = &sweep->results[i];
		struct spot *site = &sweep->sites[sweep->cells[i].site];

		if (result->class == CLASS_UNTRIED)
			continue;
		sweep->tried++;
		if (result->class == CLASS_UNREACHED)
			continue;
		site->failed++;
		site->handled +=
			!class_is_finding(result->class) || !result->confirmed;
	}
}

static void conclude(struct sweep *sweep)
{
	size_t bugs = sweep->bugs_count - sweep->minor_count;
	size_t skipped = 0;

	for (size_t i = 0; i < sweep->cells_count; i++)
		skipped += sweep->results[i].skipped;
	if (skipped)
		words_push(&sweep->notes,
			   words_say("%zu cells weren't tried: others of the "
				     "same kind had hung",
				     skipped));
	if (sweep->refuted)
		words_push(&sweep->notes,
			   words_say("%zu findings didn't come again and "
				     "aren't told",
				     sweep->refuted));
	if (bugs)
		sweep_because(
			sweep, VERDICT_FAIL,
			words_say("%zu bug%s", bugs, bugs == 1 ? "" : "s"));
	if (sweep->interrupted)
		sweep_because(
			sweep, VERDICT_ABORTED,
			words_say("interrupted when %zu of %zu cells had been "
				  "tried",
				  sweep->tried, sweep->cells_count));
	else if (sweep->tried + skipped < sweep->cells_count)
		sweep_because(
			sweep, VERDICT_INCONCLUSIVE,
			words_say("the budget ended when %zu of %zu cells had "
				  "been tried; --budget TIME gives more",
				  sweep->tried, sweep->cells_count));
	if (!sweep->cells_count)
		sweep_because(sweep, VERDICT_INCONCLUSIVE,
			      words_say("it makes no call that could fail"));
}

int sweep_clean(struct sweep *sweep)
{
	char why[SANDBOX_WHY_MAX] = "";
	int code = broken(team_baseline(sweep, why), why);

	if (!code && interrupt_signal())
		return 128 + interrupt_signal();
	if (!code)
		code = baseline_judge(sweep);
	if (!code)
		code = broken(sites_take(sweep), why);
	for (unsigned i = 1; i < sweep->options->jobs && !code; i++)
		area_learn(&sweep->areas[i], &sweep->areas[0]);
	return code;
}

static int work(struct sweep *sweep)
{
	char why[SANDBOX_WHY_MAX] = "";
	uint64_t start = clock_now_ns();
	int code = sweep_clean(sweep);

	if (!code)
		code = broken(cells_make(sweep), why);
	if (!code)
		code = broken(sweep_results(sweep), why);
	if (code)
		return code;
	sweep->baseline_ns = clock_now_ns() - start;
	baseline_note(sweep);
	if (sweep->options->list_only)
		return 0;
	if (sweep->cells_count)
		code = broken(cells_try(sweep, why), why);
	if (!code)
		code = broken(findings_confirm(sweep, why), why);
	if (!code) {
		bugs_find(sweep);
		bugs_explain(sweep);
		spots_count(sweep);
		conclude(sweep);
	}
	progress_live("%s", "");
	return code;
}

static int report(struct sweep *sweep)
{
	static const int codes[] = {
		[VERDICT_PASS] = EXIT_CODE_PASS,
		[VERDICT_INCONCLUSIVE] = EXIT_CODE_INCONCLUSIVE,
		[VERDICT_ABORTED] = EXIT_CODE_ABORTED,
		[VERDICT_FAIL] = EXIT_CODE_FAIL,
		[VERDICT_INVALID] = EXIT_CODE_INVALID,
	};
	const struct sweep_options *options = sweep->options;
	_cleanup_words_ char *path =
		words_say("%s/sweep.json", sweep->place.run_dir);
	_cleanup_json_ json_t *json = sweep_json(sweep);
	bool to_stdout = options->json_path && !strcmp(options->json_path, "-");
	int code = codes[sweep->verdict];
	bool unwritten = !json || !path || words_write_json(path, json) < 0;

	sweep_print(sweep, to_stdout ? stderr : stdout);
	if (json && to_stdout) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (json && options->json_path &&
		   words_write_json(options->json_path, json) < 0) {
		unwritten = true;
	}
	if (unwritten)
		sweep_fail(0, "a report couldn't be written");
	if (unwritten && code == EXIT_CODE_PASS)
		code = EXIT_CODE_INVALID;
	if (sweep->interrupted && code != EXIT_CODE_FAIL)
		code = 128 + interrupt_signal();
	return code;
}

int sweep_run(const struct sweep_options *options)
{
	struct sweep sweep = { .options = options,
			       .cwd_fd = -1,
			       .shared.owner_fd = -1,
			       .start_ns = clock_now_ns() };
	struct timespec now;
	int code = start_places(&sweep);

	clock_gettime(CLOCK_REALTIME, &now);
	sweep.epoch_ns = (uint64_t)now.tv_sec * NS_PER_S;
	if (!code)
		code = start_program(&sweep);
	if (!code)
		code = start_stdin(&sweep);
	if (!code)
		code = start_rundir(&sweep);
	if (code) {
		start_undo(&sweep);
		return code;
	}
	interrupt_open();
	progress_open(options->quiet, false, stderr);
	shared_dirs_sweep();
	code = start_areas(&sweep);
	if (!code)
		code = start_sandboxes(&sweep);
	if (!code)
		code = work(&sweep);
	progress_close();
	if (code)
		rundir_discard(&sweep.place);
	else
		code = report(&sweep);
	tree_remove(sweep.place.scratch);
	interrupt_close();
	start_undo(&sweep);
	return code;
}

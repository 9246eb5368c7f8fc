/* cut_run.c - record, check the log, explore, conclude. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/launch.h"
#include "runner/powercut/check.h"
#include "runner/powercut/powercut.h"
#include "runner/powercut/worker.h"
#include "runner/rundir.h"
#include "runner/words.h"

#define FINDINGS_SHARE 3 /* a third of the budget is kept for findings */

static void because(struct cut_result *result, enum verdict verdict,
		    char *reason)
{
	if (reason)
		words_push(&result->reasons, reason);
	if (verdict > result->verdict)
		result->verdict = verdict;
}

static int fail(int code, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static int fail(int code, const char *format, ...)
{
	va_list args;

	fputs("mishap: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

static int places_find(const struct cut_options *options,
		       struct cut_result *result)
{
	const char *tree = options->tree ? options->tree : ".";
	struct stat st;

	result->cwd = getcwd(NULL, 0);
	result->tree = realpath(tree, NULL);
	if (!result->cwd || !result->tree)
		return fail(EXIT_CODE_USAGE,
			    "the tree %s: %s\n  --tree DIR names the directory "
			    "whose files are to survive",
			    tree, strerror(errno));
	if (stat(result->tree, &st) != 0 || !S_ISDIR(st.st_mode))
		return fail(EXIT_CODE_USAGE, "the tree %s: not a directory",
			    tree);
	if (!strcmp(result->tree, "/") || !strcmp(result->tree, "/tmp") ||
	    is_below("/usr", result->tree) || is_below("/etc", result->tree))
		return fail(EXIT_CODE_USAGE,
			    "the tree %s is too much of the system; --tree DIR "
			    "names the directory whose files are to survive",
			    result->tree);
	return 0;
}

static int program_find(const struct cut_options *options,
			const struct cut_result *result)
{
	_cleanup_words_ char *found = NULL;
	int error = launch_find(options->argv[0], result->cwd, environ, &found);

	if (error)
		return fail(EXIT_CODE_USAGE, "%s: %s", options->argv[0],
			    error == -ENOENT ? "no such program"
					     : strerror(-error));
	return 0;
}

static int rundir_open(const struct cut_options *options,
		       struct cut_result *result)
{
	const char *runs =
		options->runs_dir ? options->runs_dir : RUNDIR_DEFAULT;
	_cleanup_words_ char *where = NULL;
	int error = rundir_check(runs, &where);

	if (!error)
		error = rundir_name(runs, &result->place);
	if (!error && mkdir(result->place.run_dir, 0755) != 0)
		error = -errno;
	if (!error && mkdir(result->place.scratch, 0755) != 0)
		error = -errno;
	if (error)
		return fail(EXIT_CODE_USAGE,
			    "runs can't be kept in %s: %s\n  --run-dir DIR "
			    "names another place",
			    where ? where : runs, strerror(-error));
	return 0;
}

/* Words of a shell's command that name files by their whole path. */
static void words_bound(const char *command, const struct cut_result *result,
			const char *bound[SANDBOX_BOUND_MAX + 1], size_t *count,
			char *copies[SANDBOX_BOUND_MAX])
{
	char *copy = command ? strdup(command) : NULL, *save = NULL;

	for (char *word = copy ? strtok_r(copy, " \t\n'\";|&()<>=", &save)
			       : NULL;
	     word && *count < SANDBOX_BOUND_MAX;
	     word = strtok_r(NULL, " \t\n'\";|&()<>=", &save))
		if (*word == '/' && word[1] && access(word, F_OK) == 0 &&
		    !is_below(word, result->tree) &&
		    !is_below(result->tree, word)) {
			copies[*count] = strdup(word);
			bound[*count] = copies[*count];
			++*count;
		}
	free(copy);
}

static int sandbox_make(const struct cut_options *options,
			const struct cut_result *result,
			struct sandbox **ret_sandbox)
{
	const char *bound[SANDBOX_BOUND_MAX + 1] = { NULL };
	char *copies[SANDBOX_BOUND_MAX] = { NULL };
	char why[SANDBOX_WHY_MAX] = "";
	bool inside = is_below(result->cwd, result->tree);
	struct sandbox_input input = {
		.cwd = inside ? result->tree : result->cwd,
		.scratch = result->place.scratch,
		.bound = bound,
		.argv = options->argv,
		.no_network = options->no_network,
	};
	size_t count = 0;
	int error;

	if (!is_below(result->tree, input.cwd))
		bound[count++] = result->tree;
	for (size_t i = 0; options->argv[i]; i++)
		words_bound(options->argv[i], result, bound, &count, copies);
	words_bound(options->check, result, bound, &count, copies);
	words_bound(options->server, result, bound, &count, copies);
	words_bound(options->recover, result, bound, &count, copies);
	error = sandbox_open(&input, ret_sandbox, why);
	for (size_t i = 0; i < SANDBOX_BOUND_MAX; i++)
		free(copies[i]);
	if (error)
		return fail(EXIT_CODE_USAGE,
			    "%s\n  mishap powercut runs everything in a "
			    "sandbox",
			    strncmp(why, "--sandbox: ", 11) ? why : why + 11);
	return 0;
}

/* ---- recording ----------------------------------------------------------- */
static int recorded_check(struct cut_result *result)
{
	char *why = NULL;
	int error =
		history_read(result->log, result->log_bytes, &result->history);

	if (error == -EBADMSG || error == -EPROTO) {
		because(result, VERDICT_INCONCLUSIVE,
			words_say("unsound: the log contradicts itself"));
		return -EPROTO;
	}
	if (error == -E2BIG) {
		because(result, VERDICT_INCONCLUSIVE,
			words_say("the program did more than %d operations",
				  HISTORY_OPS_MAX));
		return error;
	}
	if (error)
		return error;
	result->recorded = true;
	if (!result->history.unsound)
		error = history_check(&result->history, &why);
	if (result->history.unsound || why)
		because(result, VERDICT_INCONCLUSIVE,
			words_say("unsound: %s",
				  why ? why : result->history.unsound));
	else if (!error)
		result->sound = true;
	free(why);
	for (uint32_t i = 0; i < result->history.nodes_count; i++)
		if (result->history.nodes[i].base &&
		    result->history.nodes[i].kind == NODE_FILE) {
			result->base_files++;
			result->base_bytes += result->history.nodes[i].size;
		}
	return error;
}

/* What a program that failed did is judged, too; a PASS would be no proof. */
static void ending_note(struct cut_result *result)
{
	int status = result->history.status;

	if (WIFSIGNALED(status))
		because(result, VERDICT_INCONCLUSIVE,
			words_say("the program was killed by signal %d as it "
				  "was recorded; see %s/stderr",
				  WTERMSIG(status), result->place.run_dir));
	else if (WEXITSTATUS(status))
		because(result, VERDICT_INCONCLUSIVE,
			words_say("the program ended with exit status %d as it "
				  "was recorded; see %s/stderr",
				  WEXITSTATUS(status), result->place.run_dir));
}

static bool changes_anything(const struct history *history)
{
	for (uint32_t i = 0; i < history->ops_count; i++)
		if (history->ops[i].slot != NONE ||
		    history->ops[i].kind == OPLOG_WRITE ||
		    history->ops[i].kind == OPLOG_TRUNCATE)
			return true;
	return false;
}

/* ---- exploring ----------------------------------------------------------- */
static void on_progress(uint32_t done, void *data)
{
	struct cut_result *result = data;
	uint32_t all = 0;

	for (unsigned m = 0; m < result->explore.models_count; m++)
		all += result->explore.models[m].states.count;
	progress_live("judging states: %u of at most %u", done, all);
}

static const char *outcome_words(const struct outcome *outcome, char text[64])
{
	switch (outcome->kind) {
	case OUTCOME_HUNG:
		return "doesn't end";
	case OUTCOME_SIGNALLED:
		snprintf(text, 64, "is killed by signal %d", outcome->status);
		return text;
	case OUTCOME_EXITED:
		snprintf(text, 64, "ends with exit status %d", outcome->status);
		return text;
	}
	return "can't be run";
}

/* The last line that it said, within a line of a report. */
static void last_line(const struct outcome *outcome, char line[120])
{
	const char *end = outcome->text ? outcome->text + outcome->bytes : NULL;
	const char *at;

	*line = '\0';
	while (end && end > outcome->text && (unsigned char)end[-1] <= ' ')
		end--;
	if (!end || end == outcome->text)
		return;
	at = memrchr(outcome->text, '\n', (size_t)(end - outcome->text));
	at = at ? at + 1 : outcome->text;
	snprintf(line, 120, ": %.*s", (int)(end - at), at);
}

static bool answers_red(struct explore *explore, const struct outcome *outcome)
{
	struct answer answer = { 0 };
	unsigned bits;

	if (answer_read(&explore->ledger, outcome, &answer) < 0)
		return false;
	explore->evaluation.present = realloc(explore->evaluation.present,
					      explore->ledger.keys_count + 64);
	explore->evaluation_room = explore->ledger.keys_count + 63;
	bits = explore->evaluation.present
		       ? evaluate(&explore->evaluation, &answer,
				  explore->ledger.count, UINT64_MAX, NULL)
		       : 0;
	answer_clear(&answer);
	return bits != 0;
}

/* An oracle that is content with everything is none. */
static int oracle_try(struct cut_result *result)
{
	struct explore *explore = &result->explore;
	struct control control = { 0 };
	const struct outcome *after;
	char text[64], line[120];
	bool bites = false;
	int error = explore_control(explore, &control);

	if (error) {
		control_clear(&control);
		return error;
	}
	after = &control.outcomes[1];
	if (after->kind != OUTCOME_EXITED || answers_red(explore, after)) {
		last_line(after, line);
		because(result, VERDICT_INCONCLUSIVE,
			words_say("the checker isn't content with the tree as "
				  "the program left it: it %s%s",
				  outcome_words(after, text), line));
		result->out_of_time = false;
		control_clear(&control);
		return -ENOTSUP;
	}
	for (int i = 2; i < 5; i++)
		bites |= control.outcomes[i].kind != OUTCOME_EXITED ||
			 answers_red(explore, &control.outcomes[i]);
	if (!bites)
		because(result, VERDICT_INCONCLUSIVE,
			words_say("the checker is content even with a tree "
				  "whose files are empty, or gone: it proves "
				  "nothing"));
	if (explore->ledger.acks && !control.after.speaks &&
	    explore->promise.kind != PROMISE_NONE)
		because(result, VERDICT_INCONCLUSIVE,
			words_say("%u acknowledgements were recorded, and the "
				  "checker prints no `present STREAM ID`: none "
				  "is checked",
				  explore->ledger.acks));
	if (control.before.violations) {
		error = explore_first(explore);
		if (!error)
			words_push(
				&result->notes,
				words_say("the checker isn't content with "
					  "the tree as it was before: states "
					  "are judged from operation %u of "
					  "%u on",
					  explore->first_cut + 1,
					  result->history.ops_count));
	}
	control_clear(&control);
	return error;
}

static int explore_all(const struct cut_options *options,
		       struct cut_result *result)
{
	struct explore *explore = &result->explore;
	uint64_t start = clock_now_ns(), share;
	int error = explore_open(explore);

	if (!error && explore->has_checker)
		error = oracle_try(result);
	for (unsigned m = 0; m < options->models_count && !error; m++) {
		if (!m)
			start = clock_now_ns();
		progress_live("enumerating states: %s",
			      options->models[m]->name);
		share = options->budget_ns / 4 / options->models_count;
		error = explore_add(explore, options->models[m],
				    clock_now_ns() + share);
		if (error == -E2BIG)
			because(result, VERDICT_INCONCLUSIVE,
				words_say("the log has more than %d pieces "
					  "that persist on their own",
					  DAG_MICROS_MAX));
		if (!error)
			result->sets += explore->models[m].states.sets;
	}
	result->enumerate_ns = clock_now_ns() - start;
	start = clock_now_ns();
	if (!error)
		error = explore_judge(explore, start + options->budget_ns /
							       FINDINGS_SHARE *
							       2);
	result->judge_ns = clock_now_ns() - start;
	if (!error && explore->unstable)
		words_push(&result->notes,
			   words_say("on %u bad trees the checker said "
				     "something else when it was asked again; "
				     "that counts",
				     explore->unstable));
	if (!error && !interrupt_signal()) {
		progress_live("shrinking what was found");
		error = findings_make(explore,
				      clock_now_ns() + options->budget_ns /
							       FINDINGS_SHARE,
				      &result->findings);
	}
	progress_live("%s", "");
	return error;
}

static void conclude(struct cut_result *result)
{
	const struct explore *explore = &result->explore;
	uint32_t judged = 0, states = 0, bad = 0;

	for (unsigned m = 0; m < explore->models_count; m++) {
		judged += explore->models[m].judged;
		states += explore->models[m].states.count;
		bad += explore->models[m].bad;
	}
	result->interrupted = interrupt_signal() != 0;
	if (bad)
		because(result, VERDICT_FAIL,
			words_say("%u of %u states break a promise", bad,
				  judged));
	else if (result->interrupted)
		because(result, VERDICT_ABORTED,
			words_say("interrupted when %u of %u states had been "
				  "judged",
				  judged, states));
	else if (!judged && !result->reasons.count)
		because(result, VERDICT_INCONCLUSIVE,
			words_say("no state was judged within the budget; "
				  "--budget TIME gives more"));
}

static void explore_fill(const struct cut_options *options,
			 struct cut_result *result,
			 struct sandbox *const *sandboxes, char **envp)
{
	struct explore *explore = &result->explore;

	*explore = (struct explore){
		.history = &result->history,
		.has_checker = options->check || options->server ||
			       options->recover,
		.promise = options->promise,
		.seed = options->seed,
		.states_max = options->states_max,
		.random = options->states_max / 4,
		.shard = options->shard,
		.shards = options->shards,
		.judge = {
			.sandboxes = sandboxes,
			.tree = result->tree,
			.cwd = result->cwd,
			.check = options->check,
			.server = options->server,
			.recover = options->recover,
			.envp = envp,
			.timeout_ns = options->timeout_ns,
			.jobs = options->jobs,
			.progress = on_progress,
			.data = result,
		},
	};
}

/* 0, or an exit code where there is nothing to report. */
static int work(const struct cut_options *options, struct cut_result *result,
		struct sandbox *const *sandboxes)
{
	const struct strings none = { 0 };
	char **envp = launch_environment(&none, NULL, NULL);
	int error;

	progress_live("recording");
	error = cut_record(options, result, sandboxes[0]);
	if (error == -ETIMEDOUT) {
		because(result, VERDICT_ABORTED,
			words_say("the program ran longer than it may"));
	} else if (error == -EINTR) {
		launch_environment_free(envp);
		return 128 + interrupt_signal();
	} else if (error) {
		launch_environment_free(envp);
		return fail(EXIT_CODE_INVALID, "recording failed: %s",
			    strerror(-error));
	}
	if (!error)
		error = recorded_check(result);
	if (!error && result->sound) {
		ending_note(result);
		if (!changes_anything(&result->history))
			because(result, VERDICT_INCONCLUSIVE,
				words_say("the program changed nothing in %s",
					  result->tree));
		else {
			explore_fill(options, result, sandboxes, envp);
			error = explore_all(options, result);
			conclude(result);
		}
	}
	launch_environment_free(envp);
	if (error && result->verdict == VERDICT_PASS)
		because(result, VERDICT_INVALID,
			words_say("%s", *result->explore.why
						? result->explore.why
						: strerror(-error)));
	return 0;
}

static int report(const struct cut_options *options,
		  const struct cut_result *result)
{
	static const int codes[] = {
		[VERDICT_PASS] = EXIT_CODE_PASS,
		[VERDICT_INCONCLUSIVE] = EXIT_CODE_INCONCLUSIVE,
		[VERDICT_ABORTED] = EXIT_CODE_ABORTED,
		[VERDICT_FAIL] = EXIT_CODE_FAIL,
		[VERDICT_INVALID] = EXIT_CODE_INVALID,
	};
	_cleanup_words_ char *path =
		words_say("%s/powercut.json", result->place.run_dir);
	_cleanup_json_ json_t *json = cut_json(options, result);
	bool to_stdout = options->json_path && !strcmp(options->json_path, "-");
	int code = codes[result->verdict], unwritten = 0;

	if (!json || !path || words_write_json(path, json) < 0)
		unwritten = 1;
	cut_print(options, result, to_stdout ? stderr : stdout);
	if (json && options->json_path && to_stdout) {
		json_dumpf(json, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (json && options->json_path &&
		   words_write_json(options->json_path, json) < 0) {
		unwritten = 1;
	}
	if (unwritten)
		fail(0, "a report couldn't be written");
	if (unwritten && code == EXIT_CODE_PASS)
		code = EXIT_CODE_INVALID;
	if (result->interrupted && code != EXIT_CODE_FAIL)
		code = 128 + interrupt_signal();
	return code;
}

static void result_clear(struct cut_result *result)
{
	findings_clear(&result->findings);
	explore_close(&result->explore);
	if (result->recorded)
		history_clear(&result->history);
	if (result->log)
		munmap(result->log, result->log_bytes);
	words_clear(&result->reasons);
	words_clear(&result->notes);
	place_clear(&result->place);
	free(result->tree);
	free(result->cwd);
}

static void sandboxes_close(struct sandbox *sandboxes[JUDGE_JOBS_MAX])
{
	for (unsigned i = 0; i < JUDGE_JOBS_MAX; i++)
		if (sandboxes[i]) {
			pid_t keeper = sandbox_pid(sandboxes[i]);

			sandbox_close(sandboxes[i]);
			waitpid(keeper, NULL, 0);
		}
}

int cut_run(const struct cut_options *options)
{
	struct cut_result result = { 0 };
	struct sandbox *sandboxes[JUDGE_JOBS_MAX] = { NULL };
	int code = places_find(options, &result);

	if (!code)
		code = program_find(options, &result);
	if (!code)
		code = rundir_open(options, &result);
	if (code) {
		result_clear(&result);
		return code;
	}
	interrupt_open();
	progress_open(options->quiet, false, stderr);
	for (unsigned i = 0; i < options->jobs && !code; i++)
		code = sandbox_make(options, &result, &sandboxes[i]);
	if (!code)
		code = work(options, &result, sandboxes);
	sandboxes_close(sandboxes);
	progress_close();
	if (code)
		rundir_discard(&result.place);
	else
		code = report(options, &result);
	tree_remove(result.place.scratch);
	interrupt_close();
	result_clear(&result);
	return code;
}

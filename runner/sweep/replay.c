/* replay.c - `mishap replay RUN:BUG`: does it still do that? */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/rundir.h"
#include "runner/sweep/sweep.h"
#include "runner/sweep/team.h"

#define JSON_MAX (512u << 20)

static const json_t *bug_find(const json_t *json, const char *id)
{
	static const char *const lists[] = { "bugs", "minor" };

	for (size_t l = 0; l < 2; l++) {
		const json_t *bugs = json_object_get(json, lists[l]);

		for (size_t i = 0; i < json_array_size(bugs); i++) {
			const json_t *bug = json_array_get(bugs, i);
			const char *name =
				json_string_value(json_object_get(bug, "id"));

			if (name && !strcmp(name, id))
				return bug;
		}
	}
	return NULL;
}

static int number(const json_t *object, const char *key)
{
	return (int)json_integer_value(json_object_get(object, key));
}

/* The cell as it was; -ENOENT: the program has no such site any more. */
static int cell_find(struct sweep *sweep, const json_t *json)
{
	const char *text = json_string_value(json_object_get(json, "site"));
	uint64_t id = text ? strtoull(text, NULL, 16) : 0;

	for (uint32_t i = 0; i < sweep->sites_count; i++) {
		if (sweep->sites[i].seen.id != id)
			continue;
		sweep->cells = calloc(1, sizeof(*sweep->cells));
		if (!sweep->cells)
			return -ENOMEM;
		*sweep->cells = (struct cell){
			.site = i,
			.nth = (uint32_t)number(json, "nth"),
			.error = number(json, "error"),
			.span = (uint8_t)number(json, "span"),
			.kind = (uint8_t)number(json, "kind"),
		};
		sweep->cells_count = 1;
		return sweep_results(sweep);
	}
	return -ENOENT;
}

static int tell(const struct sweep *sweep, const char *was)
{
	const struct cell_result *result = sweep->results;
	const char *is = sweep_class_names[result->class];
	_cleanup_words_ char *where = site_words(&sweep->sites[0]);
	char words[120];

	free(where);
	where = site_words(&sweep->sites[sweep->cells->site]);
	printf("fault  %s\nat     %s\nthen   %s%s%s\n",
	       cell_words(sweep, sweep->cells, words), where ? where : "?", is,
	       *result->what ? ": " : "", result->what);
	printf("exit   %s %d\n", result->signal ? "signal" : "status",
	       result->signal ? result->signal : result->status);
	if (!strcmp(was, is)) {
		printf("\nFAIL  it came again\n");
		return EXIT_CODE_FAIL;
	}
	if (class_is_finding(result->class)) {
		printf("\nFAIL  it was %s, and is %s now\n", was, is);
		return EXIT_CODE_FAIL;
	}
	if (result->class == CLASS_UNREACHED) {
		printf("\nINCONCLUSIVE  the call wasn't made\n");
		return EXIT_CODE_INCONCLUSIVE;
	}
	printf("\nPASS  it was %s, and is %s now\n", was, is);
	return EXIT_CODE_PASS;
}

static int again(struct sweep *sweep, const json_t *bug, bool in_gdb)
{
	const char *was = json_string_value(json_object_get(bug, "class"));
	char why[SANDBOX_WHY_MAX] = "";
	uint32_t order = 0;
	int error, code = sweep_clean(sweep);

	if (code)
		return code;
	error = cell_find(sweep, json_object_get(bug, "cell"));
	if (error == -ENOENT)
		return sweep_fail(EXIT_CODE_INCONCLUSIVE,
				  "the program has no such call site any more: "
				  "it was built anew, or does something else; "
				  "sweep it again");
	progress_close();
	if (!error && in_gdb)
		error = team_debugger(sweep, 0, why);
	else if (!error)
		error = team_cells(sweep, &order, 1, UINT64_MAX, NULL, why);
	if (error)
		return sweep_fail(EXIT_CODE_INVALID, "%s",
				  *why ? why : strerror(-error));
	return in_gdb ? 0 : tell(sweep, was ? was : "?");
}

static void options_of(const json_t *json, struct sweep_options *options)
{
	const json_t *from = json_object_get(json, "options");
	const json_t *argv = json_object_get(json, "argv");
	size_t n = json_array_size(argv);

	*options = (struct sweep_options){
		.check = json_string_value(json_object_get(from, "check")),
		.stdin_path = json_string_value(json_object_get(from, "stdin")),
		.timeout_ns = (uint64_t)json_integer_value(
			json_object_get(from, "timeout_ns")),
		.no_network = json_is_true(json_object_get(from, "no_network")),
		.jobs = 1,
		.loader = true,
		.shell = true,
		.color = -1,
		.argv = calloc(n + 1, sizeof(char *)),
	};
	for (size_t i = 0; i < n && options->argv; i++)
		options->argv[i] =
			(char *)json_string_value(json_array_get(argv, i));
	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		options->families[i] = true;
}

static int replay(const json_t *json, const char *run_dir, const json_t *bug,
		  bool in_gdb)
{
	struct sweep_options options;
	struct sweep sweep = { .options = &options,
			       .cwd_fd = -1,
			       .shared.owner_fd = -1,
			       .start_ns = clock_now_ns() };
	_cleanup_words_ char *runs = words_say("%s/..", run_dir);
	struct timespec now;
	int code;

	options_of(json, &options);
	options.runs_dir = runs;
	if (!options.argv || !options.argv[0])
		return EXIT_CODE_INVALID;
	clock_gettime(CLOCK_REALTIME, &now);
	sweep.epoch_ns = (uint64_t)now.tv_sec * NS_PER_S;
	code = start_places(&sweep);
	if (!code)
		code = start_program(&sweep);
	if (!code)
		code = start_stdin(&sweep);
	if (!code)
		code = start_rundir(&sweep);
	interrupt_open();
	progress_open(false, false, stderr);
	if (!code)
		code = start_areas(&sweep);
	if (!code)
		code = start_sandboxes(&sweep);
	if (!code)
		code = again(&sweep, bug, in_gdb);
	progress_close();
	if (sweep.place.run_dir) {
		rundir_discard(&sweep.place);
		tree_remove(sweep.place.scratch);
	}
	interrupt_close();
	start_undo(&sweep);
	free(options.argv);
	return code;
}

static bool is_sweep(const char *dir)
{
	_cleanup_words_ char *path = words_say("%s/sweep.json", dir);

	return path && access(path, R_OK) == 0;
}

/* "last", an id, the beginning of one, or a directory.  malloc'd; NULL: none.
 */
static char *run_find(const char *runs, const char *name)
{
	DIR *dir = opendir(runs);
	char *found = NULL, *real;
	struct dirent *entry;

	if (strchr(name, '/') && is_sweep(name)) {
		if (dir)
			closedir(dir);
		return realpath(name, NULL);
	}
	while (dir && (entry = readdir(dir))) {
		char *path;

		if (*entry->d_name == '.' ||
		    (strcmp(name, "last") != 0 &&
		     strncmp(entry->d_name, name, strlen(name)) != 0))
			continue;
		path = words_say("%s/%s", runs, entry->d_name);
		if (!path || !is_sweep(path) ||
		    (found && strcmp(found, path) > 0)) {
			free(path);
			continue;
		}
		free(found);
		found = path;
	}
	if (dir)
		closedir(dir);
	real = found ? realpath(found, NULL) : NULL;
	free(found);
	return real;
}

static int bug_replay(const char *run_dir, const char *bug_id, bool in_gdb)
{
	_cleanup_words_ char *path = words_say("%s/sweep.json", run_dir);
	_cleanup_words_ char *bytes = NULL;
	_cleanup_json_ json_t *json = NULL;
	const json_t *bug;
	const char *cwd;
	size_t count;

	if (!path || words_read(path, JSON_MAX, &bytes, &count) < 0)
		return sweep_fail(EXIT_CODE_USAGE, "%s is no sweep's", run_dir);
	json = json_loadb(bytes, count, 0, NULL);
	bug = bug_find(json, bug_id);
	if (!bug)
		return sweep_fail(EXIT_CODE_USAGE,
				  "no bug %s in %s; `mishap report` or "
				  "sweep.json there names them",
				  bug_id, path);
	cwd = json_string_value(json_object_get(json, "cwd"));
	if (!cwd || chdir(cwd) != 0)
		return sweep_fail(EXIT_CODE_USAGE, "%s: %s", cwd ? cwd : "?",
				  strerror(errno));
	return replay(json, run_dir, bug, in_gdb);
}

int sweep_replay(const char *runs_dir, const char *name, const char *bug,
		 bool in_gdb)
{
	const char *runs = runs_dir ? runs_dir : RUNDIR_DEFAULT;
	_cleanup_words_ char *run_dir = run_find(runs, name);

	if (!run_dir)
		return sweep_fail(
			EXIT_CODE_USAGE,
			"no sweep '%s' in %s\n  ls %s shows what there "
			"is; --run-dir DIR looks elsewhere",
			name, runs, runs);
	return bug_replay(run_dir, bug, in_gdb);
}

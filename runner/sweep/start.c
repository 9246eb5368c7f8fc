/* start.c - what a sweep stands on: directory, program, memory, sandboxes; and
 * all of it taken away again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/launch.h"
#include "runner/rundir.h"
#include "runner/site_id.h"
#include "runner/sites.h"
#include "runner/sweep/area.h"
#include "runner/sweep/sweep.h"

int sweep_fail(int code, const char *format, ...)
{
	va_list args;

	progress_live("%s", "");
	fputs("mishap: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return code;
}

void sweep_because(struct sweep *sweep, enum verdict verdict, char *reason)
{
	if (reason)
		words_push(&sweep->reasons, reason);
	if (verdict > sweep->verdict)
		sweep->verdict = verdict;
}

/* ---- surroundings ------------------------------------------------------- */

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

int start_places(struct sweep *sweep)
{
	static const char *const system[] = { "/tmp",  "/var",	"/usr", "/etc",
					      "/home", "/root", "/dev" };

	sweep->cwd = getcwd(NULL, 0);
	if (!sweep->cwd)
		return sweep_fail(EXIT_CODE_USAGE, "the working directory: %s",
				  strerror(errno));
	if (!strcmp(sweep->cwd, "/"))
		return sweep_fail(
			EXIT_CODE_USAGE,
			"a sweep works on copies of the working directory, "
			"and that is /; run from a directory of the "
			"target's own");
	for (size_t i = 0; i < sizeof(system) / sizeof(*system); i++)
		if (!strcmp(sweep->cwd, system[i]))
			return sweep_fail(
				EXIT_CODE_USAGE,
				"a sweep works on copies of the working "
				"directory, and that is %s; run from a "
				"directory of the target's own",
				system[i]);
	sweep->cwd_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sweep->cwd_fd < 0)
		return sweep_fail(EXIT_CODE_USAGE, "%s: %s", sweep->cwd,
				  strerror(errno));
	return 0;
}

int start_program(struct sweep *sweep)
{
	const char *name = sweep->options->argv[0];
	_cleanup_words_ char *why = NULL;
	int error = launch_find(name, sweep->cwd, environ, &sweep->program);

	if (error)
		return sweep_fail(EXIT_CODE_USAGE, "%s: %s", name,
				  error == -ENOENT ? "no such program"
						   : strerror(-error));
	if (target_door(sweep->program, &why) != DOOR_LIBRARY) {
		sweep_fail(0, "%s", why);
		fprintf(stderr,
			"  a sweep needs libmishap.so inside; `mishap run "
			"--notify -f …` fails single calls\n");
		return EXIT_CODE_INCONCLUSIVE;
	}
	return 0;
}

int start_rundir(struct sweep *sweep)
{
	const char *runs = sweep->options->runs_dir ? sweep->options->runs_dir
						    : RUNDIR_DEFAULT;
	_cleanup_words_ char *where = NULL, *inner = NULL;
	struct stat st;
	int error = rundir_check(runs, &where);

	if (!error)
		error = rundir_name(runs, &sweep->place);
	if (!error && mkdir(sweep->place.run_dir, 0755) != 0)
		error = -errno;
	if (!error && mkdir(sweep->place.scratch, 0755) != 0)
		error = -errno;
	inner = words_say("%s/cwd", sweep->place.scratch);
	if (!error && (!inner || mkdir(inner, 0755) != 0))
		error = -errno;
	if (error)
		return sweep_fail(
			EXIT_CODE_USAGE,
			"runs can't be kept in %s: %s\n  --run-dir DIR "
			"names another place",
			where ? where : runs, strerror(-error));
	/* Whom root hands the target to is the directory's owner. */
	if (fstat(sweep->cwd_fd, &st) == 0 && geteuid() == 0)
		(void)!chown(inner, st.st_uid, st.st_gid);
	return 0;
}

/* Words that name files by their whole path are seen inside. */
static void words_bound(const struct sweep *sweep, const char *text,
			const char **bound, size_t *count)
{
	char *copy = text ? strdup(text) : NULL, *save = NULL;

	for (char *word = copy ? strtok_r(copy, " \t\n'\";|&()<>=", &save)
			       : NULL;
	     word && *count < SANDBOX_BOUND_MAX;
	     word = strtok_r(NULL, " \t\n'\";|&()<>=", &save))
		if (*word == '/' && word[1] && access(word, F_OK) == 0 &&
		    !is_below(word, sweep->cwd) && !is_below(sweep->cwd, word))
			bound[(*count)++] = strdup(word);
	free(copy);
}

static int sandbox_make(struct sweep *sweep, struct sandbox **ret_sandbox)
{
	_cleanup_words_ char *inner = words_say("%s/cwd", sweep->place.scratch);
	const char *bound[SANDBOX_BOUND_MAX + 1] = { sweep->cwd };
	char why[SANDBOX_WHY_MAX] = "", *none[] = { NULL };
	struct sandbox_input input = {
		.cwd = inner,
		.scratch = sweep->place.scratch,
		.shared_dir = sweep->shared.dir,
		.bound = bound,
		.argv = none,
		.no_network = sweep->options->no_network,
	};
	size_t count = 1;
	int error;

	words_bound(sweep, sweep->library, bound, &count);
	words_bound(sweep, sweep->program, bound, &count);
	words_bound(sweep, sweep->stdin_file, bound, &count);
	words_bound(sweep, sweep->options->check, bound, &count);
	for (size_t i = 1; sweep->options->argv[i]; i++)
		words_bound(sweep, sweep->options->argv[i], bound, &count);
	error = sandbox_open(&input, ret_sandbox, why);
	while (count > 1)
		free((char *)bound[--count]);
	if (error)
		return sweep_fail(
			EXIT_CODE_USAGE,
			"%s\n  mishap sweep runs everything in a sandbox",
			strncmp(why, "--sandbox: ", 11) ? why : why + 11);
	return 0;
}

int start_stdin(struct sweep *sweep)
{
	const char *asked = sweep->options->stdin_path;
	char path[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (asked) {
		sweep->stdin_file = realpath(asked, NULL);
		return sweep->stdin_file
			       ? 0
			       : sweep_fail(EXIT_CODE_USAGE, "--stdin %s: %s",
					    asked, strerror(errno));
	}
	if (fstat(0, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	n = readlink("/proc/self/fd/0", path, sizeof(path) - 1);
	if (n > 0) {
		path[n] = '\0';
		if (access(path, R_OK) == 0)
			sweep->stdin_file = strdup(path);
	}
	return 0;
}

/* An empty plan: the library wants one, and the sweep has no rules. */
static int plan_make(void **ret_plan, size_t *ret_bytes)
{
	struct scenario scenario = { .phases_count = 1 };

	return scenario_compile(&scenario, 1, "/", NULL, 0, false, ret_plan,
				ret_bytes);
}

int start_areas(struct sweep *sweep)
{
	char *library = NULL;
	void *plan = NULL;
	size_t bytes;
	int error = launch_library(&library);

	if (!error)
		error = plan_make(&plan, &bytes);
	if (!error)
		error = shared_file_create(plan, bytes, library,
					   &sweep->shared);
	if (!error)
		error = shared_file_lend_library(&sweep->shared, library,
						 &sweep->library);
	if (!error)
		shared_file_note_scratch(&sweep->shared, sweep->place.scratch);
	free(plan);
	free(library);
	sweep->areas = calloc(sweep->options->jobs, sizeof(*sweep->areas));
	if (!error && !sweep->areas)
		error = -ENOMEM;
	for (unsigned i = 0; i < sweep->options->jobs && !error; i++)
		error = area_open(&sweep->shared, i, &sweep->areas[i]);
	if (!error)
		sweep->envp = launch_environment(NULL, sweep->library, NULL);
	if (!error)
		sites_prepare(sweep->shared.sites_dir, sweep->program);
	return error ? sweep_fail(EXIT_CODE_INVALID, "shared memory: %s",
				  strerror(-error))
		     : 0;
}

int start_sandboxes(struct sweep *sweep)
{
	int code = 0;

	for (unsigned i = 0; i < sweep->options->jobs && !code; i++) {
		code = sandbox_make(sweep, &sweep->sandboxes[i]);
		if (!code)
			late_open(sweep->areas[i].file.state,
				  sweep->shared.sites_dir,
				  sandbox_pid(sweep->sandboxes[i]),
				  &sweep->areas[i].late);
	}
	return code;
}

void start_undo(struct sweep *sweep)
{
	for (unsigned i = 0; i < SWEEP_JOBS_MAX; i++)
		if (sweep->sandboxes[i]) {
			pid_t keeper = sandbox_pid(sweep->sandboxes[i]);

			if (sweep->areas)
				late_close(&sweep->areas[i].late);
			sandbox_close(sweep->sandboxes[i]);
			waitpid(keeper, NULL, 0);
		}
	for (unsigned i = 0; sweep->areas && i < sweep->options->jobs; i++)
		area_close(&sweep->areas[i]);
	free(sweep->areas);
	shared_file_remove(&sweep->shared);
	bugs_clear(sweep);
	if (sweep->results)
		munmap(sweep->results,
		       (sweep->cells_count + 1) * sizeof(*sweep->results));
	for (unsigned i = 0; i < SWEEP_BASELINES; i++)
		sight_clear(&sweep->base[i]);
	site_ids_free(sweep->names);
	free(sweep->sites);
	free(sweep->cells);
	free(sweep->cwd);
	free(sweep->program);
	free(sweep->library);
	free(sweep->stdin_file);
	if (sweep->envp)
		launch_environment_free(sweep->envp);
	words_clear(&sweep->reasons);
	words_clear(&sweep->notes);
	place_clear(&sweep->place);
	if (sweep->cwd_fd >= 0)
		close(sweep->cwd_fd);
}

#include "runner/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runner/doors.h"
#include "runner/report/report.h"

#define NAME_TRIES 16

static char *path_absolute(const char *path)
{
	_cleanup_words_ char *cwd = NULL;

	if (*path == '/')
		return strdup(path);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	return words_say("%s/%s", strcmp(cwd, "/") == 0 ? "" : cwd, path);
}

void place_clear(struct place *place)
{
	free(place->run_dir);
	free(place->scratch);
	*place = (struct place){ 0 };
}

int rundir_name(const char *runs_dir, struct place *place)
{
	_cleanup_words_ char *runs = path_absolute(runs_dir);
	const char *tmp = getenv("TMPDIR");
	time_t now = time(NULL);
	struct stat st;
	struct tm tm;

	if (!runs || !gmtime_r(&now, &tm))
		return -ENOMEM;
	if (!tmp || *tmp != '/')
		tmp = "/tmp";
	for (int i = 0; i < NAME_TRIES; i++) {
		uint64_t chance[2];
		size_t n;

		if (getrandom(chance, sizeof(chance), 0) != sizeof(chance))
			return -errno;
		/* Runs of one second on one machine differ in their pid. */
		if (i == 0 && stat("/proc/self/ns/pid", &st) == 0)
			chance[0] = (uint64_t)getpid() + st.st_ino;
		place_clear(place);
		n = strftime(place->id, sizeof(place->id), "%Y%m%d-%H%M%S",
			     &tm);
		snprintf(place->id + n, sizeof(place->id) - n, "-%04x",
			 (unsigned)(chance[0] & 0xffff));
		place->run_dir = words_say("%s/%s", runs, place->id);
		place->scratch = words_say("%s/mishap-%016llx", tmp,
					   (unsigned long long)chance[1]);
		if (!place->run_dir || !place->scratch)
			return -ENOMEM;
		if (lstat(place->run_dir, &st) < 0)
			return 0;
	}
	return -EEXIST;
}

/* mkdir -p; *ret_at: where it stopped. */
static int dirs_make(const char *path, char **ret_at)
{
	char *part = strdup(path);
	struct stat st;
	int error = 0;

	if (!part)
		return -ENOMEM;
	for (char *p = part + 1; !error; p++) {
		char c = *p;

		if (c != '/' && c)
			continue;
		*p = '\0';
		/* ENOENT comes only for what we may not see either. */
		if (mkdir(part, 0755) < 0 && stat(part, &st) < 0)
			error = errno == ENOENT ? -EACCES : -errno;
		else if (stat(part, &st) == 0 && !S_ISDIR(st.st_mode))
			error = -ENOTDIR;
		if (error)
			break;
		*p = c;
		if (!c)
			break;
	}
	if (error && ret_at)
		*ret_at = part;
	else
		free(part);
	return error;
}

int rundir_check(const char *runs_dir, char **ret_path)
{
	_cleanup_words_ char *runs = path_absolute(runs_dir);
	char probe[PATH_MAX];
	int error;

	if (!runs)
		return -ENOMEM;
	errno = 0;
	error = dirs_make(runs, ret_path);
	if (error < 0)
		return error;
	/* access(2) believes root everything; a directory of ours shows it. */
	snprintf(probe, sizeof(probe), "%s/.probe-XXXXXX", runs);
	if (!mkdtemp(probe)) {
		error = -errno;
		*ret_path = runs;
		runs = NULL;
		return error;
	}
	rmdir(probe);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Directories that a target made unreadable are opened up first. */
static int open_up(const char *path, const struct stat *st, int type,
		   struct FTW *ftw)
{
	(void)ftw;
	if (type == FTW_DNR || (type == FTW_D && (st->st_mode & 0700) != 0700))
		chmod(path, 0700);
	return 0;
}

int tree_remove(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	nftw(path, open_up, 16, FTW_PHYS | FTW_MOUNT);
	return nftw(path, remove_one, 16, FTW_PHYS | FTW_MOUNT | FTW_DEPTH);
}

void rundir_discard(const struct place *place)
{
	if (place->scratch)
		tree_remove(place->scratch);
	if (place->run_dir)
		tree_remove(place->run_dir);
}

int rundir_create(const struct options *options, bool bare,
		  struct evidence *evidence)
{
	const struct place *place = &options->place;
	int error;

	snprintf(evidence->id, sizeof(evidence->id), "%s", place->id);
	memcpy(evidence->ports, place->ports, sizeof(evidence->ports));
	free(evidence->run_dir);
	free(evidence->scratch);
	evidence->run_dir =
		words_say("%s%s", place->run_dir, bare ? "/bare" : "");
	evidence->scratch = strdup(place->scratch);
	if (!evidence->run_dir || !evidence->scratch)
		return -ENOMEM;
	error = dirs_make(evidence->run_dir, NULL);
	if (error < 0) {
		fprintf(stderr, "mishap: can't make %s: %s\n",
			evidence->run_dir, strerror(-error));
		return error;
	}
	/* Its name can't be guessed, and it must not be there. */
	if (mkdir(evidence->scratch, 0755) < 0) {
		error = -errno;
		fprintf(stderr,
			"mishap: can't make the scratch directory %s: %s\n"
			"  another place can be given in TMPDIR\n",
			evidence->scratch, strerror(-error));
	}
	return error;
}

/* ---- command.json ------------------------------------------------------ */

static json_t *words_array(const char *const *words)
{
	json_t *array = json_array();

	for (size_t i = 0; array && words && words[i]; i++)
		json_array_append_new(array, words_json_string(words[i]));
	return array;
}

static json_t *command_json(const struct evidence *evidence,
			    const struct options *options)
{
	_cleanup_words_ char *cwd = getcwd(NULL, 0);
	const struct scenario_extra *extra = &options->extra;
	const char *doors = getenv(DOORS_ENV);
	json_t *vars = json_object();

	for (size_t i = 0; i < extra->vars_count; i++)
		json_object_set_new(vars, extra->vars[i].name,
				    words_json_string(extra->vars[i].value));
	return json_pack(
		"{si so so? so so so so? so ss sI si si sb sb sb sI sI sI sI "
		"so so? "
		"so? so so so?}",
		"version", 1, "cwd", words_json_string(cwd), "scenario",
		options->scenario_path
			? words_json_string(options->scenario_path)
			: NULL,
		"faults", words_array(extra->faults), "expects",
		words_array(extra->expects), "phases",
		words_array(extra->phases), "run",
		extra->run ? words_array((const char *const *)extra->run)
			   : NULL,
		"vars", vars, "id", evidence->id, "seed",
		(json_int_t)evidence->seed, "repeat", 1, "watch",
		(int)options->watch, "sandbox", options->sandbox, "no_network",
		options->no_network, "notify", options->notify, "timeout_ns",
		(json_int_t)options->timeout_ns, "limit_time_ns",
		(json_int_t)options->limit_time_ns, "limit_faults",
		(json_int_t)options->limit_faults, "limit_rss_bytes",
		(json_int_t)options->limit_rss_bytes, "typed",
		words_array(options->argv), "replay_of",
		options->replay_of ? words_json_string(options->replay_of)
				   : NULL,
		"ready", extra->ready ? words_json_string(extra->ready) : NULL,
		"loads", words_array(extra->loads), "steadies",
		words_array(extra->steadies), "doors",
		doors ? words_json_string(doors) : NULL);
}

static int put_scenario(FILE *out, const void *what)
{
	const struct scenario *scenario = what;

	if (!scenario->source) {
		scenario_format(scenario, out);
		return 0;
	}
	return fwrite(scenario->source, 1, scenario->source_bytes, out) ==
			       scenario->source_bytes
		       ? 0
		       : -EIO;
}

int rundir_save(const struct evidence *evidence, const struct options *options,
		const struct judgement *judgement)
{
	const char *dir = evidence->run_dir;
	_cleanup_words_ char *scenario = words_say("%s/scenario.yaml", dir);
	_cleanup_words_ char *command = words_say("%s/command.json", dir);
	_cleanup_words_ char *report = words_say("%s/report.json", dir);
	_cleanup_json_ json_t *recorded = command_json(evidence, options);
	_cleanup_json_ json_t *reported = report_json(evidence, judgement);
	int error;

	if (!scenario || !command || !report || !recorded || !reported)
		return -ENOMEM;
	error = evidence_save(evidence);
	if (!error)
		error = words_write(scenario, put_scenario, evidence->scenario);
	if (!error)
		error = words_write_json(command, recorded);
	if (!error)
		error = words_write_json(report, reported);
	return error;
}

static const char **words_from(const json_t *array)
{
	size_t n = json_array_size(array);
	const char **words;

	if (!json_is_array(array))
		return NULL;
	words = calloc(n + 1, sizeof(*words));
	for (size_t i = 0; words && i < n; i++) {
		words[i] = json_string_value(json_array_get(array, i));
		if (!words[i])
			words[i] = "";
	}
	return words;
}

static uint64_t number_from(const json_t *json, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(json, key));
}

/* Without marks: that the scenario names them was seen when it first ran. */
static int vars_from(const json_t *json, struct command_record *record)
{
	json_t *vars = json_object_get(json, "vars"), *value;
	const char *name;
	size_t i = 0;

	record->vars =
		calloc(json_object_size(vars) + 1, sizeof(*record->vars));
	if (!record->vars)
		return -ENOMEM;
	json_object_foreach(vars, name, value)
	{
		record->vars[i].name = (char *)name;
		record->vars[i].value = (char *)json_string_value(value);
		if (!record->vars[i].value)
			return -EBADMSG;
		i++;
	}
	record->options.extra.vars = record->vars;
	record->options.extra.vars_count = i;
	return 0;
}

int command_load(const char *run_dir, struct command_record *ret_record)
{
	_cleanup_words_ char *path = words_say("%s/command.json", run_dir);
	struct command_record record = { 0 };
	struct options *options = &record.options;
	json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
	const char *id = json_string_value(json_object_get(json, "id"));
	int error;

	if (!path)
		return -ENOMEM;
	if (!json)
		return access(path, R_OK) < 0 ? -errno : -EBADMSG;
	record.json = json;
	record.cwd = json_string_value(json_object_get(json, "cwd"));
	options->scenario_path =
		json_string_value(json_object_get(json, "scenario"));
	options->extra.faults = words_from(json_object_get(json, "faults"));
	options->extra.expects = words_from(json_object_get(json, "expects"));
	options->extra.phases = words_from(json_object_get(json, "phases"));
	options->extra.loads = words_from(json_object_get(json, "loads"));
	options->extra.steadies = words_from(json_object_get(json, "steadies"));
	options->extra.ready =
		json_string_value(json_object_get(json, "ready"));
	options->extra.run =
		(char *const *)words_from(json_object_get(json, "run"));
	options->seed = number_from(json, "seed");
	options->seed_set = true;
	options->watch = (enum watch_mode)number_from(json, "watch");
	options->sandbox = json_is_true(json_object_get(json, "sandbox"));
	options->no_network = json_is_true(json_object_get(json, "no_network"));
	options->notify = json_is_true(json_object_get(json, "notify"));
	options->timeout_ns = number_from(json, "timeout_ns");
	options->limit_time_ns = number_from(json, "limit_time_ns");
	options->limit_faults = number_from(json, "limit_faults");
	options->limit_rss_bytes = number_from(json, "limit_rss_bytes");
	options->repeat = 1;
	options->color = -1;
	error = id && record.cwd ? 0 : -EBADMSG;
	if (id)
		snprintf(options->place.id, sizeof(options->place.id), "%s",
			 id);
	if (!error)
		error = vars_from(json, &record);
	if (error < 0) {
		command_clear(&record);
		return error;
	}
	*ret_record = record;
	return 0;
}

void command_clear(struct command_record *record)
{
	free((void *)record->options.extra.faults);
	free((void *)record->options.extra.expects);
	free((void *)record->options.extra.phases);
	free((void *)record->options.extra.loads);
	free((void *)record->options.extra.steadies);
	free((void *)record->options.extra.run);
	place_clear(&record->options.place);
	free(record->vars);
	json_decref(record->json);
	*record = (struct command_record){ 0 };
}

/* ---- finding one ------------------------------------------------------- */

static bool is_run(const char *dir)
{
	_cleanup_words_ char *evidence = words_say("%s/evidence.json", dir);

	return evidence && access(evidence, F_OK) == 0;
}

static uint64_t written_ns(const char *dir)
{
	_cleanup_words_ char *evidence = words_say("%s/evidence.json", dir);
	struct stat st;

	if (!evidence || stat(evidence, &st) < 0)
		return 0;
	return (uint64_t)st.st_mtim.tv_sec * 1000000000u +
	       (uint64_t)st.st_mtim.tv_nsec;
}

static int find_in(const char *runs, const char *name, char **ret_dir)
{
	bool last = strcmp(name, "last") == 0;
	_cleanup_words_ char *found = NULL;
	DIR *dir = opendir(runs);
	uint64_t newest_ns = 0;
	struct dirent *entry;
	size_t count = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		_cleanup_words_ char *path =
			words_say("%s/%s", runs, entry->d_name);
		uint64_t ns;

		if (!path || *entry->d_name == '.' || !is_run(path))
			continue;
		if (!last && strncmp(entry->d_name, name, strlen(name)) != 0)
			continue;
		ns = written_ns(path);
		count++;
		if (ns < newest_ns && found)
			continue;
		newest_ns = ns;
		free(found);
		found = path;
		path = NULL;
	}
	closedir(dir);
	if (!found)
		return -ENOENT;
	if (!last && count > 1)
		return -ENOTUNIQ;
	*ret_dir = found;
	found = NULL;
	return 0;
}

int rundir_find(const char *runs_dir, const char *name, char **ret_dir)
{
	_cleanup_words_ char *runs = path_absolute(runs_dir);
	_cleanup_words_ char *exact = words_say("%s/%s", runs, name);
	char *as_path;

	if (!runs || !exact)
		return -ENOMEM;
	if (!strchr(name, '/') && *name && is_run(exact)) {
		*ret_dir = exact;
		exact = NULL;
		return 0;
	}
	as_path = realpath(name, NULL);
	if (as_path && is_run(as_path)) {
		*ret_dir = as_path;
		return 0;
	}
	free(as_path);
	if (strchr(name, '/') || !*name)
		return -ENOENT;
	return find_in(runs, name, ret_dir);
}

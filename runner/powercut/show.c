/* show.c - lay the tree of a finding into a folder, to be looked at. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/powercut/lay.h"
#include "runner/powercut/powercut.h"
#include "runner/rundir.h"
#include "runner/words.h"

static int wrong(const char *format, const char *what)
{
	fputs("mishap: ", stderr);
	fprintf(stderr, format, what);
	fputs("\n  a finding is named RUN:N, as a report says it\n", stderr);
	return EXIT_CODE_USAGE;
}

static bool set_read(const char *hex, const struct dag *dag, uint64_t *set)
{
	if (strlen(hex) != (size_t)dag->words * 16)
		return false;
	for (uint32_t w = 0; w < dag->words; w++) {
		char word[17] = "";

		memcpy(word, hex + 16 * (size_t)w, 16);
		set[w] = strtoull(word, NULL, 16);
	}
	return true;
}

static int log_map(const char *dir, const void **ret_log, size_t *ret_bytes)
{
	_cleanup_words_ char *path = words_say("%s/oplog", dir);
	struct stat st;
	void *log;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd < 0 || fstat(fd, &st) != 0)
		return -errno;
	log = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (log == MAP_FAILED)
		return -errno;
	*ret_log = log;
	*ret_bytes = (size_t)st.st_size;
	return 0;
}

static int lay_out(const struct history *history, const struct model *model,
		   const char *hex, int fd)
{
	struct dag dag;
	struct shape shape;
	struct lay lay;
	uint64_t *set;
	int error = dag_make(history, history->ops, history->ops_count, model,
			     &dag);

	if (error)
		return error;
	set = calloc((size_t)dag.words + 1, sizeof(*set));
	error = set && set_read(hex, &dag, set) ? 0 : -EPROTO;
	if (!error)
		error = shape_make(&dag, &shape);
	if (!error) {
		error = lay_make(&shape, &lay);
		if (!error) {
			error = lay_all(&lay, set, fd);
			lay_clear(&lay);
		}
		shape_clear(&shape);
	}
	free(set);
	dag_clear(&dag);
	return error;
}

static int finding_show(const char *dir, const json_t *finding,
			const char *into)
{
	const char *name = json_string_value(json_object_get(finding, "model"));
	const char *hex = json_string_value(json_object_get(finding, "set"));
	const char *says = json_string_value(json_object_get(finding, "says"));
	const struct model *model =
		name ? model_find(name, strlen(name)) : NULL;
	struct history history;
	const void *log = NULL;
	size_t bytes = 0;
	int error, fd;

	if (!model || !hex)
		return wrong("%s: no such finding", dir);
	if (mkdir(into, 0755) != 0)
		return wrong(
			errno == EEXIST
				? "%s is there already; --into DIR names a "
				  "new folder"
				: "%s can't be made",
			into);
	fd = open(into, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	error = fd < 0 ? -errno : log_map(dir, &log, &bytes);
	if (!error)
		error = history_read(log, bytes, &history);
	if (!error) {
		umask(0);
		error = lay_out(&history, model, hex, fd);
		umask(022);
		history_clear(&history);
	}
	if (log)
		munmap((void *)(uintptr_t)log, bytes);
	if (fd >= 0)
		close(fd);
	if (error) {
		fprintf(stderr, "mishap: %s: %s\n", into, strerror(-error));
		return EXIT_CODE_INVALID;
	}
	printf("%s holds the tree as %s may leave it: %s\n", into, name,
	       says ? says : "");
	return EXIT_CODE_PASS;
}

int cut_show(const struct cut_options *options)
{
	const char *runs =
		options->runs_dir ? options->runs_dir : RUNDIR_DEFAULT;
	_cleanup_words_ char *name = strdup(options->show);
	_cleanup_words_ char *dir = NULL, *path = NULL;
	_cleanup_json_ json_t *json = NULL;
	char *colon = name ? strrchr(name, ':') : NULL;
	long number = 1;

	if (colon) {
		*colon = '\0';
		number = strtol(colon + 1, NULL, 10);
	}
	if (!name)
		return EXIT_CODE_INVALID;
	dir = strchr(name, '/') ? strdup(name) : words_say("%s/%s", runs, name);
	path = dir ? words_say("%s/powercut.json", dir) : NULL;
	json = path ? json_load_file(path, 0, NULL) : NULL;
	if (!json)
		return wrong("%s: no such run of powercut", name);
	return finding_show(
		dir,
		json_array_get(json_object_get(json, "findings"),
			       number > 0 ? (size_t)number - 1 : SIZE_MAX),
		options->into ? options->into : "bad");
}

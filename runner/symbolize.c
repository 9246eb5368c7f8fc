/* symbolize.c - stacks by name: RUN_DIR/stacks.json, and a call site in words.
 *
 *	{"version": 1,
 *	 "frames": [{"language": "native", "module": PATH, "build_id": HEX,
 *	             "offset": "0x…", "runs": null, "functions":
 *	             [{"function", "file", "line"}, …]}, …],
 *	 "stacks": [{"stack": NUMBER, "hash": HEX, "frames": [INDEX, …]}, …]}
 *
 * functions: the innermost inlined one first, the one that holds them last.
 * A frame of generated code has module null, and so has one of another
 * language, whose one function says all.  runs: what a module interprets.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runner/debuginfo.h"
#include "runner/site_id.h"
#include "runner/words.h"

#define STACKS_VERSION	1
#define STACKS_FILE_MAX (64u << 20)
#define NAMES_MAX	4 /* functions that a site is told by */

/* ---- writing ----------------------------------------------------------- */

struct writer {
	const struct state *state;
	struct debuginfo *infos[SHARED_MODULES_MAX];
	bool tried[SHARED_MODULES_MAX];
	json_t *frames;	 /* array */
	json_t *indices; /* "module:offset" to an index in frames */
};

static struct debuginfo *info_of(struct writer *writer, unsigned module)
{
	const struct shared_module *from = &writer->state->modules[module];
	uint32_t bytes = from->build_id_bytes;
	char path[sizeof from->path];

	if (!writer->tried[module]) {
		writer->tried[module] = true;
		memcpy(path, from->path, sizeof path - 1);
		path[sizeof path - 1] = '\0';
		if (bytes <= DEBUGINFO_BUILD_ID_MAX)
			debuginfo_open(path, from->build_id, bytes,
				       &writer->infos[module]);
	}
	return writer->infos[module];
}

static json_t *functions_of(struct writer *writer,
			    const struct shared_frame *frame)
{
	struct debuginfo_frame found[DEBUGINFO_INLINES_MAX];
	struct debuginfo *info = info_of(writer, frame->module - 1);
	json_t *functions = json_array();
	size_t n = info ? debuginfo_look(info, frame->offset, found,
					 DEBUGINFO_INLINES_MAX)
			: 0;

	for (size_t i = 0; i < n; i++)
		json_array_append_new(
			functions,
			json_pack("{s:o, s:o, s:i}", "function",
				  words_json_string(found[i].function), "file",
				  words_json_string(found[i].file), "line",
				  found[i].line));
	return functions;
}

/* A function of an interpreted language; unnamed where there was no room. */
static json_t *frame_python_json(const struct writer *writer,
				 const struct shared_frame *frame)
{
	const struct shared_code *code =
		frame->module && frame->module <= SHARED_CODES_MAX
			? &writer->state->codes[frame->module - 1]
			: NULL;
	json_t *file = NULL, *function = NULL;

	if (code) {
		file = words_json(code->file,
				  strnlen(code->file, sizeof code->file));
		function = words_json(
			code->function,
			strnlen(code->function, sizeof code->function));
	}
	return json_pack("{s:s, s:n, s:s, s:s, s:n, s:[{s:o?, s:o?, s:I}]}",
			 "language", "python", "module", "build_id", "",
			 "offset", "0x0", "runs", "functions", "function",
			 function, "file", file, "line",
			 (json_int_t)frame->offset);
}

static json_t *frame_json(struct writer *writer,
			  const struct shared_frame *frame)
{
	static const char *const runs[] = {
		[RUNS_PYTHON] = "python",
		[RUNS_UNKNOWN_PYTHON] = "unknown python",
	};
	const struct shared_module *module;
	char hex[2 * sizeof(module->build_id) + 1] = "", offset[24];

	if (frame->language == FRAME_PYTHON)
		return frame_python_json(writer, frame);
	if (frame->module == 0 || frame->module > SHARED_MODULES_MAX)
		return json_pack("{s:s, s:n, s:s, s:s, s:n, s:[]}", "language",
				 "native", "module", "build_id", "", "offset",
				 "0x0", "runs", "functions");
	module = &writer->state->modules[frame->module - 1];
	for (size_t i = 0;
	     i < module->build_id_bytes && i < sizeof(module->build_id); i++)
		snprintf(hex + 2 * i, 3, "%02x", module->build_id[i]);
	snprintf(offset, sizeof offset, "0x%" PRIx64, frame->offset);
	return json_pack("{s:s, s:o, s:s, s:s, s:s?, s:o}", "language",
			 "native", "module",
			 words_json(module->path,
				    strnlen(module->path, sizeof module->path)),
			 "build_id", hex, "offset", offset, "runs",
			 module->runs < sizeof runs / sizeof *runs
				 ? runs[module->runs]
				 : NULL,
			 "functions", functions_of(writer, frame));
}

/* The index of a frame in writer->frames; each is looked up once. */
static json_t *frame_index(struct writer *writer,
			   const struct shared_frame *frame)
{
	char key[48];
	json_t *index;

	snprintf(key, sizeof key, "%" PRIu32 ":%" PRIu32 ":%" PRIx64,
		 frame->language, frame->module, frame->offset);
	index = json_object_get(writer->indices, key);
	if (index)
		return json_incref(index);
	index = json_integer((json_int_t)json_array_size(writer->frames));
	json_array_append_new(writer->frames, frame_json(writer, frame));
	json_object_set(writer->indices, key, index);
	return index;
}

static json_t *stack_json(struct writer *writer, unsigned at)
{
	const struct shared_stack *stack = &writer->state->stacks[at];
	json_t *frames = json_array();
	char hash[24];

	for (unsigned i = 0; i < stack->count && i < SHARED_FRAMES_MAX; i++)
		json_array_append_new(frames,
				      frame_index(writer, &stack->frames[i]));
	snprintf(hash, sizeof hash, "%016" PRIx64,
		 (uint64_t)atomic_load(&stack->hash));
	return json_pack("{s:i, s:s, s:o}", "stack", (int)at + 1, "hash", hash,
			 "frames", frames);
}

int symbolize_stacks(const struct state *state, const char *run_dir)
{
	_cleanup_words_ char *path = words_say("%s/stacks.json", run_dir);
	_cleanup_json_ json_t *json = NULL;
	struct writer writer = { .state = state,
				 .frames = json_array(),
				 .indices = json_object() };
	json_t *stacks = json_array();

	for (unsigned i = 0; i < SHARED_STACKS_MAX; i++) {
		if (atomic_load_explicit(&state->stacks[i].ready,
					 memory_order_acquire))
			json_array_append_new(stacks, stack_json(&writer, i));
	}
	for (unsigned i = 0; i < SHARED_MODULES_MAX; i++)
		debuginfo_close(writer.infos[i]);
	json_decref(writer.indices);
	json = json_pack("{s:i, s:o, s:o}", "version", STACKS_VERSION, "frames",
			 writer.frames, "stacks", stacks);
	if (!path || !json)
		return -ENOMEM;
	return words_write_json(path, json);
}

/* ---- telling ----------------------------------------------------------- */

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The file name of a frame's module; NULL: generated code. */
static const char *module_name(const json_t *frame)
{
	const char *path = json_string_value(json_object_get(frame, "module"));

	return path ? last_component(path) : NULL;
}

static bool is_python(const json_t *frame)
{
	const char *language =
		json_string_value(json_object_get(frame, "language"));

	return language && strcmp(language, "python") == 0;
}

static bool is_plumbing(const json_t *frame)
{
	const json_t *function =
		json_array_get(json_object_get(frame, "functions"), 0);

	return site_is_plumbing(
		json_string_value(json_object_get(frame, "module")),
		is_python(frame) ? "python" : "native",
		json_string_value(json_object_get(function, "file")));
}

/* The i-th frame of a stack; NULL past its end or if the file is broken. */
static const json_t *frame_at(const json_t *json, const json_t *stack, size_t i)
{
	const json_t *index =
		json_array_get(json_object_get(stack, "frames"), i);

	return json_is_integer(index)
		       ? json_array_get(json_object_get(json, "frames"),
					(size_t)json_integer_value(index))
		       : NULL;
}

static char *place_say(const json_t *frame)
{
	const char *name = module_name(frame);
	const char *offset =
		json_string_value(json_object_get(frame, "offset"));

	if (is_python(frame))
		return words_say("python");
	return name ? words_say("%s+%s", name, offset ? offset : "?")
		    : words_say("generated code");
}

/* "function (file:line)", or what of it is known; brief: the function. */
static char *function_say(const json_t *frame, const json_t *function,
			  bool brief)
{
	const char *name =
		json_string_value(json_object_get(function, "function"));
	const char *file = json_string_value(json_object_get(function, "file"));
	long long line = json_integer_value(json_object_get(function, "line"));
	_cleanup_words_ char *place = place_say(frame);

	if (!name)
		return place ? words_say("%s", place) : NULL;
	if (brief)
		return words_say("%s", name);
	if (is_python(frame)) /* as its own tracebacks put it */
		return words_say("%s:%lld in %s",
				 file ? python_file_name(file) : "?", line,
				 name);
	if (!file)
		return words_say("%s (%s)", name, place ? place : "?");
	return words_say("%s (%s:%lld)", name,
			 file[0] == '/' ? last_component(file) : file, line);
}

/* A site as it grows: "a (a.c:1)", then "a (a.c:1) < b" … */
struct site {
	char *said;
	const char *last; /* function that was said last; borrowed */
	unsigned names;
	bool done;
};

static void site_add(struct site *site, const json_t *frame,
		     const json_t *function)
{
	const char *name =
		json_string_value(json_object_get(function, "function"));
	_cleanup_words_ char *more = NULL;
	char *said;

	if (site->done || (name && site->last && !strcmp(name, site->last)))
		return; /* recursion is told once */
	if (name && site->said && !strcmp(name, "_start"))
		return; /* crt1.o stands in the program and isn't its own */
	more = function_say(frame, function, site->said != NULL);
	if (!more)
		return;
	said = words_say("%s%s%s", site->said ? site->said : "",
			 site->said ? " < " : "", more);
	free(site->said);
	site->said = said;
	site->last = name;
	site->done = ++site->names == NAMES_MAX ||
		     (name && strcmp(name, "main") == 0);
}

static void site_add_frame(struct site *site, const json_t *frame)
{
	const json_t *functions = json_object_get(frame, "functions");
	size_t n = json_array_size(functions);

	if (n == 0)
		site_add(site, frame, NULL);
	for (size_t i = 0; i < n; i++)
		site_add(site, frame, json_array_get(functions, i));
}

static char *site_say(const json_t *json, const json_t *stack)
{
	struct site site = { 0 };
	bool of_python = false;
	const json_t *frame;

	for (size_t i = 0; (frame = frame_at(json, stack, i)); i++)
		of_python |= is_python(frame);
	for (size_t i = 0; (frame = frame_at(json, stack, i)); i++) {
		if (!is_plumbing(frame) && is_python(frame) == of_python)
			site_add_frame(&site, frame);
	}
	/* All of it came with the interpreter: then whoever called. */
	for (size_t i = 0;
	     of_python && !site.said && (frame = frame_at(json, stack, i));
	     i++) {
		if (is_python(frame))
			site_add_frame(&site, frame);
	}
	frame = frame_at(json, stack, 0);
	if (!site.said && frame)
		site_add_frame(&site, frame);
	return site.said;
}

/* The file that was read last, because a report asks for many sites. */
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	struct stat st;
	json_t *json;
} kept;

static bool is_kept(const struct stat *st)
{
	return kept.json && kept.st.st_dev == st->st_dev &&
	       kept.st.st_ino == st->st_ino &&
	       kept.st.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       kept.st.st_mtim.tv_nsec == st->st_mtim.tv_nsec;
}

static const json_t *stacks_read(const char *path)
{
	_cleanup_words_ char *bytes = NULL;
	struct stat st;
	size_t count;
	json_t *json;

	if (stat(path, &st) < 0)
		return NULL;
	if (is_kept(&st))
		return kept.json;
	if (words_read(path, STACKS_FILE_MAX, &bytes, &count) < 0)
		return NULL;
	json = json_loadb(bytes, count, 0, NULL);
	if (json_integer_value(json_object_get(json, "version")) !=
	    STACKS_VERSION) {
		json_decref(json);
		return NULL;
	}
	json_decref(kept.json);
	kept.json = json;
	kept.st = st;
	return json;
}

char *symbolize_site(const char *run_dir, uint32_t stack)
{
	_cleanup_words_ char *path = words_say("%s/stacks.json", run_dir);
	const json_t *json, *item;
	char *said = NULL;
	size_t i;

	if (!path || stack == 0)
		return NULL;
	pthread_mutex_lock(&kept_lock);
	json = stacks_read(path);
	json_array_foreach(json_object_get(json, "stacks"), i, item)
	{
		if (json_integer_value(json_object_get(item, "stack")) !=
		    (json_int_t)stack)
			continue;
		said = site_say(json, item);
		break;
	}
	pthread_mutex_unlock(&kept_lock);
	return said;
}

/* site_id.c - see site_id.h. */
#include "runner/site_id.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "runner/words.h"

#define STACKS_FILE_MAX (64u << 20)

struct site_ids {
	json_t *json; /* owns the strings */
	struct site_seen *items;
	size_t count;
};

/* Its site is who called these. */
static const char *const plumbing[] = {
	"libc.so",    "libc-",	    "ld-linux",	    "ld-2.",
	"libpthread", "libstdc++.", "libc++.",	    "libgcc_s.",
	"libm.so",    "libdl.so",   "librt.so",	    "linux-vdso",
	"libmishap",  "libasan",    "libresolv.so", "[vdso",
};

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What comes with Python: the standard library, and what is built in. */
static bool is_python_plumbing(const char *file)
{
	const char *lib = file ? strstr(file, "/lib/python3") : NULL;

	return file && (strncmp(file, "<frozen ", 8) == 0 ||
			(lib && !strstr(lib, "-packages/")));
}

bool site_is_plumbing(const char *module, const char *language,
		      const char *file)
{
	const char *name = module ? last_component(module) : NULL;

	if (language && strcmp(language, "python") == 0)
		return is_python_plumbing(file);
	for (size_t i = 0; name && i < sizeof(plumbing) / sizeof(*plumbing);
	     i++)
		if (!strncmp(name, plumbing[i], strlen(plumbing[i])))
			return true;
	return false;
}

const char *site_interpreter(const char *module)
{
	static const struct {
		const char *glob, *language;
	} known[] = {
		{ "python[23]*", "python" }, { "libpython[23]*", "python" },
		{ "pypy*", "python" },	     { "libpypy*", "python" },
		{ "perl", "perl" },	     { "perl5*", "perl" },
		{ "libperl.so*", "perl" },   { "node", "node" },
		{ "nodejs", "node" },	     { "libnode.so*", "node" },
		{ "deno", "deno" },	     { "bun", "bun" },
		{ "ruby*", "ruby" },	     { "libruby*", "ruby" },
		{ "libjvm.so", "java" },     { "lua*", "lua" },
		{ "liblua*", "lua" },	     { "php*", "php" },
		{ "libphp*", "php" },	     { "tclsh*", "tcl" },
		{ "libtcl*", "tcl" },	     { "libR.so", "R" },
		{ "beam.smp", "erlang" },    { "libcoreclr.so", ".net" },
		{ "libmonosgen*", ".net" },  { "libjulia*", "julia" },
		{ "libguile*", "guile" },    { "bash", "shell" },
		{ "dash", "shell" },	     { "sh", "shell" },
		{ "zsh*", "shell" },	     { "ksh*", "shell" },
		{ "busybox*", "shell" },     { "mawk", "awk" },
		{ "gawk*", "awk" },
	};

	for (size_t i = 0; module && i < sizeof(known) / sizeof(*known); i++)
		if (fnmatch(known[i].glob, last_component(module), 0) == 0)
			return known[i].language;
	return NULL;
}

/* ---- reading ----------------------------------------------------------- */

static const char *string_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static void frame_read(const json_t *frame, struct site_seen *site)
{
	const json_t *functions = json_object_get(frame, "functions");
	size_t n = json_array_size(functions);

	for (size_t i = 0; i < (n ? n : 1) && site->count < SITE_FRAMES_MAX;
	     i++) {
		const json_t *function = json_array_get(functions, i);
		struct site_frame *to = &site->frames[site->count++];

		*to = (struct site_frame){
			.language = string_of(frame, "language"),
			.module = string_of(frame, "module"),
			.function = string_of(function, "function"),
			.file = string_of(function, "file"),
			.line = (int)json_integer_value(
				json_object_get(function, "line")),
			.is_inlined = i + 1 < n,
		};
		if (string_of(frame, "offset"))
			to->offset =
				strtoull(string_of(frame, "offset"), NULL, 0);
		if (!to->language)
			to->language = "native";
		to->is_plumbing =
			site_is_plumbing(to->module, to->language, to->file);
	}
}

static bool is_native(const struct site_frame *frame)
{
	return strcmp(frame->language, "native") == 0;
}

/* Native frames below an interpreter's functions are the interpreter's. */
static void own_find(struct site_seen *site)
{
	bool is_scripted = false;

	for (size_t i = 0; i < site->count; i++)
		is_scripted |= !is_native(&site->frames[i]);
	for (size_t i = 0; i < site->count && !site->own; i++)
		if (!site->frames[i].is_plumbing &&
		    is_native(&site->frames[i]) != is_scripted)
			site->own = &site->frames[i];
}

/* An interpreter whose frames we read isn't collapsed: none of its functions
 * runs here, or they are in the stack. */
static void collapsed_find(const json_t *frames, const json_t *indices,
			   struct site_seen *site)
{
	const json_t *index;
	size_t i;

	for (i = 0; i < site->count; i++)
		if (!is_native(&site->frames[i]))
			return;
	json_array_foreach(indices, i, index)
	{
		const json_t *frame = json_array_get(
			frames, (size_t)json_integer_value(index));
		const char *runs = string_of(frame, "runs");

		if (runs && strcmp(runs, "python") == 0)
			continue;
		site->collapsed = site_interpreter(string_of(frame, "module"));
		if (!site->collapsed && runs)
			site->collapsed = "python";
		if (site->collapsed)
			return;
	}
}

static void site_read(const json_t *frames, const json_t *stack,
		      struct site_seen *site)
{
	const json_t *indices = json_object_get(stack, "frames"), *index;
	const char *hash = string_of(stack, "hash");
	size_t i;

	site->stack =
		(uint32_t)json_integer_value(json_object_get(stack, "stack"));
	site->id = hash ? strtoull(hash, NULL, 16) : 0;
	json_array_foreach(indices, i, index) frame_read(
		json_array_get(frames, (size_t)json_integer_value(index)),
		site);
	own_find(site);
	collapsed_find(frames, indices, site);
}

int site_ids_read(const char *run_dir, struct site_ids **ret_ids)
{
	_cleanup_words_ char *path = words_say("%s/stacks.json", run_dir);
	_cleanup_words_ char *bytes = NULL;
	struct site_ids *ids;
	json_t *stacks, *stack;
	size_t count, i;
	int error;

	if (!path)
		return -ENOMEM;
	error = words_read(path, STACKS_FILE_MAX, &bytes, &count);
	if (error < 0)
		return error;
	ids = calloc(1, sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	ids->json = json_loadb(bytes, count, 0, NULL);
	stacks = json_object_get(ids->json, "stacks");
	if (!json_is_array(stacks)) {
		site_ids_free(ids);
		return -EBADMSG;
	}
	ids->items = calloc(json_array_size(stacks) + 1, sizeof(*ids->items));
	if (!ids->items) {
		site_ids_free(ids);
		return -ENOMEM;
	}
	json_array_foreach(stacks, i, stack)
		site_read(json_object_get(ids->json, "frames"), stack,
			  &ids->items[ids->count++]);
	*ret_ids = ids;
	return 0;
}

void site_ids_free(struct site_ids *ids)
{
	if (!ids)
		return;
	json_decref(ids->json);
	free(ids->items);
	free(ids);
}

size_t site_ids_count(const struct site_ids *ids)
{
	return ids->count;
}

const struct site_seen *site_ids_at(const struct site_ids *ids, size_t index)
{
	return index < ids->count ? &ids->items[index] : NULL;
}

const struct site_seen *site_ids_of(const struct site_ids *ids, uint32_t stack)
{
	for (size_t i = 0; i < ids->count; i++)
		if (ids->items[i].stack == stack)
			return &ids->items[i];
	return NULL;
}

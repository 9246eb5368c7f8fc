/* json.c - a sweep for programs: docs/JSON.md. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "runner/site_id.h"
#include "runner/sweep/sweep.h"

static const char *const span_names[] = {
	[SPAN_ONCE] = "once", [SPAN_ONWARD] = "onward", [SPAN_PATH] = "path"
};

static const char *const object_names[OBJECT_COUNT] = {
	[OBJECT_NONE] = "none",		  [OBJECT_STDIN] = "stdin",
	[OBJECT_STDOUT] = "stdout",	  [OBJECT_STDERR] = "stderr",
	[OBJECT_FILE_READ] = "file-read", [OBJECT_FILE_WRITE] = "file-write",
	[OBJECT_DIR] = "directory",	  [OBJECT_PIPE] = "pipe",
	[OBJECT_SOCKET] = "socket",	  [OBJECT_DEVICE] = "device",
	[OBJECT_OTHER_FD] = "other",	  [OBJECT_PATH] = "path",
	[OBJECT_PATH_READ] = "open-read", [OBJECT_PATH_WRITE] = "open-write",
};

static json_t *id_json(uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "%016" PRIx64, id);
	return json_string(text);
}

static const char *fault_name(const struct cell *cell)
{
	const char *error = error_name(cell->error);

	return cell->kind == KIND_SHORT ? "short" : (error ? error : "?");
}

static json_t *frames_json(const struct spot *site)
{
	json_t *frames = json_array();

	for (size_t i = 0; site->names && i < site->names->count; i++) {
		const struct site_frame *frame = &site->names->frames[i];

		json_array_append_new(
			frames,
			json_pack("{ss? so so so si sb}", "language",
				  frame->language, "module",
				  words_json_string(frame->module), "function",
				  words_json_string(frame->function), "file",
				  words_json_string(frame->file), "line",
				  frame->line, "own",
				  frame == site->names->own));
	}
	return frames;
}

static json_t *site_json(const struct spot *site)
{
	_cleanup_words_ char *where = site_words(site);

	return json_pack(
		"{so ss ss so sI si si si so}", "id", id_json(site->seen.id),
		"call", call_table[site->seen.call].name, "object",
		object_names[site->seen.object], "path",
		words_json_string(*site->seen.path ? site->seen.path : NULL),
		"count", (json_int_t)site->seen.count, "cells",
		(int)site->cells, "failed", (int)site->failed, "handled",
		(int)site->handled, "at", words_json_string(where));
}

static const struct bug *bug_of_cell(const struct sweep *sweep, uint32_t at)
{
	for (size_t i = 0; i < sweep->bugs_count; i++)
		if (sweep->bugs[i].cell == at)
			return &sweep->bugs[i];
	return NULL;
}

static json_t *cell_json(const struct sweep *sweep, uint32_t at)
{
	const struct cell *cell = &sweep->cells[at];
	const struct cell_result *result = &sweep->results[at];
	const struct spot *site = &sweep->sites[cell->site];
	const struct bug *bug = bug_of_cell(sweep, at);

	return json_pack(
		"{so ss ss si ss ss sb si si sI ss ss?}", "id",
		id_json(site->seen.id), "call",
		call_table[site->seen.call].name, "fault", fault_name(cell),
		"occurrence", (int)cell->nth, "span", span_names[cell->span],
		"class",
		result->skipped ? "untried" : sweep_class_names[result->class],
		"confirmed", result->confirmed, "exit", result->status,
		"signal", result->signal, "ns", (json_int_t)result->duration_ns,
		"says", result->what, "bug", bug ? bug->id : NULL);
}

static json_t *next_json(const struct cell_result *result)
{
	json_t *next = json_array();

	for (uint32_t i = 0; i < result->notes_count; i++) {
		const struct sweep_note *note = &result->notes[i];

		json_array_append_new(
			next,
			json_pack("{ss so sb}", "call",
				  call_table[note->call].name, "path",
				  words_json_string(*note->path ? note->path
								: NULL),
				  "failed", note->failed));
	}
	return next;
}

/* All that a replay needs stands in "cell". */
static json_t *bug_json(const struct sweep *sweep, const struct bug *bug)
{
	const struct cell *cell = &sweep->cells[bug->cell];
	const struct cell_result *result = &sweep->results[bug->cell];
	const struct spot *site = &sweep->sites[bug->site];
	const struct site_frame *told = site_frame_told(site);
	_cleanup_words_ char *replay =
		words_say("mishap replay %s:%s", sweep->place.id, bug->id);
	_cleanup_words_ char *where = site_words(site);
	_cleanup_words_ char *source =
		told && told->file ? words_say("%s:%d", told->file, told->line)
				   : NULL;

	return json_pack(
		"{ss ss ss ss so so so so si si so so so so}", "id", bug->id,
		"class", sweep_class_names[bug->class], "call",
		call_table[site->seen.call].name, "fault", fault_name(cell),
		"path",
		words_json_string(*site->seen.path ? site->seen.path : NULL),
		"site", frames_json(site), "at", words_json_string(where),
		"source", words_json_string(source), "runs", (int)bug->runs,
		"sites", (int)bug->sites, "says",
		words_json_string(result->what), "next", next_json(result),
		"deaths", bug->deaths ? json_incref(bug->deaths) : json_null(),
		"replay", words_json_string(replay));
}

static void bug_cell_add(json_t *json, const struct sweep *sweep,
			 const struct bug *bug)
{
	const struct cell *cell = &sweep->cells[bug->cell];
	const struct spot *site = &sweep->sites[bug->site];

	json_object_set_new(
		json, "cell",
		json_pack("{so si si si si}", "site", id_json(site->seen.id),
			  "nth", (int)cell->nth, "error", (int)cell->error,
			  "span", (int)cell->span, "kind", (int)cell->kind));
}

static json_t *by_call_json(const struct sweep *sweep)
{
	json_t *calls = json_object();

	for (unsigned call = 0; call < CALL_COUNT; call++) {
		int seen = 0, failed = 0, well = 0;

		for (size_t i = 0; i < sweep->sites_count; i++) {
			const struct spot *site = &sweep->sites[i];

			if (site->seen.call != call || !site->cells)
				continue;
			seen++;
			failed += site->failed > 0;
			well += site->failed && site->handled == site->failed;
		}
		if (seen)
			json_object_set_new(calls, call_table[call].name,
					    json_pack("{si si si}", "sites",
						      seen, "failed", failed,
						      "handled", well));
	}
	return calls;
}

static json_t *by_file_json(const struct sweep *sweep)
{
	json_t *files = json_object();

	for (size_t i = 0; i < sweep->sites_count; i++) {
		const struct spot *site = &sweep->sites[i];
		const struct site_frame *told = site_frame_told(site);
		const char *file = !told	? "?"
				   : told->file ? told->file
						: told->module;
		json_t *row;
		int n[3];

		if (!site->cells)
			continue;
		file = file ? file : "?";
		row = json_object_get(files, file);
		n[0] = (int)json_integer_value(json_object_get(row, "sites"));
		n[1] = (int)json_integer_value(json_object_get(row, "failed"));
		n[2] = (int)json_integer_value(json_object_get(row, "handled"));
		json_object_set_new(
			files, file,
			json_pack("{si si si}", "sites", n[0] + 1, "failed",
				  n[1] + (site->failed > 0), "handled",
				  n[2] + (site->failed &&
					  site->handled == site->failed)));
	}
	return files;
}

static json_t *coverage_json(const struct sweep *sweep)
{
	int seen = 0, failed = 0, well = 0;

	if (sweep->interpreter)
		return json_pack("{ss}", "withheld", sweep->interpreter);
	for (size_t i = 0; i < sweep->sites_count; i++) {
		const struct spot *site = &sweep->sites[i];

		seen += site->cells > 0;
		failed += site->failed > 0;
		well += site->failed && site->handled == site->failed;
	}
	return json_pack("{si si si so so}", "sites", seen, "failed", failed,
			 "handled", well, "calls", by_call_json(sweep), "files",
			 by_file_json(sweep));
}

static json_t *strings_json(const struct strings *strings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < strings->count; i++)
		json_array_append_new(list,
				      words_json_string(strings->items[i]));
	return list;
}

/* What a replay must ask for again. */
static json_t *options_json(const struct sweep *sweep)
{
	const struct sweep_options *options = sweep->options;

	return json_pack("{so so sI sb}", "check",
			 words_json_string(options->check), "stdin",
			 words_json_string(sweep->stdin_file), "timeout_ns",
			 (json_int_t)options->timeout_ns, "no_network",
			 options->no_network);
}

json_t *sweep_json(const struct sweep *sweep)
{
	static const char *const verdicts[] = {
		[VERDICT_PASS] = "PASS",
		[VERDICT_INCONCLUSIVE] = "INCONCLUSIVE",
		[VERDICT_ABORTED] = "ABORTED",
		[VERDICT_FAIL] = "FAIL",
		[VERDICT_INVALID] = "INVALID",
	};
	json_t *sites = json_array(), *cells = json_array();
	json_t *bugs = json_array(), *minor = json_array();
	json_t *argv = json_array();

	for (size_t i = 0; i < sweep->sites_count; i++)
		json_array_append_new(sites, site_json(&sweep->sites[i]));
	for (uint32_t i = 0; i < sweep->cells_count && sweep->results; i++)
		json_array_append_new(cells, cell_json(sweep, i));
	for (size_t i = 0; i < sweep->bugs_count; i++) {
		json_t *bug = bug_json(sweep, &sweep->bugs[i]);

		bug_cell_add(bug, sweep, &sweep->bugs[i]);
		json_array_append_new(sweep->bugs[i].minor ? minor : bugs, bug);
	}
	for (size_t i = 0; sweep->options->argv[i]; i++)
		json_array_append_new(
			argv, words_json_string(sweep->options->argv[i]));
	return json_pack(
		"{si ss ss ss so so so so so so so so sI so so sI sI sI}",
		"version", 1, "command", "sweep", "id", sweep->place.id,
		"verdict", verdicts[sweep->verdict], "argv", argv, "options",
		options_json(sweep), "cwd", words_json_string(sweep->cwd),
		"sites", sites, "cells", cells, "bugs", bugs, "minor", minor,
		"coverage", coverage_json(sweep), "not_tried",
		(json_int_t)(sweep->cells_count - sweep->tried), "reasons",
		strings_json(&sweep->reasons), "notes",
		strings_json(&sweep->notes), "baseline_ns",
		(json_int_t)sweep->baseline_ns, "sweep_ns",
		(json_int_t)sweep->sweep_ns, "confirm_ns",
		(json_int_t)sweep->confirm_ns);
}

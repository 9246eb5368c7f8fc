/* Evidence to and from a run directory.  One function per shape goes both
 * ways, so that what is written and what is read can't drift apart. */
#include "runner/evidence_files.h"
#include "runner/evidence_io.h"

#include <errno.h>
#include <string.h>

#define EVIDENCE_VERSION 1

static void io_ending(struct io *io, void *item)
{
	struct ending *ending = item;

	NUMBER(io, ending, started);
	NUMBER(io, ending, ended);
	NUMBER(io, ending, timed_out);
	NUMBER(io, ending, stopped_by_us);
	NUMBER(io, ending, killed_by_rule);
	NUMBER(io, ending, status);
	NUMBER(io, ending, signal);
	NUMBER(io, ending, core);
	NUMBER(io, ending, pid);
	if (!io->load || io_has(io, "outer_pid"))
		NUMBER(io, ending, outer_pid);
	NUMBER(io, ending, start_ns);
	NUMBER(io, ending, end_ns);
}

static void io_sample(struct io *io, void *item)
{
	struct sample *sample = item;

	NUMBER(io, sample, due_ns);
	NUMBER(io, sample, latency_ns);
	NUMBER(io, sample, steady);
	NUMBER(io, sample, phase);
	NUMBER(io, sample, ok);
}

static void io_growth(struct io *io, void *item)
{
	struct growth *growth = item;

	NUMBER(io, growth, fds);
	NUMBER(io, growth, threads);
	NUMBER(io, growth, rss_bytes);
	NUMBER(io, growth, known);
}

static void io_text(struct io *io, void *item)
{
	struct text *text = item;
	bool captured = text->bytes;

	NUMBER(io, text, count);
	NUMBER(io, text, truncated);
	captured = io_number(io, "captured", captured);
	if (!io->load || !captured)
		return;
	text->path = strdup(""); /* text_load() puts the real one */
	if (!text->path)
		io_fail(io, -ENOMEM);
}

static void io_file(struct io *io, void *item)
{
	struct file_seen *file = item;

	STRING(io, file, path);
	NUMBER(io, file, exists_before);
	NUMBER(io, file, exists_after);
	NUMBER(io, file, hash_before);
	NUMBER(io, file, hash_after);
	NUMBER(io, file, bytes_before);
	NUMBER(io, file, bytes_after);
	NUMBER(io, file, error_before);
	NUMBER(io, file, error_after);
	for (size_t i = 0; i < 2; i++) {
		char key[] = "hash_other0";

		key[10] = (char)('0' + i);
		file->hash_other[i] = io_number(io, key, file->hash_other[i]);
		memcpy(key, "have", 4);
		file->exists_other[i] =
			io_number(io, key, file->exists_other[i]);
		memcpy(key, "fail", 4);
		file->error_other[i] =
			(int)io_number(io, key, (uint64_t)file->error_other[i]);
	}
}

static void io_command(struct io *io, void *item)
{
	struct command_seen *command = item;

	NUMBER(io, command, expect);
	io_object(io, "ending", &command->ending, io_ending);
	STRING(io, command, output);
	NUMBER(io, command, truncated);
	command->bytes = command->output ? strlen(command->output) : 0;
}

static void io_names(struct io *io, void *item)
{
	struct names_seen *names = item;

	NUMBER(io, names, expect);
	io_strings(io, "before", &names->before);
	io_strings(io, "after", &names->after);
	NUMBER(io, names, error_before);
	NUMBER(io, names, error_after);
}

static void io_process(struct io *io, void *item)
{
	struct process_seen *process = item;

	NUMBER(io, process, pid);
	NUMBER(io, process, status);
	NUMBER(io, process, sites);
	NUMBER(io, process, sites_patched);
	NUMBER(io, process, sites_left);
	io_chars(io, "exe", process->exe, sizeof(process->exe));
	NUMBER(io, process, fired);
}

static void io_phase(struct io *io, void *item)
{
	struct phase_seen *phase = item;

	NUMBER(io, phase, start_ns);
	NUMBER(io, phase, end_ns);
	NUMBER(io, phase, fired);
	NUMBER(io, phase, reached);
	NUMBER(io, phase, steady_again);
	NUMBER(io, phase, steady_ns);
}

static void io_count(struct io *io, void *item)
{
	*(uint64_t *)item = io_number(io, "n", *(uint64_t *)item);
}

/* Calls by name: their ids differ between builds. */
static void io_calls(struct io *io, void *item)
{
	uint64_t *calls = item;
	const char *key;
	json_t *value;

	if (!io->load) {
		for (unsigned i = 0; i < CALL_COUNT; i++)
			if (calls[i])
				io_number(io, call_table[i].name, calls[i]);
		return;
	}
	json_object_foreach(io->at, key, value)
	{
		unsigned id = call_find(key, strlen(key));

		if (id < CALL_COUNT)
			calls[id] = (uint64_t)json_integer_value(value);
	}
}

static void io_books(struct io *io, void *item)
{
	struct evidence *evidence = item;
	const struct scenario *scenario = evidence->scenario;

	NUMBER(io, evidence, events_lost);
	NUMBER(io, evidence, lapses);
	NUMBER(io, evidence, unresolved);
	NUMBER(io, evidence, cut_short);
	NUMBER(io, evidence, vfork_skipped);
	NUMBER(io, evidence, late_missed);
	NUMBER(io, evidence, notify);
	NUMBER(io, evidence, notify_lost);
	NUMBER(io, evidence, uring_refused);
	NUMBER(io, evidence, foreign);
	NUMBER(io, evidence, processes_lost);
	NUMBER(io, evidence, fault_first_ns);
	NUMBER(io, evidence, fault_last_ns);
	io_fixed(io, "matched", evidence->matched, scenario->rules_count,
		 sizeof(*evidence->matched), io_count);
	io_fixed(io, "fired", evidence->fired, scenario->rules_count,
		 sizeof(*evidence->fired), io_count);
	io_fixed(io, "undone", evidence->undone, scenario->rules_count,
		 sizeof(*evidence->undone), io_count);
	io_object(io, "calls", evidence->calls, io_calls);
	io_object(io, "sites", evidence->sites, io_calls);
	io_object(io, "sites_left", evidence->sites_left, io_calls);
	LIST(io, evidence, processes, &evidence->processes_count, io_process);
}

static void io_evidence(struct io *io, struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;
	size_t workloads = scenario->workloads_count;
	size_t outs = workloads;

	NUMBER(io, evidence, seed);
	io_chars(io, "id", evidence->id, sizeof(evidence->id));
	STRING(io, evidence, scratch);
	STRING(io, evidence, cwd);
	NUMBER(io, evidence, start_ns);
	NUMBER(io, evidence, ready_ns);
	NUMBER(io, evidence, end_ns);
	NUMBER(io, evidence, ready);
	STRING(io, evidence, ready_why);
	if (!io->load || io_has(io, "no_recovery"))
		STRING(io, evidence, no_recovery);
	STRING(io, evidence, service_gone);
	io_object(io, "target", &evidence->target, io_ending);
	NUMBER(io, evidence, restarts);
	LIST(io, evidence, crashes, &evidence->crashes_count, io_ending);
	LIST(io, evidence, workloads, &workloads, io_ending);
	LIST(io, evidence, workload_outs, &outs, io_text);
	if ((evidence->workloads && workloads != scenario->workloads_count) ||
	    (evidence->workload_outs && outs != scenario->workloads_count))
		io_fail(io, -EBADMSG);
	LIST(io, evidence, samples, &evidence->samples_count, io_sample);
	io_fixed(io, "phases", evidence->phases, scenario->phases_count,
		 sizeof(*evidence->phases), io_phase);
	io_object(io, "at_ready", &evidence->at_ready, io_growth);
	io_object(io, "at_end", &evidence->at_end, io_growth);
	if (!io->load || io_has(io, "watched")) /* older runs had none */
		io_object(io, "watched", &evidence->watched,
			  evidence_watched_io);
	if (!io->load || io_has(io, "stall"))
		io_object(io, "stall", &evidence->stall, evidence_stall_io);
	io_object(io, "ledger", &evidence->ledger, io_text);
	io_object(io, "out", &evidence->out, io_text);
	io_object(io, "err", &evidence->err, io_text);
	LIST(io, evidence, files, &evidence->files_count, io_file);
	LIST(io, evidence, commands, &evidence->commands_count, io_command);
	LIST(io, evidence, names, &evidence->names_count, io_names);
	io_object(io, "books", evidence, io_books);
	STRING(io, evidence, unreachable);
	STRING(io, evidence, aborted);
	NUMBER(io, evidence, aborted_signal);
	NUMBER(io, evidence, replay_recorded);
	NUMBER(io, evidence, replay_agreed);
	NUMBER(io, evidence, is_replay);
}

int evidence_save(const struct evidence *evidence)
{
	/* io only reads when it doesn't load. */
	struct evidence *source = (struct evidence *)evidence;
	_cleanup_json_ json_t *json = json_object();
	_cleanup_words_ char *path =
		words_say("%s/evidence.json", evidence->run_dir);
	struct io io = { .at = json };
	int error;

	if (!json || !path)
		return -ENOMEM;
	io_put(&io, "version", json_integer(EVIDENCE_VERSION));
	io_evidence(&io, source);
	if (io.error)
		return io.error;
	error = evidence_events_save(evidence);
	if (error < 0)
		return error;
	error = evidence_texts(source, evidence->run_dir, false);
	if (error < 0)
		return error;
	error = words_write_json(path, json);
	if (error < 0 || !evidence->bare || !evidence->bare->run_dir)
		return error;
	return evidence_save(evidence->bare);
}

static int evidence_load_one(const char *run_dir,
			     const struct scenario *scenario,
			     struct evidence **ret_evidence)
{
	_cleanup_words_ char *path = words_say("%s/evidence.json", run_dir);
	_cleanup_json_ json_t *json = NULL;
	struct evidence *evidence;
	_cleanup_words_ char *bytes = NULL;
	struct io io = { .load = true };
	int error =
		path ? words_read(path, FILE_BYTES_MAX, &bytes, NULL) : -ENOMEM;

	if (error < 0)
		return error;
	json = io.at = json_loads(bytes, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(json) ||
	    json_integer_value(json_object_get(json, "version")) !=
		    EVIDENCE_VERSION)
		return -EBADMSG;
	evidence = calloc(1, sizeof(*evidence));
	if (!evidence)
		return -ENOMEM;
	evidence->scenario = scenario;
	evidence->run_dir = strdup(run_dir);
	io_evidence(&io, evidence);
	error = evidence->run_dir ? io.error : -ENOMEM;
	if (!error)
		error = evidence_events_load(run_dir, evidence);
	if (!error)
		error = evidence_texts(evidence, run_dir, true);
	if (error) {
		evidence_free(evidence);
		return error;
	}
	*ret_evidence = evidence;
	return 0;
}

int evidence_load(const char *run_dir, const struct scenario *scenario,
		  struct evidence **ret_evidence)
{
	_cleanup_words_ char *bare_dir = words_say("%s/bare", run_dir);
	struct evidence *evidence, *bare = NULL;
	int error = bare_dir ? evidence_load_one(run_dir, scenario, &evidence)
			     : -ENOMEM;

	if (error < 0)
		return error;
	error = evidence_load_one(bare_dir, scenario, &bare);
	if (error < 0 && error != -ENOENT && error != -ENOTDIR) {
		evidence_free(evidence);
		return error;
	}
	evidence->bare = bare;
	*ret_evidence = evidence;
	return 0;
}

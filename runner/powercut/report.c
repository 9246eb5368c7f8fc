/* report.c - what came of it: a page for people, JSON for machines. */
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/powercut/powercut.h"
#include "runner/words.h"

static const char *const verdicts[] = {
	[VERDICT_PASS] = "PASS",       [VERDICT_INCONCLUSIVE] = "INCONCLUSIVE",
	[VERDICT_ABORTED] = "ABORTED", [VERDICT_FAIL] = "FAIL",
	[VERDICT_INVALID] = "INVALID",
};

int cut_replay_command(const struct cut_result *result, unsigned finding,
		       char text[256])
{
	return snprintf(text, 256, "mishap powercut --show %s:%u --into bad",
			result->place.id, finding + 1);
}

/* "rename packed-refs.new -> packed-refs", in few words. */
static char *op_say(const struct history *history, const struct op *op)
{
	static const char *const verbs[OPLOG_KINDS] = {
		[OPLOG_CREATE] = "create",
		[OPLOG_TMPFILE] = "open an unnamed file",
		[OPLOG_MKDIR] = "mkdir",
		[OPLOG_SYMLINK] = "symlink",
		[OPLOG_LINK] = "link",
		[OPLOG_UNLINK] = "unlink",
		[OPLOG_RMDIR] = "rmdir",
		[OPLOG_RENAME] = "rename",
		[OPLOG_EXCHANGE] = "exchange",
		[OPLOG_WRITE] = "write to",
		[OPLOG_TRUNCATE] = "truncate",
		[OPLOG_FSYNC] = "fsync",
		[OPLOG_FDATASYNC] = "fdatasync",
		[OPLOG_FSYNC_FAILED] = "failed fsync of",
		[OPLOG_SYNC] = "sync",
		[OPLOG_SYNC_RANGE] = "sync_file_range of",
		[OPLOG_CLOSE] = "close",
		[OPLOG_CHMOD] = "chmod",
		[OPLOG_LEDGER] = "ledger:",
	};
	_cleanup_words_ char *name = NULL, *other = NULL;

	if (op->kind == OPLOG_LEDGER)
		return words_say("%.*s", (int)op->text_bytes, op->text);
	if (op->slot != NONE)
		name = history_path(history, op->slot);
	else if (op->node != NONE)
		name = history_name(history, op->node);
	if (op->slot2 != NONE)
		other = history_path(history, op->slot2);
	if (op->kind == OPLOG_WRITE)
		return words_say("write %llu bytes to %s at %llu",
				 (unsigned long long)op->size, name,
				 (unsigned long long)op->offset);
	return words_say("%s%s%s%s%s", verbs[op->kind], name ? " " : "",
			 name ? name : "", other ? " -> " : "",
			 other ? other : "");
}

/* "fsync(a) before rename(a -> b): 84 -> 0", or why there is none. */
static char *barriers_say(const struct barriers *barriers)
{
	char *text = strdup("");
	uint32_t left = barriers->before;

	for (unsigned i = 0; i < barriers->count && text; i++) {
		char *longer = words_say("%s%s%s", text, *text ? "; " : "",
					 barriers->texts[i]);

		free(text);
		text = longer;
		left = barriers->after[i];
	}
	if (text && barriers->count) {
		char *longer =
			words_say("%s: %u -> %u", text, barriers->before, left);

		free(text);
		text = longer;
	}
	return text;
}

static void print_states(const struct cut_result *result, FILE *out)
{
	const struct explore *explore = &result->explore;

	fprintf(out, "  %-13s %8s %8s   %s\n", "model", "states", "judged",
		"broken");
	for (unsigned m = 0; m < explore->models_count; m++) {
		const struct explored *model = &explore->models[m];
		const char *before = "";

		fprintf(out, "  %-13s %8u %8u   ", model->model->name,
			model->states.count, model->judged);
		if (!model->bad)
			fputs(model->judged ? "none" : "-", out);
		for (int c = 0; c < VIOLATION_COUNT; c++)
			if (model->classes[c]) {
				fprintf(out, "%s%s %u", before,
					violation_names[c], model->classes[c]);
				before = ", ";
			}
		fputc('\n', out);
	}
}

static void print_missing(const struct cut_finding *finding, FILE *out)
{
	const unsigned shown = 6;

	fprintf(out, "    not on disk: %s\n",
		finding->missing_count ? finding->missing[0]
				       : "nothing: all that was done is there");
	for (unsigned i = 1; i < finding->missing_count && i < shown; i++)
		fprintf(out, "                 %s\n", finding->missing[i]);
	if (finding->missing_count > shown)
		fprintf(out, "                 and %u more\n",
			finding->missing_count - shown + finding->missing_more);
}

/* Where what is missing was asked for: the first piece whose site is known. */
static const struct call_site *finding_site(const struct cut_result *result,
					    const struct cut_finding *finding)
{
	const struct dag *dag = &result->explore.models[finding->model].dag;
	const struct call_site *site = NULL;

	for (uint32_t id = 0; id < dag->first[finding->state.cut + 1] && !site;
	     id++)
		if (!set_has(finding->state.set, id) &&
		    dag->micros[id].kind != MICRO_ALLOC)
			site = history_site(&result->history,
					    &dag->ops[dag->micros[id].op]);
	if (!site)
		site = history_site(&result->history,
				    &dag->ops[finding->state.cut]);
	return site;
}

static void print_finding(const struct cut_result *result, unsigned n,
			  FILE *out)
{
	const struct cut_finding *finding = &result->findings.items[n];
	const struct explored *model = &result->explore.models[finding->model];
	const struct op *op = &model->dag.ops[finding->state.cut];
	_cleanup_words_ char *what = op_say(&result->history, op);
	const struct call_site *site = finding_site(result, finding);
	char replay[256];

	cut_replay_command(result, n, replay);
	fprintf(out, "\n  %u. %s on %s, window: %s\n", n + 1,
		violation_names[finding->class], model->model->name,
		model->model->window);
	fprintf(out, "    %s\n", finding->says ? finding->says : "");
	fprintf(out, "    power fails after operation %u of %u: %s\n",
		finding->state.cut + 1, result->history.ops_count,
		what ? what : "");
	print_missing(finding, out);
	if (site)
		fprintf(out, "    called from: %.*s\n", (int)site->bytes,
			site->text);
	fprintf(out,
		"    states that show it: %u of %u; look at this one:\n"
		"      %s\n",
		finding->states, model->judged, replay);
}

static void print_barriers(const struct cut_result *result, FILE *out)
{
	const struct explore *explore = &result->explore;

	for (unsigned m = 0; m < explore->models_count; m++) {
		const struct barriers *barriers = &result->findings.barriers[m];
		const char *model = explore->models[m].model->name;

		if (!explore->models[m].bad || !barriers->tried)
			continue;
		if (!barriers->count && !barriers->in_time) {
			fprintf(out,
				"  %-13s none was found in the time there was; "
				"--budget gives more\n",
				model);
			continue;
		}
		if (!barriers->count) {
			fprintf(out,
				"  %-13s no fsync that could be added helps: "
				"what is\n                written must be "
				"replaced as a whole, by a rename\n",
				model);
			continue;
		}
		for (unsigned i = 0; i < barriers->count; i++)
			fprintf(out, "  %-13s %s%s: %u -> %u\n", i ? "" : model,
				i ? "and " : "", barriers->texts[i],
				i ? barriers->after[i - 1] : barriers->before,
				barriers->after[i]);
		if (barriers->after[barriers->count - 1] && !barriers->in_time)
			fputs("                and more, not found in the time "
			      "there was; --budget gives more\n",
			      out);
	}
}

static void print_speed(const struct cut_result *result, FILE *out)
{
	uint32_t judged = 0;
	double seconds = (double)result->judge_ns / 1e9;

	for (uint32_t i = 0; i < result->explore.trees_count; i++)
		judged += result->explore.trees[i].outcome.kind != OUTCOME_NONE;
	if (result->sets && result->enumerate_ns)
		fprintf(out, "  %llu sets enumerated, %.0f a second",
			(unsigned long long)result->sets,
			(double)result->sets * 1e9 /
				(double)result->enumerate_ns);
	if (judged && seconds > 0)
		fprintf(out, "; %u trees judged, %.0f a second", judged,
			judged / seconds);
	if (result->sets)
		fputc('\n', out);
}

void cut_print(const struct cut_options *options,
	       const struct cut_result *result, FILE *out)
{
	const struct history *history = &result->history;
	char bytes[WORDS_SHORT_MAX];
	bool some = false;

	if (options->quiet) {
		fprintf(out, "%s\n", verdicts[result->verdict]);
		return;
	}
	fprintf(out, "mishap powercut  %s\n", result->place.id);
	fprintf(out, "  tree    %s, %u files, %s\n", result->tree,
		result->base_files, words_bytes(result->base_bytes, bytes));
	if (result->recorded)
		fprintf(out,
			"  log     %u operations, %u acknowledgements; "
			"replaying "
			"it\n          %s\n",
			history->ops_count, result->explore.ledger.acks,
			result->sound ? "gives the tree that was there, byte "
					"for byte"
				      : "proves nothing, see below");
	for (size_t i = 0; i < result->notes.count; i++)
		fprintf(out, "  note    %s\n", result->notes.items[i]);
	if (result->explore.models_count)
		print_states(result, out);
	for (unsigned i = 0; i < result->findings.count; i++)
		print_finding(result, i, out);
	for (unsigned m = 0; m < MODEL_COUNT; m++)
		some |= result->findings.barriers[m].tried;
	if (some) {
		fputs("\nmissing barriers, and how many bad states they "
		      "leave\n",
		      out);
		print_barriers(result, out);
	}
	print_speed(result, out);
	fprintf(out, "\n%s", verdicts[result->verdict]);
	for (size_t i = 0; i < result->reasons.count; i++)
		fprintf(out, "%s  %s\n", i ? "    " : "",
			result->reasons.items[i]);
	if (!result->reasons.count)
		fputs("  no state that was judged breaks a promise\n", out);
}

/* ---- JSON ---------------------------------------------------------------- */
static char *set_hex(const struct dag *dag, const uint64_t *set)
{
	char *text = malloc((size_t)dag->words * 16 + 1);

	if (!text)
		return NULL;
	*text = '\0';
	for (uint32_t w = 0; w < dag->words; w++)
		snprintf(text + 16 * (size_t)w, 17, "%016llx",
			 (unsigned long long)set[w]);
	return text;
}

static json_t *finding_json(const struct cut_result *result, unsigned n)
{
	const struct cut_finding *finding = &result->findings.items[n];
	const struct explored *model = &result->explore.models[finding->model];
	const struct barriers *barriers =
		&result->findings.barriers[finding->model];
	_cleanup_words_ char *op =
		op_say(&result->history, &model->dag.ops[finding->state.cut]);
	_cleanup_words_ char *set = set_hex(&model->dag, finding->state.set);
	_cleanup_words_ char *barrier =
		barriers->count ? barriers_say(barriers) : NULL;
	const struct call_site *site = finding_site(result, finding);
	json_t *missing = json_array();
	char replay[256];

	cut_replay_command(result, n, replay);
	for (unsigned i = 0; i < finding->missing_count; i++)
		json_array_append_new(missing,
				      words_json_string(finding->missing[i]));
	return json_pack(
		"{ss ss ss so sI so sI so so so ss ss}", "model",
		model->model->name, "window", model->model->window, "class",
		violation_names[finding->class], "says",
		words_json_string(finding->says), "after_op",
		(json_int_t)finding->state.cut + 1, "op", words_json_string(op),
		"states", (json_int_t)finding->states, "missing", missing,
		"source",
		site ? words_json(site->text, site->bytes) : json_null(),
		"barrier", words_json_string(barrier), "replay", replay, "set",
		set ? set : "");
}

static json_t *model_json(const struct cut_result *result, unsigned m)
{
	const struct explored *model = &result->explore.models[m];
	const struct barriers *barriers = &result->findings.barriers[m];
	json_t *classes = json_object(), *added = json_array();

	for (int c = 0; c < VIOLATION_COUNT; c++)
		json_object_set_new(
			classes, violation_names[c],
			json_integer((json_int_t)model->classes[c]));
	for (unsigned i = 0; i < barriers->count; i++)
		json_array_append_new(
			added,
			json_pack("{ss sI sI}", "barrier", barriers->texts[i],
				  "before",
				  (json_int_t)(i ? barriers->after[i - 1]
						 : barriers->before),
				  "after", (json_int_t)barriers->after[i]));
	return json_pack(
		"{sI sI sI sI sb so so}", "states",
		(json_int_t)model->states.count, "judged",
		(json_int_t)model->judged, "bad", (json_int_t)model->bad,
		"sets", (json_int_t)model->states.sets, "bounded",
		model->states.bounded, "classes", classes, "barriers", added);
}

json_t *cut_json(const struct cut_options *options,
		 const struct cut_result *result)
{
	json_t *models = json_object(), *findings = json_array();
	json_t *reasons = json_array(), *argv = json_array();
	json_t *notes = json_array();

	for (unsigned m = 0; m < result->explore.models_count; m++)
		json_object_set_new(models,
				    result->explore.models[m].model->name,
				    model_json(result, m));
	for (unsigned i = 0; i < result->findings.count; i++)
		json_array_append_new(findings, finding_json(result, i));
	for (size_t i = 0; i < result->reasons.count; i++)
		json_array_append_new(
			reasons, words_json_string(result->reasons.items[i]));
	for (size_t i = 0; i < result->notes.count; i++)
		json_array_append_new(
			notes, words_json_string(result->notes.items[i]));
	for (size_t i = 0; options->argv[i]; i++)
		json_array_append_new(argv,
				      words_json_string(options->argv[i]));
	return json_pack(
		"{si ss ss ss so so sI sI sb sI si si so so so so}", "version",
		1, "command", "powercut", "id", result->place.id, "verdict",
		verdicts[result->verdict], "tree",
		words_json_string(result->tree), "argv", argv, "ops",
		(json_int_t)(result->recorded ? result->history.ops_count : 0),
		"acks", (json_int_t)result->explore.ledger.acks, "sound",
		result->sound, "seed", (json_int_t)options->seed, "shard",
		(int)options->shard + 1, "shards",
		(int)(options->shards ? options->shards : 1), "models", models,
		"findings", findings, "reasons", reasons, "notes", notes);
}

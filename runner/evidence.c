#include "runner/words.h"

#include <errno.h>
#include <string.h>

static void text_free(struct text *text)
{
	free(text->path);
	free(text->bytes);
}

void evidence_free(struct evidence *evidence)
{
	if (!evidence)
		return;
	free(evidence->run_dir);
	free(evidence->scratch);
	free(evidence->cwd);
	free(evidence->ready_why);
	free(evidence->no_recovery);
	free(evidence->service_gone);
	free(evidence->crashes);
	free(evidence->workloads);
	for (size_t i = 0; evidence->workload_outs && evidence->scenario &&
			   i < evidence->scenario->workloads_count;
	     i++)
		text_free(&evidence->workload_outs[i]);
	free(evidence->workload_outs);
	free(evidence->samples);
	text_free(&evidence->ledger);
	text_free(&evidence->out);
	text_free(&evidence->err);
	for (size_t i = 0; i < evidence->files_count; i++)
		free(evidence->files[i].path);
	free(evidence->files);
	for (size_t i = 0; i < evidence->commands_count; i++)
		free(evidence->commands[i].output);
	free(evidence->commands);
	for (size_t i = 0; i < evidence->names_count; i++) {
		words_clear(&evidence->names[i].before);
		words_clear(&evidence->names[i].after);
	}
	free(evidence->names);
	words_clear(&evidence->stall.stacks);
	watched_clear(&evidence->watched);
	free(evidence->events);
	free(evidence->processes);
	free(evidence->unreachable);
	free(evidence->aborted);
	free(evidence);
}

/* One copy under way; the first failure sticks and the rest stays NULL. */
struct copy {
	bool failed;
};

static void *copy_bytes(struct copy *copy, const void *from, size_t n)
{
	void *to;

	if (!from || copy->failed)
		return NULL;
	to = malloc(n ? n : 1);
	if (!to) {
		copy->failed = true;
		return NULL;
	}
	return memcpy(to, from, n);
}

static char *copy_string(struct copy *copy, const char *from)
{
	return from ? copy_bytes(copy, from, strlen(from) + 1) : NULL;
}

static struct text copy_text(struct copy *copy, const struct text *from)
{
	struct text to = *from;

	to.path = copy_string(copy, from->path);
	to.bytes = NULL;
	if (from->bytes && !copy->failed) { /* and a NUL, whoever wrote it */
		to.bytes = malloc(from->count + 1);
		copy->failed = !to.bytes;
	}
	if (to.bytes) {
		memcpy(to.bytes, from->bytes, from->count);
		to.bytes[from->count] = '\0';
	}
	return to;
}

static struct strings copy_strings(struct copy *copy,
				   const struct strings *from)
{
	struct strings to = { 0 };

	if (!copy->failed && words_copy(from, &to) < 0)
		copy->failed = true;
	return to;
}

/* Lists whose items own something; count grows with what is owned. */
static void copy_owners(struct copy *copy, const struct evidence *from,
			struct evidence *to)
{
	to->files = copy_bytes(copy, from->files,
			       from->files_count * sizeof(*from->files));
	for (size_t i = 0; to->files && i < from->files_count; i++) {
		to->files[i].path = copy_string(copy, from->files[i].path);
		to->files_count = i + 1;
	}
	to->commands =
		copy_bytes(copy, from->commands,
			   from->commands_count * sizeof(*from->commands));
	for (size_t i = 0; to->commands && i < from->commands_count; i++) {
		to->commands[i].output =
			from->commands[i].output
				? copy_bytes(copy, from->commands[i].output,
					     from->commands[i].bytes + 1)
				: NULL;
		to->commands_count = i + 1;
	}
	to->names = copy_bytes(copy, from->names,
			       from->names_count * sizeof(*from->names));
	for (size_t i = 0; to->names && i < from->names_count; i++) {
		to->names[i].before =
			copy_strings(copy, &from->names[i].before);
		to->names[i].after = copy_strings(copy, &from->names[i].after);
		to->names_count = i + 1;
	}
}

int evidence_copy(const struct evidence *evidence,
		  struct evidence **ret_evidence)
{
	struct evidence *to = malloc(sizeof(*to));
	size_t workloads =
		evidence->scenario ? evidence->scenario->workloads_count : 0;
	struct copy copy = { 0 };

	if (!to)
		return -ENOMEM;
	*to = *evidence;
	to->files_count = to->commands_count = to->names_count = 0;
	to->stall.stacks = copy_strings(&copy, &evidence->stall.stacks);
	if (watched_copy(&evidence->watched, &to->watched) < 0)
		copy.failed = true;
	to->run_dir = copy_string(&copy, evidence->run_dir);
	to->scratch = copy_string(&copy, evidence->scratch);
	to->cwd = copy_string(&copy, evidence->cwd);
	to->ready_why = copy_string(&copy, evidence->ready_why);
	to->no_recovery = copy_string(&copy, evidence->no_recovery);
	to->service_gone = copy_string(&copy, evidence->service_gone);
	to->unreachable = copy_string(&copy, evidence->unreachable);
	to->aborted = copy_string(&copy, evidence->aborted);
	to->ledger = copy_text(&copy, &evidence->ledger);
	to->out = copy_text(&copy, &evidence->out);
	to->err = copy_text(&copy, &evidence->err);
	to->crashes = copy_bytes(&copy, evidence->crashes,
				 evidence->crashes_count *
					 sizeof(*evidence->crashes));
	to->workloads = copy_bytes(&copy, evidence->workloads,
				   workloads * sizeof(*evidence->workloads));
	to->workload_outs =
		copy_bytes(&copy, evidence->workload_outs,
			   workloads * sizeof(*evidence->workload_outs));
	for (size_t i = 0; to->workload_outs && i < workloads; i++)
		to->workload_outs[i] =
			copy_text(&copy, &evidence->workload_outs[i]);
	to->samples = copy_bytes(&copy, evidence->samples,
				 evidence->samples_count *
					 sizeof(*evidence->samples));
	to->events =
		copy_bytes(&copy, evidence->events,
			   evidence->events_count * sizeof(*evidence->events));
	to->processes = copy_bytes(&copy, evidence->processes,
				   evidence->processes_count *
					   sizeof(*evidence->processes));
	copy_owners(&copy, evidence, to);
	if (copy.failed) {
		evidence_free(to);
		return -ENOMEM;
	}
	*ret_evidence = to;
	return 0;
}

int evidence_phase_at(const struct evidence *evidence, uint64_t at_ns)
{
	size_t count = evidence->scenario->phases_count;

	for (size_t i = 0; i < count && i < PLAN_PHASES_MAX; i++) {
		const struct phase_seen *phase = &evidence->phases[i];

		if (phase->reached && at_ns >= phase->start_ns &&
		    (at_ns < phase->end_ns || !phase->end_ns))
			return (int)i;
	}
	return -1;
}

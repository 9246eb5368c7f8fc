#include "runner/report/report.h"

#include <errno.h>
#include <string.h>

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int report_phase(const struct evidence *evidence, size_t phase,
		 struct report_phase *ret_phase)
{
	const struct phase_seen *seen = &evidence->phases[phase];
	uint64_t *latencies =
		calloc(evidence->samples_count + 1, sizeof(*latencies));
	struct report_phase stats = { 0 };

	if (!latencies)
		return -ENOMEM;
	for (size_t i = 0; i < evidence->samples_count; i++) {
		const struct sample *sample = &evidence->samples[i];

		if (sample->phase != phase)
			continue;
		stats.samples++;
		if (sample->ok)
			latencies[stats.healthy++] = sample->latency_ns;
	}
	qsort(latencies, stats.healthy, sizeof(*latencies), by_number);
	if (stats.healthy) { /* nearest rank */
		stats.p50_ns = latencies[(stats.healthy * 50 + 99) / 100 - 1];
		stats.p95_ns = latencies[(stats.healthy * 95 + 99) / 100 - 1];
		stats.p99_ns = latencies[(stats.healthy * 99 + 99) / 100 - 1];
	}
	free(latencies);
	if (seen->reached && seen->end_ns > seen->start_ns)
		stats.lasted_ns = seen->end_ns - seen->start_ns;
	*ret_phase = stats;
	return 0;
}

struct kind {
	uint16_t call;
	int16_t error;
	uint8_t fault;
	uint64_t count;
};

static int by_count_down(const void *a, const void *b)
{
	const struct kind *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

/* kinds_of - how often each (call, error or fault) was decided. */
static size_t kinds_of(const struct evidence *evidence, int phase,
		       struct kind *kinds, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < evidence->events_count; i++) {
		const struct event *event = &evidence->events[i];
		size_t k = 0;

		if (event->flags & EVENT_LAPSED || event->call >= CALL_COUNT ||
		    event->fault >= FAULT_COUNT ||
		    (phase >= 0 &&
		     evidence_phase_at(evidence, event->time_ns) != phase))
			continue;
		while (k < count && (kinds[k].call != event->call ||
				     kinds[k].error != event->error ||
				     kinds[k].fault != event->fault))
			k++;
		if (k == count && count < max)
			kinds[count++] = (struct kind){
				.call = event->call,
				.error = event->error,
				.fault = event->fault,
			};
		if (k < count)
			kinds[k].count++;
	}
	qsort(kinds, count, sizeof(*kinds), by_count_down);
	return count;
}

char *report_faults(const struct evidence *evidence, int phase, size_t kinds)
{
	struct kind found[64];
	size_t count = kinds_of(evidence, phase, found, 64);
	char *said = strdup("");

	if (!count) {
		free(said);
		return strdup("no faults");
	}
	for (size_t i = 0; said && i < count && i < kinds; i++) {
		const char *what =
			found[i].error ? error_name(found[i].error) : NULL;
		char *more = words_say(
			"%s%s%llu %s %s", said, i ? ", " : "",
			(unsigned long long)found[i].count,
			call_table[found[i].call].name,
			what ? what : fault_table[found[i].fault]->name);

		free(said);
		said = more;
	}
	if (said && count > kinds) {
		char *more = words_say("%s, +%zu kinds", said, count - kinds);

		free(said);
		said = more;
	}
	return said;
}

char *report_mark(const struct mark *mark)
{
	if (!mark || !mark->file)
		return strdup("");
	if (mark->line)
		return words_say("%s:%u", mark->file, mark->line);
	if (strcmp(mark->file, "default") == 0)
		return strdup("by default");
	return strdup(mark->file);
}

char *report_title(const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;

	if (scenario->name && *scenario->name)
		return strdup(scenario->name);
	return words_join(&scenario->target.run);
}

void report_sites(const struct evidence *evidence, uint64_t *ret_patched,
		  uint64_t *ret_left)
{
	*ret_patched = *ret_left = 0;
	for (size_t i = 0; i < evidence->processes_count; i++) {
		const struct process_seen *process = &evidence->processes[i];
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= strcmp(evidence->processes[k].exe,
					process->exe) == 0;
		if (again)
			continue;
		*ret_patched += process->sites_patched;
		*ret_left += process->sites_left;
	}
}

bool report_notified(const struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->processes_count; i++)
		if (evidence->processes[i].sites == SITES_NOTIFIED)
			return true;
	return false;
}

uint64_t report_fired(const struct evidence *evidence)
{
	uint64_t fired = 0;

	for (size_t i = 0; i < evidence->scenario->rules_count; i++)
		fired += evidence->fired[i];
	return fired;
}

static json_t *event_json(const struct evidence *evidence,
			  const struct event *event)
{
	const char *error = event->error ? error_name(event->error) : NULL;
	int phase = evidence_phase_at(evidence, event->time_ns);
	json_int_t at = (json_int_t)(event->time_ns - evidence->start_ns);
	char stream[24];

	if (event->call >= CALL_COUNT || event->fault >= FAULT_COUNT)
		return NULL;
	snprintf(stream, sizeof(stream), "%016llx",
		 (unsigned long long)event->stream);
	return json_pack(
		"{sI si si sI so? ss ss so? sI si ss sI sI si sb sb}", "at_ns",
		at, "pid", (int)event->pid, "rule", event->rule + 1, "index",
		(json_int_t)event->index, "phase",
		phase >= 0 ? words_json_string(
				     evidence->scenario->phases[phase].name)
			   : NULL,
		"call", call_table[event->call].name, "fault",
		fault_table[event->fault]->name, "error",
		error ? json_string(error) : NULL, "value",
		(json_int_t)event->value, "fd", (int)event->fd, "stream",
		stream, "thread_index", (json_int_t)event->thread_index,
		"stack", (json_int_t)event->stack, "process",
		(int)event->process, "after", event->flags & EVENT_AFTER,
		"lapsed", event->flags & EVENT_LAPSED);
}

int report_events(const struct evidence *evidence, FILE *out)
{
	for (size_t i = 0; i < evidence->events_count; i++) {
		_cleanup_json_ json_t *json =
			event_json(evidence, &evidence->events[i]);

		if (!json)
			continue;
		if (json_dumpf(json, out, JSON_COMPACT) < 0 ||
		    fputc('\n', out) == EOF)
			return -EIO;
	}
	return 0;
}

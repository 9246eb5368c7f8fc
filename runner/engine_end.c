/* From what was seen to what an oracle can judge. */
#include <signal.h>

#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/engine.h"
#include "runner/words.h"

/* The signal that an event has killed its process with; 0: none. */
static int event_signal(const struct event *event)
{
	if (event->flags & EVENT_LAPSED)
		return 0;
	if (event->fault == FAULT_torn)
		return SIGKILL;
	return event->fault == FAULT_kill ? (int)event->value : 0;
}

static bool was_killed_by_rule(const struct evidence *evidence,
			       const struct ending *ending)
{
	if (!ending->signal)
		return false;
	for (size_t i = 0; i < evidence->events_count; i++) {
		const struct event *event = &evidence->events[i];

		if (event->pid == ending->pid &&
		    event_signal(event) == ending->signal)
			return true;
	}
	return false;
}

static void fault_times(struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->events_count; i++) {
		const struct event *event = &evidence->events[i];
		uint64_t end_ns = event->time_ns;

		if (event->flags & EVENT_LAPSED)
			continue;
		if ((event->fault == FAULT_delay ||
		     event->fault == FAULT_cpu_slow) &&
		    event->value > 0)
			end_ns += (uint64_t)event->value;
		if (end_ns > evidence->end_ns)
			end_ns = evidence->end_ns;
		if (!evidence->fault_first_ns ||
		    event->time_ns < evidence->fault_first_ns)
			evidence->fault_first_ns = event->time_ns;
		if (end_ns > evidence->fault_last_ns)
			evidence->fault_last_ns = end_ns;
	}
}

/* Nobody got in though the file itself doesn't say why. */
static void reach_check(struct engine *engine)
{
	struct evidence *evidence = engine->evidence;

	if (engine->bare || evidence->unreachable ||
	    evidence->processes_count || evidence->processes_lost ||
	    !evidence->target.started)
		return;
	evidence->unreachable =
		strdup("no process of the target loaded libmishap.so (a "
		       "scrubbed environment, or another loader)");
}

void engine_books(struct engine *engine)
{
	struct evidence *evidence = engine->evidence;
	int error = 0;

	collect_close(&engine->collect, evidence);
	fault_times(evidence);
	watched_pardon(&evidence->watched, evidence->events,
		       evidence->events_count);
	if (evidence->events_count && engine->shared.state)
		error = symbolize_stacks(engine->shared.state,
					 evidence->run_dir);
	if (error < 0)
		progress_say("call sites stay unnamed: %s", strerror(-error));
}

/* Several clients count as one: the worst of them. */
static struct ending workload_ending(struct engine *engine,
				     const struct engine_workload *run)
{
	struct ending worst = { 0 };

	for (size_t i = 0; i < run->count; i++) {
		struct ending ending =
			tree_ending(&engine->tree, run->clients[i]);

		if (i == 0 || (ending.signal && !worst.signal) ||
		    (!worst.signal && !worst.status && ending.status))
			worst = ending;
	}
	worst.timed_out = run->timed_out;
	return worst;
}

/* Before we stop any: did one end by itself?  One that goes into the
 * background ends with 0 and leaves somebody behind. */
static void services_look(struct engine *engine)
{
	const struct scenario *scenario = engine->scenario;
	struct evidence *evidence = engine->evidence;
	size_t alive = tree_alive(&engine->tree, TREE_SERVICE);

	for (size_t i = 0; i < scenario->services_count; i++)
		alive -= alive && engine->services[i] &&
			 !tree_ended(&engine->tree, engine->services[i]);
	for (size_t i = 0;
	     i < scenario->services_count && !evidence->service_gone; i++) {
		_cleanup_words_ char *how = NULL;
		struct ending ending;
		char after[WORDS_SHORT_MAX];

		if (!engine->services[i])
			continue;
		ending = tree_ending(&engine->tree, engine->services[i]);
		if (!ending.ended || ending.stopped_by_us ||
		    (!ending.signal && !ending.status && alive))
			continue;
		how = words_ending(&ending);
		words_duration(ending.end_ns > evidence->start_ns
				       ? ending.end_ns - evidence->start_ns
				       : 0,
			       after);
		evidence->service_gone = words_say(
			"service %s ended %s into the run: %s",
			scenario->services[i].name, after, how ? how : "");
	}
}

void engine_endings(struct engine *engine)
{
	struct evidence *evidence = engine->evidence;
	struct tree *tree = &engine->tree;
	bool timed_out = evidence->target.timed_out;

	services_look(engine);
	if (engine->target) {
		evidence->target = tree_ending(tree, engine->target);
		evidence->target.timed_out = timed_out;
		evidence->target.killed_by_rule =
			was_killed_by_rule(evidence, &evidence->target);
	}
	for (size_t i = 0; engine->workloads && evidence->workloads &&
			   i < engine->scenario->workloads_count;
	     i++)
		evidence->workloads[i] =
			workload_ending(engine, &engine->workloads[i]);
	pthread_mutex_lock(&tree->lock);
	evidence->crashes = tree->crashes;
	evidence->crashes_count = tree->crashes_count;
	tree->crashes = NULL;
	tree->crashes_count = 0;
	pthread_mutex_unlock(&tree->lock);
	for (size_t i = 0; i < evidence->crashes_count; i++)
		evidence->crashes[i].killed_by_rule =
			was_killed_by_rule(evidence, &evidence->crashes[i]);
	reach_check(engine);
}

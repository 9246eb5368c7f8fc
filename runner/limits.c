#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/engine.h"
#include "runner/interrupt.h"

#define LOOK_EVERY_NS (50 * NS_PER_MS)

void engine_abort(struct engine *engine, const char *format, ...)
{
	va_list args;

	engine_disarm(engine);
	if (engine->evidence->aborted) /* the first reason stands */
		return;
	va_start(args, format);
	if (vasprintf(&engine->evidence->aborted, format, args) < 0)
		engine->evidence->aborted = NULL;
	va_end(args);
}

static bool limits_of_scenario(struct engine *engine)
{
	const struct limits *limits = &engine->scenario->limits;
	uint64_t now = clock_now_ns();

	if (now > engine->deadline_ns) {
		engine_abort(engine, "the time limit of %.3gs was reached",
			     (double)limits->time.ns / 1e9);
		return false;
	}
	if (limits->faults &&
	    collect_fired(engine->shared.state) > limits->faults) {
		engine_abort(engine,
			     "more faults than limits.faults (%llu) were made",
			     (unsigned long long)limits->faults);
		return false;
	}
	if (!limits->rss_bytes || now < engine->next_look_ns)
		return true;
	engine->next_look_ns = now + LOOK_EVERY_NS;
	if (tree_growth(&engine->tree, TREE_TARGET).rss_bytes <=
	    limits->rss_bytes)
		return true;
	engine_abort(engine,
		     "the target used more memory than limits.rss "
		     "(%llu bytes)",
		     (unsigned long long)limits->rss_bytes);
	return false;
}

bool limits_interrupted(struct engine *engine)
{
	int number = interrupt_signal();

	if (!number || engine->evidence->aborted)
		return number;
	engine->evidence->aborted_signal = number;
	engine_abort(engine, "interrupted by SIG%s", sigabbrev_np(number));
	return true;
}

/* limits_hold - false: the run is over, evidence->aborted says why. */
bool limits_hold(struct engine *engine)
{
	if (engine->evidence->aborted || limits_interrupted(engine))
		return false;
	if (engine->shared.state &&
	    atomic_load(&engine->shared.state->halted)) {
		engine_abort(engine, "halted by `mishap halt`");
		return false;
	}
	return limits_of_scenario(engine);
}

/* engine_notify.c - which door the target gets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/arm.h"
#include "runner/clock.h"
#include "runner/engine.h"
#include "runner/sites.h"
#include "runner/words.h"

#define GUARDIAN_ENDS_NS NS_PER_S

/* A run that only looks at the target needs no door. */
static bool anything_asked(const bool counted[CALL_COUNT],
			   const struct scenario *scenario)
{
	bool asked = scenario->rules_count > 0;

	for (unsigned id = 0; id < CALL_COUNT; id++)
		asked |= counted[id];
	return asked;
}

/* Takes why, which the library can't enter all of it; NULL: it can. */
static int notify_too(struct engine *engine, char *why)
{
	struct evidence *evidence = engine->evidence;
	struct notify_input input = {
		.state = engine->shared.state,
		.plan = &engine->plan,
		.counted = engine->counted,
		.shared_path = engine->shared.path,
	};
	_cleanup_words_ char *refused = NULL;
	bool works;
	int error;

	tree_pause(&engine->tree, true); /* it has a child of its own */
	works = notify_works(&refused);
	tree_pause(&engine->tree, false);
	if (!works) {
		evidence->unreachable = words_say(
			"%s; %s", why ? why : "--notify was asked for",
			refused ? refused : "");
		free(why);
		return 0;
	}
	free(why);
	error = notify_open(&engine->tree, &input, &engine->notify);
	if (error)
		return engine_fail(error, "the notify door can't be opened: %s",
				   strerror(-error));
	evidence->notify = true;
	return 0;
}

static int library_enter(struct engine *engine, bool asked)
{
	/* A service may make its rings before any rule holds. */
	engine->shared.state->armed_nr[SYS_io_uring_setup] =
		plan_wants_uring(&engine->plan);
	sites_prepare(engine->shared.sites_dir, engine->exe);
	return engine->options->notify && asked ? notify_too(engine, NULL) : 0;
}

int engine_door_open(struct engine *engine)
{
	char *why = NULL;
	bool asked;

	engine_counted(engine->scenario, engine->counted);
	asked = anything_asked(engine->counted, engine->scenario);
	switch (target_door(engine->exe, &why)) {
	case DOOR_LIBRARY:
		return library_enter(engine, asked);
	case DOOR_NOTIFY:
		if (asked)
			return notify_too(engine, why);
		break;
	case DOOR_NONE:
		break;
	}
	/* It is run all the same, and the verdict says so. */
	engine->evidence->unreachable = why;
	return 0;
}

void engine_door_close(struct engine *engine)
{
	struct evidence *evidence = engine->evidence;

	if (engine->notify.channel < 0)
		return;
	evidence->notify_lost = !notify_close(&engine->notify);
}

void engine_guardian_wait(struct engine *engine)
{
	if (!engine->notify.guardian)
		return;
	notify_close(&engine->notify);
	tree_wait(&engine->tree, engine->notify.guardian,
		  clock_now_ns() + GUARDIAN_ENDS_NS);
	tree_drop(&engine->tree, engine->notify.guardian);
	engine->notify.guardian = NULL;
}

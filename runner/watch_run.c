/* watch_run.c - what of the probes a run wants, and when. */
#include <stdlib.h>
#include <string.h>

#include "runner/clock.h"
#include "runner/engine.h"
#include "runner/words.h"

/* What the scenario's expectations rest on.  ret_data: the directory that
 * acknowledgements are about, as it is written; borrowed. */
static unsigned groups_wanted(const struct scenario *scenario,
			      bool *ret_looks_often, const char **ret_data)
{
	unsigned groups = 0;

	for (size_t i = 0; i < scenario->expects_count; i++) {
		const struct expect *expect = &scenario->expects[i];

		switch (expect->subject) {
		case EXPECT_exits:
		case EXPECT_oom:
			groups |= 1 << WATCH_LIFE;
			break;
		case EXPECT_retry_rate:
			*ret_looks_often = true;
			groups |= 1 << WATCH_NET;
			break;
		case EXPECT_retransmits:
			groups |= 1 << WATCH_NET;
			break;
		case EXPECT_ack_before_sync:
			groups |= 1 << WATCH_DURABLE_GROUP;
			if (!*ret_data)
				*ret_data = expect->args.items[0];
			break;
		default:
			break;
		}
	}
	return groups;
}

bool engine_watch_full(const struct engine *engine)
{
	enum watch_mode mode = engine->options->watch;

	return !engine->bare &&
	       (mode == WATCH_MODE_FULL ||
		(mode == WATCH_MODE_UNSET && engine->scenario->watch_full));
}

/* The directory as we see it: inside of the target's sandbox, if it has one. */
static char *data_path(const struct engine *engine, const char *data)
{
	const struct evidence *evidence = engine->evidence;
	_cleanup_words_ char *inside =
		*data == '/' ? strdup(data)
			     : words_say("%s/%s", evidence->cwd, data);

	if (!inside || !evidence->sandbox_pid)
		return inside ? strdup(inside) : NULL;
	return words_say("/proc/%d/root%s", (int)evidence->sandbox_pid, inside);
}

void engine_watch_open(struct engine *engine)
{
	struct watched *watched = &engine->evidence->watched;
	struct watch_input input = { .sites_dir = engine->shared.sites_dir,
				     .envp = engine->env_plain,
				     .run_dir = engine->evidence->run_dir };
	const char *data = NULL;

	if (engine->bare || engine->options->watch == WATCH_MODE_OFF)
		return;
	input.groups =
		groups_wanted(engine->scenario, &input.looks_often, &data);
	if (engine_watch_full(engine))
		input.groups |= 1 << WATCH_SYS;
	if (input.groups || engine->options->watch == WATCH_MODE_LITE)
		input.groups |= 1 << WATCH_LIFE | 1 << WATCH_NET;
	if (!input.groups)
		return; /* to attach probes takes time that nobody asked for */
	if (data) {
		watched->data = strdup(data);
		engine->watch_data = data_path(engine, data);
		input.data = engine->watch_data;
	}
	watch_open(&engine->watch, &engine->tree, &input, watched);
}

void engine_watch_arm(struct engine *engine)
{
	struct state *state = engine->shared.state;

	if (!engine_watch_full(engine))
		return;
	atomic_store(&state->watched, 1);
	memset(state->armed_nr, NR_COUNTED, sizeof(state->armed_nr));
}

/* What the library let go on to the kernel, by number. */
static void passed_read(const struct state *state, uint64_t passed[CALL_NR_MAX])
{
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		uint64_t seen = atomic_load(&state->seen_nr[nr]);
		uint64_t kept = atomic_load(&state->kept_nr[nr]);

		passed[nr] = seen > kept ? seen - kept : 0;
	}
}

void engine_watch_close(struct engine *engine)
{
	uint64_t passed[CALL_NR_MAX] = { 0 }, threads = 0;
	struct state *state = engine->shared.state;

	engine->evidence->watched.notified = engine->notify.channel >= 0;
	if (state && engine_watch_full(engine)) {
		passed_read(state, passed);
		threads = collect_threads(&engine->collect);
	}
	watch_close(&engine->watch, passed, threads);
	free(engine->watch_data);
	engine->watch_data = NULL;
}

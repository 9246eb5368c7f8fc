/* engine_ledger.c - the channels by which a ledger is written, and its reading
 * once the target has come up again. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/arm.h"
#include "runner/engine.h"

bool engine_ledger_is_expected(const struct scenario *scenario)
{
	for (size_t i = 0; i < scenario->expects_count; i++)
		if (scenario->expects[i].subject == EXPECT_ledger)
			return true;
	return false;
}

void engine_ledger_arm(const struct engine *engine, uint8_t *armed_nr)
{
	for (unsigned nr = 0; engine->ledger.by_path && nr < CALL_NR_MAX; nr++)
		if (call_kernel_table[nr].id == CALL_stat &&
		    armed_nr[nr] == NR_PASSES)
			armed_nr[nr] = NR_ASKED;
}

/* Workloads are never faulted, and yet heard when they stat(2): they have a
 * state of their own that holds no rule armed, by symbols alone. */
static int workloads_hear(struct engine *engine, const char *fifo)
{
	struct shared_file *file = &engine->ledger.shared;
	int error = shared_file_beside(&engine->shared, "workload",
				       engine->plan_bytes, engine->plan_size,
				       engine->library, file);

	if (error)
		return error;
	file->header->doors = DOORS_SYMBOLS;
	strcpy(file->state->ledger, fifo);
	plan_arm_nothing(file->state->armed_nr);
	engine_ledger_arm(engine, file->state->armed_nr);
	return 0;
}

static int paths_open(struct engine *engine)
{
	struct state *state = engine->shared.state;
	char fifo[SHARED_LEDGER_MAX];
	int n = snprintf(fifo, sizeof(fifo), "%s/ledger", engine->shared.dir);
	int error;

	if (n < 0 || (size_t)n >= sizeof(fifo))
		return -ENAMETOOLONG;
	error = capture_ledger_fifo(&engine->capture, fifo);
	if (error)
		return error;
	engine->ledger.by_path = true;
	strcpy(state->ledger, fifo);
	engine_ledger_arm(engine, state->armed_nr);
	return engine->scenario->workloads_count ? workloads_hear(engine, fifo)
						 : 0;
}

int engine_ledger_open(struct engine *engine)
{
	struct evidence *evidence = engine->evidence;
	struct text *text = &evidence->ledger;
	bool expected = engine_ledger_is_expected(engine->scenario);
	char path[4096];
	int error;

	engine->ledger.fd = -1;
	if (!expected && !engine->scenario->workloads_count)
		return 0;
	snprintf(path, sizeof(path), "%s/ledger", evidence->run_dir);
	text->path = strdup(path);
	text->bytes = calloc(1, 1);
	if (!text->path || !text->bytes)
		return -ENOMEM;
	engine->capture.ledger = text;
	engine->ledger.expected = expected;
	error = capture_add_ledger(&engine->capture, NULL, NULL,
				   &engine->ledger.fd);
	if (!error && expected && !engine->bare)
		error = paths_open(engine);
	return error ? engine_fail(error, "the ledger can't be kept: %s",
				   strerror(-error))
		     : 0;
}

void engine_ledger_end(struct engine *engine)
{
	struct state *state = engine->shared.state;
	struct state *workload = engine->ledger.shared.state;
	struct text *text = &engine->evidence->ledger;

	if (engine->ledger.fd >= 0)
		close(engine->ledger.fd);
	engine->ledger.fd = -1;
	if ((state && atomic_load(&state->ledger_lost)) ||
	    (workload && atomic_load(&workload->ledger_lost)))
		text->truncated = true;
}

/* A service is read while it is up, after it has recovered; whatever else is
 * read when it has ended. */
void engine_ledger_read(struct engine *engine)
{
	struct evidence *evidence = engine->evidence;
	const struct scenario *scenario = engine->scenario;

	if (!engine->ledger.expected || engine->bare || evidence->aborted ||
	    !evidence->ready || !engine->target ||
	    scenario->target.ready.kind == PROBE_NONE)
		return;
	if (!engine_recover(engine))
		return;
	tree_pause(&engine->tree, true);
	for (size_t i = 0; i < scenario->expects_count; i++)
		if (scenario->expects[i].subject == EXPECT_ledger)
			oracle_table[EXPECT_ledger]->after(
				&scenario->expects[i], evidence);
	tree_pause(&engine->tree, false);
}

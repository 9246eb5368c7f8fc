/* sites.c - what the listing run has met, and which of it is swept. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/sweep/area.h"
#include "runner/sweep/sweep.h"

static int by_meeting(const void *a, const void *b)
{
	const struct spot *x = a, *y = b;

	return x->seen.order < y->seen.order ? -1
					     : x->seen.order > y->seen.order;
}

/* Libraries' constructors and what ld.so does come before main(). */
static bool is_loader(const struct sweep_site *site, const struct state *state)
{
	const struct shared_frame *outer;
	const char *name;

	if (!site->frames_count || site->frames_count == SWEEP_FRAMES_MAX)
		return false;
	outer = &site->frames[site->frames_count - 1];
	if (outer->language != FRAME_NATIVE || !outer->module ||
	    outer->module > SHARED_MODULES_MAX)
		return false;
	name = strrchr(state->modules[outer->module - 1].path, '/');
	return name && !strncmp(name, "/ld-", 4);
}

/* malloc's own mmap, stdio's own: they come back as malloc's failure. */
static bool is_inner(const struct sweep_site *site, const struct state *state)
{
	const struct shared_frame *inner = &site->frames[0];
	const char *name;

	if (site->call != CALL_mmap && site->call != CALL_mremap)
		return false;
	for (unsigned i = 0; i < 2 && i < site->frames_count; i++, inner++) {
		if (!inner->module || inner->module > SHARED_MODULES_MAX)
			return false;
		name = strrchr(state->modules[inner->module - 1].path, '/');
		if (!name ||
		    (strncmp(name, "/libc.so", 8) && strncmp(name, "/ld-", 4)))
			return false;
	}
	return true;
}

static bool is_shell(const char *path)
{
	static const char *const shells[] = { "sh",  "dash", "bash", "ash",
					      "zsh", "ksh",  "mksh" };
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
		if (!strcmp(slash ? slash + 1 : path, shells[i]))
			return true;
	return false;
}

/* `sh -c` only strings together what is to be swept. */
static bool is_of_shell(const struct sweep *sweep,
			const struct sweep_site *site,
			const struct state *state)
{
	char *const *argv = sweep->options->argv;
	_cleanup_words_ char *real = NULL;

	if (sweep->options->shell || !is_shell(argv[0]) || !argv[1] ||
	    strcmp(argv[1], "-c") != 0)
		return false;
	real = realpath(sweep->program, NULL);
	for (unsigned i = 0; real && i < site->frames_count; i++) {
		const struct shared_frame *frame = &site->frames[i];

		if (frame->language == FRAME_NATIVE && frame->module &&
		    frame->module <= SHARED_MODULES_MAX &&
		    !strcmp(state->modules[frame->module - 1].path, real))
			return true;
	}
	return false;
}

/* Did the library come in, and does it see all? */
static void doors_look(struct sweep *sweep, const struct state *state)
{
	bool refused = false;

	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++) {
		const struct process *process = &state->processes[i];

		if (!atomic_load(&process->status))
			continue;
		sweep->processes++;
		refused |= sites_are_refused(atomic_load(&process->sites));
	}
	if (!sweep->processes)
		sweep_because(sweep, VERDICT_INCONCLUSIVE,
			      words_say("libmishap.so never came in: %s",
					sweep->library));
	if (refused)
		sweep_because(
			sweep, VERDICT_INCONCLUSIVE,
			words_say("system calls were seen by their symbols "
				  "alone; `mishap doctor --coverage -- "
				  "COMMAND` says what is missed"));
}

int sites_take(struct sweep *sweep)
{
	const struct area *area = &sweep->areas[0];
	const struct state *state = area->file.state;

	sweep->sites = calloc(SWEEP_SITES_MAX, sizeof(*sweep->sites));
	if (!sweep->sites)
		return -ENOMEM;
	for (size_t i = 0; i < SWEEP_SITES_MAX; i++) {
		const struct sweep_site *seen = &area->sweep->sites[i];

		if (!atomic_load(&seen->ready) ||
		    !sweep->options->families[call_table[seen->call].family])
			continue;
		if (!sweep->options->loader && is_loader(seen, state)) {
			sweep->loader_sites++;
			continue;
		}
		if (is_of_shell(sweep, seen, state)) {
			sweep->shell_sites++;
			continue;
		}
		if (is_inner(seen, state))
			continue;
		memcpy(&sweep->sites[sweep->sites_count++].seen, seen,
		       sizeof(*seen));
	}
	doors_look(sweep, state);
	sweep->sites_lost = atomic_load(&area->sweep->sites_lost);
	if (sweep->sites_count)
		qsort(sweep->sites, sweep->sites_count, sizeof(*sweep->sites),
		      by_meeting);
	return names_find(sweep, state);
}

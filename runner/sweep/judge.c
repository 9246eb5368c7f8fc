/* judge.c - what a cell's run says of the program: its class. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "runner/sweep/sweep.h"

const char *const sweep_class_names[CLASS_COUNT] = {
	[CLASS_UNTRIED] = "untried",	 [CLASS_HANDLED] = "handled",
	[CLASS_REPORTED] = "reported",	 [CLASS_SILENT] = "silent",
	[CLASS_MUTE] = "mute",		 [CLASS_CRASHED] = "crashed",
	[CLASS_HUNG] = "hung",		 [CLASS_LEAKED] = "leaked",
	[CLASS_CORRUPTED] = "corrupted", [CLASS_UNREACHED] = "unreached",
};

bool class_is_finding(unsigned class)
{
	return class == CLASS_SILENT || class == CLASS_MUTE ||
	       class == CLASS_CRASHED || class == CLASS_HUNG ||
	       class == CLASS_LEAKED || class == CLASS_CORRUPTED;
}

static bool is_crash(int number)
{
	return number == SIGSEGV || number == SIGBUS || number == SIGILL ||
	       number == SIGFPE || number == SIGABRT || number == SIGSYS ||
	       number == SIGTRAP;
}

/* The signal that it, or what it waited for, died of; 0: none. */
static int crash_of(const struct sweep *sweep, const struct sight *sight)
{
	if (is_crash(sight->signal))
		return sight->signal;
	if (sight->status != sweep->base[0].status && sight->status > 128 &&
	    is_crash(sight->status - 128))
		return sight->status - 128;
	return 0;
}

/* Programs that end by abort(3) when memory is out, and say so, mean it: C++'s
 * bad_alloc, Rust, GLib. */
static bool is_deliberate(const struct sweep *sweep, const struct cell *cell,
			  int number, const struct difference *difference)
{
	const struct sweep_site *site = &sweep->sites[cell->site].seen;

	return number == SIGABRT && difference->said &&
	       call_table[site->call].family == FAMILY_alloc &&
	       (strcasestr(difference->message, "alloc") ||
		strcasestr(difference->message, "memory"));
}

static bool is_sync(const struct sweep_site *site)
{
	return call_table[site->call].flags & CALL_SYNCS &&
	       (site->object == OBJECT_FILE_WRITE ||
		site->object == OBJECT_FILE_READ);
}

static void say(struct cell_result *result, const char *text)
{
	snprintf(result->what, sizeof(result->what), "%s", text);
}

/* It ended as clean runs do. */
static enum sweep_class
class_of_success(const struct sweep *sweep, const struct cell *cell,
		 const struct difference *difference, uint32_t fired_pid,
		 const struct sight *sight, struct cell_result *result)
{
	const struct spot *site = &sweep->sites[cell->site];
	unsigned call = site->seen.call;

	if (!difference->out && !difference->files) {
		if (!is_sync(&site->seen) || difference->said)
			return CLASS_HANDLED;
		say(result, "the data may be lost, and nobody was told");
		return CLASS_SILENT;
	}
	say(result, difference->what);
	if (site->is_optional || site->seen.object == OBJECT_STDERR)
		return CLASS_HANDLED;
	if (difference->destroyed)
		return CLASS_CORRUPTED;
	if (!difference->out && difference->extra_only) {
		/* Who can't remove it, leaves it. */
		if (call == CALL_unlink || call == CALL_rmdir ||
		    call == CALL_rename)
			return CLASS_HANDLED;
		return difference->said ? CLASS_REPORTED : CLASS_LEAKED;
	}
	/* A part of a pipeline says it; the status is another's. */
	if (difference->said && fired_pid != sight->leader_pid)
		return CLASS_REPORTED;
	return CLASS_SILENT;
}

static enum sweep_class class_of_failure(const struct sweep *sweep,
					 const struct cell *cell,
					 const struct difference *difference,
					 struct cell_result *result)
{
	const struct sweep_site *site = &sweep->sites[cell->site].seen;

	if (difference->destroyed || difference->source_gone) {
		say(result, difference->what);
		return CLASS_CORRUPTED;
	}
	if (difference->said || difference->said_out) {
		say(result, difference->message);
		return CLASS_REPORTED;
	}
	/* Where it would have been said can't be written to. */
	if (site->object == OBJECT_STDERR || sweep->baseline.err_unstable)
		return CLASS_REPORTED;
	return CLASS_MUTE;
}

static enum sweep_class class_of(const struct sweep *sweep,
				 const struct cell *cell,
				 const struct sight *sight,
				 const struct sweep_area *area,
				 struct cell_result *result)
{
	struct difference difference;
	char name[WORDS_SHORT_MAX];
	int crash;

	if (!atomic_load(&area->fired))
		return CLASS_UNREACHED;
	if (sight->hung) {
		say(result, "it made no end");
		return CLASS_HUNG;
	}
	if (!sight->ended)
		return CLASS_UNREACHED;
	sight_compare(&sweep->baseline, sight, &difference);
	crash = crash_of(sweep, sight);
	if (crash) {
		if (is_deliberate(sweep, cell, crash, &difference)) {
			say(result, difference.message);
			return CLASS_REPORTED;
		}
		snprintf(result->what, sizeof(result->what), "killed by %s",
			 words_signal(crash, name));
		return CLASS_CRASHED;
	}
	if (sight->status == sweep->base[0].status && !sight->signal)
		return class_of_success(sweep, cell, &difference,
					atomic_load(&area->fired_pid), sight,
					result);
	return class_of_failure(sweep, cell, &difference, result);
}

void judge_cell(const struct sweep *sweep, const struct cell *cell,
		const struct sight *sight, const struct sweep_area *area,
		struct cell_result *ret_result)
{
	struct cell_result *result = ret_result;
	uint32_t notes = atomic_load(&area->notes_count);
	const uint32_t room = sizeof(result->notes) / sizeof(*result->notes);

	result->class = (uint8_t)class_of(sweep, cell, sight, area, result);
	result->status = sight->status;
	result->signal = sight->signal;
	result->duration_ns = sight->duration_ns;
	result->fired = atomic_load(&area->fired);
	result->notes_count = notes < room ? notes : room;
	memcpy(result->notes, area->notes,
	       result->notes_count * sizeof(*result->notes));
}

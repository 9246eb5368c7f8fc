/* bugs.c - many cells show one bug: told once, by its simplest cell.
 *
 * Two findings are one bug if their class, their call and the program's own
 * frame at the fault are the same; crashes and hangs also if the stacks that
 * they end in are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "runner/coroner.h"
#include "runner/interrupt.h"
#include "runner/site_id.h"
#include "runner/sweep/sweep.h"
#include "runner/sweep/team.h"

#define PORTRAITS_MAX	64
#define HUNG_PORTRAITS	8
#define FRAMES_COMPARED 3

static uint64_t key_of(const struct sweep *sweep, uint32_t cell)
{
	const struct spot *site = &sweep->sites[sweep->cells[cell].site];
	uint64_t key = site->own;

	key = (key ^ sweep->results[cell].class) * 0x9e3779b97f4a7c15ull;
	/* All that allocates, all that writes, is one kind of call. */
	if (call_table[site->seen.call].family == FAMILY_alloc)
		key = (key ^ CALL_malloc) * 0x9e3779b97f4a7c15ull;
	else
		key = (key ^ site->seen.call) * 0x9e3779b97f4a7c15ull;
	return key ^ key >> 32;
}

static struct bug *bug_of(struct sweep *sweep, uint64_t key, unsigned class)
{
	struct bug *bugs;
	char id[sizeof(bugs->id)];

	snprintf(id, sizeof(id), "%s-%06x", sweep_class_names[class],
		 (unsigned)(key & 0xffffff));
	for (size_t i = 0; i < sweep->bugs_count; i++)
		if (!strcmp(sweep->bugs[i].id, id))
			return &sweep->bugs[i];
	bugs = realloc(sweep->bugs, (sweep->bugs_count + 1) * sizeof(*bugs));
	if (!bugs)
		return NULL;
	sweep->bugs = bugs;
	bugs += sweep->bugs_count++;
	*bugs = (struct bug){ .class = (uint8_t) class };
	strcpy(bugs->id, id);
	return bugs;
}

/* What a person would rather look at: less is simpler. */
static unsigned weight(const struct sweep *sweep, uint32_t at)
{
	const struct cell *cell = &sweep->cells[at];

	return cell->span * 100u + (cell->kind == KIND_SHORT) * 40u +
	       cell->occurrence * 10u + (cell->pass > 1);
}

static int by_weight(const void *a, const void *b)
{
	static const uint8_t order[CLASS_COUNT] = {
		[CLASS_CORRUPTED] = 0, [CLASS_SILENT] = 1, [CLASS_CRASHED] = 2,
		[CLASS_HUNG] = 3,      [CLASS_MUTE] = 4,   [CLASS_LEAKED] = 5,
	};
	const struct bug *x = a, *y = b;

	if (x->class != y->class)
		return order[x->class] < order[y->class] ? -1 : 1;
	if (x->runs != y->runs)
		return x->runs > y->runs ? -1 : 1;
	return x->cell < y->cell ? -1 : x->cell > y->cell;
}

static bool is_new_site(const struct sweep *sweep, uint32_t cell, uint64_t key)
{
	for (uint32_t i = 0; i < cell; i++)
		if (sweep->results[i].confirmed &&
		    class_is_finding(sweep->results[i].class) &&
		    sweep->cells[i].site == sweep->cells[cell].site &&
		    key_of(sweep, i) == key)
			return false;
	return true;
}

int bugs_find(struct sweep *sweep)
{
	for (uint32_t i = 0; i < sweep->cells_count; i++) {
		const struct cell_result *result = &sweep->results[i];
		uint64_t key;
		struct bug *bug;

		if (!class_is_finding(result->class) || !result->confirmed)
			continue;
		key = key_of(sweep, i);
		bug = bug_of(sweep, key, result->class);
		if (!bug)
			return -ENOMEM;
		if (!bug->runs || weight(sweep, i) < weight(sweep, bug->cell)) {
			bug->cell = i;
			bug->site = sweep->cells[i].site;
		}
		bug->runs++;
		bug->sites += is_new_site(sweep, i, key);
	}
	if (sweep->bugs_count)
		qsort(sweep->bugs, sweep->bugs_count, sizeof(*sweep->bugs),
		      by_weight);
	return 0;
}

/* ---- stacks of an end --------------------------------------------------- */

static const json_t *frames_of(const json_t *deaths)
{
	const json_t *death = json_array_get(deaths, 0);
	const json_t *thread =
		json_array_get(json_object_get(death, "threads"), 0);

	return json_object_get(thread, "frames");
}

static const char *text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "";
}

/* Do both end in the same functions? */
static bool same_end(const struct bug *a, const struct bug *b)
{
	const json_t *x = frames_of(a->deaths), *y = frames_of(b->deaths);
	size_t i, compared = 0;

	if (a->class != b->class || !json_array_size(x) || !json_array_size(y))
		return false;
	for (i = 0; compared < FRAMES_COMPARED; i++) {
		const json_t *f = json_array_get(x, i);
		const json_t *g = json_array_get(y, i);

		if (!f || !g)
			break;
		if (strcmp(text(f, "module"), text(g, "module")) != 0 ||
		    strcmp(text(f, "function"), text(g, "function")) != 0 ||
		    (!*text(f, "function") &&
		     strcmp(text(f, "offset"), text(g, "offset")) != 0))
			return false;
		compared++;
	}
	return compared > 0;
}

static bool is_libc(const char *module)
{
	const char *slash = strrchr(module, '/');

	return slash && !strncmp(slash, "/libc.so", 8);
}

/* Did it die inside libc, in what libc looks up by itself? */
static bool is_libcs_own(const struct sweep *sweep, const struct bug *bug)
{
	const json_t *frame = json_array_get(frames_of(bug->deaths), 0);

	return bug->class == CLASS_CRASHED &&
	       sweep->sites[bug->site].is_optional && frame &&
	       is_libc(text(frame, "module"));
}

/* Was it told to say nothing?  -s, -q and their long forms, of argv or within
 * a shell's words. */
static bool is_told_quiet(char *const *argv)
{
	static const char *const words[] = { " -s ", " -q ", " -qq ",
					     " --silent ", " --quiet " };

	for (size_t i = 1; argv[i]; i++) {
		_cleanup_words_ char *text = words_say(" %s ", argv[i]);

		for (size_t w = 0; w < sizeof(words) / sizeof(*words); w++)
			if (text && strstr(text, words[w]))
				return true;
	}
	return false;
}

static const char *why_minor(const struct sweep *sweep, const struct bug *bug)
{
	unsigned call = sweep->sites[bug->site].seen.call;

	if (sweep->options->strict)
		return NULL;
	if (is_libcs_own(sweep, bug))
		return "it is libc's own";
	if (bug->class == CLASS_MUTE && is_told_quiet(sweep->options->argv))
		return "it failed without a word, as it was told to";
	if (bug->class == CLASS_MUTE && call_table[call].family == FAMILY_alloc)
		return "it failed for want of memory, without saying so";
	return NULL;
}

/* The minor ones go to the end; their order stays. */
static int minor_sort(struct sweep *sweep)
{
	struct bug *sorted = calloc(sweep->bugs_count + 1, sizeof(*sorted));
	size_t at = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < sweep->bugs_count; i++)
		sweep->bugs[i].minor = why_minor(sweep, &sweep->bugs[i]);
	for (int minor = 0; minor < 2; minor++)
		for (size_t i = 0; i < sweep->bugs_count; i++)
			if (!sweep->bugs[i].minor == !minor) {
				sorted[at++] = sweep->bugs[i];
				sweep->minor_count += (size_t)minor;
			}
	free(sweep->bugs);
	sweep->bugs = sorted;
	return 0;
}

static void merge(struct sweep *sweep)
{
	size_t kept = 0;

	for (size_t i = 0; i < sweep->bugs_count; i++) {
		struct bug *bug = &sweep->bugs[i];
		size_t k = 0;

		while (k < kept && !same_end(&sweep->bugs[k], bug))
			k++;
		if (k < kept) {
			sweep->bugs[k].runs += bug->runs;
			sweep->bugs[k].sites += bug->sites;
			json_decref(bug->deaths);
		} else {
			sweep->bugs[kept++] = *bug;
		}
	}
	sweep->bugs_count = kept;
}

int bugs_explain(struct sweep *sweep)
{
	unsigned portraits = 0, hung = 0;
	char why[SANDBOX_WHY_MAX];

	for (size_t i = 0; i < sweep->bugs_count; i++) {
		struct bug *bug = &sweep->bugs[i];
		_cleanup_words_ char *dir = NULL;
		struct cell_result kept;

		if ((bug->class != CLASS_CRASHED && bug->class != CLASS_HUNG) ||
		    portraits >= PORTRAITS_MAX ||
		    (bug->class == CLASS_HUNG && hung >= HUNG_PORTRAITS) ||
		    interrupt_signal())
			continue;
		dir = words_say("%s/%s", sweep->place.run_dir, bug->id);
		if (!dir || mkdir(dir, 0755) != 0)
			continue;
		progress_live("stacks: %zu of %zu", i + 1, sweep->bugs_count);
		portraits++;
		hung += bug->class == CLASS_HUNG;
		kept = sweep->results[bug->cell];
		if (team_portrait(sweep, bug->cell, dir, why) == 0)
			bug->deaths = deaths_read(dir);
		sweep->results[bug->cell] = kept;
	}
	merge(sweep);
	return minor_sort(sweep);
}

void bugs_clear(struct sweep *sweep)
{
	for (size_t i = 0; i < sweep->bugs_count; i++)
		json_decref(sweep->bugs[i].deaths);
	free(sweep->bugs);
	sweep->bugs = NULL;
	sweep->bugs_count = 0;
}

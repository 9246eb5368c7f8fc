/* cells.c - site x fault x occurrence x span, in the order in which they teach
 * most: each site's worst fault before any site's second, writers before
 * readers, functions that no earlier site had before those that it had. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/sweep/sweep.h"

enum pass { /* of cells over all sites, first to last */
	    PASS_FIRST,
	    PASS_ONWARD,
	    PASS_PATH,
	    PASS_LAST,
	    PASS_OTHER,
	    PASS_MIDDLE,
};

struct seen_path {
	uint64_t hash;
	uint16_t call;
};

static int cell_add(struct sweep *sweep, const struct cell *cell)
{
	static size_t room;

	if (sweep->cells_count == SWEEP_CELLS_MAX)
		return -E2BIG;
	if (!sweep->cells_count)
		room = 0;
	if (sweep->cells_count == room) {
		size_t more = room ? 2 * room : 1024;
		struct cell *cells =
			realloc(sweep->cells, more * sizeof(*cells));

		if (!cells)
			return -ENOMEM;
		sweep->cells = cells;
		room = more;
	}
	sweep->cells[sweep->cells_count++] = *cell;
	return 0;
}

static int nth_add(struct sweep *sweep, struct cell cell, enum pass pass,
		   uint32_t nth, uint8_t occurrence)
{
	cell.pass = pass;
	cell.nth = nth;
	cell.occurrence = occurrence;
	return cell_add(sweep, &cell);
}

/* All that is tried at one site with one fault. */
static int fault_add(struct sweep *sweep, uint32_t at, unsigned rank,
		     const struct plausible *fault, bool on_path)
{
	uint32_t count = sweep->sites[at].seen.count;
	struct cell cell = { .site = at,
			     .error = fault->error,
			     .kind = fault->kind,
			     .span = SPAN_ONCE };
	int error = nth_add(sweep, cell, rank ? PASS_OTHER : PASS_FIRST, 1, 0);

	if (!error && !rank && count > 1)
		error = nth_add(sweep, cell, PASS_LAST, count, 2);
	if (!error && !rank && count > 2)
		error = nth_add(sweep, cell, PASS_MIDDLE, (count + 1) / 2, 1);
	cell.span = SPAN_ONWARD;
	if (!error && fault->spans >> SPAN_ONWARD & 1)
		error = nth_add(sweep, cell, PASS_ONWARD, 1, 0);
	cell.span = SPAN_PATH;
	if (!error && on_path && fault->spans >> SPAN_PATH & 1)
		error = nth_add(sweep, cell, PASS_PATH, 1, 0);
	return error;
}

/* Is it the first site of this call on this path? */
static bool path_is_new(const struct sweep *sweep, uint32_t at)
{
	const struct sweep_site *site = &sweep->sites[at].seen;

	if (!site->path_hash)
		return false;
	for (uint32_t i = 0; i < at; i++)
		if (sweep->sites[i].seen.path_hash == site->path_hash &&
		    faults_writes(sweep->sites[i].seen.call) ==
			    faults_writes(site->call))
			return false;
	return true;
}

/* How much of it earlier sites have shown: less is earlier. */
static uint32_t novelty_of(const struct sweep *sweep, uint32_t at)
{
	const struct spot *site = &sweep->sites[at];
	uint32_t seen = 0;

	for (uint32_t i = 0; i < at && seen < 1000; i++)
		seen += sweep->sites[i].own == site->own;
	return 2 * seen + !faults_writes(site->seen.call);
}

static int by_order(const void *a, const void *b)
{
	const struct cell *x = a, *y = b;

	if (x->pass != y->pass)
		return x->pass < y->pass ? -1 : 1;
	if (x->novel != y->novel)
		return x->novel < y->novel ? -1 : 1;
	if (x->site != y->site)
		return x->site < y->site ? -1 : 1;
	return x->error < y->error ? -1 : x->error > y->error;
}

/* Shards share no cell, and need not talk: a site's number says whose it is. */
static bool is_ours(const struct sweep_options *options,
		    const struct spot *site)
{
	return !options->shards ||
	       site->seen.id % options->shards == options->shard;
}

int cells_make(struct sweep *sweep)
{
	int error = 0;

	for (uint32_t i = 0; i < sweep->sites_count && !error; i++) {
		struct spot *site = &sweep->sites[i];
		struct plausible faults[FAULTS_MAX];
		size_t count = faults_of(site, faults);
		size_t first = sweep->cells_count;
		uint32_t novel;

		if (!count)
			continue;
		if (!is_ours(sweep->options, site))
			continue;
		novel = novelty_of(sweep, i);
		for (size_t f = 0; f < count && !error; f++)
			error = fault_add(sweep, i, (unsigned)f, &faults[f],
					  path_is_new(sweep, i));
		for (size_t c = first; c < sweep->cells_count; c++)
			sweep->cells[c].novel = novel;
		site->cells = (uint32_t)(sweep->cells_count - first);
	}
	if (sweep->cells_count)
		qsort(sweep->cells, sweep->cells_count, sizeof(*sweep->cells),
		      by_order);
	return error == -E2BIG ? 0 : error;
}

void cell_fill(const struct sweep *sweep, const struct cell *cell,
	       struct sweep_cell *ret_cell)
{
	const struct sweep_site *site = &sweep->sites[cell->site].seen;

	*ret_cell = (struct sweep_cell){
		.site = site->id,
		.path_hash = site->path_hash,
		.nth = cell->nth,
		.error = cell->error,
		.call = site->call,
		.object = site->object,
		.span = cell->span,
		.kind = cell->kind,
	};
	faults_group(site->call, ret_cell);
}

static const char *ordinal(uint32_t n, char text[24])
{
	const char *end = "th";

	if (n % 100 < 11 || n % 100 > 13)
		end = n % 10 == 1   ? "st"
		      : n % 10 == 2 ? "nd"
		      : n % 10 == 3 ? "rd"
				    : "th";
	snprintf(text, 24, "%u%s", n, end);
	return text;
}

const char *cell_words(const struct sweep *sweep, const struct cell *cell,
		       char *ret)
{
	const struct sweep_site *site = &sweep->sites[cell->site].seen;
	const char *error = error_name(cell->error);
	char nth[24], when[64] = "";

	if (cell->span == SPAN_PATH)
		snprintf(when, sizeof(when), ", every time on this file");
	else if (cell->span == SPAN_ONWARD)
		snprintf(when, sizeof(when), ", from the %s of %u on",
			 ordinal(cell->nth, nth), site->count);
	else if (site->count > 1)
		snprintf(when, sizeof(when), ", the %s of %u",
			 ordinal(cell->nth, nth), site->count);
	snprintf(ret, 120, "%s %s%s", call_table[site->call].name,
		 cell->kind == KIND_SHORT ? "short" : (error ? error : "?"),
		 when);
	return ret;
}

/* coverage_rows.c - the two counts, side by side. */
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/sites.h"
#include "runner/coverage.h"

static bool is_nameable(unsigned nr)
{
	return call_kernel_table[nr].id != CALL_NONE;
}

static uint64_t by_symbols(const struct state *state, const uint16_t *calls,
			   size_t count)
{
	uint64_t made = 0;

	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		for (size_t k = 0; k < count; k++)
			made += atomic_load(
				&state->processes[i].calls[calls[k]]);
	return made;
}

/* Processes and threads are made by what the symbol door stands before. */
static uint64_t children_by_symbols(const struct state *state)
{
	static const uint16_t calls[] = { CALL_fork, CALL_posix_spawn,
					  CALL_pthread_create };

	return by_symbols(state, calls, sizeof(calls) / sizeof(*calls));
}

/* The vDSO makes a system call for clocks that it can't read itself; who
 * called it came by the symbol.  CALL_NONE: it is no such call. */
static uint16_t clock_of(unsigned nr)
{
	switch (nr) {
	case SYS_clock_gettime:
		return CALL_clock_gettime;
	case SYS_gettimeofday:
		return CALL_gettimeofday;
	case SYS_time:
		return CALL_time;
	}
	return CALL_NONE;
}

static int row_compare(const void *a, const void *b)
{
	const struct coverage_row *x = a, *y = b;

	if (x->made != y->made)
		return x->made < y->made ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void row_add(struct coverage *c, struct coverage_row row)
{
	if (row.seen > row.made) /* it is a share, and no more */
		row.seen = row.made;
	c->rows[c->count++] = row;
	c->made += row.made;
	c->seen += row.seen;
}

/* A symbol is counted as one system call of its row, where libc may issue
 * another: openat(2) for open(3). */
static void seen_level(const uint64_t made[CALL_NR_MAX],
		       uint64_t seen[CALL_NR_MAX])
{
	for (unsigned from = 0; from < CALL_NR_MAX; from++) {
		unsigned id = call_kernel_table[from].id;

		for (unsigned to = 0; id != CALL_NONE && to < CALL_NR_MAX; to++)
			while (seen[from] > made[from] && seen[to] < made[to] &&
			       call_kernel_table[to].id == id) {
				seen[from]--;
				seen[to]++;
			}
	}
}

/* Was any process's text patched? */
static enum coverage_door door_of(const struct state *state,
				  uint32_t *ret_refused)
{
	uint32_t refused = SITES_UNTRIED;

	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++) {
		uint32_t sites = atomic_load(&state->processes[i].sites);

		if (sites == SITES_PATCHED)
			return DOOR_SITE;
		if (sites_are_refused(sites))
			refused = sites;
	}
	*ret_refused = refused;
	return refused ? DOOR_SYMBOL : DOOR_SITE;
}

/* Where the kernel asks about what a rule can name, the rest of the calls is
 * nobody's; elsewhere all that we never got into was missed. */
static void library_rows(struct coverage *c, const struct state *state)
{
	uint64_t children = 0, made[CALL_NR_MAX], seen[CALL_NR_MAX];
	enum coverage_door door = door_of(state, &c->refused);

	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		made[nr] = c->counted.made[nr] +
			   (c->notify ? 0 : c->counted.outside[nr]);
		seen[nr] = atomic_load(&state->seen_nr[nr]);
	}
	seen_level(made, seen);
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		uint16_t clock = clock_of(nr);

		if (clock != CALL_NONE)
			seen[nr] += by_symbols(state, &clock, 1);
		if (coverage_makes_children(nr))
			children += made[nr];
		else if (made[nr] && site_is_skipped(nr))
			c->alone[nr] = made[nr];
		else if (made[nr])
			row_add(c, (struct coverage_row){
					   .nr = nr,
					   .name = coverage_call_name(nr),
					   .made = made[nr],
					   .seen = seen[nr],
					   .door = clock == CALL_NONE
							   ? door
							   : DOOR_SYMBOL,
					   .nameable = clock != CALL_NONE ||
						       is_nameable(nr),
				   });
	}
	if (children)
		row_add(c, (struct coverage_row){
				   .nr = SYS_clone,
				   .name = "clone/fork/vfork",
				   .made = children,
				   .seen = children_by_symbols(state),
				   .door = DOOR_SYMBOL,
				   .nameable = true,
			   });
}

/* A thread that stands before a call while another one ends the process may
 * never get to make it, so that nobody is asked. */
static uint64_t cut_off(const struct coverage *c, unsigned nr, uint64_t seen)
{
	uint64_t made = c->counted.outside[nr], cut = c->counted.cut[nr];
	uint64_t missed = made > seen ? made - seen : 0;

	return cut < missed ? cut : missed;
}

static void notify_rows(struct coverage *c, const struct state *state)
{
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		uint64_t made = c->counted.outside[nr];
		uint64_t seen = atomic_load(&state->notified_nr[nr]);

		if (is_nameable(nr)) {
			c->cut[nr] = cut_off(c, nr, seen);
			made -= c->cut[nr];
		}
		if (made && !is_nameable(nr))
			c->unnamed[nr] = made;
		else if (made)
			row_add(c, (struct coverage_row){
					   .nr = nr,
					   .name = coverage_call_name(nr),
					   .made = made,
					   .seen = seen,
					   .door = DOOR_NOTIFIED,
					   .nameable = true,
				   });
	}
}

void coverage_fill(struct coverage *c, const struct state *state)
{
	library_rows(c, state);
	if (c->notify)
		notify_rows(c, state);
	c->foreign = atomic_load(&state->foreign);
	c->processes_lost = atomic_load(&state->processes_lost);
	qsort(c->rows, c->count, sizeof(*c->rows), row_compare);
}

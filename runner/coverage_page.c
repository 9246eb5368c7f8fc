/* coverage_page.c - what the two counts say, for people and for programs. */
#include <string.h>
#include <sys/syscall.h>

#include "core/sites.h"
#include "runner/coverage.h"

#define ENOUGH_PPM 950000 /* as a scenario's min_coverage */

static const char *const names[CALL_NR_MAX] = {
#define SYSCALL_NAME(name, nr) [(nr) < CALL_NR_MAX ? (nr) : 0] = #name,
#include "syscall_names.def"
};

const char *coverage_call_name(unsigned nr)
{
	return nr < CALL_NR_MAX && names[nr] ? names[nr] : "unknown";
}

bool coverage_makes_children(unsigned nr)
{
	return nr == SYS_clone || nr == SYS_clone3 || nr == SYS_fork ||
	       nr == SYS_vfork;
}

void coverage_clear(struct coverage_made *made)
{
	words_clear(&made->strangers);
	*made = (struct coverage_made){ 0 };
}

static double percent(uint64_t seen, uint64_t made)
{
	return made ? 100.0 * (double)seen / (double)made : 100;
}

/* Never rounded up to 100. */
static const char *percent_words(uint64_t seen, uint64_t made, char ret[16])
{
	double share = percent(seen, made);

	if (seen < made && share > 99.9)
		share = 99.9;
	snprintf(ret, 16, "%.1f %%", share);
	return ret;
}

bool coverage_is_enough(const struct coverage *c)
{
	return c->counted.any &&
	       (double)c->seen * 1e6 >= (double)c->made * ENOUGH_PPM;
}

/* A list that wraps at 80 columns, behind a head. */
static void list_print(FILE *out, const char *head, unsigned *column,
		       const char *name, uint64_t n)
{
	char word[128];
	int bytes = snprintf(word, sizeof(word), "%s %llu", name,
			     (unsigned long long)n);

	if (!*column)
		*column = (unsigned)fprintf(out, "%s", head);
	else if (*column + (unsigned)bytes + 2 > 79)
		*column = (unsigned)fprintf(out, ",\n  ") - 2;
	else
		*column += (unsigned)fprintf(out, ", ");
	*column += (unsigned)fprintf(out, "%s", word);
}

static void missed_print(FILE *out, const struct coverage *c)
{
	unsigned column = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i].seen < c->rows[i].made)
			list_print(out, "missed: ", &column, c->rows[i].name,
				   c->rows[i].made - c->rows[i].seen);
	fprintf(out, "%s\n", column ? "" : "missed: nothing");
	column = 0;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		if (c->counted.made[nr] && site_is_skipped(nr) &&
		    !coverage_makes_children(nr))
			list_print(out, "left alone on purpose: ", &column,
				   coverage_call_name(nr), c->counted.made[nr]);
	if (column)
		fputc('\n', out);
	for (size_t i = 0; i < c->counted.strangers.count; i++)
		fprintf(out, "never got into: %s\n",
			c->counted.strangers.items[i]);
	if (c->processes_lost)
		fprintf(out,
			"%llu processes found no place in the books (there is "
			"room for %d)\n",
			(unsigned long long)c->processes_lost,
			SHARED_PROCESSES_MAX);
}

void coverage_print(FILE *out, const struct coverage *c)
{
	_cleanup_words_ char *end = words_ending(&c->ending);
	char share[16];

	fprintf(out, "%-28s %10s %10s %8s  %s\n", "call", "made", "seen",
		"share", "door");
	for (size_t i = 0; i < c->count; i++) {
		const struct coverage_row *row = &c->rows[i];

		fprintf(out, "%-28s %10llu %10llu %8s  %s\n", row->name,
			(unsigned long long)row->made,
			(unsigned long long)row->seen,
			percent_words(row->seen, row->made, share),
			row->seen == 0		   ? "none"
			: row->door == DOOR_SYMBOL ? "symbol"
			: row->nameable		   ? "site"
						   : "site, no rule");
	}
	fprintf(out, "%-28s %10llu %10llu %8s\n", "total",
		(unsigned long long)c->made, (unsigned long long)c->seen,
		percent_words(c->seen, c->made, share));
	missed_print(out, c);
	fprintf(out, "the command: %s; counted by %s\n", end ? end : "?",
		c->counter);
	if (c->has_load) {
		_cleanup_words_ char *load = words_ending(&c->load);

		fprintf(out, "the load: %s\n", load ? load : "?");
	}
	fprintf(out, "%s\n",
		coverage_is_enough(c) ? "faults reach this command"
		: c->counted.any
			? "less than 95 % of its calls come by our doors"
			: "the library never got ready in it");
}

static json_t *load_json(const struct coverage *c)
{
	if (!c->has_load)
		return json_null();
	return json_pack("{si si}", "exit", c->load.status, "signal",
			 c->load.signal);
}

static json_t *row_json(const struct coverage_row *row)
{
	return json_pack("{ss si sI sI ss sb}", "call", row->name, "number",
			 (int)row->nr, "made", (json_int_t)row->made, "seen",
			 (json_int_t)row->seen, "door",
			 row->door == DOOR_SYMBOL ? "symbol" : "site",
			 "nameable", row->nameable);
}

json_t *coverage_json(const struct coverage *c)
{
	json_t *calls = json_array(), *alone = json_object();
	json_t *strangers = json_array();

	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(calls, row_json(&c->rows[i]));
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		if (c->counted.made[nr] && site_is_skipped(nr) &&
		    !coverage_makes_children(nr))
			json_object_set_new(
				alone, coverage_call_name(nr),
				json_integer((json_int_t)c->counted.made[nr]));
	for (size_t i = 0; i < c->counted.strangers.count; i++)
		json_array_append_new(
			strangers,
			words_json_string(c->counted.strangers.items[i]));
	return json_pack(
		"{si ss ss sb ss sI sI sf si si so so so so sI}", "version", 1,
		"command", "doctor", "mishap", MISHAP_VERSION, "ok",
		coverage_is_enough(c), "counter", c->counter, "made",
		(json_int_t)c->made, "seen", (json_int_t)c->seen, "ratio",
		percent(c->seen, c->made) / 100, "exit", c->ending.status,
		"signal", c->ending.signal, "load", load_json(c), "calls",
		calls, "left_alone", alone, "never_got_into", strangers,
		"processes_lost", (json_int_t)c->processes_lost);
}

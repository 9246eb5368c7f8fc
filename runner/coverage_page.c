/* coverage_page.c - what the two counts say, for people and for programs. */
#include <string.h>
#include <sys/syscall.h>

#include "core/sites.h"
#include "runner/coverage.h"
#include "runner/doors.h"

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
	return (c->counted.any || c->notify) &&
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

static void calls_print(FILE *out, const char *head,
			const uint64_t calls[CALL_NR_MAX])
{
	unsigned column = 0;

	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		if (calls[nr])
			list_print(out, head, &column, coverage_call_name(nr),
				   calls[nr]);
	if (column)
		fputc('\n', out);
}

static const char *door_name(const struct coverage_row *row)
{
	static const char *const doors[] = { [DOOR_SITE] = "site",
					     [DOOR_SYMBOL] = "symbol",
					     [DOOR_NOTIFIED] = "notify" };

	return doors[row->door];
}

static void missed_print(FILE *out, const struct coverage *c)
{
	unsigned column = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i].seen < c->rows[i].made)
			list_print(out, "missed: ", &column, c->rows[i].name,
				   c->rows[i].made - c->rows[i].seen);
	fprintf(out, "%s\n", column ? "" : "missed: nothing");
	calls_print(out, "cut off by their process's end: ", c->cut);
	calls_print(out, "left alone on purpose: ", c->alone);
	calls_print(out, "no rule can name: ", c->unnamed);
	for (size_t i = 0; i < c->counted.strangers.count; i++)
		fprintf(out, "%s: %s\n",
			c->notify ? "the kernel was asked about"
				  : "never got into",
			c->counted.strangers.items[i]);
	if (c->foreign)
		fprintf(out,
			"%llu calls of another ABI (i386, x32) passed by\n",
			(unsigned long long)c->foreign);
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
			row->seen == 0		 ? "none"
			: row->door != DOOR_SITE ? door_name(row)
			: row->nameable		 ? "site"
						 : "site, no rule");
	}
	fprintf(out, "%-28s %10llu %10llu %8s\n", "total",
		(unsigned long long)c->made, (unsigned long long)c->seen,
		percent_words(c->seen, c->made, share));
	missed_print(out, c);
	if (c->refused)
		fprintf(out,
			"sites weren't patched: %s; what libc does inside is "
			"missed\n  " DOORS_ENV
			"=notify has the kernel ask about all of it\n",
			doors_refused_words(c->refused));
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
			 (json_int_t)row->seen, "door", door_name(row),
			 "nameable", row->nameable);
}

static json_t *calls_json(const uint64_t calls[CALL_NR_MAX])
{
	json_t *json = json_object();

	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		if (calls[nr])
			json_object_set_new(
				json, coverage_call_name(nr),
				json_integer((json_int_t)calls[nr]));
	return json;
}

json_t *coverage_json(const struct coverage *c)
{
	json_t *calls = json_array(), *none = json_array();
	json_t *outside = json_array();

	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(calls, row_json(&c->rows[i]));
	for (size_t i = 0; i < c->counted.strangers.count; i++)
		json_array_append_new(
			outside,
			words_json_string(c->counted.strangers.items[i]));
	return json_pack(
		"{si ss ss sb ss sI sI sf si si so so so so so so so ss* sI "
		"sI}",
		"version", 1, "command", "doctor", "mishap", MISHAP_VERSION,
		"ok", coverage_is_enough(c), "counter", c->counter, "made",
		(json_int_t)c->made, "seen", (json_int_t)c->seen, "ratio",
		percent(c->seen, c->made) / 100, "exit", c->ending.status,
		"signal", c->ending.signal, "load", load_json(c), "calls",
		calls, "left_alone", calls_json(c->alone), "cut_off",
		calls_json(c->cut), "unnamed", calls_json(c->unnamed),
		"never_got_into", c->notify ? none : outside, "notified",
		c->notify ? outside : none, "sites_refused",
		c->refused ? doors_refused_words(c->refused) : NULL, "foreign",
		(json_int_t)c->foreign, "processes_lost",
		(json_int_t)c->processes_lost);
}

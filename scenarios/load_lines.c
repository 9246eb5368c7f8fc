/* load_lines.c - rules and expectations, from the file and the command line.
 */
#include "scenarios/load.h"

#include <string.h>

#include "scenarios/value.h"

static uint32_t phase_bits(const struct load *load)
{
	return load->phase < 0 ? UINT32_MAX : 1u << load->phase;
}

void load_fault_line(struct load *load, const struct line *line,
		     uint32_t phases)
{
	struct scenario *s = load->scenario;
	struct rule rule, *kept;

	if (!fault_line_parse(&load->diag, line, &load->scope, phases, &rule))
		return;
	if (s->rules_count >= PLAN_RULES_MAX) {
		diag_error(&load->diag, line->mark, NULL,
			   "more than %d rules in one scenario",
			   PLAN_RULES_MAX);
		return;
	}
	kept = arena_grow(load->arena, (void **)&s->rules, &s->rules_count,
			  sizeof(*kept));
	*kept = rule;
}

static void load_expect_line(struct load *load, const struct line *line)
{
	struct scenario *s = load->scenario;
	struct expect expect, *kept;

	if (!expect_line_parse(&load->diag, line, &load->scope, load->phase,
			       &expect))
		return;
	kept = arena_grow(load->arena, (void **)&s->expects, &s->expects_count,
			  sizeof(*kept));
	*kept = expect;
}

/* The lines of a list; anything but a text is told what a line looks like. */
static bool is_line(struct load *load, const struct node *node,
		    const char *what, const char *example)
{
	if (node->kind == NODE_SCALAR && (node->n || node->style))
		return true;
	diag_error(&load->diag, node->mark,
		   arena_print(load->arena, "such as: - %s", example),
		   "%s is one line of text, not %s", what,
		   node_kind_name(node));
	return false;
}

void load_faults(struct load *load, const struct node *node)
{
	if (node->kind != NODE_LIST) {
		load_wrong(load, schema_find(MAP_top, "faults", 6), node);
		return;
	}
	for (const struct node *item = node->first; item; item = item->next) {
		struct line line;

		if (!is_line(load, item, "a rule", "write fail=ENOSPC"))
			continue;
		line = node_line(load->source, item);
		load_fault_line(load, &line, phase_bits(load));
	}
}

void load_expects(struct load *load, const struct node *node)
{
	if (node->kind != NODE_LIST) {
		load_wrong(load, schema_find(MAP_top, "expect", 6), node);
		return;
	}
	for (const struct node *item = node->first; item; item = item->next) {
		struct line line;

		if (!is_line(load, item, "an expectation", "exit!=0"))
			continue;
		line = node_line(load->source, item);
		load_expect_line(load, &line);
	}
}

/* ---- the command line -------------------------------------------------- */

/* The first `c` outside quotes in [from, n), or n. */
static size_t find_outside(const struct line *line, size_t from, char c)
{
	char quote = 0;

	for (size_t at = from; at < line->n; at++) {
		char here = line->text[at];

		if (quote) {
			if (quote == '"' && here == '\\')
				at++;
			else if (here == quote)
				quote = 0;
		} else if (here == '"' || here == '\'') {
			quote = here;
		} else if (here == c) {
			return at;
		}
	}
	return line->n;
}

/* NAME…, then DURATION | within DURATION | until workload. */
static bool phase_head(struct load *load, const struct line *line,
		       const struct words *words, struct phase *phase)
{
	size_t n = words->count;
	const struct word *last = n ? &words->items[n - 1] : NULL;
	const struct word *before = n > 1 ? &words->items[n - 2] : NULL;
	struct builder name = { .arena = load->arena };
	struct duration lasts = { .set = true };

	if (n > 2 && text_is(before->text, before->n, "until") &&
	    text_is(last->text, last->n, "workload")) {
		phase->until_workload = true;
		n -= 2;
	} else if (n > 1 && read_duration(last->text, last->n, &lasts.ns) &&
		   lasts.ns) {
		bool within =
			n > 2 && text_is(before->text, before->n, "within");

		*(within ? &phase->within : &phase->lasts) = lasts;
		n -= within ? 2 : 1;
	} else {
		diag_error(&load->diag,
			   last ? word_mark(line, last) : line->mark, NULL,
			   "a phase is 'NAME 20s: RULE; RULE', and instead of "
			   "20s may say 'within 20s' or 'until workload'");
		return false;
	}
	for (size_t i = 0; i < n; i++)
		builder_print(&name, "%s%.*s", i ? " " : "",
			      (int)words->items[i].n, words->items[i].text);
	if (!load_is_title(name.bytes, name.count)) {
		diag_error(&load->diag, line->mark, NULL,
			   "a phase's name has 1 to 100 characters");
		return false;
	}
	phase->name = name.bytes;
	return true;
}

static void load_phase_text(struct load *load, const char *text)
{
	struct scenario *s = load->scenario;
	struct line line = line_of_text(&load->diag, "--phase", text);
	size_t colon = find_outside(&line, 0, ':'), at = colon + 1;
	struct phase phase = { .mark = line.mark }, *kept;
	struct words words;

	if (!words_split(&load->diag, &line, 0, colon, NULL, &words) ||
	    !phase_head(load, &line, &words, &phase))
		return;
	if (s->phases_count >= PLAN_PHASES_MAX) {
		diag_error(&load->diag, line.mark, NULL, "more than %d phases",
			   PLAN_PHASES_MAX);
		return;
	}
	kept = arena_grow(load->arena, (void **)&s->phases, &s->phases_count,
			  sizeof(*kept));
	*kept = phase;
	load->phase = (int)s->phases_count - 1;
	while (at < line.n) {
		size_t end = find_outside(&line, at, ';');
		struct line rule;

		while (at < end && line.text[at] == ' ')
			at++;
		rule = line_part(&line, at, end);
		if (at < end)
			load_fault_line(load, &rule, phase_bits(load));
		at = end + 1;
	}
	load->phase = -1;
}

/* What is typed now comes before what stands in the file. */
static void rules_to_front(struct load *load, size_t from)
{
	struct scenario *s = load->scenario;
	size_t added = s->rules_count - from;
	struct rule *old;

	if (!added || !from)
		return;
	old = arena_get(load->arena, from * sizeof(*old));
	memcpy(old, s->rules, from * sizeof(*old));
	memmove(s->rules, s->rules + from, added * sizeof(*old));
	memcpy(s->rules + added, old, from * sizeof(*old));
}

static void load_run(struct load *load, char *const *run)
{
	struct program *target = &load->scenario->target;

	target->run = (struct strings){ 0 };
	target->run_written = (struct strings){ 0 };
	target->run_mark = (struct mark){ 0 };
	for (; *run; run++) {
		const char *word =
			vars_replace_known(load->arena, &load->scope, *run);

		strings_add(load->arena, &target->run, word, strlen(word));
		strings_add(load->arena, &target->run_written, *run,
			    strlen(*run));
	}
}

void load_extra(struct load *load, const struct scenario_extra *extra)
{
	struct scenario *s = load->scenario;
	size_t from = s->rules_count;

	if (!extra)
		return;
	for (size_t i = 0; extra->faults && extra->faults[i]; i++) {
		struct line line =
			line_of_text(&load->diag, "-f", extra->faults[i]);

		load_fault_line(load, &line, UINT32_MAX);
	}
	rules_to_front(load, from);
	for (size_t i = 0; extra->phases && extra->phases[i]; i++)
		load_phase_text(load, extra->phases[i]);
	if (extra->ready)
		load_ready_text(load, extra->ready);
	for (size_t i = 0; extra->loads && extra->loads[i]; i++)
		load_load_text(load, extra->loads[i], (unsigned)i + 1);
	for (size_t i = 0; extra->steadies && extra->steadies[i]; i++)
		load_steady_text(load, extra->steadies[i]);
	for (size_t i = 0; extra->expects && extra->expects[i]; i++) {
		struct line line = line_of_text(&load->diag, "--expect",
						extra->expects[i]);

		load_expect_line(load, &line);
	}
	if (extra->run && extra->run[0])
		load_run(load, extra->run);
	for (size_t i = 0; !load->source && i < extra->vars_count; i++) {
		const struct variable *given = &extra->vars[i];
		struct variable *kept;

		if (!given->mark.file || strcmp(given->mark.file, "--var"))
			continue;
		kept = arena_grow(load->arena, (void **)&s->vars,
				  &s->vars_count, sizeof(*kept));
		kept->name = arena_print(load->arena, "%s", given->name);
		kept->value = arena_print(load->arena, "%s", given->value);
		kept->mark = (struct mark){ .file = "--var" };
	}
	if (!s->name && s->target.run.count) {
		const char *path = s->target.run.items[0];
		const char *slash = strrchr(path, '/');

		path = slash && slash[1] ? slash + 1 : path;
		s->name = arena_print(
			load->arena, "%s",
			load_is_title(path, strlen(path)) ? path : "a program");
	}
}

#include "scenarios/explain.h"

#include <string.h>

#include "scenarios/expect_line.h"
#include "scenarios/fault_line.h"
#include "scenarios/value.h"

#define EXPLAIN_WIDTH 80

struct explain {
	const struct scenario *scenario;
	struct arena *arena;
	FILE *out;
};

static void say(const struct explain *e, const char *first, const char *text)
{
	struct builder rest = { .arena = e->arena };

	for (size_t i = utf8_count(first, strlen(first)); i; i--)
		builder_add(&rest, " ", 1);
	print_wrapped(e->out, first, rest.bytes ? rest.bytes : "",
		      EXPLAIN_WIDTH, text);
}

static void heading(const struct explain *e, const char *text)
{
	fprintf(e->out, "\n%s\n", text);
}

void explain_argv(struct builder *out, const struct strings *argv)
{
	for (size_t i = 0; i < argv->count; i++) {
		const char *word = argv->items[i];
		const char *line = strchr(word, '\n');
		struct builder quoted = { .arena = out->arena };

		if (i)
			builder_add(out, " ", 1);
		if (line) /* a script: its first line will do */
			word = arena_print(out->arena, "%.*s …",
					   (int)(line - word), word);
		word_quote(&quoted, word, "|&;<>()$`\\*?[]#~");
		for (const char *c = quoted.bytes; *c; c++) /* not a $${ */
			if (strncmp(c, "$${", 3))
				builder_add(out, c, 1);
	}
}

/* ---- programs ---------------------------------------------------------- */

static const char *probe_words(const struct explain *e,
			       const struct probe *probe)
{
	struct builder out = { .arena = e->arena };

	switch (probe->kind) {
	case PROBE_TCP:
		return arena_print(e->arena, "%s accepts a connection",
				   probe->where);
	case PROBE_HTTP:
		return arena_print(e->arena, "GET %s answers with 200 to 399",
				   probe->where);
	case PROBE_FILE:
		return arena_print(e->arena, "%s exists", probe->where);
	case PROBE_COMMAND:
		builder_print(&out, "`");
		explain_argv(&out, &probe->command);
		builder_print(&out, "` exits with 0");
		return out.bytes;
	case PROBE_NONE:
		break;
	}
	return "";
}

static void say_surroundings(const struct explain *e, const struct program *p)
{
	if (p->cwd)
		say(e, "  ",
		    arena_print(e->arena, "in the directory %s", p->cwd));
	if (p->stdin_path)
		say(e, "  ",
		    arena_print(e->arena, "reading from %s", p->stdin_path));
	for (size_t i = 0; i < p->env.count; i++)
		say(e, "  ",
		    arena_print(e->arena, "with %s in its environment",
				p->env.items[i]));
	for (size_t i = 0; i < p->prepare_count; i++) {
		struct builder line = { .arena = e->arena };

		explain_argv(&line, &p->prepare[i]);
		say(e, i ? "  then " : "  after ", line.bytes);
	}
	if (p->sandbox)
		say(e, "  ", "in a sandbox of its own");
	if (p->no_network)
		say(e, "  ", "without a network but its own loopback");
}

static bool runs_to_its_end(const struct scenario *s)
{
	return s->target.ready.kind == PROBE_NONE && !s->workloads_count;
}

static void say_program(const struct explain *e, const struct program *p)
{
	struct builder line = { .arena = e->arena };
	struct arena *a = e->arena;
	bool target = p == &e->scenario->target;

	explain_argv(&line, &p->run);
	say(e, "  ", line.bytes);
	say_surroundings(e, p);
	if (p->ready.kind != PROBE_NONE)
		say(e, "  ",
		    arena_print(a, "It is ready when %s, within %s%s",
				probe_words(e, &p->ready),
				print_duration(a, p->ready.within.ns),
				target ? "; if it never is, that is a FAIL."
				       : "."));
	if (target && runs_to_its_end(e->scenario))
		say(e, "  ",
		    arena_print(a,
				"It runs to its end; after %s it is stopped "
				"and counts as hung.",
				print_duration(a, p->timeout.ns)));
	else
		say(e, "  ",
		    arena_print(a,
				"At the end it gets SIG%s, and SIGKILL %s "
				"later.",
				print_signal(a, p->stop_signal),
				print_duration(a, p->stop_within.ns)));
	if (p->restart_on_crash)
		say(e, "  ", "When it crashes it is started again.");
}

static void say_programs(const struct explain *e)
{
	const struct scenario *s = e->scenario;

	heading(e, "The target");
	say_program(e, &s->target);
	for (size_t i = 0; i < s->services_count; i++) {
		heading(e, arena_print(e->arena, "The service '%s', unfaulted",
				       s->services[i].name));
		say_program(e, &s->services[i]);
	}
	if (s->workloads_count)
		heading(e, "The workload, once the target is ready");
	for (size_t i = 0; i < s->workloads_count; i++) {
		const struct workload *w = &s->workloads[i];
		struct builder line = { .arena = e->arena };

		builder_print(&line, "%s: ", w->name);
		explain_argv(&line, &w->run);
		if (w->clients > 1)
			builder_print(&line, ", %u at once", w->clients);
		if (w->timeout.set)
			builder_print(&line, ", at most %s",
				      print_duration(e->arena, w->timeout.ns));
		say(e, "  ", line.bytes);
	}
	if (s->steadies_count)
		heading(e, "Sampled throughout");
	for (size_t i = 0; i < s->steadies_count; i++) {
		const struct steady *t = &s->steadies[i];

		say(e, "  ",
		    arena_print(e->arena, "%s, every %s: %s, within %s",
				t->name, print_duration(e->arena, t->every.ns),
				probe_words(e, &t->probe),
				print_duration(e->arena, t->probe.within.ns)));
	}
}

/* ---- phases and rules -------------------------------------------------- */

static void say_phases(const struct explain *e)
{
	const struct scenario *s = e->scenario;

	if (!s->phases_written)
		return;
	heading(e, "The phases, one after the other");
	for (size_t i = 0; i < s->phases_count; i++) {
		const struct phase *p = &s->phases[i];
		const char *how = "until the workload has ended";
		size_t rules = 0;

		for (size_t j = 0; j < s->rules_count; j++)
			rules += (s->rules[j].phases >> i) & 1;
		if (p->lasts.set)
			how = arena_print(
				e->arena, "for %s",
				print_duration(e->arena, p->lasts.ns));
		else if (p->within.set)
			how = arena_print(
				e->arena,
				"until the steady probes are healthy "
				"again, at most %s",
				print_duration(e->arena, p->within.ns));
		say(e, arena_print(e->arena, "  %zu. ", i + 1),
		    arena_print(e->arena, "%s, %s: %s", p->name, how,
				!rules	     ? "no fault"
				: rules == 1 ? "1 rule holds"
					     : arena_print(e->arena,
							   "%zu rules hold",
							   rules)));
	}
}

static const char *place(const struct explain *e, const struct mark *mark)
{
	if (mark->line)
		return arena_print(e->arena, "line %u", mark->line);
	return mark->file ? mark->file : "";
}

static void say_order(const struct explain *e)
{
	const struct scenario *s = e->scenario;
	bool any = false;

	for (size_t j = 1; j < s->rules_count; j++) {
		for (size_t i = 0; i < j; i++) {
			enum shadow shadow =
				explain_shadow(&s->rules[i], &s->rules[j]);

			any = any || shadow == SHADOW_MAYBE;
			if (shadow != SHADOW_WHOLE)
				continue;
			say(e, "  ! ",
			    arena_print(e->arena,
					"Rule %zu never acts: rule %zu always "
					"acts first on the same calls. Mark "
					"rule %zu 'also', or swap them.",
					j + 1, i + 1, i + 1));
			break;
		}
	}
	if (any)
		say(e, "  ",
		    "The rules are tried in this order. The first one whose "
		    "triggers hold acts, and the later ones don't see the "
		    "call.");
}

static void say_rules(const struct explain *e)
{
	const struct scenario *s = e->scenario;

	heading(e, s->rules_count ? "The faults" : "No faults");
	for (size_t i = 0; i < s->rules_count; i++) {
		const struct rule *rule = &s->rules[i];

		say(e, arena_print(e->arena, "  %zu. ", i + 1),
		    explain_rule(e->arena, s, rule));
		say(e, "     ",
		    arena_print(e->arena, "%s: %s", place(e, &rule->mark),
				rule->text));
	}
	say_order(e);
}

static const char *promise_words(struct arena *arena,
				 const struct durability *promise)
{
	static const char *const kinds[] = {
		[DURABILITY_STRICT] = "all that was acknowledged is there",
		[DURABILITY_PREFIX] = "what is missing is missing at the end",
		[DURABILITY_NONE] = "nothing but that no record is made up",
	};
	const char *kind =
		promise->kind == DURABILITY_WINDOW
			? arena_print(arena,
				      "all is there but the last %s before a "
				      "death",
				      print_duration(arena, promise->window_ns))
			: kinds[promise->kind];

	return arena_print(arena, "%s; a record may%s be there twice", kind,
			   promise->repeats ? "" : " not");
}

/* ---- judgement --------------------------------------------------------- */

static void say_expects(const struct explain *e)
{
	const struct scenario *s = e->scenario;

	heading(e, s->expects_count ? "PASS, if all of these hold"
				    : "Nothing is expected beyond an end");
	for (size_t i = 0; i < s->expects_count; i++) {
		const struct expect *x = &s->expects[i];

		say(e, "  - ",
		    arena_print(
			    e->arena, "%s%s", x->text,
			    x->phase < 0
				    ? ""
				    : arena_print(e->arena, ", in phase '%s'",
						  s->phases[x->phase].name)));
		say(e, "      ", expect_table[x->subject].says);
	}
	if (s->durability_set)
		say(e, "  ",
		    arena_print(e->arena, "What the ledger promises: %s.",
				promise_words(e->arena, &s->durability)));
	for (size_t i = 0; i < s->streams.count; i++)
		say(e, "  ",
		    arena_print(e->arena, "Records of the ledger: %s.",
				s->streams.items[i]));
	if (s->repeat > 1)
		say(e, "  ",
		    arena_print(e->arena,
				"It is run %u times; every run must "
				"pass.",
				s->repeat));
}

static void say_inconclusive(const struct explain *e)
{
	const struct scenario *s = e->scenario;
	struct arena *a = e->arena;

	heading(e, "INCONCLUSIVE instead of PASS, if");
	if (s->rules_count)
		say(e, "  - ",
		    s->rules_count == 1 ? "the rule never fired;"
					: "one of the rules never fired;");
	if (s->rules_count)
		say(e, "  - ",
		    arena_print(a,
				"fewer than %s of the system call sites of one "
				"of its processes could be patched;",
				print_ratio(a, s->min_coverage_ppm)));
	if (s->rules_count)
		say(e, "  - ",
		    "the target could not be entered (static, setuid, its "
		    "environment scrubbed), events were lost, or the lease "
		    "lapsed;");
	if (s->steadies_count)
		say(e, "  - ", "a steady probe has no samples to judge by;");
	say(e, "  - ",
	    "an oracle that the PASS rests on stays green when it is fed "
	    "spoiled evidence.");
}

static void say_limits(const struct explain *e)
{
	const struct scenario *s = e->scenario;
	const struct limits *l = &s->limits;
	struct builder out = { .arena = e->arena };

	heading(e, "Limits and chance");
	builder_print(&out, "ABORTED after %s%s",
		      print_duration(e->arena, l->time.ns),
		      l->time.set ? "" : " (default)");
	if (l->faults)
		builder_print(&out, " or %llu faults",
			      (unsigned long long)l->faults);
	if (l->rss_bytes)
		builder_print(&out, " or past %s of resident memory",
			      print_bytes(e->arena, l->rss_bytes));
	builder_print(&out, "; %s of each output is kept.",
		      print_bytes(e->arena, l->output_bytes));
	say(e, "  ", out.bytes);
	say(e, "  ",
	    s->seed_set ? arena_print(e->arena, "The seed is %llu.",
				      (unsigned long long)s->seed)
			: "The seed is drawn for each run, printed and kept.");
	if (s->source && strstr(s->source, "${"))
		say(e, "  ",
		    "${scratch} and ${port} are new in each run; here they are "
		    "shown as /tmp/mishap-scratch and 40000.");
}

void scenario_explain(const struct scenario *scenario, FILE *out)
{
	struct explain e = { .scenario = scenario,
			     .arena = arena_open(),
			     .out = out };

	fprintf(out, "%s\n", scenario->name ? scenario->name : "a scenario");
	if (scenario->about)
		say(&e, "  ", scenario->about);
	say_programs(&e);
	say_phases(&e);
	say_rules(&e);
	say_expects(&e);
	say_inconclusive(&e);
	say_limits(&e);
	arena_free(e.arena);
}

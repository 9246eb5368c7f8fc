/* load_check.c - what must hold between keys. */
#include "scenarios/load.h"

#include <string.h>

#include "scenarios/explain.h"

static struct mark file_mark(const struct load *load)
{
	return (struct mark){ .file = load->source ? load->source->name
						   : NULL };
}

/* Twice the same name in one list. */
static void check_names(struct load *load, const void *items, size_t count,
			size_t bytes, size_t mark_offset, const char *what)
{
	const char *base = items;

	for (size_t i = 0; i < count; i++) {
		char *const *name = (char *const *)(base + i * bytes);

		for (size_t j = 0; j < i; j++) {
			char *const *other = (char *const *)(base + j * bytes);

			if (!*name || !*other || strcmp(*name, *other))
				continue;
			diag_error(&load->diag,
				   *(const struct mark *)(base + i * bytes +
							  mark_offset),
				   NULL, "two %s are called '%s'", what, *name);
			break;
		}
	}
}

_Static_assert(!offsetof(struct workload, name) &&
		       !offsetof(struct steady, name) &&
		       !offsetof(struct phase, name),
	       "check_names() looks for the name at the start");

static void check_program(struct load *load, const struct program *program,
			  const char *what)
{
	if (!program->run.count) {
		struct mark mark =
			program->mark.file ? program->mark : file_mark(load);

		diag_error(&load->diag, mark,
			   mark.file ? "such as run: [sort, -o, out, in]"
				     : NULL,
			   program == &load->scenario->target
				   ? "no target: COMMAND after `--`, or "
				     "target: run: in a file"
				   : "%s has no 'run'",
			   what);
	}
	if (program->no_network && !program->sandbox)
		diag_error(&load->diag, program->mark, "add sandbox: yes",
			   "'network: none' needs a sandbox");
	if (program->ready.kind == PROBE_NONE && program->ready.mark.file)
		diag_error(&load->diag, program->ready.mark,
			   "such as tcp: 127.0.0.1:${port}",
			   "'ready' wants one of tcp, http, file and command");
}

static void check_phase(struct load *load, const struct phase *phase)
{
	const struct scenario *s = load->scenario;
	int ends = phase->lasts.set + phase->within.set + phase->until_workload;

	if (ends != 1)
		diag_error(&load->diag, phase->mark, "such as for: 10s",
			   "phase '%s' wants one of for, within and until; "
			   "got %s",
			   phase->name, ends ? "more than one" : "none");
	if (phase->until_workload && !s->workloads_count)
		diag_error(&load->diag, phase->mark, NULL,
			   "phase '%s' lasts until the workload has ended, and "
			   "there is no workload",
			   phase->name);
	if (phase->within.set && !s->steadies_count)
		diag_error(&load->diag, phase->mark, NULL,
			   "phase '%s' lasts until the steady probes are "
			   "healthy, and there is no steady probe",
			   phase->name);
}

static bool needs_steady(enum expect_subject subject)
{
	switch (subject) {
	case EXPECT_availability:
	case EXPECT_p50:
	case EXPECT_p95:
	case EXPECT_p99:
	case EXPECT_recovery:
		return true;
	default:
		return false;
	}
}

/* The name that an expectation gives, among count of them. */
static void check_named(struct load *load, const struct expect *expect,
			const void *items, size_t count, size_t bytes,
			const char *what)
{
	const char *word = expect_table[expect->subject].word;
	const char *base = items, *name;
	struct near near;

	if (!count) {
		diag_error(&load->diag, expect->mark, NULL,
			   "'%s' has nothing to judge: there is no %s", word,
			   what);
		return;
	}
	if (!expect->args.count)
		return;
	name = expect->args.items[0];
	near = near_start(name, strlen(name));
	for (size_t i = 0; i < count; i++) {
		const char *other = *(char *const *)(base + i * bytes);

		if (!strcmp(other, name))
			return;
		near_try(&near, other);
	}
	diag_error(&load->diag, expect->mark, diag_meant(&load->diag, &near),
		   "no %s is called '%s'", what, name);
}

static void check_expect(struct load *load, const struct expect *expect)
{
	const struct scenario *s = load->scenario;

	if (needs_steady(expect->subject))
		check_named(load, expect, s->steadies, s->steadies_count,
			    sizeof(*s->steadies), "steady probe");
	else if (expect->subject == EXPECT_workload)
		check_named(load, expect, s->workloads, s->workloads_count,
			    sizeof(*s->workloads), "workload");
}

/* A rule that another one always comes before would end every run
 * INCONCLUSIVE. */
static void check_order(struct load *load)
{
	const struct scenario *s = load->scenario;

	for (size_t j = 1; j < s->rules_count; j++) {
		for (size_t i = 0; i < j; i++) {
			if (explain_shadow(&s->rules[i], &s->rules[j]) !=
			    SHADOW_WHOLE)
				continue;
			diag_warn(
				&load->diag, s->rules[j].mark,
				arena_print(load->arena,
					    "'%.200s' always acts first; mark "
					    "it 'also', or swap the two",
					    s->rules[i].text),
				"this rule never acts");
			break;
		}
	}
}

void load_check(struct load *load)
{
	const struct scenario *s = load->scenario;

	check_program(load, &s->target, "the target");
	for (size_t i = 0; i < s->services_count; i++)
		check_program(load, &s->services[i],
			      arena_print(load->arena, "service '%s'",
					  s->services[i].name));
	check_names(load, s->workloads, s->workloads_count,
		    sizeof(*s->workloads), offsetof(struct workload, mark),
		    "workloads");
	check_names(load, s->steadies, s->steadies_count, sizeof(*s->steadies),
		    offsetof(struct steady, mark), "steady probes");
	check_names(load, s->phases, s->phases_count, sizeof(*s->phases),
		    offsetof(struct phase, mark), "phases");
	for (size_t i = 0; i < s->steadies_count; i++)
		if (s->steadies[i].probe.kind == PROBE_NONE)
			diag_error(&load->diag, s->steadies[i].mark, NULL,
				   "steady probe '%s' wants one of http, tcp, "
				   "command and file",
				   s->steadies[i].name);
	for (size_t i = 0; s->phases_written && i < s->phases_count; i++)
		check_phase(load, &s->phases[i]);
	for (size_t i = 0; i < s->expects_count; i++)
		check_expect(load, &s->expects[i]);
	check_order(load);
}

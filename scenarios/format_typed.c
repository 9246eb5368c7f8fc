#include <string.h>

#include "scenarios/format.h"
#include "scenarios/value.h"

static void put_line(struct format *f, const char *before, const char *text,
		     const char *after)
{
	struct builder out = { .arena = f->arena };

	format_scalar(&out, text, false, false);
	fprintf(f->out, "%s%s%s", before, out.bytes, after);
}

static bool is_known(const struct scenario *s, const char *name, size_t n)
{
	for (size_t i = 0; i < s->vars_count; i++)
		if (text_is(name, n, s->vars[i].name))
			return true;
	return vars_is_builtin(name, n);
}

/* A word of COMMAND: variables stay, a shell's own are made plain.
 * known false: none of it is a variable. */
static char *plain_text(struct format *f, const struct scenario *s,
			const char *text, bool known)
{
	struct builder out = { .arena = f->arena };

	builder_add(&out, "", 0);
	while (*text) {
		size_t head = !strncmp(text, "$${", 3)	? 3
			      : !strncmp(text, "${", 2) ? 2
							: 0;
		size_t n = head ? strcspn(text + head, "}") : 0;

		if (known && head && text[head + n] &&
		    is_known(s, text + head, n)) {
			builder_add(&out, text, head + n + 1);
			text += head + n + 1;
			continue;
		}
		if (head == 2)
			builder_add(&out, "$", 1);
		builder_add(&out, text++, 1);
	}
	return out.bytes;
}

/* The canonical text, but the line as typed where it names a variable. */
static const char *rule_line(struct format *f, const char *text, char *written)
{
	struct line line = { .text = written, .n = strlen(written) };

	return vars_named(line.text, line.n) ? format_spaced(f, &line) : text;
}

static void put_rules(struct format *f, const struct scenario *s,
		      uint32_t phases, const char *indent)
{
	bool any = false;

	for (size_t i = 0; i < s->rules_count; i++) {
		const struct rule *rule = &s->rules[i];

		if (rule->phases != phases)
			continue;
		if (!any)
			fprintf(f->out, "%sfaults:\n", indent);
		any = true;
		fputs(indent, f->out);
		put_line(f, "  - ", rule_line(f, rule->text, rule->written),
			 "\n");
	}
}

/* `tcp: 127.0.0.1:80`, as it was typed. */
static void put_probe(struct format *f, const struct scenario *s,
		      const struct probe *probe, const char *indent)
{
	static const char *const keys[] = { [PROBE_TCP] = "tcp: ",
					    [PROBE_HTTP] = "http: ",
					    [PROBE_FILE] = "file: ",
					    [PROBE_COMMAND] = "command: " };

	fputs(indent, f->out);
	put_line(f, keys[probe->kind], plain_text(f, s, probe->written, true),
		 "\n");
}

static void put_loads(struct format *f, const struct scenario *s)
{
	if (s->workloads_count)
		fputs("workload:\n", f->out);
	for (size_t i = 0; i < s->workloads_count; i++) {
		put_line(f, "  - name: ", s->workloads[i].name, "\n");
		put_line(f, "    run: ",
			 plain_text(f, s, s->workloads[i].written, true), "\n");
	}
	if (s->steadies_count)
		fputs("steady:\n", f->out);
	for (size_t i = 0; i < s->steadies_count; i++) {
		const struct steady *steady = &s->steadies[i];

		put_line(f, "  - name: ", plain_text(f, s, steady->name, false),
			 "\n");
		put_probe(f, s, &steady->probe, "    ");
		if (steady->every.set)
			fprintf(f->out, "    every: %s\n",
				print_duration(f->arena, steady->every.ns));
	}
}

static void put_phases(struct format *f, const struct scenario *s)
{
	if (s->phases_written)
		fputs("phases:\n", f->out);
	for (size_t i = 0; s->phases_written && i < s->phases_count; i++) {
		const struct phase *p = &s->phases[i];
		uint64_t ns = p->lasts.set ? p->lasts.ns : p->within.ns;

		put_line(f, "  - name: ", plain_text(f, s, p->name, false),
			 "\n");
		if (p->until_workload)
			fputs("    until: workload\n", f->out);
		else
			fprintf(f->out, "    %s: %s\n",
				p->lasts.set ? "for" : "within",
				print_duration(f->arena, ns));
		put_rules(f, s, 1u << i, "    ");
	}
}

void format_typed(struct format *f, const struct scenario *s)
{
	const struct strings *words = &s->target.run_written;
	struct builder run = { .arena = f->arena };

	fputs("version: 1\n", f->out);
	put_line(f, "name: ", plain_text(f, s, s->name, false), "\n");
	if (s->vars_count)
		fputs("vars:\n", f->out);
	for (size_t i = 0; i < s->vars_count; i++) {
		fprintf(f->out, "  %s", s->vars[i].name);
		put_line(f, ": ", plain_text(f, s, s->vars[i].value, false),
			 "\n");
	}
	for (size_t i = 0; i < words->count; i++) {
		if (i)
			builder_add(&run, ", ", 2);
		format_scalar(&run, plain_text(f, s, words->items[i], true),
			      false, true);
	}
	fprintf(f->out, "target:\n  run: [%s]\n", run.bytes);
	if (s->target.ready.kind != PROBE_NONE) {
		fputs("  ready:\n", f->out);
		put_probe(f, s, &s->target.ready, "    ");
		if (s->target.ready.within.set)
			fprintf(f->out, "    within: %s\n",
				print_duration(f->arena,
					       s->target.ready.within.ns));
	}
	put_loads(f, s);
	put_phases(f, s);
	put_rules(f, s, UINT32_MAX, "");
	if (s->expects_count)
		fputs("expect:\n", f->out);
	for (size_t i = 0; i < s->expects_count; i++)
		put_line(
			f, "  - ",
			rule_line(f, s->expects[i].text, s->expects[i].written),
			"\n");
}

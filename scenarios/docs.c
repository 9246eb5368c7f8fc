/* docs.c - the reference pages, from the tables alone. */
#include <string.h>

#include "scenarios/aliases.h"
#include "scenarios/expect_line.h"
#include "scenarios/fault_line.h"
#include "scenarios/schema.h"

#define GENERATED                                                              \
	"<!-- Written by `make docs` from the program's own tables; edit "     \
	"those. "                                                              \
	"-->\n"

/* A table cell: a bar would end it. */
static void put_cell(FILE *out, const char *text)
{
	for (; *text; text++)
		fputs(*text == '|' ? "\\|" : (char[]){ *text, 0 }, out);
}

static void put_code(FILE *out, const char *text)
{
	fputc('`', out);
	put_cell(out, text);
	fputc('`', out);
}

/* ---- SCENARIOS.md ------------------------------------------------------ */

static void put_keys(FILE *out, enum schema_map map)
{
	fprintf(out,
		"\n## %s\n\n%s\n\n| key | value | default |  |\n"
		"| --- | --- | --- | --- |\n",
		schema_map_name(map), schema_map_says(map));
	for (size_t i = 0; i < schema_keys_count; i++) {
		const struct schema_key *key = &schema_keys[i];

		if (key->map != map)
			continue;
		fprintf(out, "| `%s` | ", key->name);
		if (key->type == TYPE_absent) {
			fputs("not built yet", out);
		} else if (key->type == TYPE_choice) {
			put_code(out, key->choices);
		} else {
			put_cell(out, schema_type_wants(key));
			if (key->type == TYPE_some)
				fprintf(out, " to %s", key->choices);
		}
		fputs(" | ", out);
		if (key->standard)
			put_code(out, key->standard);
		else if (key->required)
			fputs("required", out);
		fputs(" | ", out);
		put_cell(out, key->says);
		if (key->target_only)
			fputs(" Not for services.", out);
		if (*key->example) {
			fputs(" `", out);
			put_cell(out, key->example);
			fputc('`', out);
		}
		fputs(" |\n", out);
	}
}

static const char *const scenarios_head =
	"# Scenarios\n\n" GENERATED "\n"
	"A scenario is one file: a program, what goes wrong for it, and what\n"
	"must be true all the same. `mishap check` reads it and says what is\n"
	"wrong with it, `mishap explain` says it in English, `mishap fmt` "
	"writes\n"
	"it in its canonical form, `mishap run` takes it for a run. Editors "
	"read\n"
	"[scenario-1.schema.json](scenario-1.schema.json).\n\n"
	"```yaml\n"
	"version: 1\n"
	"name: disk full during save\n"
	"about: A save that hits a full disk must be reported, never "
	"swallowed.\n"
	"target:\n"
	"  run: [sort, -o, out, in]\n"
	"  cwd: ${scratch}\n"
	"  prepare:\n"
	"    - [sh, -c, \"seq 50000 >in\"]\n"
	"faults:\n"
	"  - write path=${scratch}/** fail=ENOSPC nth=2+\n"
	"expect:\n"
	"  - exit!=0\n"
	"  - stderr~\"No space left on device\"\n"
	"```\n\n"
	"It is YAML, less what surprises: no anchors, aliases, tags, merge "
	"keys\n"
	"or second documents; an unknown or repeated key is an error; a "
	"value's\n"
	"type follows from its key, so `no` is never false. JSON is fine too.\n"
	"Quantities carry units, errnos are names, and `${name}` stands for a\n"
	"variable in any text. A value put in for a variable is one word, "
	"even\n"
	"with spaces in it; `$${` is a plain `${`.\n\n";

static void put_limits(FILE *out)
{
	fprintf(out,
		"Limits: a file has at most %u bytes, is nested at most %d "
		"deep, "
		"a list has at most %d items; %d rules, %d phases.\n",
		SCENARIO_BYTES_MAX, SCENARIO_DEPTH_MAX, SCENARIO_ITEMS_MAX,
		PLAN_RULES_MAX, PLAN_PHASES_MAX);
}

static void put_expectations(FILE *out)
{
	fputs("\n## expectations\n\n"
	      "One line each: `SUBJECT [ARGUMENT…] OPERATOR VALUE`; spaces "
	      "around the operator are free. Values with spaces stand in "
	      "quotes.\n\n"
	      "| subject | operators | value |  | example |\n"
	      "| --- | --- | --- | --- | --- |\n",
	      out);
	for (size_t i = 0; i < EXPECT_COUNT; i++) {
		const struct expect_info *info = &expect_table[i];

		fprintf(out, "| `%s` | ", info->word);
		for (unsigned op = OP_EQ; op <= OP_NOMATCH; op++)
			if (info->ops & (1u << op))
				fprintf(out, "`%s` ", expect_op_names[op]);
		fputs("| ", out);
		if (info->ops != 1u << OP_NONE)
			put_cell(out, expect_value_wants(info->value));
		fputs(" | ", out);
		put_cell(out, info->says);
		if (info->scope == SCOPE_phase)
			fputs("; in a phase too", out);
		fputs(" | ", out);
		put_code(out, info->example);
		fputs(" |\n", out);
	}
}

void scenario_print_docs(FILE *out)
{
	fputs(scenarios_head, out);
	put_limits(out);
	for (unsigned map = 0; map < MAP_COUNT; map++)
		put_keys(out, map);
	put_expectations(out);
}

/* ---- CALLS.md ---------------------------------------------------------- */

static void put_call(FILE *out, unsigned id)
{
	const struct call_info *call = &call_table[id];
	const char *comma = "";

	fprintf(out, "\n### %s\n\nReached by %s.", call->name,
		call->has_kernel && call->has_symbol
			? "a patched site and a symbol"
		: call->has_kernel ? "a patched site"
				   : "a symbol");
	for (size_t i = 0; i < call_aliases_count; i++) {
		if (call_aliases[i].id != id)
			continue;
		fprintf(out, "%s`%s`", *comma ? comma : " Also called ",
			call_aliases[i].name);
		comma = ", ";
	}
	fputs(*comma ? "." : "", out);
	comma = "";
	for (size_t i = 0; i < call_twins_count; i++) {
		if (call_twins[i].id != id)
			continue;
		fprintf(out, "%s`%s`",
			*comma ? comma : "\n\nBy symbol: ", call_twins[i].name);
		comma = " ";
	}
	fputs(*comma ? ".\n\n" : "\n\n", out);
	fprintf(out, "Errnos by %s:", call->pages);
	for (unsigned i = 0; i < call->errnos_count; i++)
		fprintf(out, " %s", error_name(call->errnos[i]));
	fputs(call->errnos_count ? "." : " none.", out);
	for (const struct call_cite *cite = call->cites; cite->error; cite++)
		fprintf(out, "%s%s (%s)", cite == call->cites ? " Also " : ", ",
			error_name(cite->error), cite->source);
	fputs(call->cites->error ? ".\n\nTakes:" : "\n\nTakes:", out);
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (!fault_table[i]->refuses ||
		    !fault_table[i]->refuses(id, NULL))
			fprintf(out, " `%s`", fault_table[i]->name);
	fputs("\n", out);
}

void calls_print_docs(FILE *out)
{
	fprintf(out,
		"# Calls\n\n" GENERATED "\n"
		"The %d calls that rules can name, by family. A family's name "
		"stands for all of its calls, as does `FAMILY.*`; "
		"`FAMILY.CALL` is one of them (`time.time`). An errno is "
		"refused when a rule's call can't give it, unless the rule is "
		"marked `adversarial`; where a rule names several calls it "
		"acts "
		"on those that can.\n",
		CALL_COUNT);
	for (unsigned family = 0; family < FAMILY_COUNT; family++) {
		fprintf(out, "\n## %s\n", call_family_names[family]);
		for (unsigned id = 0; id < CALL_COUNT; id++)
			if (call_table[id].family == family)
				put_call(out, id);
	}
}

/* ---- FAULTS.md --------------------------------------------------------- */

static const char *const faults_head =
	"# Faults\n\n" GENERATED "\n"
	"A fault is one line, the same in a scenario file, after `-f`, in a\n"
	"report and in the log:\n\n"
	"    CALLS [selector=…] ACTION [trigger=…]\n\n"
	"CALLS are names joined by commas, see [CALLS.md](CALLS.md). All\n"
	"selectors and all triggers must hold. Values with spaces stand in\n"
	"quotes, \"…\" or '…'. Rules are tried in the order in which they\n"
	"stand, those of the command line first; the first one whose triggers\n"
	"hold acts, and the later ones don't see the call, unless it is "
	"marked\n"
	"`also`.\n\n"
	"A glob's `*` and `?` stay within a directory, `**` doesn't, `[a-z]` "
	"is\n"
	"one of a set. A `path=` that starts neither with `/` nor with `**` "
	"is\n"
	"taken from the target's directory. `peer=NAME:PORT` is short for\n"
	"`host=NAME peer=*:PORT`: a name is known as the target resolved it.\n";

static const char *const models_head =
	"\n## Models\n\n"
	"    MODEL [argument=…] [selector=…] [trigger=…]\n\n"
	"A model says itself what is done to which calls, and keeps books of\n"
	"what there is left. A `path=` without a glob means the tree under "
	"it.\n"
	"A call that the model lets pass isn't counted as a match.\n";

static void put_keys_of(FILE *out, char kind, const char *title)
{
	fprintf(out, "\n## %s\n\n|  | value |  |\n| --- | --- | --- |\n",
		title);
	for (unsigned i = 0; i < FAULT_KEY_COUNT; i++) {
		const struct fault_key_info *info = &fault_key_table[i];

		if (info->kind != kind)
			continue;
		fprintf(out, "| `%s%s` | ", info->name, kind == 'f' ? "" : "=");
		put_cell(out, info->wants);
		fputs(" | ", out);
		put_cell(out, info->says);
		fputs(" |\n", out);
	}
}

static void put_effect(FILE *out, const struct fault *fault,
		       enum fault_effect effect, const char *says)
{
	const char *comma = "";

	for (unsigned id = 0; id < CALL_COUNT; id++) {
		if (fault->effect(id) != effect ||
		    (fault->refuses && fault->refuses(id, NULL)))
			continue;
		fprintf(out, "%s%s", *comma ? comma : says,
			call_table[id].name);
		comma = ", ";
	}
	if (*comma)
		fputs(".\n", out);
}

/* Refused calls, those with the same reason together. */
static void put_refusals(FILE *out, const struct fault *fault)
{
	for (unsigned id = 0; fault->refuses && id < CALL_COUNT; id++) {
		const char *why = fault->refuses(id, NULL);
		const char *comma = "";
		bool first = why != NULL;

		for (unsigned i = 0; first && i < id; i++) {
			const char *other = fault->refuses(i, NULL);

			first = !other || strcmp(other, why);
		}
		if (!first)
			continue;
		fputs("- refused for ", out);
		for (unsigned i = id; i < CALL_COUNT; i++) {
			const char *other = fault->refuses(i, NULL);

			if (!other || strcmp(other, why))
				continue;
			fprintf(out, "%s%s", comma, call_table[i].name);
			comma = ", ";
		}
		fprintf(out, ": %s.\n", why);
	}
}

/* What it must see to know how things stand. */
static void put_attended(FILE *out, const struct fault *fault)
{
	const char *comma = "- keeps its books by: ";

	for (unsigned id = 0; id < CALL_COUNT; id++) {
		if (!fault->attends(id))
			continue;
		fprintf(out, "%s%s", comma, call_table[id].name);
		comma = ", ";
	}
	fputs(".\n", out);
}

static void put_fault(FILE *out, const struct fault *fault)
{
	static const char *const takes[] = {
		[ARG_NONE] = "",
		[ARG_ERROR] = "=ERRNO",
		[ARG_DELAY] = "=TIME, =TIME+-TIME, =p50=TIME,p99=TIME",
		[ARG_BYTES] = "=BYTES",
		[ARG_SIGNAL] = "=SIGNAL",
		[ARG_STATUS] = "=STATUS",
		[ARG_BITS] = "=Nbits",
		[ARG_LIMIT] = "=BYTES",
		[ARG_COUNT] = "=NUMBER",
		[ARG_SHARE] = "=SHARE",
		[ARG_SHIFT] = "=+TIME, =-TIME",
		[ARG_DRIFT] = "=+SHARE, =-SHARE",
	};

	fprintf(out, "\n### %s\n\n`%s%s%s%s`: %s.%s\n\n    %s\n\n", fault->name,
		fault->name, fault->is_model && fault->arg_key ? " " : "",
		fault->is_model && fault->arg_key ? fault->arg_key : "",
		takes[fault->arg], fault->says,
		fault->may_be_after ? " `at=after`: once the call was made."
				    : "",
		fault->example);
	put_effect(out, fault, EFFECT_NOT_EXECUTED, "- not executed: ");
	put_effect(out, fault, EFFECT_EXECUTED_THEN_FAILED,
		   "- executed, then failed: ");
	put_effect(out, fault, EFFECT_PARTIAL, "- executed in part: ");
	put_effect(out, fault, EFFECT_EXECUTED, "- executed: ");
	put_effect(out, fault, EFFECT_ENDS_PROCESS, "- ends the process: ");
	if (fault->attends)
		put_attended(out, fault);
	if (!fault->is_model)
		put_refusals(out, fault);
}

void faults_print_docs(FILE *out)
{
	fputs(faults_head, out);
	put_keys_of(out, 's', "Selectors");
	put_keys_of(out, 't', "Triggers");
	put_keys_of(out, 'f', "Words");
	fputs("\n## Actions\n", out);
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (!fault_table[i]->is_model)
			put_fault(out, fault_table[i]);
	fputs(models_head, out);
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (fault_table[i]->is_model)
			put_fault(out, fault_table[i]);
	fputs("\n## Not built yet\n\nThe actions `rate` and `drop`, "
	      "and the models `net.down`, `dns.flaky` "
	      "and `power.cut`. `mishap check` names what comes "
	      "nearest.\n",
	      out);
}

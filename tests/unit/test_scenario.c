/* A scenario as a whole: loaded, compiled, explained, formatted. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "scenarios/scenario.h"
#include "scenarios/schema.h"
#include "scenarios/text.h"

static const char *const full =
	"version: 1\n"
	"name: full\n"
	"vars: {data: \"${scratch}/d\", where: \"${data}/x y\"}\n"
	"target:\n"
	"  run: [./shop, --port, \"${port}\"]\n"
	"  env: {A: b c}\n"
	"  ready: {http: \"http://127.0.0.1:${port}/\"}\n"
	"  stop: {signal: INT}\n"
	"  restart: on-crash\n"
	"services:\n"
	"  db: {run: ./db --fast, ready: {tcp: \"127.0.0.1:${port2}\"}}\n"
	"workload:\n"
	"  - {name: orders, run: [./order], clients: 4}\n"
	"steady:\n"
	"  - {name: home, tcp: \"127.0.0.1:${port}\", every: 50ms}\n"
	"phases:\n"
	"  - {name: calm, for: 2s}\n"
	"  - name: storm\n"
	"    until: workload\n"
	"    faults: [\"write path=${where} fail=EIO\"]\n"
	"    expect: [p99<1s]\n"
	"  - {name: after, within: 3s}\n"
	"faults: [recv delay=1s]\n"
	"expect: [workload orders==0]\n"
	"repeat: 3\n"
	"limits: {time: 90s, rss: 1GiB}\n";

static struct scenario *load(const char *text, const struct scenario_extra *x)
{
	struct scenario *s = NULL;

	assert_int_equal(
		scenario_parse("t.yaml", text, strlen(text), x, stderr, &s), 0);
	return s;
}

static void every_key_lands_in_its_member(void **state)
{
	struct scenario *s = load(full, NULL);

	(void)state;
	assert_string_equal(s->name, "full");
	assert_int_equal(s->target.run.count, 3);
	assert_string_equal(s->target.run.items[2], "40000");
	assert_null(s->target.run.items[3]);
	assert_string_equal(s->target.env.items[0], "A=b c");
	assert_int_equal(s->target.ready.kind, PROBE_HTTP);
	assert_int_equal(s->target.stop_signal, SIGINT);
	assert_true(s->target.restart_on_crash);
	assert_string_equal(s->services[0].name, "db");
	assert_string_equal(s->services[0].run.items[1], "--fast");
	assert_int_equal(s->workloads[0].clients, 4);
	assert_true(s->steadies[0].every.ns == 50000000);
	assert_int_equal(s->phases_count, 3);
	assert_true(s->phases_written);
	assert_true(s->phases[1].until_workload);
	assert_true(s->phases[2].within.set);
	assert_int_equal(s->rules_count, 2);
	assert_int_equal(s->rules[0].phases, 1u << 1);
	assert_string_equal(s->rules[0].path, "/tmp/mishap-scratch/d/x y");
	assert_int_equal(s->rules[0].mark.line, 20);
	assert_true(s->rules[1].phases == UINT32_MAX);
	assert_int_equal(s->expects[0].phase, 1);
	assert_int_equal(s->expects[1].phase, -1);
	assert_int_equal(s->repeat, 3);
	assert_true(s->limits.rss_bytes == 1ull << 30);
	scenario_free(s);
}

static void what_is_left_out_has_its_default(void **state)
{
	struct scenario *s =
		load("version: 1\nname: x\ntarget: {run: [a]}\n", NULL);

	(void)state;
	assert_int_equal(s->target.stop_signal, SIGTERM);
	assert_true(s->target.stop_within.ns == 5000000000ull);
	assert_true(s->target.timeout.ns == 60000000000ull);
	assert_false(s->target.timeout.set);
	assert_true(s->target.ready.within.ns == 10000000000ull);
	assert_false(s->target.sandbox || s->target.no_network);
	assert_true(s->limits.time.ns == 300000000000ull);
	assert_true(s->limits.output_bytes == 16u << 20);
	assert_int_equal(s->min_coverage_ppm, 950000);
	assert_int_equal(s->repeat, 1);
	assert_false(s->seed_set);
	assert_int_equal(s->phases_count, 1);
	assert_false(s->phases_written);
	scenario_free(s);
}

static void the_command_line_comes_before_the_file(void **state)
{
	static char one[] = "other", two[] = "${data}:${HOME}:$${data}";
	static char *run[] = { one, two, NULL };
	const char *faults[] = { "send fail=EPIPE", "close fail=EIO", NULL };
	const char *phases[] = { "extra 5s: fsync lie", NULL };
	struct variable vars[] = {
		{ .name = (char *)"scratch", .value = (char *)"/run/it" },
		{ .name = (char *)"data", .value = (char *)"/mine" }
	};
	struct scenario_extra extra = { .faults = faults,
					.phases = phases,
					.run = run,
					.vars = vars,
					.vars_count = 2 };
	struct scenario *s = load(full, &extra);

	(void)state;
	assert_string_equal(s->rules[0].text, "send fail=EPIPE");
	assert_int_equal(s->rules[0].mark.line, 0);
	assert_string_equal(s->rules[0].mark.file, "-f");
	assert_string_equal(s->rules[1].text, "close fail=EIO");
	assert_string_equal(s->rules[2].path, "/mine/x y");
	assert_string_equal(s->rules[4].text, "fsync lie");
	assert_int_equal(s->rules[4].phases, 1u << 3);
	assert_string_equal(s->target.run.items[0], "other");
	assert_int_equal(s->target.run.count, 2);
	/* what is no variable of ours is a shell's */
	assert_string_equal(s->target.run.items[1], "/mine:${HOME}:${data}");
	scenario_free(s);
}

static void a_one_liner_is_a_scenario(void **state)
{
	static char path[] = "/usr/bin/sort";
	static char *run[] = { path, NULL };
	const char *faults[] = { "write fail=ENOSPC nth=2", NULL };
	struct scenario_extra extra = { .faults = faults, .run = run };
	struct scenario *s;

	(void)state;
	assert_int_equal(scenario_load(NULL, &extra, stderr, &s), 0);
	assert_null(s->path);
	assert_string_equal(s->name, "sort");
	assert_int_equal(s->phases_count, 1);
	scenario_free(s);
}

static int load_errno(const char *path)
{
	struct scenario *s;

	return scenario_load(path, NULL, NULL, &s);
}

static void a_file_that_cannot_be_read_has_its_errno(void **state)
{
	char path[] = "/tmp/mishap-test-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(load_errno("/nowhere/x.yaml"), -ENOENT);
	assert_int_equal(load_errno("/tmp"), -EISDIR);
	assert_int_equal(load_errno(path), -EINVAL); /* empty */
	/* 100 MB, sparse: refused by its size, before a byte is read */
	assert_int_equal(ftruncate(fd, 100000000), 0);
	assert_int_equal(load_errno(path), -EFBIG);
	assert_int_equal(ftruncate(fd, SCENARIO_BYTES_MAX + 1), 0);
	assert_int_equal(load_errno(path), -EFBIG);
	assert_int_equal(ftruncate(fd, SCENARIO_BYTES_MAX), 0);
	assert_int_equal(load_errno(path), -EINVAL); /* NUL bytes */
	close(fd);
	unlink(path);
}

/* ---- for people -------------------------------------------------------- */

static char *printed(const struct scenario *s,
		     void (*print)(const struct scenario *, FILE *))
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	print(s, out);
	fclose(out);
	return text;
}

static void formatting_keeps_comments_and_variables(void **state)
{
	static const char *const text =
		"# head\n"
		"\n"
		"name: x   # beside\n"
		"version: 1\n"
		"faults:\n"
		"# before a rule\n"
		"  - 'write   path=${scratch}/**  fail=EIO'\n"
		"  - nanosleep   delay=1000ms # short\n"
		"\n"
		"target: {run: [sh, -c, \"exit 1 # no comment\"]}\n"
		"# tail\n";
	static const char *const wanted =
		"version: 1\n"
		"# head\n"
		"name: x # beside\n"
		"\n"
		"target: {run: [sh, -c, \"exit 1 # no comment\"]}\n"
		"faults:\n"
		"  # before a rule\n"
		"  - write path=${scratch}/** fail=EIO\n"
		"  - nanosleep delay=1s # short\n"
		"# tail\n";
	struct scenario *s = load(text, NULL), *again;
	char *first = printed(s, scenario_format), *second;

	(void)state;
	assert_string_equal(first, wanted);
	again = load(first, NULL);
	second = printed(again, scenario_format);
	assert_string_equal(first, second);
	free(first);
	free(second);
	scenario_free(s);
	scenario_free(again);
}

static void a_one_liner_formats_as_a_file_that_says_the_same(void **state)
{
	static char sh[] = "sh", c[] = "-c", script[] = "echo \"a: b\" 'c'\n";
	static char *run[] = { sh, c, script, NULL };
	const char *faults[] = { "write path=\"a b\" fail=EIO nth=2", NULL };
	const char *phases[] = { "slow 20s: send delay=1s; fsync lie", NULL };
	const char *expects[] = { "stderr~\"a: 'b'\"", NULL };
	struct scenario_extra extra = { .faults = faults,
					.phases = phases,
					.expects = expects,
					.run = run };
	struct scenario *s, *again;
	char *text;

	(void)state;
	assert_int_equal(scenario_load(NULL, &extra, stderr, &s), 0);
	text = printed(s, scenario_format);
	again = load(text, NULL);
	assert_int_equal(again->rules_count, s->rules_count);
	assert_string_equal(again->target.run.items[2], script);
	assert_string_equal(again->expects[0].text, s->expects[0].text);
	assert_string_equal(again->phases[0].name, "slow");
	for (size_t i = 0; i < s->rules_count; i++) {
		bool found = false;

		for (size_t j = 0; j < s->rules_count; j++)
			found = found ||
				!strcmp(s->rules[i].text, again->rules[j].text);
		assert_true(found);
	}
	free(text);
	scenario_free(s);
	scenario_free(again);
}

static void an_explanation_fits_a_terminal(void **state)
{
	struct scenario *s = load(full, NULL);
	char *text = printed(s, scenario_explain), *rest = text, *line;

	(void)state;
	assert_non_null(strstr(text, "In phase 'storm', when the target calls "
				     "write on"));
	assert_non_null(strstr(text, "EIO (Input/output error)"));
	assert_non_null(strstr(text, "INCONCLUSIVE instead of PASS"));
	while ((line = strsep(&rest, "\n")))
		assert_in_range(utf8_count(line, strlen(line)), 0, 80);
	free(text);
	scenario_free(s);
}

/* ---- the table --------------------------------------------------------- */

static char *program_printed(void (*print)(FILE *))
{
	char *text;
	size_t n;
	FILE *out = open_memstream(&text, &n);

	assert_non_null(out);
	print(out);
	fclose(out);
	return text;
}

static void the_schema_names_every_key_that_is_built(void **state)
{
	char *text = program_printed(scenario_print_schema);
	json_t *schema = json_loads(text, 0, NULL);
	json_t *definitions = json_object_get(schema, "definitions");

	(void)state;
	assert_non_null(schema);
	for (size_t i = 0; i < schema_keys_count; i++) {
		const struct schema_key *key = &schema_keys[i];
		json_t *map = schema;
		char name[64];

		snprintf(name, sizeof(name), "%s", schema_map_name(key->map));
		for (char *c = name; *c; c++)
			*c = *c == ' ' ? '-' : *c;
		if (key->map != MAP_top)
			map = json_object_get(definitions, name);
		assert_non_null(map);
		map = json_object_get(json_object_get(map, "properties"),
				      key->name);
		assert_int_equal(map != NULL, key->type != TYPE_absent);
	}
	json_decref(schema);
	free(text);
}

/* Where a map's keys stand in a file, and what must stand beside them. */
static const struct {
	const char *head, *indent, *beside[2];
} places[MAP_COUNT] = {
	[MAP_top] = { "", "", { "name: x", "target: {run: [a]}" } },
	[MAP_program] = { "target:\n", "  ", { "run: [a]", "sandbox: yes" } },
	[MAP_ready] = { "services:\n  s:\n    run: [a]\n    ready:\n",
			"      ",
			{ "file: f" } },
	[MAP_stop] = { "services:\n  s:\n    run: [a]\n    stop:\n", "      " },
	[MAP_workload] = { "workload:\n  -\n",
			   "    ",
			   { "name: n", "run: [a]" } },
	[MAP_steady] = { "steady:\n  -\n", "    ", { "name: n", "file: f" } },
	[MAP_phase] = { "phases:\n  -\n", "    ", { "name: n", "for: 1s" } },
	[MAP_limits] = { "limits:\n", "  " },
};

/* A key takes the place of its like: one name, one probe, one end. */
static bool takes_place(const struct schema_key *key, const char *beside)
{
	size_t n = strcspn(beside, ":");
	bool probe = key->type == TYPE_tcp || key->type == TYPE_http ||
		     key->type == TYPE_command;
	bool end = key->map == MAP_phase && (!strcmp(key->name, "within") ||
					     !strcmp(key->name, "until"));

	return text_is(beside, n, key->name) ||
	       (probe && text_is(beside, n, "file")) ||
	       (end && text_is(beside, n, "for"));
}

static void example_text(struct builder *text, const struct schema_key *key)
{
	const char *indent = places[key->map].indent;

	builder_print(text, "version: 1\n");
	if (key->map != MAP_top)
		builder_print(text, "name: x\n");
	if (key->map != MAP_top && key->map != MAP_program)
		builder_print(text, "target: {run: [a]}\n");
	/* something for expectations and phases to be about */
	if (key->map == MAP_phase || key->type == TYPE_phases)
		builder_print(text, "steady: [{name: home, file: f}]\n"
				    "workload: [{name: w, run: [a]}]\n");
	builder_print(text, "%s%s%s: %s\n", places[key->map].head, indent,
		      key->name, key->example);
	for (size_t i = 0; i < 2; i++)
		if (places[key->map].beside[i] &&
		    !takes_place(key, places[key->map].beside[i]))
			builder_print(text, "%s%s\n", indent,
				      places[key->map].beside[i]);
}

static void every_example_in_the_table_loads(void **state)
{
	(void)state;
	for (size_t i = 0; i < schema_keys_count; i++) {
		struct builder text = { .arena = arena_open() };
		struct scenario *s = NULL;

		if (schema_keys[i].type != TYPE_absent &&
		    schema_keys[i].type != TYPE_version) {
			example_text(&text, &schema_keys[i]);
			if (scenario_parse("t.yaml", text.bytes, text.count,
					   NULL, stderr, &s))
				print_error("%s\n", text.bytes);
			assert_non_null(s);
		}
		scenario_free(s);
		arena_free(text.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_key_lands_in_its_member),
		cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(the_command_line_comes_before_the_file),
		cmocka_unit_test(a_one_liner_is_a_scenario),
		cmocka_unit_test(a_file_that_cannot_be_read_has_its_errno),
		cmocka_unit_test(formatting_keeps_comments_and_variables),
		cmocka_unit_test(
			a_one_liner_formats_as_a_file_that_says_the_same),
		cmocka_unit_test(an_explanation_fits_a_terminal),
		cmocka_unit_test(the_schema_names_every_key_that_is_built),
		cmocka_unit_test(every_example_in_the_table_loads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

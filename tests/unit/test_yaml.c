/* The strict subset of YAML: what becomes a tree, and what never does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenarios/yaml.h"

struct outcome {
	struct arena *arena;
	struct node *root;
	char *says;
	size_t says_bytes, errors;
};

static struct outcome parse_bytes(const char *bytes, size_t n)
{
	struct outcome o = { .arena = arena_open() };
	FILE *out = open_memstream(&o.says, &o.says_bytes);
	struct diag diag = { .out = out, .arena = o.arena };
	const struct source *source =
		diag_source(&diag, "t.yaml", bytes, n, false);

	o.root = yaml_parse(&diag, source);
	o.errors = diag.errors;
	diag_flush(&diag);
	fclose(out);
	return o;
}

static struct outcome parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static void outcome_free(struct outcome *o)
{
	arena_free(o->arena);
	free(o->says);
}

static void a_tree_knows_every_place(void **state)
{
	struct outcome o = parse("a: 1\nb:\n  - x y\n  - {c: \"d\"}\n");
	const struct node *b, *map;

	(void)state;
	assert_non_null(o.root);
	assert_int_equal(o.root->kind, NODE_MAP);
	assert_int_equal(o.root->count, 2);
	assert_string_equal(o.root->first->key->text, "a");
	assert_string_equal(o.root->first->text, "1");
	b = o.root->first->next;
	assert_int_equal(b->kind, NODE_LIST);
	assert_int_equal(b->first->mark.line, 3);
	assert_int_equal(b->first->mark.column, 5);
	assert_int_equal(b->first->mark.width, 3);
	map = b->first->next;
	assert_int_equal(map->style, '{');
	assert_int_equal(map->first->style, '"');
	assert_string_equal(map->first->text, "d");
	outcome_free(&o);
}

static void scalars_keep_their_letters(void **state)
{
	static const char *const words[] = { "no",  "022", "1e3",  "0x10",
					     "yes", "~",   "22:22" };
	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		char text[32];
		struct outcome o;

		snprintf(text, sizeof(text), "k: %s\n", words[i]);
		o = parse(text);
		assert_non_null(o.root);
		assert_string_equal(o.root->first->text, words[i]);
		outcome_free(&o);
	}
}

static void json_is_yaml(void **state)
{
	struct outcome o = parse("{\"a\": [1, \"b\\n\"], \"c\": {}}");

	(void)state;
	assert_non_null(o.root);
	assert_int_equal(o.root->count, 2);
	assert_string_equal(o.root->first->first->next->text, "b\n");
	outcome_free(&o);
}

static void carriage_returns_before_newlines_are_fine(void **state)
{
	struct outcome o = parse("a: 1\r\nb: [2,\r\n  3]\r\n");

	(void)state;
	assert_non_null(o.root);
	assert_int_equal(o.root->first->next->mark.line, 2);
	outcome_free(&o);
}

/* Each is refused with exactly one message. */
static void what_is_no_text_gets_one_message(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *says;
	} bad[] = {
#define BYTES(text) text, sizeof(text) - 1
		{ BYTES("a: \0b\n"), "t.yaml:1:4: error: a NUL byte" },
		{ BYTES("a: \xff\n"), "t.yaml:1:4: error: byte 0xff is not" },
		{ BYTES("a: \xc0\x80\n"), "byte 0xc0 is not UTF-8" },
		{ BYTES("a: \xed\xa0\x80\n"), "byte 0xed is not UTF-8" },
		{ BYTES("a: \xf5\x80\x80\x80\n"), "byte 0xf5 is not UTF-8" },
		{ BYTES("a: \xe2\x82"), "byte 0xe2 is not UTF-8" },
		{ BYTES("a: \x1b[1m\n"), "control character 0x1b" },
		{ BYTES("a: b\rc: d\n"),
		  "a carriage return that ends no line" },
		{ BYTES("a: b\xe2\x80\xa8\n"), "U+2028" },
		{ BYTES("\xff\xfe"
			"a\0"),
		  "byte 0xff is not UTF-8" },
		{ BYTES("\xef\xbb\xbf"
			"a: 1\n"),
		  "byte order mark" },
		{ BYTES("\x7f"
			"ELF\2\1\1\0"),
		  "control character 0x7f" },
		{ BYTES(""), "t.yaml: error: the file is empty" },
		{ BYTES("# only a comment\n"), "the file is empty" },
		{ BYTES("a: 'x\n"), "this quote is never closed" },
		{ BYTES("a: \"x\n\n\n"), "t.yaml:1:4: error: this quote" },
		{ BYTES("? [a]\n: b\n"), "a key is a plain word, not a list" },
		{ BYTES("a: 1\n b: 2\n"), "t.yaml:2" },
		{ BYTES("%TAG ! tag:x,2000:\n---\na: !b 1\n"), "tags are not" },
		{ BYTES("a: \"\\0\"\n"), "a NUL character in a text" },
		{ BYTES("a: }\n"), "t.yaml:1:4" },
		{ BYTES("a: 1\n...\nb: 2\n"), "t.yaml:3" },
#undef BYTES
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct outcome o = parse_bytes(bad[i].bytes, bad[i].n);

		if (!strstr(o.says, bad[i].says))
			print_error("case %zu: %s", i, o.says);
		assert_null(o.root);
		assert_int_equal(o.errors, 1);
		assert_non_null(strstr(o.says, bad[i].says));
		outcome_free(&o);
	}
}

static void nesting_has_a_limit(void **state)
{
	char text[4 * SCENARIO_DEPTH_MAX + 8];
	struct outcome o;
	size_t n = 0;

	(void)state;
	for (int i = 0; i < SCENARIO_DEPTH_MAX; i++)
		text[n++] = '[';
	for (int i = 0; i < SCENARIO_DEPTH_MAX; i++)
		text[n++] = ']';
	o = parse_bytes(text, n);
	assert_non_null(o.root);
	outcome_free(&o);
	memmove(text + 1, text, n);
	text[n + 1] = ']';
	o = parse_bytes(text, n + 2);
	assert_null(o.root);
	assert_non_null(strstr(o.says, "nested too deeply"));
	outcome_free(&o);
}

static void a_list_has_a_limit(void **state)
{
	(void)state;
	for (int more = 0; more < 2; more++) {
		struct builder text = { .arena = arena_open() };
		struct outcome o;

		for (int i = 0; i < SCENARIO_ITEMS_MAX + more; i++)
			builder_print(&text, "- %d\n", i);
		o = parse(text.bytes);
		assert_int_equal(o.root != NULL, !more);
		if (more)
			assert_non_null(strstr(o.says, "more than 64 items"));
		outcome_free(&o);
		arena_free(text.arena);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tree_knows_every_place),
		cmocka_unit_test(scalars_keep_their_letters),
		cmocka_unit_test(json_is_yaml),
		cmocka_unit_test(carriage_returns_before_newlines_are_fine),
		cmocka_unit_test(what_is_no_text_gets_one_message),
		cmocka_unit_test(nesting_has_a_limit),
		cmocka_unit_test(a_list_has_a_limit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

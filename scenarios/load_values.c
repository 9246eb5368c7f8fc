/* load_values.c - one value into its member, typed by its row. */
#include "scenarios/load.h"

#include <stdlib.h>
#include <string.h>

#include "scenarios/value.h"

void load_wrong(struct load *load, const struct schema_key *key,
		const struct node *node)
{
	const char *wants = schema_type_wants(key);
	const char *bar = key->choices ? strchr(key->choices, '|') : NULL;

	if (key->type == TYPE_choice && bar)
		wants = arena_print(load->arena, "%.*s or %s",
				    (int)(bar - key->choices), key->choices,
				    bar + 1);
	else if (key->type == TYPE_choice)
		wants = key->choices;
	else if (key->type == TYPE_some)
		wants = arena_print(load->arena, "a number from 1 to %s",
				    key->choices);
	if (node->kind == NODE_SCALAR && (node->n || node->style))
		diag_error(&load->diag, node->mark, NULL,
			   "'%s' wants %s; got \"%.60s\"", key->name, wants,
			   node->text);
	else
		diag_error(&load->diag, node->mark,
			   arena_print(load->arena, "such as %s: %s", key->name,
				       key->example),
			   "'%s' wants %s; got %s", key->name, wants,
			   node_kind_name(node));
}

const char *load_text(struct load *load, const struct schema_key *key,
		      const struct node *node, size_t *ret_n)
{
	if (node->kind != NODE_SCALAR || (!node->n && !node->style)) {
		load_wrong(load, key, node);
		return NULL;
	}
	return vars_replace(&load->diag, &load->scope, node->text, node->n,
			    node->mark, ret_n);
}

/* ---- lists ------------------------------------------------------------- */

static bool argv_line(struct load *load, const struct node *node,
		      struct strings *ret)
{
	struct line line = node_line(load->source, node);
	struct words words;

	if (!words_split(&load->diag, &line, 0, line.n, &load->scope, &words))
		return false;
	for (size_t i = 0; i < words.count; i++)
		strings_add(load->arena, ret, words.items[i].text,
			    words.items[i].n);
	return true;
}

static bool load_argv(struct load *load, const struct schema_key *key,
		      const struct node *node, struct strings *ret)
{
	struct strings argv = { 0 };

	if (node->kind == NODE_SCALAR && (node->n || node->style)) {
		if (!argv_line(load, node, &argv))
			return false;
	} else if (node->kind != NODE_LIST) {
		load_wrong(load, key, node);
		return false;
	}
	for (const struct node *item = node->first; item; item = item->next) {
		const char *text;
		size_t n;

		if (item->kind != NODE_SCALAR) {
			load_wrong(load, key, item);
			return false;
		}
		text = vars_replace(&load->diag, &load->scope, item->text,
				    item->n, item->mark, &n);
		if (!text)
			return false;
		strings_add(load->arena, &argv, text, n);
	}
	if (key->type != TYPE_texts && (!argv.count || !argv.items[0][0])) {
		diag_error(&load->diag, node->mark, NULL,
			   "'%s' has no program to run", key->name);
		return false;
	}
	*ret = argv;
	return true;
}

/* A list of commands; [mkdir, data] alone is one too few brackets. */
static void load_commands(struct load *load, const struct schema_key *key,
			  const struct node *node, struct program *program)
{
	if (node->kind != NODE_LIST) {
		load_wrong(load, key, node);
		return;
	}
	for (const struct node *item = node->first; item; item = item->next) {
		struct strings argv = { 0 }, *one;

		if (item->kind != NODE_LIST) {
			load_wrong(load, key, item);
			return;
		}
		if (!load_argv(load, key, item, &argv))
			return;
		one = arena_grow(load->arena, (void **)&program->prepare,
				 &program->prepare_count, sizeof(*one));
		*one = argv;
	}
}

static void load_env(struct load *load, const struct schema_key *key,
		     const struct node *node, struct strings *ret)
{
	if (node->kind != NODE_MAP) {
		load_wrong(load, key, node);
		return;
	}
	for (const struct node *item = node->first; item; item = item->next) {
		const char *text;
		size_t n;

		if (!item->key->n || memchr(item->key->text, '=', item->key->n))
			diag_error(&load->diag, item->key->mark, NULL,
				   "'%.60s' is no name for the environment",
				   item->key->text);
		if (item->kind != NODE_SCALAR) {
			load_wrong(load, key, item);
			continue;
		}
		text = vars_replace(&load->diag, &load->scope, item->text,
				    item->n, item->mark, &n);
		if (!text)
			continue;
		text = arena_print(load->arena, "%s=%s", item->key->text, text);
		strings_add(load->arena, ret, text, strlen(text));
	}
}

static void forms_check(struct load *load, const struct schema_key *key,
			const struct node *node)
{
	enum ledger_form form;

	if (node->kind != NODE_MAP)
		return;
	for (const struct node *item = node->first; item; item = item->next)
		if (item->kind == NODE_SCALAR &&
		    !form_read(item->text, item->n, &form))
			diag_error(&load->diag, item->mark, NULL,
				   "'%s' wants set, register, append, counter "
				   "or bank; got \"%.60s\"",
				   key->name, item->text);
}

/* ---- scalars ----------------------------------------------------------- */

bool load_is_title(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return n > 0 && utf8_count(text, n) <= 100;
}

bool load_is_host_port(const char *text, size_t n)
{
	const char *colon = memrchr(text, ':', n);
	size_t head = colon ? (size_t)(colon - text) : 0;
	uint64_t port;

	return head && read_count(colon + 1, n - head - 1, 65535, &port) &&
	       port && !memchr(text, '/', n) &&
	       (text[0] == '[' || !memchr(text, ':', head));
}

bool load_is_url(const char *text)
{
	return (!strncmp(text, "http://", 7) && text[7]) ||
	       (!strncmp(text, "https://", 8) && text[8]);
}

static bool read_choice(const char *choices, const char *text, size_t n,
			bool *ret)
{
	const char *bar = strchr(choices, '|');
	size_t head = bar ? (size_t)(bar - choices) : 0;

	if (!strcmp(choices, "no|yes")) { /* as YAML people write it */
		if (text_is(text, n, "true") || text_is(text, n, "false")) {
			*ret = text[0] == 't';
			return true;
		}
	}
	if (bar && n == head && !memcmp(choices, text, n)) {
		*ret = false;
		return true;
	}
	if (!text_is(text, n, bar ? bar + 1 : choices))
		return false;
	*ret = true;
	return true;
}

/* The second probe of one map. */
static bool probe_is_free(struct load *load, const struct schema_key *key,
			  const struct node *node, const struct probe *probe)
{
	static const char *const names[] = { "", "tcp", "http", "file",
					     "command" };

	if (probe->kind == PROBE_NONE)
		return true;
	diag_error(&load->diag, node->key->mark, NULL,
		   "one probe is enough: '%s' was given already, and so is "
		   "'%s'",
		   names[probe->kind], key->name);
	return false;
}

static void load_probe(struct load *load, const struct schema_key *key,
		       const struct node *node, struct probe *probe)
{
	static const enum probe_kind kinds[] = {
		[TYPE_tcp] = PROBE_TCP,
		[TYPE_http] = PROBE_HTTP,
		[TYPE_file] = PROBE_FILE,
		[TYPE_command] = PROBE_COMMAND,
	};
	const char *text;
	size_t n;

	if (!probe_is_free(load, key, node, probe))
		return;
	probe->kind = kinds[key->type];
	probe->mark = node->mark;
	if (key->type == TYPE_command) {
		load_argv(load, key, node, &probe->command);
		return;
	}
	text = load_text(load, key, node, &n);
	if (!text)
		return;
	if ((key->type == TYPE_tcp && !load_is_host_port(text, n)) ||
	    (key->type == TYPE_http && !load_is_url(text)) || !n)
		load_wrong(load, key, node);
	probe->where = arena_copy(load->arena, text, n);
}

static bool take_count(const char *text, size_t n, uint64_t least,
		       uint64_t most, uint64_t *ret)
{
	uint64_t value;

	if (!read_count(text, n, most, &value) || value < least)
		return false;
	*ret = value;
	return true;
}

static bool take_seed(const char *text, size_t n, uint64_t *seed)
{
	if (!read_count(text, n, UINT64_MAX, seed))
		return false;
	*(bool *)(seed + 1) = true; /* seed_set stands behind it */
	return true;
}

_Static_assert(offsetof(struct scenario, seed_set) ==
		       offsetof(struct scenario, seed) + sizeof(uint64_t),
	       "take_seed() counts on it");

static bool take_promise(const char *text, size_t n, struct durability *ret)
{
	if (!promise_read(text, n, ret))
		return false;
	*(bool *)(ret + 1) = true; /* durability_set stands behind it */
	return true;
}

_Static_assert(offsetof(struct scenario, durability_set) ==
		       offsetof(struct scenario, durability) +
			       sizeof(struct durability),
	       "take_promise() counts on it");

static bool take_duration(const char *text, size_t n, struct duration *ret)
{
	uint64_t ns;

	if (!read_duration(text, n, &ns) || !ns)
		return false;
	*ret = (struct duration){ .ns = ns, .set = true };
	return true;
}

static bool take_scalar(struct load *load, const struct schema_key *key,
			const char *text, size_t n, void *member)
{
	uint64_t number = 0;

	switch (key->type) {
	case TYPE_version:
		return text_is(text, n, "1");
	case TYPE_name:
		if (!load_is_title(text, n))
			return false;
		/* fall through */
	case TYPE_text:
		*(char **)member = arena_copy(load->arena, text, n);
		return true;
	case TYPE_duration:
		return take_duration(text, n, member);
	case TYPE_promise:
		return take_promise(text, n, member);
	case TYPE_bytes:
		return read_bytes(text, n, false, member) &&
		       *(uint64_t *)member;
	case TYPE_ratio:
		if (!read_ratio(text, n, &number))
			return false;
		*(uint32_t *)member = (uint32_t)number;
		return true;
	case TYPE_seed:
		return take_seed(text, n, member);
	case TYPE_many:
		return take_count(text, n, 1, INT64_MAX, member);
	case TYPE_some:
		if (!take_count(text, n, 1, strtoull(key->choices, NULL, 10),
				&number))
			return false;
		*(unsigned *)member = (unsigned)number;
		return true;
	case TYPE_signal:
		return read_signal(text, n, member);
	case TYPE_choice:
		return read_choice(key->choices, text, n, member);
	default:
		return false;
	}
}

void load_value(struct load *load, const struct schema_key *key,
		const struct node *node, void *member)
{
	const char *text;
	size_t n;

	switch (key->type) {
	case TYPE_texts:
		if (node->kind != NODE_LIST)
			load_wrong(load, key, node);
		else
			load_argv(load, key, node, member);
		return;
	case TYPE_argv:
		if (key->map == MAP_program)
			((struct program *)((char *)member - key->offset))
				->run_mark = node->mark;
		load_argv(load, key, node, member);
		return;
	case TYPE_commands:
		load_commands(load, key, node,
			      (struct program *)((char *)member - key->offset));
		return;
	case TYPE_env:
		load_env(load, key, node, member);
		return;
	case TYPE_forms:
		load_env(load, key, node, member);
		forms_check(load, key, node);
		return;
	case TYPE_tcp:
	case TYPE_http:
	case TYPE_file:
	case TYPE_command:
		load_probe(load, key, node, member);
		return;
	default:
		break;
	}
	text = load_text(load, key, node, &n);
	if (text && !take_scalar(load, key, text, n, member))
		load_wrong(load, key, node);
}

/* load_vars.c - ${name}: from the file, from --var, from the runner. */
#include "scenarios/load.h"

#include <string.h>

/* What stands in until a run has its own; `check` and `explain` use them. */
static const struct {
	const char *name, *value;
} builtins[] = {
	{ "scratch", "/tmp/mishap-scratch" },
	{ "run", "RUN" },
	{ "port", "40000" },
	{ "port1", "40000" },
	{ "port2", "40002" },
	{ "port3", "40003" },
	{ "port4", "40004" },
	{ "port5", "40005" },
	{ "port6", "40006" },
	{ "port7", "40007" },
	{ "port8", "40008" },
	{ "port9", "40009" },
};

#define BUILTINS (sizeof(builtins) / sizeof(*builtins))

bool vars_is_builtin(const char *name, size_t n)
{
	for (size_t i = 0; i < BUILTINS; i++)
		if (text_is(name, n, builtins[i].name))
			return true;
	return false;
}

bool load_is_name(const char *text, size_t n)
{
	if (!n || n > 64 || text[0] < 'a' || text[0] > 'z')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!(text[i] >= 'a' && text[i] <= 'z') &&
		    !(text[i] >= '0' && text[i] <= '9') && text[i] != '_')
			return false;
	return true;
}

static void scope_add(struct load *load, const char *name, const char *value,
		      const struct mark *mark)
{
	struct variable *variable;

	if (load->scope.count == SCOPE_VARIABLES_MAX) {
		diag_error(&load->diag, mark ? *mark : (struct mark){ 0 }, NULL,
			   "more than %d variables", SCOPE_VARIABLES_MAX);
		return;
	}
	variable = arena_grow(load->arena, (void **)&load->scope.items,
			      &load->scope.count, sizeof(*variable));

	variable->name = arena_copy(load->arena, name, strlen(name));
	variable->value = arena_copy(load->arena, value, strlen(value));
	if (mark)
		variable->mark = *mark;
}

void load_builtins(struct load *load, const struct scenario_extra *extra)
{
	load->scope.used =
		arena_get(load->arena, SCOPE_VARIABLES_MAX * sizeof(bool));
	for (size_t i = 0; i < BUILTINS; i++)
		scope_add(load, builtins[i].name, builtins[i].value, NULL);
	for (size_t i = 0; extra && i < extra->vars_count; i++) {
		const struct variable *variable = &extra->vars[i];

		if (!load_is_name(variable->name, strlen(variable->name)))
			diag_error(&load->diag,
				   (struct mark){ .file = "--var" }, NULL,
				   "'%.60s' is no name for a variable: letters "
				   "a to z, digits and _",
				   variable->name);
		else
			scope_add(load, variable->name, variable->value,
				  &variable->mark);
	}
}

static bool is_given(const struct load *load, const char *name)
{
	for (size_t i = BUILTINS; i < load->scope.count; i++)
		if (!strcmp(load->scope.items[i].name, name))
			return true;
	return false;
}

static void load_var(struct load *load, const struct node *node)
{
	const struct node *key = node->key;
	struct scenario *s = load->scenario;
	struct variable *variable;
	const char *value;
	size_t n;

	if (!load_is_name(key->text, key->n)) {
		diag_error(&load->diag, key->mark, NULL,
			   "'%.60s' is no name for a variable: letters a to z, "
			   "digits and _",
			   key->text);
		return;
	}
	if (vars_is_builtin(key->text, key->n)) {
		diag_error(&load->diag, key->mark, "take another name",
			   "'%s' is given by the runner", key->text);
		return;
	}
	if (node->kind != NODE_SCALAR) {
		diag_error(&load->diag, node->mark, NULL,
			   "a variable is a text, not %s",
			   node_kind_name(node));
		return;
	}
	value = vars_replace(&load->diag, &load->scope, node->text, node->n,
			     node->mark, &n);
	if (!value)
		return;
	if (!is_given(load, key->text)) /* --var comes before the file */
		scope_add(load, key->text, value, &key->mark);
	variable = arena_grow(load->arena, (void **)&s->vars, &s->vars_count,
			      sizeof(*variable));
	*variable = load->scope.items[load->scope.count - 1];
	for (size_t i = 0; i < load->scope.count; i++)
		if (!strcmp(load->scope.items[i].name, key->text))
			*variable = load->scope.items[i];
	variable->mark = key->mark;
}

void load_vars(struct load *load, const struct node *node)
{
	if (node->kind != NODE_MAP) {
		load_wrong(load, schema_find(MAP_top, "vars", 4), node);
		return;
	}
	for (const struct node *item = node->first; item; item = item->next)
		load_var(load, item);
}

static const char *var_help(struct load *load, const char *name)
{
	struct near near = near_start(name, strlen(name));

	for (size_t i = 0; i < load->scenario->vars_count; i++)
		near_try(&near, load->scenario->vars[i].name);
	return diag_meant(&load->diag, &near);
}

void load_vars_check(struct load *load)
{
	const struct scope *scope = &load->scope;

	for (size_t i = BUILTINS; i < scope->count; i++) {
		const struct variable *variable = &scope->items[i];
		const struct mark *mark = &variable->mark;

		if (scope->used[i] || !mark->file)
			continue;
		if (mark->line)
			diag_warn(&load->diag, *mark, NULL,
				  "the variable '%s' is never used",
				  variable->name);
		else if (!strcmp(mark->file, "--var"))
			diag_error(&load->diag, *mark,
				   var_help(load, variable->name),
				   "nothing in this scenario names '${%s}'",
				   variable->name);
	}
}

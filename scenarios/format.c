/* format.c - a scenario in its canonical form: keys in the table's order, two
 * spaces, rules and expectations in their canonical spelling.  Comments,
 * variables and single empty lines stay. */
#include "scenarios/format.h"

#include <stdlib.h>
#include <string.h>

#include "scenarios/expect_line.h"
#include "scenarios/fault_line.h"
#include "scenarios/schema.h"
#include "scenarios/value.h"
#include "scenarios/yaml.h"

#define FORMAT_WIDTH 80

/* ---- scalars ----------------------------------------------------------- */

static bool has_hidden(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n;) {
		uint32_t point = 0;
		size_t step = utf8_next(text + i, n - i, &point);

		if (utf8_is_hidden(point))
			return true;
		i += step ? step : 1;
	}
	return false;
}

static bool is_plain(const char *text, bool flow)
{
	size_t n = strlen(text);

	if (!n || strchr(" \t", text[n - 1]) || text[n - 1] == ':' ||
	    strchr(" \t,[]{}#&*!|>'\"%@`?:", text[0]) ||
	    (text[0] == '-' && (!text[1] || text[1] == ' ')) ||
	    !strcmp(text, "---") || !strcmp(text, "...") ||
	    strstr(text, ": ") || strstr(text, " #"))
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	if (has_hidden(text))
		return false;
	return !flow || !strpbrk(text, ",[]{}:#");
}

static void add_escaped(struct builder *out, const char *text, size_t n)
{
	builder_add(out, "\"", 1);
	for (size_t i = 0; i < n;) {
		uint32_t point = 0;
		size_t step = utf8_next(text + i, n - i, &point);

		if (point == '"' || point == '\\')
			builder_print(out, "\\%c", (char)point);
		else if (point == '\n')
			builder_add(out, "\\n", 2);
		else if (point == '\t')
			builder_add(out, "\\t", 2);
		else if (step && (point < 0x20 || point == 0x7f))
			builder_print(out, "\\x%02x", (unsigned)point);
		else if (utf8_is_hidden(point))
			builder_print(out, "\\u%04X", (unsigned)point);
		else
			builder_add(out, text + i, step ? step : 1);
		i += step ? step : 1;
	}
	builder_add(out, "\"", 1);
}

void format_scalar(struct builder *out, const char *text, bool was_quoted,
		   bool flow)
{
	bool controls = has_hidden(text);

	for (const char *c = text; *c; c++)
		controls = controls || (unsigned char)*c < 0x20 || *c == 0x7f;
	if (is_plain(text, flow) && !was_quoted) /* people quote for a reason */
		builder_print(out, "%s", text);
	else if (strpbrk(text, "\"\\") && !strchr(text, '\'') && !controls)
		builder_print(out, "'%s'", text);
	else
		add_escaped(out, text, strlen(text));
}

/* ---- lines of the language --------------------------------------------- */

/* As written, one space between words: what names a variable isn't parsed. */
char *format_spaced(struct format *f, const struct line *line)
{
	struct diag diag = { .arena = f->arena };
	struct builder out = { .arena = f->arena };
	struct words words;

	if (!words_split(&diag, line, 0, line->n, NULL, &words))
		return arena_copy(f->arena, line->text, line->n);
	for (size_t i = 0; i < words.count; i++)
		builder_print(&out, "%s%.*s", i ? " " : "",
			      (int)(words.items[i].end - words.items[i].at),
			      line->text + words.items[i].at);
	return out.bytes ? out.bytes : arena_print(f->arena, "%s", "");
}

static const char *line_canonical(struct format *f, const struct node *node,
				  enum schema_type type)
{
	struct diag diag = { .arena = f->arena };
	struct line line = node_line(f->source, node);
	struct scope none = { 0 };
	struct expect expect;
	struct rule rule;

	if (vars_named(line.text, line.n))
		return format_spaced(f, &line);
	if (type == TYPE_faults &&
	    fault_line_parse(&diag, &line, &none, UINT32_MAX, &rule))
		return rule.text;
	if (type == TYPE_expects &&
	    expect_line_parse(&diag, &line, &none, -1, &expect))
		return expect.text;
	return format_spaced(f, &line);
}

/* ---- flow -------------------------------------------------------------- */

static bool is_flat(const struct node *node)
{
	if (node->kind == NODE_MAP && node->count && node->style != '{')
		return false;
	for (const struct node *item = node->first; item; item = item->next)
		if (item->before || item->beside ||
		    (item->kind != NODE_SCALAR && !is_flat(item)) ||
		    (item->kind == NODE_SCALAR && strchr(item->text, '\n')))
			return false;
	return true;
}

static void add_flow(struct builder *out, const struct node *node)
{
	bool map = node->kind == NODE_MAP;

	if (node->kind == NODE_SCALAR) {
		format_scalar(out, node->text, node->style != 0, true);
		return;
	}
	builder_add(out, map ? "{" : "[", 1);
	for (const struct node *item = node->first; item; item = item->next) {
		if (map) {
			format_scalar(out, item->key->text,
				      item->key->style != 0, true);
			builder_add(out, ": ", 2);
		}
		add_flow(out, item);
		if (item->next)
			builder_add(out, ", ", 2);
	}
	builder_add(out, map ? "}" : "]", 1);
}

/* Lists of words are written in one line where they fit; a mapping only if it
 * was written so. */
static const char *flow_form(struct format *f, const struct node *node,
			     size_t column)
{
	struct builder out = { .arena = f->arena };

	if (node->kind == NODE_SCALAR || !is_flat(node))
		return NULL;
	add_flow(&out, node);
	if (node->count &&
	    column + utf8_count(out.bytes, out.count) > FORMAT_WIDTH)
		return NULL;
	return out.bytes;
}

/* ---- blocks ------------------------------------------------------------ */

static void put_value(struct format *f, const struct node *node,
		      const struct schema_key *key, unsigned indent,
		      size_t column);

static void put_indent(struct format *f, unsigned indent)
{
	fprintf(f->out, "%*s", (int)indent, "");
}

static void put_before(struct format *f, const struct node *node,
		       unsigned indent)
{
	const char *line = node->before;

	if (node->gap)
		fputc('\n', f->out);
	while (line && *line) {
		size_t n = strcspn(line, "\n");

		put_indent(f, indent);
		fprintf(f->out, "%.*s\n", (int)n, line);
		line += n + 1;
	}
}

static void put_end(struct format *f, const struct node *node)
{
	if (node->beside)
		fprintf(f->out, " %s", node->beside);
	fputc('\n', f->out);
}

/* A text of several lines as | block; false where that can't hold it. */
static bool put_literal(struct format *f, const struct node *node,
			unsigned indent)
{
	const char *text = node->text;
	size_t n = node->n, ends = 0;

	while (ends < n && text[n - 1 - ends] == '\n')
		ends++;
	if (ends == n || !strchr(text, '\n') || text[0] == ' ' ||
	    text[0] == '\n' || text[0] == '\t' || has_hidden(text))
		return false;
	for (size_t i = 0; i < n; i++)
		if (((unsigned char)text[i] < 0x20 &&
		     !strchr("\n\t", text[i])) ||
		    text[i] == 0x7f)
			return false;
	fprintf(f->out, " |%s", !ends ? "-" : ends > 1 ? "+" : "");
	put_end(f, node);
	while (*text) {
		size_t length = strcspn(text, "\n");

		if (length) {
			put_indent(f, indent);
			fprintf(f->out, "%.*s", (int)length, text);
		}
		fputc('\n', f->out);
		text += length + (text[length] == '\n');
	}
	return true;
}

/* A quoted text over several lines stays so: each line is cut to its words,
 * which is what YAML makes of it anyway. */
static bool put_folded(struct format *f, const struct node *node,
		       unsigned indent)
{
	const char *raw = f->source->bytes + node->raw_at;
	const char *end = f->source->bytes + node->raw_end;

	if ((node->style != '"' && node->style != '\'') ||
	    !memchr(raw, '\n', (size_t)(end - raw)))
		return false;
	fputc(' ', f->out);
	while (raw < end) {
		const char *stop = memchr(raw, '\n', (size_t)(end - raw));
		const char *next = stop ? stop + 1 : end;
		const char *last = stop ? stop : end;

		while (last > raw && strchr(" \t\r", last[-1]) &&
		       (last - raw < 2 || last[-2] != '\\'))
			last--;
		fprintf(f->out, "%.*s", (int)(last - raw), raw);
		raw = next;
		while (raw < end && (*raw == ' ' || *raw == '\t'))
			raw++;
		if (!stop)
			break;
		fputc('\n', f->out);
		if (raw < end && *raw != '\n' && *raw != '\r')
			put_indent(f, indent + 2);
	}
	put_end(f, node);
	return true;
}

static void put_scalar(struct format *f, const struct node *node,
		       const struct schema_key *key, unsigned indent)
{
	struct builder out = { .arena = f->arena };
	const char *text = node->text;
	bool line =
		key && (key->type == TYPE_faults || key->type == TYPE_expects);

	if (line)
		text = line_canonical(f, node, key->type);
	else if (put_literal(f, node, indent) || put_folded(f, node, indent))
		return;
	if (text[0] || node->style)
		format_scalar(&out, text, node->style && !line, false);
	fprintf(f->out, "%s%s", out.bytes ? " " : "",
		out.bytes ? out.bytes : "");
	put_end(f, node);
}

static void put_entry(struct format *f, const struct node *node,
		      const struct schema_key *key, unsigned indent, bool first)
{
	struct builder name = { .arena = f->arena };

	if (!first) {
		put_before(f, node, indent);
		put_indent(f, indent);
	}
	format_scalar(&name, node->key->text, node->key->style != 0, false);
	fprintf(f->out, "%s:", name.bytes);
	put_value(f, node, key, indent + 2, indent + name.count + 2);
}

/* In the table's order; names of people's own (env, vars) in theirs. */
static void put_map(struct format *f, const struct node *node,
		    enum schema_map map, unsigned indent, bool first)
{
	if (map == MAP_none) {
		for (const struct node *item = node->first; item;
		     item = item->next, first = false)
			put_entry(f, item, NULL, indent, first);
		return;
	}
	for (size_t i = 0; i < schema_keys_count; i++) {
		const struct schema_key *key = &schema_keys[i];

		if (key->map != map)
			continue;
		for (const struct node *item = node->first; item;
		     item = item->next) {
			if (!text_is(item->key->text, item->key->n, key->name))
				continue;
			put_entry(f, item, key, indent, first);
			first = false;
		}
	}
}

/* services: each name's value is a program; the names are people's own. */
static void put_programs(struct format *f, const struct node *node,
			 unsigned indent)
{
	for (const struct node *item = node->first; item; item = item->next) {
		struct builder name = { .arena = f->arena };

		put_before(f, item, indent);
		put_indent(f, indent);
		format_scalar(&name, item->key->text, item->key->style != 0,
			      false);
		fprintf(f->out, "%s:", name.bytes);
		put_end(f, item);
		put_map(f, item, MAP_program, indent + 2, false);
	}
}

static void put_list(struct format *f, const struct node *node,
		     const struct schema_key *key, unsigned indent, bool first)
{
	for (const struct node *item = node->first; item; item = item->next) {
		const char *flow = flow_form(f, item, indent + 2);

		if (!first) {
			put_before(f, item, indent);
			put_indent(f, indent);
		}
		first = false;
		fputc('-', f->out);
		if (item->kind == NODE_SCALAR) {
			put_scalar(f, item, key, indent + 2);
		} else if (flow) {
			fprintf(f->out, " %s", flow);
			put_end(f, item);
		} else if (!item->beside && item->first &&
			   !item->first->before) {
			fputc(' ', f->out);
			if (item->kind == NODE_MAP)
				put_map(f, item, key ? key->sub : MAP_none,
					indent + 2, true);
			else
				put_list(f, item, NULL, indent + 2, true);
		} else {
			put_end(f, item);
			if (item->kind == NODE_MAP)
				put_map(f, item, key ? key->sub : MAP_none,
					indent + 2, false);
			else
				put_list(f, item, NULL, indent + 2, false);
		}
	}
}

static void put_value(struct format *f, const struct node *node,
		      const struct schema_key *key, unsigned indent,
		      size_t column)
{
	const char *flow = NULL;
	bool lines =
		key && (key->type == TYPE_faults || key->type == TYPE_expects ||
			key->type == TYPE_commands);

	if (node->kind == NODE_SCALAR) {
		put_scalar(f, node, key, indent);
		return;
	}
	if (!lines || !node->count)
		flow = flow_form(f, node, column);
	if (flow) {
		fprintf(f->out, " %s", flow);
		put_end(f, node);
		return;
	}
	put_end(f, node);
	if (key && key->type == TYPE_programs)
		put_programs(f, node, indent);
	else if (node->kind == NODE_MAP)
		put_map(f, node, key ? key->sub : MAP_none, indent, false);
	else
		put_list(f, node, key, indent, false);
}

/* ---- the whole --------------------------------------------------------- */

/* false: it doesn't parse, and nothing was printed. */
static bool format_bytes(struct format *f, const char *bytes, size_t n)
{
	struct diag diag = { .arena = f->arena };
	const struct source *source =
		diag_source(&diag, "formatted", bytes, n, false);
	struct node *root = yaml_parse(&diag, source);
	const char *rest;

	if (!root)
		return false;
	f->source = source;
	rest = comments_attach(f->arena, source, root);
	put_map(f, root, MAP_top, 0, false);
	fputs(rest, f->out);
	return true;
}

/* Written down plainly first; then formatted as any other file. */
static void format_command_line(struct format *f,
				const struct scenario *scenario)
{
	FILE *out = f->out;
	char *bytes = NULL;
	size_t n = 0;

	f->out = open_memstream(&bytes, &n);
	if (!f->out)
		return;
	format_typed(f, scenario);
	fclose(f->out);
	f->out = out;
	if (!format_bytes(f, bytes, n))
		fwrite(bytes, 1, n, out); /* not UTF-8: as good as we can */
	free(bytes);
}

void scenario_format(const struct scenario *scenario, FILE *out)
{
	struct format f = { .arena = arena_open(), .out = out };

	if (scenario->path) /* it was loaded, so it parses */
		format_bytes(&f, scenario->source, scenario->source_bytes);
	else
		format_command_line(&f, scenario);
	arena_free(f.arena);
}

/* comments.c - libyaml drops comments; a formatter must not.  They are found
 * again in the source, outside of all scalars, and given to the tree. */
#include <string.h>

#include "scenarios/yaml.h"

struct comment {
	size_t at, end;
	uint32_t line;
	bool whole_line;
	bool taken;
};

struct comments {
	struct arena *arena;
	const struct source *source;
	struct comment *items;
	size_t count;
	uint32_t line; /* of the scan */
	size_t next;   /* all before it are taken */
	size_t scanned;
};

/* ---- find -------------------------------------------------------------- */

static void scan_plain(struct comments *c, size_t to)
{
	const char *bytes = c->source->bytes;
	bool only_space = true;
	size_t i = c->scanned;

	while (i && bytes[i - 1] != '\n' && only_space) {
		only_space = bytes[i - 1] == ' ' || bytes[i - 1] == '\t';
		i--;
	}
	for (i = c->scanned; i < to; i++) {
		struct comment *comment;
		size_t end = i;

		if (bytes[i] == '\n') {
			c->line++;
			only_space = true;
			continue;
		}
		if (bytes[i] != '#' ||
		    (i && !memchr(" \t\n", bytes[i - 1], 3))) {
			if (bytes[i] != ' ' && bytes[i] != '\t')
				only_space = false;
			continue;
		}
		while (end < c->source->count && bytes[end] != '\n')
			end++;
		comment = arena_grow(c->arena, (void **)&c->items, &c->count,
				     sizeof(*comment));
		*comment = (struct comment){ .at = i,
					     .end = end,
					     .line = c->line,
					     .whole_line = only_space };
		while (comment->end > comment->at &&
		       bytes[comment->end - 1] == '\r')
			comment->end--;
		i = end - 1;
	}
	c->scanned = i > to ? i : to;
}

static void scan_skip(struct comments *c, size_t to)
{
	for (; c->scanned < to; c->scanned++)
		c->line += c->source->bytes[c->scanned] == '\n';
}

static void scan_scalar(struct comments *c, const struct node *node)
{
	if (node->raw_at >= c->scanned)
		scan_plain(c, node->raw_at);
	scan_skip(c, node->raw_end);
}

/* Depth is bounded by SCENARIO_DEPTH_MAX. */
static void scan(struct comments *c, const struct node *node)
{
	if (node->key)
		scan_scalar(c, node->key);
	if (node->kind == NODE_SCALAR)
		scan_scalar(c, node);
	for (const struct node *item = node->first; item; item = item->next)
		scan(c, item);
}

/* ---- attach ------------------------------------------------------------ */

static uint32_t entry_line(const struct node *node)
{
	return node->key ? node->key->mark.line : node->mark.line;
}

static bool is_blank_line(const struct comments *c, size_t end)
{
	const char *bytes = c->source->bytes;

	/* end: just behind a newline, or the start of the file */
	while (end && (bytes[end - 1] == ' ' || bytes[end - 1] == '\r'))
		end--;
	return end && bytes[end - 1] == '\n';
}

static size_t line_start(const struct comments *c, size_t at)
{
	while (at && c->source->bytes[at - 1] != '\n')
		at--;
	return at;
}

static void attach_before(struct comments *c, struct node *node)
{
	struct builder text = { .arena = c->arena };
	size_t first = node->key ? node->key->raw_at : node->raw_at;

	while (c->next < c->count && c->items[c->next].taken)
		c->next++;
	for (size_t i = c->next; i < c->count; i++) {
		struct comment *comment = &c->items[i];

		if (comment->line >= entry_line(node))
			break;
		if (comment->taken)
			continue;
		comment->taken = true;
		if (!text.count)
			first = comment->at;
		builder_print(&text, "%.*s\n",
			      (int)(comment->end - comment->at),
			      c->source->bytes + comment->at);
	}
	node->before = text.count ? text.bytes : NULL;
	first = line_start(c, first);
	node->gap = first && is_blank_line(c, first - 1);
}

static void attach_beside(struct comments *c, struct node *node)
{
	/* `- name: x # …` is about the name, not about the item */
	if (node->kind != NODE_SCALAR && !node->style && node->first &&
	    entry_line(node->first) == entry_line(node))
		return;
	for (size_t i = c->next; i < c->count; i++) {
		struct comment *comment = &c->items[i];

		if (comment->line > entry_line(node))
			break;
		if (comment->taken || comment->whole_line ||
		    comment->line != entry_line(node))
			continue;
		comment->taken = true;
		node->beside =
			arena_copy(c->arena, c->source->bytes + comment->at,
				   comment->end - comment->at);
	}
}

static void attach(struct comments *c, struct node *node)
{
	for (struct node *item = node->first; item; item = item->next) {
		attach_before(c, item);
		attach_beside(c, item);
		attach(c, item);
	}
}

const char *comments_attach(struct arena *arena, const struct source *source,
			    struct node *root)
{
	struct comments c = { .arena = arena, .source = source, .line = 1 };
	struct builder rest = { .arena = arena };

	scan(&c, root);
	scan_plain(&c, source->count);
	attach(&c, root);
	builder_add(&rest, "", 0);
	for (size_t i = 0; i < c.count; i++)
		if (!c.items[i].taken)
			builder_print(&rest, "%.*s\n",
				      (int)(c.items[i].end - c.items[i].at),
				      source->bytes + c.items[i].at);
	return rest.bytes;
}

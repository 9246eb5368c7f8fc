#include "scenarios/yaml.h"

#include <string.h>
#include <yaml.h>

#define YAML_NODES_MAX 20000

struct tree {
	struct diag *diag;
	const struct source *source;
	yaml_parser_t parser;
	size_t *lines; /* byte at which each line begins */
	size_t lines_count;
	yaml_mark_t last; /* of byte_at() */
	size_t last_byte;
	size_t nodes;
	bool failed;
};

/* ---- places ------------------------------------------------------------ */

static void lines_find(struct tree *tree)
{
	const char *bytes = tree->source->bytes;
	size_t *at = arena_grow(tree->diag->arena, (void **)&tree->lines,
				&tree->lines_count, sizeof(*at));

	for (size_t i = 0; i < tree->source->count; i++) {
		if (bytes[i] != '\n')
			continue;
		at = arena_grow(tree->diag->arena, (void **)&tree->lines,
				&tree->lines_count, sizeof(*at));
		*at = i + 1;
	}
}

/* libyaml counts characters; we need the byte.  Marks mostly grow, so we go on
 * from the last one: a file may be one line of a megabyte. */
static size_t byte_at(struct tree *tree, const yaml_mark_t *mark)
{
	const struct source *source = tree->source;

	if (mark->line >= tree->lines_count)
		return source->count;
	if (mark->line != tree->last.line || mark->column < tree->last.column) {
		tree->last = (yaml_mark_t){ .line = mark->line };
		tree->last_byte = tree->lines[mark->line];
	}
	while (tree->last.column < mark->column &&
	       tree->last_byte < source->count) {
		uint32_t point;
		size_t step =
			utf8_next(source->bytes + tree->last_byte,
				  source->count - tree->last_byte, &point);

		tree->last_byte += step ? step : 1;
		tree->last.column++;
	}
	return tree->last_byte;
}

static struct mark mark_of(struct tree *tree, const yaml_mark_t *start,
			   const yaml_mark_t *end)
{
	struct mark mark = { .file = tree->source->name,
			     .line = (uint32_t)start->line + 1,
			     .column = (uint32_t)start->column + 1,
			     .width = 1 };

	if (end->line == start->line && end->column > start->column) {
		mark.width = (uint32_t)(end->column - start->column);
	} else if (end->line > start->line) { /* to the end of its line */
		const char *from = tree->source->bytes + byte_at(tree, start);
		const char *stop = memchr(from, '\n',
					  (size_t)(tree->source->bytes +
						   tree->source->count - from));

		if (stop && stop > from)
			mark.width = (uint32_t)utf8_count(
				from, (size_t)(stop - from));
	}
	return mark;
}

static struct mark mark_at_byte(const struct source *source, size_t at)
{
	const char *bytes = source->bytes;
	struct mark mark = { .file = source->name, .line = 1, .width = 1 };
	size_t start = 0;

	for (size_t i = 0; i < at; i++) {
		if (bytes[i] == '\n') {
			mark.line++;
			start = i + 1;
		}
	}
	mark.column = (uint32_t)utf8_count(bytes + start, at - start) + 1;
	return mark;
}

/* ---- text, or not ------------------------------------------------------ */

/* What isn't text gets one message, at its first byte, before libyaml. */
static bool is_text(struct diag *diag, const struct source *source)
{
	const char *bytes = source->bytes;
	size_t n = source->count;

	for (size_t i = 0; i < n;) {
		uint32_t point = 0;
		size_t step = utf8_next(bytes + i, n - i, &point);
		const char *what = NULL;

		if (!step)
			what = arena_print(diag->arena,
					   "byte 0x%02x is not UTF-8 text",
					   (unsigned char)bytes[i]);
		else if (point == 0)
			what = "a NUL byte: this is not a text file";
		else if (point == '\r' && (i + 1 == n || bytes[i + 1] != '\n'))
			what = "a carriage return that ends no line";
		else if ((point < 0x20 && !strchr("\t\n\r", (int)point)) ||
			 point == 0x7f)
			what = arena_print(diag->arena,
					   "control character 0x%02x",
					   (unsigned)point);
		else if (utf8_is_hidden(point) && (point != 0xfeff || i))
			what = arena_print(
				diag->arena,
				"hidden character U+%04X, write it as "
				"\"\\u%04X\"",
				(unsigned)point, (unsigned)point);
		if (what) {
			diag_error(diag, mark_at_byte(source, i), NULL, "%s",
				   what);
			return false;
		}
		i += step;
	}
	return true;
}

/* ---- nodes ------------------------------------------------------------- */

static void *fail(struct tree *tree, const yaml_event_t *event,
		  const char *says, const char *help)
{
	if (!tree->failed)
		diag_error(tree->diag,
			   mark_of(tree, &event->start_mark, &event->end_mark),
			   help, "%s", says);
	tree->failed = true;
	return NULL;
}

/* libyaml's own error.  An unclosed quote is found at the end of the file;
 * where it was opened is what helps. */
static void fail_yaml(struct tree *tree)
{
	const yaml_parser_t *p = &tree->parser;
	const yaml_mark_t *mark = &p->problem_mark;
	const char *problem = p->problem ? p->problem : "not YAML";
	const char *context = p->context ? p->context : "", *help = NULL;
	size_t at = byte_at(tree, mark);

	if (tree->failed)
		return;
	tree->failed = true;
	if (at < tree->source->count && tree->source->bytes[at] == '\t')
		help = "indent with spaces, not with tabs";
	if (strstr(context, "scanning a quoted scalar") &&
	    strstr(problem, "end of stream")) {
		mark = &p->context_mark;
		problem = "this quote is never closed";
		context = "";
	} else if (*context && p->context_mark.line != mark->line)
		help = arena_print(tree->diag->arena,
				   "%s that began on line "
				   "%zu",
				   context, p->context_mark.line + 1);
	diag_error(tree->diag, mark_of(tree, mark, mark), help, "%s%s%s",
		   problem, *context ? ", " : "", context);
}

/* Next event; false at an error or at the end.  After an error libyaml
 * answers success with YAML_NO_EVENT, so its own error is looked at too. */
static bool next_event(struct tree *tree, yaml_event_t *event)
{
	if (tree->failed)
		return false;
	if (!yaml_parser_parse(&tree->parser, event) ||
	    tree->parser.error != YAML_NO_ERROR) {
		fail_yaml(tree);
		return false;
	}
	if (event->type == YAML_NO_EVENT) {
		yaml_event_delete(event);
		return false;
	}
	return true;
}

static struct node *node_make(struct tree *tree, const yaml_event_t *event,
			      enum node_kind kind)
{
	struct node *node = arena_get(tree->diag->arena, sizeof(*node));

	node->kind = kind;
	node->mark = mark_of(tree, &event->start_mark, &event->end_mark);
	node->raw_at = byte_at(tree, &event->start_mark);
	node->raw_end = byte_at(tree, &event->end_mark);
	return node;
}

static struct node *scalar_make(struct tree *tree, const yaml_event_t *event)
{
	static const char styles[] = {
		[YAML_SINGLE_QUOTED_SCALAR_STYLE] = '\'',
		[YAML_DOUBLE_QUOTED_SCALAR_STYLE] = '"',
		[YAML_LITERAL_SCALAR_STYLE] = '|',
		[YAML_FOLDED_SCALAR_STYLE] = '>',
	};
	struct node *node = node_make(tree, event, NODE_SCALAR);
	const char *text = (const char *)event->data.scalar.value;

	node->n = event->data.scalar.length;
	if (memchr(text, '\0', node->n))
		return fail(tree, event, "a NUL character in a text", NULL);
	node->text = arena_copy(tree->diag->arena, text, node->n);
	if (event->data.scalar.style < sizeof(styles))
		node->style = styles[event->data.scalar.style];
	return node;
}

static bool is_plain_event(struct tree *tree, const yaml_event_t *event)
{
	const void *anchor = NULL, *tag = NULL;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		fail(tree, event, "anchors and aliases are not supported",
		     "use vars");
		return false;
	case YAML_SCALAR_EVENT:
		anchor = event->data.scalar.anchor;
		tag = event->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = event->data.sequence_start.anchor;
		tag = event->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = event->data.mapping_start.anchor;
		tag = event->data.mapping_start.tag;
		break;
	default:
		return false;
	}
	if (anchor)
		fail(tree, event, "anchors and aliases are not supported",
		     "use vars");
	else if (tag)
		fail(tree, event, "tags are not supported",
		     "what a value means follows from its key");
	return !tree->failed;
}

/* ---- the tree ---------------------------------------------------------- */

/* A map or list that is being filled. */
struct level {
	struct node *node;
	struct node **tail;
	struct node *key; /* of a map: read, its value still to come */
};

static bool key_check(struct tree *tree, const struct node *map,
		      const struct node *key)
{
	if (key->kind != NODE_SCALAR) {
		diag_error(tree->diag, key->mark, NULL,
			   "a key is a plain word, not %s",
			   node_kind_name(key));
		tree->failed = true;
		return false;
	}
	for (const struct node *value = map->first; value;
	     value = value->next) {
		if (value->key->n != key->n ||
		    memcmp(value->key->text, key->text, key->n))
			continue;
		diag_error(tree->diag, key->mark, NULL,
			   "duplicate key '%.60s' (first given on line %u)",
			   key->text, value->key->mark.line);
		return true; /* go on: there may be more to say */
	}
	return true;
}

static bool level_add(struct tree *tree, struct level *level, struct node *node)
{
	if (level->node->kind == NODE_MAP && !level->key) {
		level->key = node;
		return key_check(tree, level->node, node);
	}
	if (level->node->count >= SCENARIO_ITEMS_MAX) {
		diag_error(tree->diag, node->mark, NULL,
			   "more than %d items in one %s", SCENARIO_ITEMS_MAX,
			   level->node->kind == NODE_MAP ? "mapping" : "list");
		tree->failed = true;
		return false;
	}
	node->key = level->key;
	level->key = NULL;
	level->node->count++;
	*level->tail = node;
	level->tail = &node->next;
	return true;
}

/* A node of the event, if it begins one. */
static struct node *event_node(struct tree *tree, const yaml_event_t *event)
{
	struct node *node;

	if (!is_plain_event(tree, event))
		return NULL;
	if (++tree->nodes > YAML_NODES_MAX)
		return fail(tree, event, "too many values in one file", NULL);
	if (event->type == YAML_SCALAR_EVENT)
		return scalar_make(tree, event);
	node = node_make(tree, event,
			 event->type == YAML_MAPPING_START_EVENT ? NODE_MAP
								 : NODE_LIST);
	if (tree->source->bytes[node->raw_at] == '{' ||
	    tree->source->bytes[node->raw_at] == '[')
		node->style = tree->source->bytes[node->raw_at];
	return node;
}

static bool ends_level(const yaml_event_t *event)
{
	return event->type == YAML_MAPPING_END_EVENT ||
	       event->type == YAML_SEQUENCE_END_EVENT;
}

/* One whole value, its first event already read.  An own stack: a file can
 * nest as deep as it likes, and is told so at SCENARIO_DEPTH_MAX. */
static struct node *tree_read(struct tree *tree, yaml_event_t *event)
{
	struct level levels[SCENARIO_DEPTH_MAX];
	struct node *root = NULL;
	size_t depth = 0;

	do {
		struct node *node = NULL;

		if (ends_level(event)) {
			levels[--depth].node->raw_end =
				byte_at(tree, &event->end_mark);
		} else {
			node = event_node(tree, event);
			if (node && !root)
				root = node;
			else if (node)
				level_add(tree, &levels[depth - 1], node);
		}
		if (node && node->kind != NODE_SCALAR) {
			if (depth == SCENARIO_DEPTH_MAX)
				fail(tree, event, "nested too deeply", NULL);
			else
				levels[depth++] =
					(struct level){ node, &node->first,
							NULL };
		}
		yaml_event_delete(event);
	} while (!tree->failed && depth && next_event(tree, event));
	return tree->failed ? NULL : root;
}

static struct node *document_read(struct tree *tree)
{
	struct node *root = NULL;
	yaml_event_t event;
	bool more = false;

	while (!more && next_event(tree, &event)) {
		switch (event.type) {
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (root)
				fail(tree, &event,
				     "a second document in one file", NULL);
			break;
		case YAML_STREAM_END_EVENT:
			more = true;
			break;
		default:
			root = tree_read(tree, &event);
			continue; /* it has deleted the event */
		}
		yaml_event_delete(&event);
	}
	return tree->failed ? NULL : root;
}

struct node *yaml_parse(struct diag *diag, const struct source *source)
{
	struct tree tree = { .diag = diag, .source = source };
	struct mark start = { .file = source->name };
	struct node *root;
	size_t bom =
		source->count >= 3 && !memcmp(source->bytes, "\xef\xbb\xbf", 3)
			? 3
			: 0;

	if (!is_text(diag, source))
		return NULL;
	if (bom) {
		diag_error(diag, start, "save it as UTF-8 without one",
			   "the file begins with a byte order mark");
		return NULL;
	}
	lines_find(&tree);
	if (!yaml_parser_initialize(&tree.parser)) {
		diag_error(diag, start, NULL, "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&tree.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&tree.parser,
				     (const unsigned char *)source->bytes,
				     source->count);
	root = document_read(&tree);
	yaml_parser_delete(&tree.parser);
	if (!root && !tree.failed)
		diag_error(diag, start, NULL, "the file is empty");
	return root;
}

struct line node_line(const struct source *source, const struct node *node)
{
	struct line line = { .text = node->text,
			     .n = node->n,
			     .mark = node->mark };

	if (node->style == 0 || node->style == '\'' || node->style == '"') {
		line.raw = source->bytes + node->raw_at;
		line.raw_n = node->raw_end - node->raw_at;
		line.quote = node->style;
	}
	return line;
}

const char *node_kind_name(const struct node *node)
{
	if (node->kind == NODE_LIST)
		return "a list";
	if (node->kind == NODE_MAP)
		return "a mapping";
	return node->n || node->style ? "a text" : "nothing";
}

/* yaml.h - the strict subset of YAML, as a tree in which every node knows its
 * place.  Maps, lists, scalars; no anchors, aliases, tags, merge keys or
 * second documents; a key once; JSON is fine.  Scalars are texts: what they
 * mean is the schema's business, so `no` is never false.
 */
#ifndef MISHAP_SCENARIOS_YAML_H
#define MISHAP_SCENARIOS_YAML_H

#include "scenarios/diag.h"
#include "scenarios/words.h"

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node {
	enum node_kind kind;
	struct mark mark;   /* of a map or list: its first character */
	struct node *next;  /* in the same list or map */
	struct node *first; /* of a list or map */
	struct node *key;   /* of a value in a map: its key, a scalar */
	size_t count;	    /* items of a list or map */
	const char *text;   /* of a scalar; also NUL-terminated */
	size_t n;
	size_t raw_at, raw_end; /* bytes of the source */
	char style; /* of a scalar: 0 plain, ' " | >; of others: { [ or 0 */
	/* comments.c: what people wrote around it, for `mishap fmt`. */
	const char *before; /* whole lines, each with its newline */
	const char *beside; /* behind it, from # on */
	bool gap;	    /* an empty line stood before it */
};

/* yaml_parse - the tree of a source; NULL after errors were noted. */
struct node *yaml_parse(struct diag *diag, const struct source *source);

/* node_line - a scalar as a line of the language. */
struct line node_line(const struct source *source, const struct node *node);

/* comments_attach - give every comment of the source to the key or item that it
 * stands before or beside; returns those after the last one, or "". */
const char *comments_attach(struct arena *arena, const struct source *source,
			    struct node *root);

/* node_kind_name - "a list"; for messages. */
const char *node_kind_name(const struct node *node);

#endif

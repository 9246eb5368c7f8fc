/* load.h - from the tree to the typed scenario; shared by the load_*.c files.
 */
#ifndef MISHAP_SCENARIOS_LOAD_H
#define MISHAP_SCENARIOS_LOAD_H

#include "scenarios/expect_line.h"
#include "scenarios/fault_line.h"
#include "scenarios/schema.h"
#include "scenarios/yaml.h"

struct load {
	struct diag diag;
	struct arena *arena;
	const struct source *source; /* NULL: no file */
	struct scenario *scenario;
	struct scope scope;
	int phase; /* in which we are; -1: in none */
};

/* load_map - every key of a map into `base`, the map's struct, whose defaults
 * load_defaults() has set. */
void load_map(struct load *load, const struct node *node, enum schema_map map,
	      void *base);
void load_defaults(struct load *load, enum schema_map map, void *base);

/* load_vars.c */
bool load_is_name(const char *text, size_t n); /* [a-z][a-z0-9_]* */
void load_builtins(struct load *load, const struct scenario_extra *extra);
void load_vars(struct load *load, const struct node *node);
/* load_vars_check - was every variable named somewhere?  A --var that wasn't
 * is a mistake, one of the file's a warning. */
void load_vars_check(struct load *load);

/* load_values.c: one scalar or list of scalars into its member. */
void load_value(struct load *load, const struct schema_key *key,
		const struct node *node, void *member);
bool load_is_host_port(const char *text, size_t n);
bool load_is_url(const char *text);
/* load_is_title - 1 to 100 characters in one line: what reports can show. */
bool load_is_title(const char *text, size_t n);
/* load_text - the scalar with its variables; NULL after an error. */
const char *load_text(struct load *load, const struct schema_key *key,
		      const struct node *node, size_t *ret_n);
void load_wrong(struct load *load, const struct schema_key *key,
		const struct node *node);

/* load_lines.c: rules, expectations, and what the command line adds. */
void load_faults(struct load *load, const struct node *node);
void load_expects(struct load *load, const struct node *node);
void load_fault_line(struct load *load, const struct line *line,
		     uint32_t phases);
void load_extra(struct load *load, const struct scenario_extra *extra);

/* load_typed.c: programs and probes that the command line adds. */
void load_ready_text(struct load *load, const char *text);
void load_load_text(struct load *load, const char *text, unsigned number);
void load_steady_text(struct load *load, const char *text);

/* load_check.c: what holds between keys. */
void load_check(struct load *load);

#endif

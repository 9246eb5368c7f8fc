#include "scenarios/load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- maps -------------------------------------------------------------- */

static void unknown_key(struct load *load, const struct node *key,
			enum schema_map map)
{
	struct near near = near_start(key->text, key->n);
	struct builder all = { .arena = load->arena };
	const char *help;

	for (size_t i = 0; i < schema_keys_count; i++) {
		if (schema_keys[i].map != map ||
		    schema_keys[i].type == TYPE_absent)
			continue;
		near_try(&near, schema_keys[i].name);
		builder_print(&all, "%s%s", all.count ? " " : "one of: ",
			      schema_keys[i].name);
	}
	help = diag_meant(&load->diag, &near);
	if (text_is(key->text, key->n, "<<"))
		help = "merge keys are not supported, use vars";
	diag_error(&load->diag, key->mark, help ? help : all.bytes,
		   "unknown key '%.60s'", key->text);
}

static void missing_keys(struct load *load, const struct node *node,
			 enum schema_map map)
{
	for (size_t i = 0; i < schema_keys_count; i++) {
		const struct schema_key *key = &schema_keys[i];
		const struct node *value = node->first;
		struct mark mark = node->mark;

		if (key->map != map || !key->required)
			continue;
		while (value &&
		       !text_is(value->key->text, value->key->n, key->name))
			value = value->next;
		mark.width = 1;
		if (!value)
			diag_error(&load->diag, mark,
				   arena_print(load->arena, "such as %s: %s",
					       key->name, key->example),
				   "%s is missing its '%s'",
				   schema_map_name(map), key->name);
	}
}

static void absent_key(struct load *load, const struct node *key,
		       const struct schema_key *row)
{
	diag_error(&load->diag, key->mark, row->says,
		   "'%s' is not built yet in mishap " MISHAP_VERSION,
		   row->name);
}

static bool is_kind(struct load *load, const struct schema_key *key,
		    const struct node *node, enum node_kind kind)
{
	if (node->kind == kind)
		return true;
	load_wrong(load, key, node);
	return false;
}

/* ---- lists of maps ----------------------------------------------------- */

/* A service is no target: nobody restarts it, times it or walls it in. */
static void service_keys(struct load *load, const struct node *node)
{
	for (const struct node *value = node->first; value;
	     value = value->next) {
		const struct schema_key *key = schema_find(
			MAP_program, value->key->text, value->key->n);

		if (key && key->target_only)
			diag_error(&load->diag, value->key->mark, NULL,
				   "'%s' is for the target, not for a service",
				   key->name);
	}
}

static void load_programs(struct load *load, const struct schema_key *key,
			  const struct node *node)
{
	struct scenario *s = load->scenario;

	if (!is_kind(load, key, node, NODE_MAP))
		return;
	for (const struct node *item = node->first; item; item = item->next) {
		struct program *program;

		if (!is_kind(load, key, item, NODE_MAP))
			continue;
		program = arena_grow(load->arena, (void **)&s->services,
				     &s->services_count, sizeof(*program));
		load_defaults(load, MAP_program, program);
		program->name =
			arena_copy(load->arena, item->key->text, item->key->n);
		program->mark = item->key->mark;
		load_map(load, item, MAP_program, program);
		service_keys(load, item);
	}
}

static void load_list(struct load *load, const struct schema_key *key,
		      const struct node *node, void **items, size_t *count,
		      size_t bytes, size_t mark_offset)
{
	if (!is_kind(load, key, node, NODE_LIST))
		return;
	for (const struct node *item = node->first; item; item = item->next) {
		char *base;

		if (!is_kind(load, key, item, NODE_MAP))
			continue;
		base = arena_grow(load->arena, items, count, bytes);
		memcpy(base + mark_offset, &item->mark, sizeof(item->mark));
		load_defaults(load, key->sub, base);
		if (key->sub == MAP_phase)
			load->phase = (int)*count - 1;
		if (key->sub == MAP_phase && *count > PLAN_PHASES_MAX) {
			diag_error(&load->diag, item->mark, NULL,
				   "more than %d phases", PLAN_PHASES_MAX);
			load->phase = -1;
			return;
		}
		load_map(load, item, key->sub, base);
		load->phase = -1;
	}
}

static void load_sub(struct load *load, const struct schema_key *key,
		     const struct node *node, char *member)
{
	struct scenario *s = load->scenario;

	switch (key->type) {
	case TYPE_map:
		if (!is_kind(load, key, node, NODE_MAP))
			return;
		if (key->sub == MAP_program)
			((struct program *)member)->mark = node->key->mark;
		if (key->sub == MAP_ready)
			((struct probe *)member)->mark = node->key->mark;
		load_map(load, node, key->sub, member);
		return;
	case TYPE_programs:
		load_programs(load, key, node);
		return;
	case TYPE_workloads:
		load_list(load, key, node, (void **)&s->workloads,
			  &s->workloads_count, sizeof(*s->workloads),
			  offsetof(struct workload, mark));
		return;
	case TYPE_steadies:
		load_list(load, key, node, (void **)&s->steadies,
			  &s->steadies_count, sizeof(*s->steadies),
			  offsetof(struct steady, mark));
		return;
	case TYPE_phases:
		load_list(load, key, node, (void **)&s->phases,
			  &s->phases_count, sizeof(*s->phases),
			  offsetof(struct phase, mark));
		return;
	case TYPE_faults:
		load_faults(load, node);
		return;
	case TYPE_expects:
		load_expects(load, node);
		return;
	case TYPE_vars: /* was read before all others */
		return;
	default:
		load_value(load, key, node, member);
	}
}

void load_map(struct load *load, const struct node *node, enum schema_map map,
	      void *base)
{
	for (const struct node *value = node->first; value;
	     value = value->next) {
		const struct schema_key *key =
			schema_find(map, value->key->text, value->key->n);

		if (!key)
			unknown_key(load, value->key, map);
		else if (key->type == TYPE_absent)
			absent_key(load, value->key, key);
		else
			load_sub(load, key, value, (char *)base + key->offset);
	}
	missing_keys(load, node, map);
}

void load_defaults(struct load *load, enum schema_map map, void *base)
{
	for (size_t i = 0; i < schema_keys_count; i++) {
		const struct schema_key *key = &schema_keys[i];
		char *member = (char *)base + key->offset;
		struct node node = { .kind = NODE_SCALAR,
				     .text = key->standard };

		if (key->map != map)
			continue;
		if (key->type == TYPE_map && key->sub < MAP_none)
			load_defaults(load, key->sub, member);
		if (!key->standard)
			continue;
		node.n = strlen(key->standard);
		load_value(load, key, &node, member);
		if (key->type == TYPE_duration)
			((struct duration *)member)->set = false;
	}
}

/* ---- the whole --------------------------------------------------------- */

static void load_tree(struct load *load)
{
	const struct node *root = yaml_parse(&load->diag, load->source);

	if (!root)
		return;
	if (root->kind != NODE_MAP) {
		diag_error(&load->diag, root->mark,
			   "such as target: and expect:",
			   "a scenario is a mapping of keys, not %s",
			   node_kind_name(root));
		return;
	}
	for (const struct node *value = root->first; value; value = value->next)
		if (text_is(value->key->text, value->key->n, "vars"))
			load_vars(load, value);
	load_map(load, root, MAP_top, load->scenario);
}

static void load_phase_of_ours(struct load *load)
{
	struct scenario *s = load->scenario;
	struct phase *phase;

	s->phases_written = s->phases_count > 0;
	if (s->phases_written)
		return;
	phase = arena_grow(load->arena, (void **)&s->phases, &s->phases_count,
			   sizeof(*phase));
	phase->name = arena_print(load->arena, "run");
	phase->until_workload = s->workloads_count > 0;
}

static int load_end(struct load *load, struct scenario **ret_scenario)
{
	size_t errors = load->diag.errors;

	diag_flush(&load->diag);
	if (errors) {
		arena_free(load->arena);
		return -EINVAL;
	}
	*ret_scenario = load->scenario;
	return 0;
}

static void load_start(struct load *load, FILE *errors)
{
	struct arena *arena = arena_open();

	*load = (struct load){ .arena = arena, .phase = -1 };
	load->diag = (struct diag){ .out = errors, .arena = arena };
	load->scenario = arena_get(arena, sizeof(*load->scenario));
	load->scenario->arena = arena;
	load_defaults(load, MAP_top, load->scenario);
}

int scenario_parse(const char *name, const char *bytes, size_t n,
		   const struct scenario_extra *extra, FILE *errors,
		   struct scenario **ret_scenario)
{
	struct load load;

	load_start(&load, errors);
	if (name) {
		struct scenario *s = load.scenario;

		s->path = arena_copy(load.arena, name, strlen(name));
		s->source = arena_copy(load.arena, bytes, n);
		s->source_bytes = n;
		load.source =
			diag_source(&load.diag, name, s->source, n, false);
	}
	load_builtins(&load, extra);
	if (load.source && n > SCENARIO_BYTES_MAX)
		diag_error(&load.diag,
			   (struct mark){ .file = load.source->name }, NULL,
			   "larger than the limit of %u bytes",
			   SCENARIO_BYTES_MAX);
	else if (load.source)
		load_tree(&load);
	load_extra(&load, extra);
	if (!load.diag.errors) {
		load_phase_of_ours(&load);
		load_check(&load);
		load_vars_check(&load);
	}
	return load_end(&load, ret_scenario);
}

static int file_read(const char *path, char **ret_bytes, size_t *ret_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *bytes;
	size_t n = 0;
	ssize_t got = 0;
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		rc = -errno;
	else if (S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else if (st.st_size > SCENARIO_BYTES_MAX)
		rc = -EFBIG;
	else if (fcntl(fd, F_SETFL, 0) < 0) /* a pipe may take its time */
		rc = -errno;
	bytes = rc ? NULL : malloc(SCENARIO_BYTES_MAX + 2);
	if (!rc && !bytes)
		rc = -ENOMEM;
	/* a pipe has no size: read one byte more than is allowed */
	while (!rc && n <= SCENARIO_BYTES_MAX &&
	       (got = read(fd, bytes + n, SCENARIO_BYTES_MAX + 1 - n)) > 0)
		n += (size_t)got;
	if (!rc && got < 0)
		rc = -errno;
	if (!rc && n > SCENARIO_BYTES_MAX)
		rc = -EFBIG;
	close(fd);
	if (rc) {
		free(bytes);
		return rc;
	}
	*ret_bytes = bytes;
	*ret_n = n;
	return 0;
}

int scenario_load(const char *path, const struct scenario_extra *extra,
		  FILE *errors, struct scenario **ret_scenario)
{
	char *bytes = NULL;
	size_t n = 0;
	int rc;

	if (!path)
		return scenario_parse(NULL, NULL, 0, extra, errors,
				      ret_scenario);
	rc = file_read(path, &bytes, &n);
	if (rc == -EFBIG && errors)
		fprintf(errors,
			"%s: error: larger than the limit of %u bytes\n", path,
			SCENARIO_BYTES_MAX);
	else if (rc && errors)
		fprintf(errors, "%s: error: %s\n", path, strerror(-rc));
	if (rc)
		return rc;
	rc = scenario_parse(path, bytes, n, extra, errors, ret_scenario);
	free(bytes);
	return rc;
}

void scenario_free(struct scenario *scenario)
{
	if (scenario)
		arena_free(scenario->arena);
}

/* schema_json.c - the table of keys as a JSON Schema, draft-07, for editors.
 *
 * It is kinder than the checker: rules and expectations are texts to it, and
 * a ${variable} may stand for any value. */
#include <jansson.h>
#include <string.h>

#include "scenarios/schema.h"

#define VARIABLE "\\$\\{[a-z][a-z0-9_]*\\}"

static json_t *pattern(const char *regex, const char *also)
{
	char text[256];

	snprintf(text, sizeof(text), "^(" VARIABLE "|%s)$", regex);
	if (!also)
		return json_pack("{s:s, s:s}", "type", "string", "pattern",
				 text);
	return json_pack("{s:[s, s], s:s}", "type", "string", also, "pattern",
			 text);
}

static json_t *scalar(void)
{
	return json_pack("{s:[s, s, s]}", "type", "string", "number",
			 "boolean");
}

static json_t *list_of(json_t *items)
{
	return json_pack("{s:s, s:o, s:i}", "type", "array", "items", items,
			 "maxItems", SCENARIO_ITEMS_MAX);
}

static json_t *argv(void)
{
	return json_pack("{s:[{s:s}, o]}", "oneOf", "type", "string",
			 list_of(scalar()));
}

static json_t *reference(enum schema_map map)
{
	char text[64];

	snprintf(text, sizeof(text), "#/definitions/%s", schema_map_name(map));
	for (char *c = text; *c; c++) /* "a steady probe" */
		if (*c == ' ')
			*c = '-';
	return json_pack("{s:s}", "$ref", text);
}

static json_t *mapping_of(json_t *values)
{
	return json_pack("{s:s, s:o}", "type", "object", "additionalProperties",
			 values);
}

static json_t *choices(const struct schema_key *key)
{
	const char *bar = strchr(key->choices, '|');
	json_t *words = json_array();

	if (bar)
		json_array_append_new(
			words, json_stringn(key->choices,
					    (size_t)(bar - key->choices)));
	json_array_append_new(words, json_string(bar ? bar + 1 : key->choices));
	if (!strcmp(key->choices, "no|yes")) { /* what YAML makes of them */
		json_array_append_new(words, json_true());
		json_array_append_new(words, json_false());
	}
	return json_pack("{s:o}", "enum", words);
}

static json_t *value_of(const struct schema_key *key)
{
	switch (key->type) {
	case TYPE_version:
		return json_pack("{s:i}", "const", 1);
	case TYPE_name:
	case TYPE_text:
	case TYPE_promise:
	case TYPE_tcp:
	case TYPE_file:
		return scalar();
	case TYPE_http:
		return json_pack("{s:s, s:s}", "type", "string", "pattern",
				 "^(https?://|.*" VARIABLE ")");
	case TYPE_texts:
	case TYPE_faults:
	case TYPE_expects:
		return list_of(scalar());
	case TYPE_argv:
	case TYPE_command:
		return argv();
	case TYPE_commands:
		return list_of(argv());
	case TYPE_env:
	case TYPE_forms:
	case TYPE_vars:
		return mapping_of(scalar());
	case TYPE_duration:
		return pattern("[0-9]+(\\.[0-9]+)?(ns|us|µs|ms|s|m|h)", NULL);
	case TYPE_bytes:
		return pattern("[0-9]+(\\.[0-9]+)?(B|KiB|MiB|GiB|kB|MB|GB)",
			       NULL);
	case TYPE_ratio:
		return pattern("[0-9]+(\\.[0-9]+)?%", NULL);
	case TYPE_seed:
	case TYPE_many:
	case TYPE_some:
		return pattern("[0-9]+", "integer");
	case TYPE_signal:
		return scalar();
	case TYPE_choice:
		return choices(key);
	case TYPE_map:
		return reference(key->sub);
	case TYPE_programs:
		return mapping_of(reference(key->sub));
	case TYPE_workloads:
	case TYPE_steadies:
	case TYPE_phases:
		return list_of(reference(key->sub));
	case TYPE_absent:
		break;
	}
	return NULL;
}

static json_t *map_schema(enum schema_map map)
{
	json_t *properties = json_object(), *required = json_array(), *schema;

	for (size_t i = 0; i < schema_keys_count; i++) {
		const struct schema_key *key = &schema_keys[i];
		json_t *value = key->map == map ? value_of(key) : NULL;

		if (!value)
			continue;
		/* draft-07 ignores what stands beside a $ref */
		if (!json_object_get(value, "$ref")) {
			json_object_set_new(value, "description",
					    json_string(key->says));
			if (key->standard)
				json_object_set_new(value, "default",
						    json_string(key->standard));
		}
		json_object_set_new(properties, key->name, value);
		if (key->required)
			json_array_append_new(required, json_string(key->name));
	}
	schema = json_pack("{s:s, s:s, s:b, s:o}", "description",
			   schema_map_says(map), "type", "object",
			   "additionalProperties", 0, "properties", properties);
	if (json_array_size(required))
		json_object_set_new(schema, "required", required);
	else
		json_decref(required);
	return schema;
}

void scenario_print_schema(FILE *out)
{
	json_t *schema = json_pack("{s:s, s:s}", "$schema",
				   "http://json-schema.org/draft-07/schema#",
				   "title", "mishap scenario, version 1");
	json_t *definitions = json_object(), *top = map_schema(MAP_top);

	for (unsigned map = MAP_top + 1; map < MAP_COUNT; map++) {
		json_t *ref = reference(map);
		const char *path =
			json_string_value(json_object_get(ref, "$ref"));

		json_object_set_new(definitions, strrchr(path, '/') + 1,
				    map_schema(map));
		json_decref(ref);
	}
	json_object_update(schema, top);
	json_object_set_new(schema, "definitions", definitions);
	json_decref(top);
	json_dumpf(schema, out, JSON_INDENT(2));
	fputc('\n', out);
	json_decref(schema);
}

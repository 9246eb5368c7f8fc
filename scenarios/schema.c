#include "scenarios/schema.h"

#include <string.h>

#include "scenarios/promise.h"
#include "scenarios/value.h"

#define MEMBER(type, member) offsetof(struct type, member)
#define NOWHERE		     0
#define REQUIRED	     1
#define OPTIONAL	     0
#define TARGET		     2

const struct schema_key schema_keys[] = {
#define KEY(m, word, kind, below, where, need, def, words, about, sample)      \
	{ .map = MAP_##m,                                                      \
	  .name = #word,                                                       \
	  .type = TYPE_##kind,                                                 \
	  .sub = MAP_##below,                                                  \
	  .offset = where,                                                     \
	  .required = need == REQUIRED,                                        \
	  .target_only = need == TARGET,                                       \
	  .standard = def,                                                     \
	  .choices = words,                                                    \
	  .says = about,                                                       \
	  .example = sample },
#include "scenarios/schema.def"
#undef KEY
};

const size_t schema_keys_count = sizeof(schema_keys) / sizeof(*schema_keys);

static const struct {
	const char *name, *says;
} maps[MAP_COUNT] = {
	[MAP_top] = { "the scenario", "The file itself." },
	[MAP_program] = { "a program",
			  "`target`, and each one of `services`." },
	[MAP_ready] = { "ready", "One of the probes, and how long to wait." },
	[MAP_stop] = { "stop", "How a program is asked to end." },
	[MAP_workload] = { "a workload", "One item of `workload`." },
	[MAP_steady] = { "a steady probe",
			 "One item of `steady`: one of the probes, and how "
			 "often." },
	[MAP_phase] = { "a phase",
			"One item of `phases`: one of `for`, `within` and "
			"`until`." },
	[MAP_limits] = { "limits", "Where a run is ABORTED." },
};

const char *schema_map_name(enum schema_map map)
{
	return maps[map].name;
}

const char *schema_map_says(enum schema_map map)
{
	return maps[map].says;
}

const char *schema_type_wants(const struct schema_key *key)
{
	static const char *const wants[] = {
		[TYPE_version] = "the number 1",
		[TYPE_name] = "a text of 1 to 100 characters in one line",
		[TYPE_text] = "a text",
		[TYPE_texts] = "a list of words",
		[TYPE_argv] = "a list of words such as [./app, --port, \"80\"]",
		[TYPE_commands] = "a list of commands, each a list of words",
		[TYPE_env] = "a mapping of names to texts",
		[TYPE_forms] = "a mapping of streams to set, register, "
			       "append, counter or bank",
		[TYPE_promise] = PROMISE_WANTS,
		[TYPE_vars] = "a mapping of names to texts",
		[TYPE_duration] = DURATION_WANTS,
		[TYPE_bytes] = BYTES_WANTS,
		[TYPE_ratio] = RATIO_WANTS,
		[TYPE_seed] = "a number",
		[TYPE_many] = "a number from 1",
		[TYPE_some] = "a number from 1",
		[TYPE_signal] = "a signal such as TERM",
		[TYPE_choice] = NULL,
		[TYPE_tcp] = "HOST:PORT",
		[TYPE_http] = "a URL that starts with http:// or https://",
		[TYPE_file] = "a path",
		[TYPE_command] = "a list of words such as [./alive, --quiet]",
		[TYPE_map] = "a mapping",
		[TYPE_programs] = "a mapping of names to programs",
		[TYPE_workloads] = "a list of workloads",
		[TYPE_steadies] = "a list of probes",
		[TYPE_phases] = "a list of phases",
		[TYPE_faults] = "a list of rules such as write fail=ENOSPC",
		[TYPE_expects] = "a list of expectations such as exit!=0",
		[TYPE_absent] = "nothing yet",
	};

	return wants[key->type];
}

const struct schema_key *schema_find(enum schema_map map, const char *name,
				     size_t n)
{
	for (size_t i = 0; i < schema_keys_count; i++)
		if (schema_keys[i].map == map &&
		    text_is(name, n, schema_keys[i].name))
			return &schema_keys[i];
	return NULL;
}

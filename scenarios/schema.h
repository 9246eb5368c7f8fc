/* schema.h - every key of a scenario, one row each in schema.def.  Checker,
 * JSON Schema, reference page and `mishap list` all read this table. */
#ifndef MISHAP_SCENARIOS_SCHEMA_H
#define MISHAP_SCENARIOS_SCHEMA_H

#include "scenarios/text.h"

enum schema_map {
	MAP_top,
	MAP_program,
	MAP_ready,
	MAP_stop,
	MAP_workload,
	MAP_steady,
	MAP_phase,
	MAP_limits,
	MAP_COUNT,
	MAP_none = MAP_COUNT,
};

/* What a key's value is, and the type of the member that takes it. */
enum schema_type {
	TYPE_version,  /* the number 1; no member */
	TYPE_name,     /* char *, 1 to 100 characters */
	TYPE_text,     /* char * */
	TYPE_texts,    /* struct strings */
	TYPE_argv,     /* struct strings: a list, or one line of words */
	TYPE_commands, /* struct strings *, and the count behind it */
	TYPE_env,      /* struct strings "K=V" from a mapping */
	TYPE_forms,    /* struct strings "STREAM=FORM" from a mapping */
	TYPE_promise,  /* struct durability, and its bool behind it */
	TYPE_vars,     /* read first, by the loader */
	TYPE_duration, /* struct duration */
	TYPE_bytes,    /* uint64_t */
	TYPE_ratio,    /* uint32_t ppm */
	TYPE_seed,     /* uint64_t, and its bool behind it */
	TYPE_many,     /* uint64_t, from 1 */
	TYPE_some,     /* unsigned, from 1 to the row's most */
	TYPE_signal,   /* int */
	TYPE_choice,   /* bool: the second of two words */
	TYPE_tcp,      /* struct probe */
	TYPE_http,
	TYPE_file,
	TYPE_command,
	TYPE_map, /* the sub map, stored in the same struct or in a member */
	TYPE_programs,	/* name: program */
	TYPE_workloads, /* lists of maps */
	TYPE_steadies,
	TYPE_phases,
	TYPE_faults,  /* list of rules */
	TYPE_expects, /* list of expectations */
	TYPE_absent,  /* named by the design, not built */
};

struct schema_key {
	enum schema_map map;
	const char *name;
	enum schema_type type;
	enum schema_map sub; /* MAP_none: none */
	size_t offset;	     /* of the member in the map's struct */
	bool required, target_only;
	const char *standard; /* default, as it would be written; NULL: none */
	const char
		*choices; /* "first|second" of TYPE_choice; TYPE_some: most */
	const char *says, *example;
};

extern const struct schema_key schema_keys[];
extern const size_t schema_keys_count;

const char *schema_map_name(enum schema_map map); /* "target", "phases" */
const char *schema_map_says(enum schema_map map);
const char *schema_type_wants(const struct schema_key *key);
const struct schema_key *schema_find(enum schema_map map, const char *name,
				     size_t n);

#endif

/* powercut.h - `mishap powercut`: what is asked for, what came of it. */
#ifndef MISHAP_RUNNER_POWERCUT_POWERCUT_H
#define MISHAP_RUNNER_POWERCUT_POWERCUT_H

#include "runner/powercut/finding.h"
#include "runner/run.h"

struct cut_options { /* strings are borrowed from argv */
	const struct model *models[MODEL_COUNT];
	unsigned models_count;
	const char *tree; /* NULL: the working directory */
	const char *check, *server, *recover;
	char **argv; /* behind `--` */
	struct promise promise;
	uint64_t budget_ns, timeout_ns, record_ns;
	uint64_t seed;
	uint32_t states_max;
	uint32_t shard, shards;
	unsigned jobs;
	const char *json_path, *runs_dir;
	bool quiet, no_network;
	int color;		 /* -1: by tty and NO_COLOR */
	const char *show, *into; /* --show RUN:N --into DIR */
};

struct cut_result {
	enum verdict verdict;
	struct strings reasons; /* why it isn't PASS, or what bounds it */
	struct strings notes;	/* said in any case */
	struct place place;
	char *tree, *cwd;
	void *log;
	size_t log_bytes;
	struct history history;
	bool recorded, sound;
	struct explore explore;
	struct cut_findings findings;
	uint32_t base_files;
	uint64_t base_bytes;
	bool interrupted, out_of_time;
	uint64_t judge_ns, enumerate_ns;
	uint64_t sets;
};

/* cut_run - an exit code (docs/JSON.md). */
int cut_run(const struct cut_options *options);
/* cut_show - lay a finding's tree into a folder; an exit code. */
int cut_show(const struct cut_options *options);

/* session_cut.c: steps of a run. */
int cut_record(const struct cut_options *options, struct cut_result *result,
	       const struct sandbox *sandbox);

/* report.c */
void cut_print(const struct cut_options *options,
	       const struct cut_result *result, FILE *out);
/* cut_json - NULL: no memory. */
json_t *cut_json(const struct cut_options *options,
		 const struct cut_result *result);
int cut_replay_command(const struct cut_result *result, unsigned finding,
		       char text[256]);

#endif

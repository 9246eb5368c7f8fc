/* judge_made.h - evidence made by hand, good in every respect, that a test
 * then spoils in one.  The scenario is read by the real reader. */
#ifndef MISHAP_TESTS_UNIT_JUDGE_MADE_H
#define MISHAP_TESTS_UNIT_JUDGE_MADE_H

#include "tests/unit/test.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/oracles/oracle.h"
#include "runner/verdict.h"

#define SECOND 1000000000ull
#define START  (1000 * SECOND)

struct made {
	struct scenario *scenario;
	struct evidence *evidence, *bare;
	struct judgement *judgement;
};

static inline void made_text(struct text *text, const char *bytes)
{
	assert_int_equal(oracle_text_set(text, bytes, strlen(bytes)), 0);
}

/* Probes that saw it all: a child's exit 0 and the target's own, three
 * connections, 60 writes that all passed us, 9 answers and each one synced. */
static inline void made_watched(struct evidence *e)
{
	struct watched *watched = &e->watched;

	watched->asked = true;
	for (unsigned i = 0; i < WATCHED_GROUPS; i++)
		watched->groups[i] = (struct watched_group_seen){ .asked = true,
								  .on = true };
	watched->processes = 2;
	watched->exits = calloc(2, sizeof(*watched->exits));
	watched->exits_count = 2;
	watched->exits[0] = (struct watched_exit){ .at_ns = START + SECOND,
						   .pid = 101,
						   .parent = 100,
						   .comm = "worker" };
	watched->exits[1] = (struct watched_exit){ .at_ns = e->end_ns - SECOND,
						   .pid = 100,
						   .comm = "made" };
	watched->net = calloc(2, sizeof(*watched->net));
	watched->net_count = 2;
	watched->net[0] = (struct watched_net){ .at_ns = START + SECOND,
						.until_ns = START + SECOND +
							    WATCHED_BUCKET_NS,
						.connects = 2 };
	watched->net[1] =
		(struct watched_net){ .at_ns = START + 30 * SECOND,
				      .until_ns = START + 30 * SECOND +
						  WATCHED_BUCKET_NS,
				      .connects = 1 };
	watched->data = strdup("data");
	watched->calls = calloc(1, sizeof(*watched->calls));
	watched->calls_count = 1;
	watched->calls[0] = (struct watched_call){ .nr = 1, /* write */
						   .passed = 60,
						   .marked = 60 };
	watched->acks[1] =
		(struct watched_acks){ .acks = 9, .writes = 9, .syncs = 9 };
	e->stall = (struct stall_seen){ .known = true,
					.longest_ns = SECOND / 10,
					.since_ns = START + SECOND };
}

/* 3 phases of 20 s each, the fault in the middle one; 10 samples a second, all
 * healthy in 10 ms; rule 0 failed one write with ENOSPC. */
static inline struct evidence *made_evidence(const struct scenario *scenario)
{
	struct evidence *e = calloc(1, sizeof(*e));
	char host[] = "made-by-hand";

	e->scenario = scenario;
	strcpy(e->id, host);
	e->cwd = strdup("/nowhere");
	e->run_dir = strdup("/nowhere/made-by-hand");
	e->seed = 7;
	e->start_ns = e->ready_ns = START;
	e->end_ns = START + 60 * SECOND;
	e->ready = true;
	e->target = (struct ending){ .started = true,
				     .ended = true,
				     .pid = 100,
				     .start_ns = START,
				     .end_ns = e->end_ns };
	made_text(&e->out, "ok\nsecond line\n");
	made_text(&e->err, "");
	for (size_t i = 0; i < scenario->phases_count; i++)
		e->phases[i] = (struct phase_seen){
			.start_ns = START + i * 20 * SECOND,
			.end_ns = START + (i + 1) * 20 * SECOND,
			.reached = true,
			.steady_again = true,
			.steady_ns = START + i * 20 * SECOND + SECOND,
		};
	e->samples = calloc(600, sizeof(*e->samples));
	e->samples_count = 600;
	for (size_t i = 0; i < 600; i++)
		e->samples[i] = (struct sample){
			.due_ns = START + i * SECOND / 10,
			.latency_ns = 10000000,
			.phase = (uint16_t)(i / 200),
			.ok = true,
		};
	e->workloads = calloc(1, sizeof(*e->workloads));
	e->workloads[0] = e->target;
	e->workload_outs = calloc(1, sizeof(*e->workload_outs));
	made_text(e->workload_outs, "");
	made_text(&e->ledger, "invoke s 1 a\nack s 1 a\n");
	e->at_ready = (struct growth){ 10, 3, 1 << 20, true };
	e->at_end = (struct growth){ 10, 3, 1 << 20, true };
	e->processes = calloc(1, sizeof(*e->processes));
	e->processes_count = 1;
	e->processes[0] = (struct process_seen){ .pid = 100,
						 .status = PROCESS_DONE,
						 .sites = SITES_PATCHED,
						 .sites_patched = 500,
						 .fired = 1 };
	strcpy(e->processes[0].exe, "made");
	e->events = calloc(1, sizeof(*e->events));
	e->events_count = 1;
	e->events[0] = (struct event){ .seq = 1,
				       .time_ns = START + 25 * SECOND,
				       .pid = 100,
				       .index = 1,
				       .thread_index = 1,
				       .fd = 3,
				       .error = ENOSPC,
				       .call = CALL_write,
				       .fault = FAULT_fail };
	e->fired[0] = 1;
	e->matched[0] = 2;
	e->calls[CALL_write] = 60;
	e->fault_first_ns = e->fault_last_ns = START + 25 * SECOND;
	made_watched(e);
	return e;
}

/* What oracles gather: a file per `file`, a listing, a command's end. */
static inline void made_gathered(struct evidence *e)
{
	const struct scenario *scenario = e->scenario;

	for (size_t i = 0; i < scenario->expects_count; i++) {
		const struct expect *expect = &scenario->expects[i];

		if (expect->subject == EXPECT_file) {
			e->files = realloc(e->files, (e->files_count + 1) *
							     sizeof(*e->files));
			e->files[e->files_count++] = (struct file_seen){
				.path = strdup(expect->args.items[0]),
				.exists_before = true,
				.exists_after = true,
				.hash_before = 11,
				.hash_after = 11,
				.bytes_before = 5,
				.bytes_after = 5,
				.hash_other = { 11, 12 },
				.exists_other = { true, true },
			};
		} else if (expect->subject == EXPECT_leftovers) {
			e->names = calloc(1, sizeof(*e->names));
			e->names_count = 1;
			e->names[0].expect = i;
			words_push(&e->names[0].before, strdup("old.tmp"));
			words_push(&e->names[0].after, strdup("old.tmp"));
		} else if (expect->subject == EXPECT_check ||
			   expect->subject == EXPECT_ledger) {
			e->commands = calloc(1, sizeof(*e->commands));
			e->commands_count = 1;
			e->commands[0].expect = i;
			e->commands[0].ending = e->target;
			e->commands[0].output =
				strdup("present s 1 a\ninvariant sum ok\n"
				       "done\n");
			e->commands[0].bytes = strlen(e->commands[0].output);
		}
	}
}

/* made_open - expectations, one a line, "" for none. */
static inline struct made made_open(const char *expects)
{
	char *yaml = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&yaml, &n);
	char *list = strdup(expects), *save = NULL;
	struct made made = { 0 };

	fputs("version: 1\nname: made by hand\n"
	      "target:\n  run: [made]\n"
	      "workload:\n  - {name: load, run: [load]}\n"
	      "steady:\n  - {name: home, tcp: \"127.0.0.1:1\"}\n"
	      "phases:\n"
	      "  - {name: calm, for: 20s}\n"
	      "  - {name: storm, for: 20s, faults: [\"write fail=ENOSPC "
	      "nth=2\"]}\n"
	      "  - {name: after, within: 20s}\n",
	      out);
	if (*expects)
		fputs("expect:\n", out);
	for (char *line = strtok_r(list, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		fprintf(out, "  - '%s'\n", line);
	fclose(out);
	assert_int_equal(scenario_parse("made.yaml", yaml, n, NULL, stderr,
					&made.scenario),
			 0);
	made.evidence = made_evidence(made.scenario);
	made.bare = made_evidence(made.scenario);
	made_gathered(made.evidence);
	made_gathered(made.bare);
	made.evidence->bare = made.bare;
	free(list);
	free(yaml);
	return made;
}

static inline enum verdict made_verdict(struct made *made)
{
	judgement_free(made->judgement);
	made->judgement = NULL;
	assert_int_equal(verdict_reach(made->evidence, &made->judgement), 0);
	return made->judgement->verdict;
}

/* made_has - does a reason or a finding say so? */
static inline bool made_has(const struct made *made, const char *words)
{
	for (size_t i = 0; i < made->judgement->findings.count; i++) {
		const struct finding *f = &made->judgement->findings.items[i];

		if (strstr(f->name, words) || strstr(f->seen, words))
			return true;
	}
	return false;
}

static inline void made_close(struct made *made)
{
	judgement_free(made->judgement);
	evidence_free(made->evidence);
	evidence_free(made->bare);
	scenario_free(made->scenario);
}

#endif

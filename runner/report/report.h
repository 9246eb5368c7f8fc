/* report.h - what the formats share: numbers that are read off evidence. */
#ifndef MISHAP_RUNNER_REPORT_REPORT_H
#define MISHAP_RUNNER_REPORT_REPORT_H

#include "runner/verdict.h"

#define REPORT_VERSION 1

struct report_phase { /* steady-state samples of one phase */
	size_t samples, healthy;
	uint64_t p50_ns, p95_ns, p99_ns; /* of the healthy; 0: none */
	uint64_t lasted_ns;
};

int report_phase(const struct evidence *evidence, size_t phase,
		 struct report_phase *ret_phase);
/* report_faults - "611 connect ETIMEDOUT, 118 getaddrinfo EAI_AGAIN", or
 * "no faults"; phase -1: of the whole run.  At most so many kinds are named. */
char *report_faults(const struct evidence *evidence, int phase, size_t kinds);
/* report_mark - "file.yaml:12", "-f", "by default"; malloc'd. */
char *report_mark(const struct mark *mark);
/* report_title - the scenario's name, or what it runs. */
char *report_title(const struct evidence *evidence);
/* report_sites - patched and left system call sites of the target's processes,
 * each program counted once. */
/* report_notified - was any process seen by the notify door? */
bool report_notified(const struct evidence *evidence);
void report_sites(const struct evidence *evidence, uint64_t *ret_patched,
		  uint64_t *ret_left);
uint64_t report_fired(const struct evidence *evidence);
/* report_watch_lines - what probes saw, "LABEL\tTEXT" each; none where nobody
 * asked.  0 or -ENOMEM. */
int report_watch_lines(const struct evidence *evidence, struct strings *lines);
json_t *report_watch_json(const struct evidence *evidence); /* or null */
/* report_events - one JSON object per decision and line. */
int report_events(const struct evidence *evidence, FILE *out);

/* report_call_sites - {distinct, interpreters}: call sites at which faults were
 * decided; null where an interpreter's functions aren't told apart. */
json_t *report_call_sites(const struct evidence *evidence);
/* report_deaths - the stacks of who died or hung, lines of at most 80 columns;
 * returns how many processes that are.  Nothing is put where there was none. */
size_t report_deaths(const struct evidence *evidence, bool color, FILE *out);
json_t *report_deaths_json(const struct evidence *evidence);

#endif

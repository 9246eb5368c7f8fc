/* watch_page.h - what `mishap watch` prints: a table that is drawn anew, or
 * lines of JSON (docs/JSON.md). */
#ifndef MISHAP_RUNNER_WATCH_PAGE_H
#define MISHAP_RUNNER_WATCH_PAGE_H

#include <stdio.h>
#include <sys/types.h>

#include "runner/seen.h"

#define WATCH_PAGE_NEWS 5 /* last events, on the table */

struct watch_page {
	bool is_table;
	FILE *out;	   /* borrowed */
	char *const *argv; /* borrowed; NULL: pid */
	pid_t pid;
	/* The terminal that the table is drawn on; rows 0: it isn't. */
	unsigned rows, columns, first_row;
	char news[WATCH_PAGE_NEWS][80];
	unsigned news_count;
	struct seen seen;
};

void watch_page_begin(struct watch_page *page, char *const *argv, pid_t pid);
/* watch_page_record - counted, and told if it is an event. */
void watch_page_record(struct watch_page *page,
		       const struct watch_record *record);
/* watch_page_sample - a snapshot has come; is_last: totals, nothing after. */
void watch_page_sample(struct watch_page *page, bool is_last);

#endif

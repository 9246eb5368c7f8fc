/* watch_fold.h - from the watcher's records to evidence.  Pure: no process, no
 * clock, so that recorded streams can be judged in tests.  Not thread-safe. */
#ifndef MISHAP_RUNNER_WATCH_FOLD_H
#define MISHAP_RUNNER_WATCH_FOLD_H

#include "core/watch.h"
#include "runner/watched.h"

struct fold_signal { /* sent to somebody; the last ones are kept */
	uint32_t tgid, sender, signal;
	bool sender_followed;
	char sender_name[WATCH_NAME_MAX];
};

#define FOLD_SIGNALS_MAX 4096 /* a power of two */

struct watch_fold {
	struct watched *watched; /* borrowed; filled */
	uint32_t runner_pid;	 /* ours, in the first pid namespace */
	const char *runner_name; /* comm of what starts programs for us */
	unsigned phase;		 /* PLAN_PHASES_MAX: none */

	bool over;	  /* the last snapshot is whole */
	uint64_t seq;	  /* of the snapshot that is coming in */
	uint64_t look_ns; /* the last snapshot's end; 0: there was none */
	uint64_t connects, retransmits, resets; /* as of the last snapshot */
	uint64_t sum_connects, sum_retransmits, sum_resets; /* of this one */
	struct watch_durable_body durable;

	struct fold_signal signals[FOLD_SIGNALS_MAX];
	uint64_t signals_count; /* ever */
	uint32_t oom[256];	/* victims that have not ended yet */
	size_t oom_count;
	struct watch_site_body *sites; /* of the last snapshot */
	size_t sites_count;
	uint64_t deaths; /* by a signal: a call may have been under way */
	uint64_t execs;
	bool failed; /* out of memory: what it holds isn't whole */
};

void watch_fold_open(struct watch_fold *fold, struct watched *watched);
void watch_fold_close(struct watch_fold *fold);
/* watch_fold_record - body: right behind it, size as the header says, which
 * the caller has checked against what it read.  Unknown types are skipped. */
void watch_fold_record(struct watch_fold *fold,
		       const struct watch_record *record);
/* watch_fold_finish - once the last snapshot is in: escapes are named, and the
 * library's own count stands beside the probes'.
 * passed: CALL_NR_MAX counts of the library's; threads: that it saw made. */
void watch_fold_finish(struct watch_fold *fold, const uint64_t *passed,
		       uint64_t threads);

/* watch_names.c - "main (x.c:12)", "libx.so+0x12ab" of an offset in a file;
 * NULL: no memory. */
char *watch_site_words(const char *path, uint64_t offset, uint64_t address);

#endif

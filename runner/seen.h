/* seen.h - what probes have counted, as one snapshot says it, and the
 * difference of two; see core/watch.h.  No I/O. */
#ifndef MISHAP_RUNNER_SEEN_H
#define MISHAP_RUNNER_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/watch.h"

#define SEEN_CALLS_MAX	1024
#define SEEN_ERRORS_MAX 1024
#define SEEN_PEERS_MAX	1024
#define SEEN_SITES_MAX	256
#define SEEN_URING_MAX	64
#define SEEN_IMAGES_MAX 256

struct seen_call {
	uint32_t nr, abi;
	uint64_t calls, failed;		  /* of all classes */
	uint64_t by_class[WATCH_CLASSES]; /* calls */
	uint64_t timed, sum_ns, max_ns;	  /* latency, all phases */
	uint64_t buckets[WATCH_BUCKETS];
};

struct seen_lists { /* of one snapshot */
	struct seen_call calls[SEEN_CALLS_MAX];
	struct watch_error_body errors[SEEN_ERRORS_MAX];
	struct watch_peer_body peers[SEEN_PEERS_MAX];
	struct watch_site_body sites[SEEN_SITES_MAX];
	struct watch_uring_body uring[SEEN_URING_MAX];
	struct watch_image_body images[SEEN_IMAGES_MAX];
	size_t calls_count, errors_count, peers_count, sites_count, uring_count,
		images_count;
	struct watch_lost_body lost[WATCH_GROUPS];
	bool dropped; /* a list was too short */
	uint64_t time_ns;
};

struct seen {
	struct watch_group_body groups[WATCH_GROUPS];
	bool has_group[WATCH_GROUPS];
	struct watch_ready_body ready;
	/* Events so far. */
	uint64_t forks, execs, exits, crashes, signals, oom_kills;
	uint64_t live; /* processes, now */
	struct seen_lists *now, *before;
};

int seen_open(struct seen *seen); /* 0; -ENOMEM */
void seen_close(struct seen *seen);
/* seen_take - a record: of the start, an event, or of a snapshot. */
void seen_take(struct seen *seen, const struct watch_record *record);
/* seen_begin - a new snapshot is about to come; the last one is `before`. */
void seen_begin(struct seen *seen);
/* seen_end - it has come whole: the busiest calls come first. */
void seen_end(struct seen *seen, uint64_t time_ns);

/* seen_before - the same call in the snapshot before; zeroes if there is none.
 */
struct seen_call seen_before(const struct seen *seen,
			     const struct seen_call *call);
/* seen_percentile - of calls since `before`, in ns: the upper bound of the
 * bucket that it is in; 0: nothing was timed. */
uint64_t seen_percentile(const struct seen_call *now,
			 const struct seen_call *before, unsigned percent);
uint64_t seen_seconds_ppm(const struct seen *seen); /* since before; >= 1 */

/* "openat", or "i386:5"; ret has room for it. */
const char *seen_call_name(uint32_t nr, uint32_t abi, char ret[32]);
/* "127.0.0.1:80", "[::1]:80", ":80" of those that come in */
const char *seen_peer_name(const struct watch_peer_body *peer, char ret[64]);

#endif

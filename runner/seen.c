#include "runner/seen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/coverage.h"

int seen_open(struct seen *seen)
{
	*seen = (struct seen){ .now = calloc(1, sizeof(*seen->now)),
			       .before = calloc(1, sizeof(*seen->before)) };
	if (seen->now && seen->before)
		return 0;
	seen_close(seen);
	return -ENOMEM;
}

void seen_close(struct seen *seen)
{
	free(seen->now);
	free(seen->before);
	seen->now = seen->before = NULL;
}

static struct seen_call *call_of(struct seen_lists *now, uint32_t nr,
				 uint32_t abi)
{
	struct seen_call *call;

	for (size_t i = 0; i < now->calls_count; i++)
		if (now->calls[i].nr == nr && now->calls[i].abi == abi)
			return &now->calls[i];
	if (now->calls_count == SEEN_CALLS_MAX) {
		now->dropped = true;
		return NULL;
	}
	call = &now->calls[now->calls_count++];
	*call = (struct seen_call){ .nr = nr, .abi = abi };
	return call;
}

static void take_tally(struct seen_lists *now,
		       const struct watch_tally_body *body)
{
	struct seen_call *call = call_of(now, body->nr, body->abi);

	for (size_t i = 0; call && i < WATCH_CLASSES; i++) {
		call->calls += body->calls[i];
		call->failed += body->failed[i];
		call->by_class[i] += body->calls[i];
	}
}

static void take_latency(struct seen_lists *now,
			 const struct watch_latency_body *body)
{
	struct seen_call *call = call_of(now, body->nr, 64);

	if (!call)
		return;
	call->timed += body->calls;
	call->sum_ns += body->sum_ns;
	if (body->max_ns > call->max_ns)
		call->max_ns = body->max_ns;
	for (size_t i = 0; i < WATCH_BUCKETS; i++)
		call->buckets[i] += body->buckets[i];
}

static void take_event(struct seen *seen, const struct watch_record *record)
{
	const struct watch_exit_body *end = (const void *)(record + 1);

	switch (record->type) {
	case WATCH_FORK:
		seen->forks++;
		seen->live++;
		break;
	case WATCH_EXEC:
		seen->execs++;
		break;
	case WATCH_EXIT:
		seen->exits++;
		seen->crashes += end->signal != 0;
		seen->live -= seen->live > 0;
		break;
	case WATCH_SIGNAL:
		seen->signals++;
		break;
	case WATCH_OOM:
		seen->oom_kills++;
		break;
	}
}

/* What a list of the snapshot has room for; sizes were checked. */
#define PUSH(list, max)                                                        \
	do {                                                                   \
		if (now->list##_count < (max))                                 \
			memcpy(&now->list[now->list##_count++], body,          \
			       sizeof(now->list[0]));                          \
		else                                                           \
			now->dropped = true;                                   \
	} while (0)

static void take_list(struct seen_lists *now, uint16_t type, const void *body)
{
	const struct watch_lost_body *lost = body;

	switch (type) {
	case WATCH_TALLY:
		take_tally(now, body);
		break;
	case WATCH_LATENCY:
		take_latency(now, body);
		break;
	case WATCH_SITE:
		PUSH(sites, SEEN_SITES_MAX);
		break;
	case WATCH_ERROR:
		PUSH(errors, SEEN_ERRORS_MAX);
		break;
	case WATCH_URING:
		PUSH(uring, SEEN_URING_MAX);
		break;
	case WATCH_PEER:
		PUSH(peers, SEEN_PEERS_MAX);
		break;
	case WATCH_IMAGE:
		PUSH(images, SEEN_IMAGES_MAX);
		break;
	case WATCH_LOST:
		if (lost->group < WATCH_GROUPS)
			now->lost[lost->group] = *lost;
		break;
	}
}

static size_t body_bytes(uint16_t type)
{
	switch (type) {
	case WATCH_GROUP:
		return sizeof(struct watch_group_body);
	case WATCH_READY:
		return sizeof(struct watch_ready_body);
	case WATCH_EXIT:
		return sizeof(struct watch_exit_body);
	case WATCH_TALLY:
		return sizeof(struct watch_tally_body);
	case WATCH_SITE:
		return sizeof(struct watch_site_body);
	case WATCH_ERROR:
		return sizeof(struct watch_error_body);
	case WATCH_URING:
		return sizeof(struct watch_uring_body);
	case WATCH_PEER:
		return sizeof(struct watch_peer_body);
	case WATCH_LATENCY:
		return sizeof(struct watch_latency_body);
	case WATCH_LOST:
		return sizeof(struct watch_lost_body);
	case WATCH_IMAGE:
		return sizeof(struct watch_image_body);
	}
	return 0;
}

void seen_take(struct seen *seen, const struct watch_record *record)
{
	const struct watch_group_body *group = (const void *)(record + 1);
	const void *body = record + 1;

	if (record->size < sizeof(*record) + body_bytes(record->type))
		return;
	if (record->type == WATCH_READY)
		memcpy(&seen->ready, body, sizeof(seen->ready));
	else if (record->type == WATCH_GROUP && group->group < WATCH_GROUPS) {
		seen->groups[group->group] = *group;
		seen->has_group[group->group] = true;
	} else if (record->seq == 0) {
		take_event(seen, record);
	} else {
		take_list(seen->now, record->type, body);
	}
}

void seen_begin(struct seen *seen)
{
	struct seen_lists *last = seen->now;

	seen->now = seen->before;
	seen->before = last;
	memset(seen->now, 0, sizeof(*seen->now));
}

static int busiest_first(const void *a, const void *b)
{
	const struct seen_call *x = a, *y = b;

	if (x->calls != y->calls)
		return x->calls < y->calls ? 1 : -1;
	return x->nr < y->nr ? -1 : x->nr > y->nr;
}

void seen_end(struct seen *seen, uint64_t time_ns)
{
	struct seen_lists *now = seen->now;

	for (size_t i = 0; i < now->calls_count; i++)
		if (!now->calls[i].calls) /* only timed: group `sys` is off */
			now->calls[i].calls = now->calls[i].timed;
	qsort(now->calls, now->calls_count, sizeof(*now->calls), busiest_first);
	now->time_ns = time_ns;
}

struct seen_call seen_before(const struct seen *seen,
			     const struct seen_call *call)
{
	const struct seen_lists *before = seen->before;

	for (size_t i = 0; i < before->calls_count; i++)
		if (before->calls[i].nr == call->nr &&
		    before->calls[i].abi == call->abi)
			return before->calls[i];
	return (struct seen_call){ .nr = call->nr, .abi = call->abi };
}

uint64_t seen_percentile(const struct seen_call *now,
			 const struct seen_call *before, unsigned percent)
{
	uint64_t all = now->timed - before->timed, sum = 0;

	for (size_t i = 0; i < WATCH_BUCKETS; i++) {
		sum += now->buckets[i] - before->buckets[i];
		if (all && sum * 100 >= all * percent)
			return 2ull << i < now->max_ns ? 2ull << i
						       : now->max_ns;
	}
	return 0;
}

uint64_t seen_seconds_ppm(const struct seen *seen)
{
	uint64_t ns = seen->before->time_ns
			      ? seen->now->time_ns - seen->before->time_ns
			      : 0;

	return ns < 1000 ? 1 : ns / 1000;
}

const char *seen_call_name(uint32_t nr, uint32_t abi, char ret[32])
{
	if (abi == 64)
		snprintf(ret, 32, "%s", coverage_call_name(nr));
	if (abi != 64 || strcmp(ret, "unknown") == 0)
		snprintf(ret, 32, "%s:%u", abi == 64 ? "number" : "i386", nr);
	return ret;
}

const char *seen_peer_name(const struct watch_peer_body *peer, char ret[64])
{
	char host[INET6_ADDRSTRLEN] = "?";

	inet_ntop(peer->family, peer->address, host, sizeof(host));
	snprintf(ret, 64, strchr(host, ':') ? "[%s]" : "%s", host);
	if (!peer->listens)
		snprintf(ret + strlen(ret), 64 - strlen(ret), ":%u",
			 peer->port);
	return ret;
}

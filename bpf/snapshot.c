/* snapshot.c - read all counters, and say them. */
#include "bpf/watcher.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpf/say.h"
#include "bpf/uring_names.h"
#include "durable.skel.h"

#define DEAD_NS 1000000000ull /* so long an image is left alone */
#define KEY_MAX 64

/* A map's rows, as they were; values of all CPUs are added up. */
struct rows {
	size_t key_bytes, words, count, room;
	char *bytes; /* count times: key, then words */
};

static size_t row_bytes(const struct rows *rows)
{
	return (rows->key_bytes + 7) / 8 * 8 + rows->words * 8;
}

static void *row_key(const struct rows *rows, size_t i)
{
	return rows->bytes + i * row_bytes(rows);
}

static __u64 *row_words(const struct rows *rows, size_t i)
{
	return (__u64 *)(void *)(rows->bytes + (i + 1) * row_bytes(rows) -
				 rows->words * 8);
}

static int row_push(struct rows *rows, const void *key, const __u64 *values,
		    size_t cpus)
{
	__u64 *words;

	if (rows->count == rows->room) {
		size_t room = rows->room * 2 + 256;
		char *grown = realloc(rows->bytes, room * row_bytes(rows));

		if (!grown)
			return -ENOMEM;
		rows->bytes = grown;
		rows->room = room;
	}
	memset(row_key(rows, rows->count), 0, row_bytes(rows));
	memcpy(row_key(rows, rows->count), key, rows->key_bytes);
	words = row_words(rows, rows->count++);
	for (size_t cpu = 0; cpu < cpus; cpu++)
		for (size_t i = 0; i < rows->words; i++)
			words[i] += values[cpu * rows->words + i];
	return 0;
}

/* rows_read - key_bytes and words are set.  A map that isn't there is empty. */
static int rows_read(int fd, bool per_cpu, struct rows *rows)
{
	size_t cpus = per_cpu ? (size_t)libbpf_num_possible_cpus() : 1;
	__u64 *values;
	char key[KEY_MAX], next[KEY_MAX], *from = NULL;
	int error = 0;

	if (fd < 0)
		return 0;
	values = calloc(cpus, rows->words * 8);
	if (!values)
		return -ENOMEM;
	while (!error && bpf_map_get_next_key(fd, from, next) == 0) {
		memcpy(key, next, rows->key_bytes);
		from = key;
		if (bpf_map_lookup_elem(fd, key, values) == 0)
			error = row_push(rows, key, values, cpus);
	}
	free(values);
	return error;
}

/* ---- calls
 * -------------------------------------------------------------------
 */

struct calls {
	struct rows sites, errors, uring;
};

static void calls_free(struct calls *calls)
{
	free(calls->sites.bytes);
	free(calls->errors.bytes);
	free(calls->uring.bytes);
}

/* The ring is emptied afterwards: so whatever was counted is of an image that
 * we have heard of. */
static int calls_read(struct watcher *w, struct calls *ret)
{
	int error;

	*ret = (struct calls){
		.sites = { .key_bytes = sizeof(struct site_key), .words = 2 },
		.errors = { .key_bytes = sizeof(struct error_key), .words = 1 },
		.uring = { .key_bytes = sizeof(struct uring_key), .words = 1 },
	};
	error = rows_read(group_map(w, WATCH_SYS, "sites"), true, &ret->sites);
	if (!error)
		error = rows_read(group_map(w, WATCH_SYS, "errors"), false,
				  &ret->errors);
	if (!error)
		error = rows_read(group_map(w, WATCH_SYS, "uring"), false,
				  &ret->uring);
	ring_buffer__consume(w->ring);
	return error;
}

/* calls_add - all of them, or those of dead images, which are then dropped. */
static int calls_add(struct watcher *w, const struct calls *calls,
		     __u64 dead_ns, struct sums *sums)
{
	int sites = group_map(w, WATCH_SYS, "sites");
	int errors = group_map(w, WATCH_SYS, "errors");
	int uring = group_map(w, WATCH_SYS, "uring"), error = 0;

	for (size_t i = 0; i < calls->sites.count && !error; i++) {
		struct site_key *key = row_key(&calls->sites, i);
		__u64 *words = row_words(&calls->sites, i);

		if (dead_ns &&
		    !account_is_dead(w->account, key->image, dead_ns))
			continue;
		error = account_add(w->account, key,
				    &(struct site_count){ words[0], words[1] },
				    sums);
		if (dead_ns)
			bpf_map_delete_elem(sites, key);
	}
	for (size_t i = 0; i < calls->errors.count && !error; i++) {
		struct error_key *key = row_key(&calls->errors, i);

		if (dead_ns &&
		    !account_is_dead(w->account, key->site.image, dead_ns))
			continue;
		error = account_add_error(w->account, key,
					  *row_words(&calls->errors, i), sums);
		if (dead_ns)
			bpf_map_delete_elem(errors, key);
	}
	for (size_t i = 0; i < calls->uring.count && !error; i++) {
		struct uring_key *key = row_key(&calls->uring, i);

		if (dead_ns &&
		    !account_is_dead(w->account, key->image, dead_ns))
			continue;
		error = account_add_uring(sums, key->opcode,
					  *row_words(&calls->uring, i));
		if (dead_ns)
			bpf_map_delete_elem(uring, key);
	}
	return error;
}

void snapshot_collapse(struct watcher *w)
{
	__u64 dead_ns = say_now_ns() - DEAD_NS;
	struct calls calls;

	if (!account_dead(w->account))
		return;
	if (group_works(w, WATCH_SYS) && calls_read(w, &calls) == 0) {
		calls_add(w, &calls, dead_ns, &w->sums);
		calls_free(&calls);
	}
	account_forget(w->account, dead_ns);
}

static void tallies_say(const struct watcher *w, __u64 id,
			const struct sums *sums)
{
	struct table_entry *e = NULL;

	while ((e = table_next(&sums->tallies, e))) {
		const struct tally_key *key = table_key(&sums->tallies, e);
		const struct tally *tally = table_value(&sums->tallies, e);
		struct watch_tally_body body = { .nr = key->nr,
						 .abi = key->abi };

		memcpy(body.calls, tally->calls, sizeof(body.calls));
		memcpy(body.failed, tally->failed, sizeof(body.failed));
		say(WATCH_TALLY, id, 0, 0, w->phase, &body, sizeof(body));
	}
	while ((e = table_next(&sums->faults, e))) {
		const struct fault_key *key = table_key(&sums->faults, e);
		struct watch_error_body body = {
			.nr = key->nr,
			.abi = key->abi,
			.error = key->error,
			.class = key->class,
			.calls = *(__u64 *)table_value(&sums->faults, e),
		};

		say(WATCH_ERROR, id, 0, 0, w->phase, &body, sizeof(body));
	}
}

static int site_compare(const void *a, const void *b)
{
	const struct watch_site_body *x = a, *y = b;

	return x->calls < y->calls ? 1 : x->calls > y->calls ? -1 : 0;
}

/* The busiest first; what has no room is in the tallies still. */
static int sites_say(const struct watcher *w, __u64 id, const struct sums *sums)
{
	struct watch_site_body *bodies =
		calloc(sums->rows.count + 1, sizeof(*bodies));
	struct table_entry *e = NULL;
	size_t count = 0;

	if (!bodies)
		return -ENOMEM;
	while ((e = table_next(&sums->rows, e))) {
		const struct row_key *key = table_key(&sums->rows, e);
		const struct row *row = table_value(&sums->rows, e);
		struct watch_site_body *body = &bodies[count++];

		*body = (struct watch_site_body){
			.nr = key->nr,
			.abi = key->abi,
			.class = key->class,
			.calls = row->calls,
			.failed = row->failed,
			.address = row->address,
			.offset = key->offset,
		};
		memcpy(body->exe, key->exe, sizeof(body->exe));
		memcpy(body->path, key->path, sizeof(body->path));
	}
	qsort(bodies, count, sizeof(*bodies), site_compare);
	for (size_t i = 0; i < count && i < WATCH_SITES_MAX; i++)
		say(WATCH_SITE, id, 0, 0, w->phase, &bodies[i],
		    sizeof(bodies[i]));
	free(bodies);
	return 0;
}

static void programs_say(const struct watcher *w, __u64 id,
			 const struct sums *sums)
{
	struct table_entry *e = NULL;

	while ((e = table_next(&sums->programs, e))) {
		const struct program_key *key = table_key(&sums->programs, e);
		const struct program *program = table_value(&sums->programs, e);
		struct watch_image_body body = {
			.ready = key->ready,
			.modules = program->modules,
			.plans_missing = program->plans_missing,
			.calls = program->calls,
		};

		memcpy(body.exe, key->exe, sizeof(body.exe));
		say(WATCH_IMAGE, id, 0, 0, w->phase, &body, sizeof(body));
	}
	while ((e = table_next(&sums->uring, e))) {
		__u32 opcode = *(__u32 *)table_key(&sums->uring, e);
		struct watch_uring_body body = {
			.opcode = opcode,
			.submitted = *(__u64 *)table_value(&sums->uring, e),
		};

		strncpy(body.name, uring_name(opcode), sizeof(body.name) - 1);
		say(WATCH_URING, id, 0, 0, w->phase, &body, sizeof(body));
	}
}

static int calls_say(struct watcher *w, __u64 id)
{
	struct calls calls;
	struct sums sums;
	int error;

	if (!group_works(w, WATCH_SYS))
		return 0;
	error = calls_read(w, &calls);
	if (!error)
		error = sums_copy(&w->sums, &sums);
	if (!error) {
		error = calls_add(w, &calls, 0, &sums);
		tallies_say(w, id, &sums);
		if (!error)
			error = sites_say(w, id, &sums);
		programs_say(w, id, &sums);
		sums_clear(&sums);
	}
	calls_free(&calls);
	return error;
}

/* ---- the other groups
 * --------------------------------------------------------
 */

static int peers_say(const struct watcher *w, __u64 id)
{
	struct rows rows = { .key_bytes = sizeof(struct peer_key),
			     .words = sizeof(struct peer) / 8 };
	int error = rows_read(group_map(w, WATCH_NET, "peers"), false, &rows);

	for (size_t i = 0; i < rows.count; i++) {
		const struct peer_key *key = row_key(&rows, i);
		const struct peer *peer = (void *)row_words(&rows, i);
		struct watch_peer_body body = {
			.family = key->family,
			.port = key->port,
			.listens = key->is_in,
			.connects = peer->connects,
			.established = peer->established,
			.failed = peer->failed,
			.closed = peer->closed,
			.retransmits = peer->retransmits,
			.resets_sent = peer->resets_sent,
			.resets_received = peer->resets_received,
			.first_ns = peer->first_ns,
			.last_ns = peer->last_ns,
		};

		memcpy(body.address, key->address, sizeof(body.address));
		say(WATCH_PEER, id, 0, 0, w->phase, &body, sizeof(body));
	}
	free(rows.bytes);
	return error;
}

/* The largest of what the CPUs saw isn't their sum. */
static __u64 latency_max(int fd, const void *key)
{
	size_t cpus = (size_t)libbpf_num_possible_cpus();
	struct latency *values = calloc(cpus, sizeof(*values));
	__u64 max_ns = 0;

	if (values && bpf_map_lookup_elem(fd, key, values) == 0)
		for (size_t i = 0; i < cpus; i++)
			if (values[i].max_ns > max_ns)
				max_ns = values[i].max_ns;
	free(values);
	return max_ns;
}

static int latencies_say(const struct watcher *w, __u64 id)
{
	int fd = group_map(w, WATCH_LATENCY_GROUP, "latencies");
	struct rows rows = { .key_bytes = sizeof(struct latency_key),
			     .words = sizeof(struct latency) / 8 };
	int error = rows_read(fd, true, &rows);

	for (size_t i = 0; i < rows.count; i++) {
		const struct latency_key *key = row_key(&rows, i);
		const struct latency *sum = (void *)row_words(&rows, i);
		struct watch_latency_body body = {
			.nr = key->nr,
			.calls = sum->calls,
			.sum_ns = sum->sum_ns,
			.max_ns = latency_max(fd, key),
		};

		memcpy(body.buckets, sum->buckets, sizeof(body.buckets));
		say(WATCH_LATENCY, id, 0, 0, key->phase, &body, sizeof(body));
	}
	free(rows.bytes);
	return error;
}

static void durable_say(const struct watcher *w, __u64 id)
{
	struct watch_durable_body body;

	if (!group_works(w, WATCH_DURABLE_GROUP) ||
	    !w->durable->bss->data_device)
		return;
	body = w->durable->bss->totals.sums;
	say(WATCH_DURABLE, id, 0, 0, w->phase, &body, sizeof(body));
}

/* Programs that were skipped because they interrupted themselves. */
static __u64 misses(const struct group *group)
{
	struct bpf_program *program;
	__u64 sum = 0;

	bpf_object__for_each_program(program, group->object)
	{
		struct bpf_prog_info info = { 0 };
		__u32 bytes = sizeof(info);
		int fd = bpf_program__fd(program);

		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0)
			sum += info.recursion_misses;
	}
	return sum;
}

static void losses_say(const struct watcher *w, __u64 id)
{
	size_t cpus = (size_t)libbpf_num_possible_cpus();
	struct lost *values = calloc(cpus, sizeof(*values));

	for (__u32 i = 0; values && i < WATCH_GROUPS; i++) {
		struct watch_lost_body body = { .group = i };

		if (!group_works(w, i) ||
		    bpf_map_lookup_elem(w->losses_fd, &i, values) < 0)
			continue;
		for (size_t cpu = 0; cpu < cpus; cpu++) {
			body.events += values[cpu].events;
			body.counters += values[cpu].counters;
		}
		body.counters += misses(&w->groups[i]);
		if (body.events || body.counters)
			say(WATCH_LOST, id, 0, 0, w->phase, &body,
			    sizeof(body));
	}
	free(values);
}

int snapshot_say(struct watcher *w, __u64 id)
{
	int error = calls_say(w, id);

	if (!error)
		error = peers_say(w, id);
	if (!error)
		error = latencies_say(w, id);
	durable_say(w, id);
	losses_say(w, id);
	return error;
}

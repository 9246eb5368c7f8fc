/* maps.bpf.h - the maps that all probe groups share, and how they are used.
 *
 * `life` makes them; mishap-watch gives the others its file descriptors, so
 * that each object may hold a definition of its own.
 */
#ifndef MISHAP_BPF_MAPS_BPF_H
#define MISHAP_BPF_MAPS_BPF_H

#include "bpf/kern.h"

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "bpf/watch.h"

#define NULL ((void *)0)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MEMBERS_MAX);
	__type(key, __u32);
	__type(value, struct member);
} members SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_BYTES);
} events SEC(".maps");

/* What was lost, by group. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, WATCH_GROUPS);
	__type(key, __u32);
	__type(value, struct lost);
} losses SEC(".maps");

/* [0]: the phase, [1]: the last image's number. */
enum { SHARED_PHASE, SHARED_IMAGES, SHARED_WORDS };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SHARED_WORDS);
	__type(key, __u32);
	__type(value, __u64);
} words SEC(".maps");

static __always_inline struct member *member_find(__u32 tgid)
{
	return bpf_map_lookup_elem(&members, &tgid);
}

static __always_inline struct member *member_current(void)
{
	return member_find(bpf_get_current_pid_tgid() >> 32);
}

static __always_inline void lost_event(__u32 group)
{
	struct lost *lost = bpf_map_lookup_elem(&losses, &group);

	if (lost)
		lost->events++;
}

static __always_inline void lost_counter(__u32 group)
{
	struct lost *lost = bpf_map_lookup_elem(&losses, &group);

	if (lost)
		lost->counters++;
}

static __always_inline __u16 phase_now(void)
{
	__u32 at = SHARED_PHASE;
	__u64 *phase = bpf_map_lookup_elem(&words, &at);

	return phase ? (__u16)*phase : 0;
}

/* image_new - a number that no image had before. */
static __always_inline __u32 image_new(void)
{
	__u32 at = SHARED_IMAGES;
	__u64 *images = bpf_map_lookup_elem(&words, &at);

	return images ? (__u32)__sync_fetch_and_add(images, 1) + 1 : 0;
}

/* event_begin - room for a record in the ring, its header filled; NULL: it is
 * counted as lost.  Give it to bpf_ringbuf_submit(). */
static __always_inline void *event_begin(__u32 group, __u16 type, __u32 bytes,
					 __u32 tgid, __u32 tid)
{
	struct watch_record *record =
		bpf_ringbuf_reserve(&events, sizeof(*record) + bytes, 0);

	if (!record) {
		lost_event(group);
		return NULL;
	}
	record->time_ns = bpf_ktime_get_ns();
	record->size = sizeof(*record) + bytes;
	record->type = type;
	record->phase = phase_now();
	record->tgid = tgid;
	record->tid = tid;
	record->seq = 0;
	return record;
}

#endif

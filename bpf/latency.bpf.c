// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* latency - how long do the target's calls take, and did a fault change it?
 *
 * Question  Per call and phase, a histogram of log2 of ns.  What an injected
 *           delay adds is not in it: that passes outside the kernel.
 * Hooks     tp_btf/sys_enter   the time, into the task's own storage
 *           tp_btf/sys_exit    the difference, into this CPU's histogram
 * Cost      about 100 ns per call of the target, 45 ns of everybody else's
 * Floor     5.12 (task storage 5.11)
 */
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NR_MAX 1024

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64); /* when the call under way began; 0: none */
} began SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, LATENCIES_MAX);
	__type(key, struct latency_key);
	__type(value, struct latency);
} latencies SEC(".maps");

/* To fill new rows with: too large for the stack. */
const struct latency none = {};

/* Storage is made for members only, so whoever has some is one. */
SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long id)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *at = bpf_task_storage_get(&began, task, NULL, 0);

	if (!at) {
		if (!member_current())
			return 0;
		at = bpf_task_storage_get(&began, task, NULL,
					  BPF_LOCAL_STORAGE_GET_F_CREATE);
		if (!at) {
			lost_counter(WATCH_LATENCY_GROUP);
			return 0;
		}
	}
	*at = bpf_ktime_get_ns();
	return 0;
}

static __always_inline __u32 log2_of(__u64 v)
{
	__u32 r = 0, high = v >> 32;
	__u32 w = high ? high : (__u32)v;

	r += high ? 32 : 0;
	if (w >= 1u << 16) {
		w >>= 16;
		r += 16;
	}
	if (w >= 1u << 8) {
		w >>= 8;
		r += 8;
	}
	if (w >= 1u << 4) {
		w >>= 4;
		r += 4;
	}
	if (w >= 1u << 2) {
		w >>= 2;
		r += 2;
	}
	return r + (w >> 1);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 *at = bpf_task_storage_get(&began, task, NULL, 0);
	struct latency_key key = {};
	struct latency *latency;
	__u64 took_ns, nr;
	__u32 bucket;

	if (!at || !*at)
		return 0;
	took_ns = bpf_ktime_get_ns() - *at;
	*at = 0;
	nr = regs->orig_ax;
	if (nr >= NR_MAX)
		return 0;
	key.phase = phase_now();
	key.nr = nr;
	latency = bpf_map_lookup_elem(&latencies, &key);
	if (!latency) {
		bpf_map_update_elem(&latencies, &key, &none, BPF_NOEXIST);
		latency = bpf_map_lookup_elem(&latencies, &key);
	}
	if (!latency) {
		lost_counter(WATCH_LATENCY_GROUP);
		return 0;
	}
	bucket = log2_of(took_ns);
	if (bucket >= WATCH_BUCKETS)
		bucket = WATCH_BUCKETS - 1;
	latency->buckets[bucket]++;
	latency->calls++;
	latency->sum_ns += took_ns;
	if (took_ns > latency->max_ns)
		latency->max_ns = took_ns;
	return 0;
}

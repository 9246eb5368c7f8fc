// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* durable - was it acknowledged before it was synced?
 *
 * Question  Does data leave as an answer, on a connection that was accepted,
 *           while files of the data directory hold writes that no fsync has
 *           covered yet?  For how long, and how much?
 * Hooks     tp_btf/sys_enter   when a sync begins, what it can cover; is
 *                              anything unsynced when an answer is sent?
 *           tp_btf/sys_exit    writes, syncs, sends, accepts that succeeded
 * Cost      up to 150 ns per call of the target; about 40 ns per call of
 *           everybody else's
 * Floor     5.13 (bpf_for_each_map_elem)
 *
 * A sync covers what had been written when it began.  Files opened with O_SYNC
 * or O_DSYNC have nothing unsynced; a file that has been unlinked does not
 * count.  Not seen: stores through a mapping, io_uring.
 */
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define NR_WRITE     1
#define NR_CLOSE     3
#define NR_PWRITE64  18
#define NR_WRITEV    20
#define NR_SENDFILE  40
#define NR_ACCEPT    43
#define NR_SENDTO    44
#define NR_SENDMSG   46
#define NR_FSYNC     74
#define NR_FDATASYNC 75
#define NR_SYNC	     162
#define NR_ACCEPT4   288
#define NR_PWRITEV   296
#define NR_SYNCFS    306
#define NR_SENDMMSG  307
#define NR_COPYRANGE 326
#define NR_PWRITEV2  328
#define RWF_SYNCS    0x6 /* RWF_DSYNC | RWF_SYNC */
#define O_DSYNC	     010000
#define S_IFMT	     0170000
#define S_IFREG	     0100000
#define PARENTS_MAX  24
#define TELL_NS	     1000000000ull

/* The data directory: its file system, and its own inode. */
__u32 data_device = 0;
__u64 data_inode = 0;
struct durable totals = {};

struct file_state {
	__u64 inode_at; /* struct inode * */
	__u64 first_ns; /* of writes that aren't synced; 0: there are none */
	__u64 last_ns;
	__u64 bytes;
	__u32 outside; /* the data directory */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* inode number */
	__type(value, struct file_state);
} files SEC(".maps");

/* What a thread is at, from the call's enter to its exit. */
struct flight {
	__u64 inode;	 /* being synced; 0: all of them */
	__u64 began_ns;	 /* of a sync */
	__u64 window_ns; /* of an answer: since the oldest unsynced write */
	__u64 bytes, count, oldest;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u32);
	__type(value, struct flight);
} flights SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct file * of an accepted connection */
	__type(value, __u32);
} accepted SEC(".maps");

static __noinline struct file *file_of(__u64 fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **files_at = BPF_CORE_READ(table, fd), *file = NULL;

	if ((__u32)fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	bpf_probe_read_kernel(&file, sizeof(file), &files_at[(__u32)fd]);
	return file;
}

/* ---- writes
 * ------------------------------------------------------------------ */

static __noinline bool is_inside(struct file *file)
{
	struct dentry *dentry = BPF_CORE_READ(file, f_path.dentry);

#pragma nounroll
	for (int i = 0; i < PARENTS_MAX; i++) {
		struct dentry *parent = BPF_CORE_READ(dentry, d_parent);

		if (BPF_CORE_READ(dentry, d_inode, i_ino) == data_inode)
			return true;
		if (!parent || parent == dentry)
			return false;
		dentry = parent;
	}
	return false;
}

static __noinline void written(struct file *file, __s64 bytes)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	__u64 ino = BPF_CORE_READ(inode, i_ino), now = bpf_ktime_get_ns();
	struct file_state fresh = {}, *state;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFREG ||
	    BPF_CORE_READ(inode, i_sb, s_dev) != data_device ||
	    BPF_CORE_READ(file, f_flags) & O_DSYNC)
		return;
	state = bpf_map_lookup_elem(&files, &ino);
	if (!state || state->inode_at != (__u64)inode) {
		if (state && state->first_ns)
			__sync_fetch_and_add(&totals.dirty_files, -1);
		fresh.inode_at = (__u64)inode;
		fresh.outside = !is_inside(file);
		if (bpf_map_update_elem(&files, &ino, &fresh, BPF_ANY))
			lost_counter(WATCH_DURABLE_GROUP);
		state = bpf_map_lookup_elem(&files, &ino);
	}
	if (!state || state->outside)
		return;
	__sync_fetch_and_add(&totals.sums.writes, 1);
	__sync_fetch_and_add(&totals.sums.write_bytes, bytes);
	state->last_ns = now;
	if (state->first_ns == 0) {
		state->bytes = 0;
		state->first_ns = now;
		__sync_fetch_and_add(&totals.dirty_files, 1);
	}
	__sync_fetch_and_add(&state->bytes, bytes);
}

/* ---- syncs
 * --------------------------------------------------------------------- */

static __noinline void sync_covers(struct file_state *state, __u64 began_ns)
{
	if (!state->first_ns || state->first_ns > began_ns)
		return;
	if (state->last_ns <= began_ns) {
		state->first_ns = 0;
		__sync_fetch_and_add(&totals.dirty_files, -1);
	} else {
		state->first_ns = began_ns; /* at the earliest */
	}
}

static long sync_covers_each(void *map, __u64 *inode, struct file_state *state,
			     __u64 *began_ns)
{
	sync_covers(state, *began_ns);
	return 0;
}

static __noinline void sync_begins(__u32 nr, struct pt_regs *regs, __u32 tid)
{
	struct flight flight = { .began_ns = bpf_ktime_get_ns() };
	struct file *file;

	if (nr == NR_FSYNC || nr == NR_FDATASYNC) {
		file = file_of(regs->di);
		if (!file ||
		    BPF_CORE_READ(file, f_inode, i_sb, s_dev) != data_device)
			return;
		flight.inode = BPF_CORE_READ(file, f_inode, i_ino);
	}
	bpf_map_update_elem(&flights, &tid, &flight, BPF_ANY);
}

static __always_inline void sync_failed(const struct flight *flight, __u64 id,
					int error)
{
	struct watch_sync_body *body;
	struct watch_record *record;

	__sync_fetch_and_add(&totals.sums.sync_errors, 1);
	totals.failed = 1;
	record = event_begin(WATCH_DURABLE_GROUP, WATCH_SYNC_ERROR,
			     sizeof(*body), id >> 32, (__u32)id);
	if (!record)
		return;
	body = (void *)(record + 1);
	body->inode = flight->inode;
	body->error = error;
	body->pad = 0;
	bpf_ringbuf_submit(record, 0);
}

static __noinline void sync_ends(__u64 id, long ret)
{
	__u32 tid = id;
	struct flight *flight = bpf_map_lookup_elem(&flights, &tid);
	struct file_state *state;
	__u64 began_ns;

	if (!flight || !flight->began_ns)
		return;
	began_ns = flight->began_ns;
	if (ret < 0) {
		sync_failed(flight, id, -ret);
	} else if (flight->inode) {
		state = bpf_map_lookup_elem(&files, &flight->inode);
		__sync_fetch_and_add(&totals.sums.syncs, 1);
		totals.failed = 0;
		if (state)
			sync_covers(state, began_ns);
	} else {
		__sync_fetch_and_add(&totals.sums.syncs, 1);
		totals.failed = 0;
		bpf_for_each_map_elem(&files, sync_covers_each, &began_ns, 0);
	}
	bpf_map_delete_elem(&flights, &tid);
}

/* ---- answers
 * -------------------------------------------------------------------- */

struct look {
	__u64 oldest_ns, oldest, bytes, count;
};

/* Not on the stack: there a verifier would follow every value it may hold. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct look);
} looks SEC(".maps");

/* A file that was removed owes nothing.  Its inode may be another's by now. */
static long look_at(void *map, __u64 *ino, struct file_state *state,
		    void *nothing)
{
	struct inode *inode = (struct inode *)state->inode_at;
	__u64 first_ns = state->first_ns;
	__u32 zero = 0;
	struct look *look = bpf_map_lookup_elem(&looks, &zero);

	if (!first_ns || !look)
		return 0;
	if (BPF_CORE_READ(inode, i_ino) != *ino ||
	    BPF_CORE_READ(inode, i_nlink) == 0) {
		state->first_ns = 0;
		__sync_fetch_and_add(&totals.dirty_files, -1);
		return 0;
	}
	look->count++;
	look->bytes += state->bytes;
	if (!look->oldest_ns || first_ns < look->oldest_ns) {
		look->oldest_ns = first_ns;
		look->oldest = *ino;
	}
	return 0;
}

static __always_inline bool is_accepted(struct file *file)
{
	__u64 at = (__u64)file;

	return file && bpf_map_lookup_elem(&accepted, &at);
}

static __noinline void answer_begins(struct pt_regs *regs, __u32 tid)
{
	struct flight flight = {};
	struct look *look;
	__u32 zero = 0;

	if (totals.dirty_files <= 0 || !is_accepted(file_of(regs->di)))
		return;
	look = bpf_map_lookup_elem(&looks, &zero);
	if (!look)
		return;
	__builtin_memset(look, 0, sizeof(*look));
	bpf_for_each_map_elem(&files, look_at, NULL, 0);
	if (!look->count)
		return;
	flight.window_ns = bpf_ktime_get_ns() - look->oldest_ns;
	flight.bytes = look->bytes;
	flight.count = look->count;
	flight.oldest = look->oldest;
	bpf_map_update_elem(&flights, &tid, &flight, BPF_ANY);
}

static __always_inline void answer_tell(const struct flight *flight, __u64 id)
{
	struct watch_ack_body *body;
	struct watch_record *record;
	__u64 now = bpf_ktime_get_ns();

	if (now - totals.told_ns < TELL_NS)
		return;
	totals.told_ns = now;
	record = event_begin(WATCH_DURABLE_GROUP, WATCH_ACK_DIRTY,
			     sizeof(*body), id >> 32, (__u32)id);
	if (!record)
		return;
	body = (void *)(record + 1);
	body->window_ns = flight->window_ns;
	body->dirty_bytes = flight->bytes;
	body->dirty_files = flight->count;
	body->inode = flight->oldest;
	bpf_ringbuf_submit(record, 0);
}

static __noinline void answer_ends(__u64 id, long ret)
{
	struct watch_durable_body *sums = &totals.sums;
	__u32 tid = id;
	struct flight *flight = bpf_map_lookup_elem(&flights, &tid);

	if (ret > 0) {
		__sync_fetch_and_add(&sums->acks, 1);
		if (totals.failed)
			__sync_fetch_and_add(&sums->acks_after_error, 1);
	}
	if (!flight)
		return;
	if (ret > 0 && flight->window_ns) {
		__sync_fetch_and_add(&sums->acks_dirty, 1);
		__sync_fetch_and_add(&sums->window_sum_ns, flight->window_ns);
		if (flight->window_ns > sums->window_max_ns)
			sums->window_max_ns = flight->window_ns;
		if (flight->bytes > sums->dirty_bytes_max)
			sums->dirty_bytes_max = flight->bytes;
		answer_tell(flight, id);
	}
	bpf_map_delete_elem(&flights, &tid);
}

/* ---- calls
 * ----------------------------------------------------------------------- */

static __always_inline bool is_sync(__u32 nr)
{
	return nr == NR_FSYNC || nr == NR_FDATASYNC || nr == NR_SYNC ||
	       nr == NR_SYNCFS;
}

static __always_inline bool is_write(__u32 nr)
{
	return nr == NR_WRITE || nr == NR_PWRITE64 || nr == NR_WRITEV ||
	       nr == NR_PWRITEV || nr == NR_PWRITEV2 || nr == NR_SENDFILE ||
	       nr == NR_COPYRANGE;
}

static __always_inline bool is_answer(__u32 nr)
{
	return nr == NR_WRITE || nr == NR_WRITEV || nr == NR_SENDTO ||
	       nr == NR_SENDMSG || nr == NR_SENDMMSG || nr == NR_SENDFILE;
}

SEC("tp_btf/sys_enter")
int BPF_PROG(on_enter, struct pt_regs *regs, long id)
{
	__u32 nr = id, tid = (__u32)bpf_get_current_pid_tgid();
	__u64 at;

	if (!data_device || !member_current())
		return 0;
	if (is_sync(nr)) {
		sync_begins(nr, regs, tid);
	} else if (is_answer(nr)) {
		answer_begins(regs, tid);
	} else if (nr == NR_CLOSE) {
		at = (__u64)file_of(regs->di);
		if (at) /* a copy of it, by dup or fork, is forgotten too */
			bpf_map_delete_elem(&accepted, &at);
	}
	return 0;
}

static __always_inline void write_ends(struct pt_regs *regs, __u32 nr, __u64 id,
				       long ret)
{
	__u64 fd = nr == NR_COPYRANGE ? regs->dx : regs->di;
	struct file *file = file_of(fd);

	if (!file)
		return;
	if (is_answer(nr) && is_accepted(file))
		answer_ends(id, ret);
	else if (is_write(nr) && ret > 0 &&
		 !(nr == NR_PWRITEV2 && regs->r9 & RWF_SYNCS))
		written(file, ret);
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	__u64 id = bpf_get_current_pid_tgid(), at;
	__u32 nr = regs->orig_ax, one = 1;

	if (!data_device || !member_current())
		return 0;
	if (is_sync(nr)) {
		sync_ends(id, ret);
	} else if (is_write(nr) || is_answer(nr)) {
		write_ends(regs, nr, id, ret);
	} else if ((nr == NR_ACCEPT || nr == NR_ACCEPT4) && ret >= 0) {
		at = (__u64)file_of(ret);
		if (at)
			bpf_map_update_elem(&accepted, &at, &one, BPF_ANY);
	}
	return 0;
}

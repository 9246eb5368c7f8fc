// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* snap - the target stands still: where is each of its threads?
 *
 * Question  On demand: every thread's state, the call it is in, its stack in
 *           the kernel; every process's descriptors by kind.
 * Hooks     iter/task, iter/task_file
 * Cost      none until it is asked for; then some 10 us per thread, 1 us per
 *           descriptor, in mishap-watch
 * Floor     5.15 (bpf_task_pt_regs)
 */
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define S_IFMT	 0170000
#define S_IFIFO	 0010000
#define S_IFREG	 0100000
#define S_IFSOCK 0140000

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MEMBERS_MAX);
	__type(key, __u32);
	__type(value, struct snap_files);
} files SEC(".maps");

/* Too large for the stack; one look at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct snap_thread);
} scratch SEC(".maps");

static __always_inline __u32 state_of(struct task_struct *task)
{
	struct task_struct___old *old = (void *)task;

	if (bpf_core_field_exists(task->__state))
		return task->__state;
	return BPF_CORE_READ(old, state);
}

SEC("iter/task")
int on_thread(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct snap_thread *thread;
	struct pt_regs *regs;
	__u32 zero = 0;

	if (!task || !member_find(task->tgid))
		return 0;
	thread = bpf_map_lookup_elem(&scratch, &zero);
	if (!thread)
		return 0;
	__builtin_memset(thread, 0, sizeof(*thread));
	thread->tgid = task->tgid;
	thread->tid = task->pid;
	thread->state = (state_of(task) & 0xff) | task->exit_state << 8;
	thread->cpu_ns = task->utime + task->stime;
	thread->switches = task->nvcsw + task->nivcsw;
	bpf_probe_read_kernel_str(thread->name, sizeof(thread->name),
				  task->comm);
	thread->nr = -1;
	regs = (struct pt_regs *)bpf_task_pt_regs(task);
	if (regs) {
		thread->nr = BPF_CORE_READ(regs, orig_ax);
		thread->arguments[0] = BPF_CORE_READ(regs, di);
		thread->arguments[1] = BPF_CORE_READ(regs, si);
		thread->arguments[2] = BPF_CORE_READ(regs, dx);
	}
	bpf_get_task_stack(task, thread->stack, sizeof(thread->stack), 0);
	bpf_seq_write(ctx->meta->seq, thread, sizeof(*thread));
	return 0;
}

SEC("iter/task_file")
int on_file(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct snap_files none = {}, *files_of;
	__u32 tgid;

	if (!task || !file || !member_find(task->tgid))
		return 0;
	tgid = task->tgid;
	files_of = bpf_map_lookup_elem(&files, &tgid);
	if (!files_of) {
		bpf_map_update_elem(&files, &tgid, &none, BPF_NOEXIST);
		files_of = bpf_map_lookup_elem(&files, &tgid);
	}
	if (!files_of)
		return 0;
	files_of->fds++;
	switch (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) {
	case S_IFSOCK:
		files_of->sockets++;
		break;
	case S_IFIFO:
		files_of->pipes++;
		break;
	case S_IFREG:
		files_of->files++;
		break;
	}
	return 0;
}

// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* life - who belongs to the target, and what became of them?
 *
 * Question  Every process that the target makes, however it is made and
 *           wherever it goes; how each ended; who sent the signal.
 * Hooks     tp_btf/sched_process_fork   a child is a member before it runs
 *           tp_btf/sched_process_exec   a new image
 *           tp_btf/sched_process_exit   the last thread's: see on_exit
 *           tp_btf/signal_generate      with its sender
 *           tp_btf/mark_victim          the OOM killer's choice
 *           tp_btf/cgroup_attach_task   who left the cgroup that we made
 * Cost      nothing per system call; about 100 ns per fork, exec, exit and
 *           signal, of anybody (a look-up and no more for strangers)
 * Floor     5.12 (BTF tracepoints 5.5, ring buffer 5.8, fetch-and-add 5.12);
 *           mark_victim tells a pid before 6.9, a task since
 */
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define SIGNAL_GROUP_EXIT 0x4 /* include/linux/sched/signal.h */
#define CORE_DUMPED	  0x80
#define SIGNAL_MASK	  0x7f
#define PAGE_BYTES	  4096
#define SEND_SIG_NOINFO	  0ul /* include/linux/signal.h: not addresses */
#define SEND_SIG_PRIV	  1ul
#define SI_USER		  0
#define SI_KERNEL	  0x80
#define SI_TIMER	  -2
#define SIGALRM		  14
#define SIGCHLD		  17
#define SIGCONT		  18
#define SIGURG		  23
#define SIGVTALRM	  26
#define SIGPROF		  27
#define SIGWINCH	  28
#define SIGIO		  29
#define SIGRTMIN	  32 /* the first that libc keeps for itself */

__u64 cgroup = 0; /* that we made; 0: none */

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 from = parent->tgid, to = child->tgid;
	struct watch_fork_body *body;
	struct watch_record *record;
	struct member *of, member;
	bool shares;

	if (from == to)
		return 0;
	of = member_find(from);
	if (!of)
		return 0;
	shares = parent->mm == child->mm;
	member = *of;
	member.born_ns = bpf_ktime_get_ns();
	member.pending = 0;
	member.flags &= ~MEMBER_VFORK;
	if (shares)
		member.flags |= MEMBER_VFORK;
	if (bpf_map_update_elem(&members, &to, &member, BPF_ANY))
		lost_counter(WATCH_LIFE);
	record = event_begin(WATCH_LIFE, WATCH_FORK, sizeof(*body), from,
			     parent->pid);
	if (!record)
		return 0;
	body = (void *)(record + 1);
	body->child = to;
	body->vfork = shares;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task)
{
	struct member *member = member_find(task->tgid);
	struct watch_exec_body *body;
	struct watch_record *record;

	if (!member)
		return 0;
	member->image = image_new();
	member->flags = 0;
	member->modules = 0;
	record = event_begin(WATCH_LIFE, WATCH_EXEC, sizeof(*body), task->tgid,
			     task->pid);
	if (!record)
		return 0;
	body = (void *)(record + 1);
	body->image = member->image;
	body->pad = 0;
	bpf_probe_read_kernel_str(body->name, sizeof(body->name), task->comm);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static __noinline void exit_fill(struct watch_exit_body *body,
				 struct task_struct *task, __u64 born_ns)
{
	struct signal_struct *signal = task->signal;
	int code = task->group_leader->exit_code;

	if (signal->flags & SIGNAL_GROUP_EXIT)
		code = signal->group_exit_code;
	body->status = (code >> 8) & 0xff;
	body->signal = code & SIGNAL_MASK;
	body->core = !!(code & CORE_DUMPED);
	body->pad = 0;
	body->born_ns = born_ns;
	body->user_ns = signal->utime + task->utime;
	body->system_ns = signal->stime + task->stime;
	body->rss_max_bytes = signal->maxrss * PAGE_BYTES;
	body->faults_major = signal->maj_flt + task->maj_flt;
	bpf_probe_read_kernel_str(body->name, sizeof(body->name),
				  task->group_leader->comm);
}

/* Two threads that end together may both see live at 0: who takes the member
 * away is the last. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	__u32 tgid = task->tgid;
	struct member *member = member_find(tgid);
	struct watch_exit_body *body;
	struct watch_record *record;
	__u64 born_ns;

	if (!member || task->signal->live.counter != 0)
		return 0;
	born_ns = member->born_ns;
	if (bpf_map_delete_elem(&members, &tgid))
		return 0;
	record = event_begin(WATCH_LIFE, WATCH_EXIT, sizeof(*body), tgid,
			     task->pid);
	if (!record)
		return 0;
	exit_fill((void *)(record + 1), task, born_ns);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

/* What is sent all the time and ends nobody by itself. */
static __always_inline bool is_noise(int signal)
{
	switch (signal) {
	case SIGCHLD:
	case SIGCONT:
	case SIGURG:
	case SIGWINCH:
		return true;
	}
	return signal >= SIGRTMIN;
}

static __always_inline bool is_timer(int signal)
{
	return signal == SIGALRM || signal == SIGVTALRM || signal == SIGPROF ||
	       signal == SIGIO;
}

SEC("tp_btf/signal_generate")
int BPF_PROG(on_signal, int signal, struct kernel_siginfo *info,
	     struct task_struct *task, int group, int result)
{
	struct watch_signal_body *body;
	struct watch_record *record;
	int code = SI_USER;
	__u32 sender = bpf_get_current_pid_tgid() >> 32;

	if (is_noise(signal) || !member_find(task->tgid))
		return 0;
	if ((unsigned long)info == SEND_SIG_PRIV)
		code = SI_KERNEL;
	else if ((unsigned long)info != SEND_SIG_NOINFO)
		bpf_probe_read_kernel(&code, sizeof(code), &info->si_code);
	if (is_timer(signal) && (code == SI_KERNEL || code == SI_TIMER))
		return 0;
	record = event_begin(WATCH_LIFE, WATCH_SIGNAL, sizeof(*body),
			     task->tgid, task->pid);
	if (!record)
		return 0;
	body = (void *)(record + 1);
	body->signal = signal;
	body->code = code;
	body->sender = code > 0 ? 0 : sender;
	body->result = result;
	body->sender_followed = body->sender && member_find(sender);
	body->pad = 0;
	__builtin_memset(body->sender_name, 0, sizeof(body->sender_name));
	if (body->sender)
		bpf_get_current_comm(body->sender_name,
				     sizeof(body->sender_name));
	bpf_ringbuf_submit(record, 0);
	return 0;
}

static __noinline int victim_tell(__u32 tgid, const char *name)
{
	struct watch_record *record;
	struct watch_oom_body *body;

	if (!member_find(tgid))
		return 0;
	record = event_begin(WATCH_LIFE, WATCH_OOM, sizeof(*body), tgid, tgid);
	if (!record)
		return 0;
	body = (void *)(record + 1);
	__builtin_memset(body->name, 0, sizeof(body->name));
	if (name)
		bpf_probe_read_kernel_str(body->name, sizeof(body->name), name);
	bpf_ringbuf_submit(record, 0);
	return 0;
}

SEC("tp_btf/mark_victim")
int BPF_PROG(on_victim, struct task_struct *task)
{
	return victim_tell(task->tgid, task->comm);
}

/* Before 6.9. */
SEC("tp_btf/mark_victim")
int BPF_PROG(on_victim_pid, int tgid)
{
	return victim_tell(tgid, NULL);
}

/* Of the first hierarchy only, cgroup v2: others have roots of their own. */
SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(on_cgroup, struct cgroup *to, const char *path,
	     struct task_struct *task)
{
	struct watch_left_body *body;
	struct watch_record *record;
	__u64 id = to->kn->id;

	if (!cgroup || id == cgroup || to->root->hierarchy_id != 0 ||
	    !member_find(task->tgid))
		return 0;
	record = event_begin(WATCH_LIFE, WATCH_LEFT_CGROUP, sizeof(*body),
			     task->tgid, task->pid);
	if (!record)
		return 0;
	body = (void *)(record + 1);
	body->cgroup = id;
	bpf_ringbuf_submit(record, 0);
	return 0;
}

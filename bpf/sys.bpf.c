// SPDX-License-Identifier: (BSD-2-Clause OR GPL-2.0-only)
/* sys - which calls reached the kernel, from where, and what did it say?
 *
 * Question  Every system call of the target, by number, by the address of its
 *           `syscall` instruction and by real errno; the operations that it
 *           hands to io_uring.  Which of them passed our door is decided by
 *           mishap-watch, from the addresses: the probe knows nothing of it.
 * Hooks     tp_btf/sys_exit             all of the accounting: arguments and
 *                                       address still stand in the registers
 *           tp_btf/signal_deliver       is an interrupted call made again, or
 *                                       does it end with EINTR?
 *           tp_btf/io_uring_submit_req  (6.3; io_uring_submit_sqe before)
 * Cost      two look-ups in hash tables per call of the target, about 50 ns;
 *           one, about 25 ns, for everybody else's: a tracepoint on system
 *           calls makes the kernel take its slow way out for every task
 * Floor     5.12; bpf_find_vma (5.17) names the file of a new call site at
 *           once, else it is looked up in /proc/PID/maps a little later
 */
#include "bpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define TS_COMPAT      0x2 /* x86 thread_info.status */
#define NR_MADVISE     28
#define NR_EXECVE      59
#define NR_EXECVEAT    322
#define NR_CLONE       56
#define NR_FORK	       57
#define NR_VFORK       58
#define NR_CLONE3      435
#define NR_RESTART     219 /* the kernel's own */
#define NR_32_FORK     2
#define NR_32_EXECVE   11
#define NR_32_CLONE    120
#define NR_32_VFORK    190
#define NR_32_EXECVEAT 358
#define NR_MAX	       1024
#define ERRNO_MAX      4095
/* include/linux/errno.h: not for user space, the call is made again. */
#define ERESTARTSYS	      512
#define ERESTARTNOINTR	      513
#define ERESTARTNOHAND	      514
#define ERESTART_RESTARTBLOCK 516
#define SA_RESTART	      0x10000000
#define SIG_DFL		      0ul
#define SIG_IGN		      1ul

#define SITES_MAX  16384
#define ERRORS_MAX 8192
#define AGAIN_MAX  8192

const volatile bool has_find_vma = false;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, SITES_MAX);
	__type(key, struct site_key);
	__type(value, struct site_count);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ERRORS_MAX);
	__type(key, struct error_key);
	__type(value, __u64);
} errors SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct uring_key);
	__type(value, __u64);
} uring SEC(".maps");

/* A call that was interrupted, and counted.  When it is made again, thread,
 * address and stack pointer are as they were: a handler's own calls, however
 * deep, have another stack pointer. */
struct again_key {
	__u32 tid, pad;
	__u64 ip, sp;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, AGAIN_MAX);
	__type(key, struct again_key);
	__type(value, __u32); /* unused */
} again SEC(".maps");

/* A thread's last call, if it was interrupted and no handler has run since. */
struct interrupted {
	struct again_key key;
	__s64 ret;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, AGAIN_MAX);
	__type(key, __u32);
	__type(value, struct interrupted);
} interrupted SEC(".maps");

/* ---- the library's announcements ------------------------------------------
 */

static __always_inline bool mark_module(struct member *member,
					struct pt_regs *regs, __u32 tgid)
{
	struct inner_module_body *body;
	struct watch_record *record;

	record = event_begin(WATCH_SYS, INNER_MODULE, sizeof(*body), tgid, 0);
	member->modules++;
	if (!record) {
		if (member->flags & MEMBER_READY)
			member->image = image_new(); /* nobody knows it */
		return true;
	}
	body = (void *)(record + 1);
	body->image = member->image;
	body->base = regs->di;
	body->pad = 0;
	if (member->flags & MEMBER_READY)
		member->image = image_new();
	body->next = member->image;
	__builtin_memset(&body->module, 0, sizeof(body->module));
	bpf_probe_read_user(&body->module, sizeof(body->module),
			    (void *)regs->si);
	bpf_ringbuf_submit(record, 0);
	return true;
}

static __always_inline bool
mark_range(struct member *member, struct pt_regs *regs, __u32 tgid, bool is_own)
{
	struct inner_range_body *body;
	struct watch_record *record;
	__u32 image = member->image;

	if (is_own) {
		member->image = image_new();
		member->flags |= MEMBER_READY;
	}
	record = event_begin(WATCH_SYS, is_own ? INNER_READY : INNER_AROUND,
			     sizeof(*body), tgid, 0);
	if (!record)
		return true;
	body = (void *)(record + 1);
	body->image = image;
	body->next = member->image;
	body->modules = member->modules;
	body->pad = 0;
	body->start = regs->di;
	body->end = regs->di + regs->si;
	bpf_ringbuf_submit(record, 0);
	return true;
}

static __noinline bool mark_take(struct member *member, struct pt_regs *regs,
				 __u32 tgid)
{
	switch (regs->dx) {
	case SHARED_MARK_MODULE:
		return mark_module(member, regs, tgid);
	case SHARED_MARK_AROUND:
		return mark_range(member, regs, tgid, false);
	case SHARED_MARK_OWN:
		return mark_range(member, regs, tgid, true);
	}
	return false;
}

/* ---- calls that are made again ---------------------------------------------
 */

static __always_inline bool is_restart(long ret)
{
	return ret == -ERESTARTSYS || ret == -ERESTARTNOINTR ||
	       ret == -ERESTARTNOHAND || ret == -ERESTART_RESTARTBLOCK;
}

/* Has this call been counted, when it was interrupted? */
static __always_inline bool again_take(struct member *member,
				       struct pt_regs *regs, __u32 tid)
{
	struct again_key key = { .tid = tid, .ip = regs->ip, .sp = regs->sp };

	if (bpf_map_delete_elem(&again, &key))
		return false;
	bpf_map_delete_elem(&interrupted, &tid);
	__sync_fetch_and_add(&member->pending, -1);
	return true;
}

static __always_inline void
again_note(struct member *member, struct pt_regs *regs, __u32 tid, long ret)
{
	struct interrupted now = {
		.key = { .tid = tid, .ip = regs->ip, .sp = regs->sp },
		.ret = ret,
	};
	__u32 nothing = 0;

	bpf_map_update_elem(&again, &now.key, &nothing, BPF_ANY);
	bpf_map_update_elem(&interrupted, &tid, &now, BPF_ANY);
	__sync_fetch_and_add(&member->pending, 1);
}

/* A handler will run: arch_do_signal_or_restart() ends the call with EINTR but
 * where SA_RESTART or the call itself wants it again. */
SEC("tp_btf/signal_deliver")
int BPF_PROG(on_deliver, int signal, struct kernel_siginfo *info,
	     struct k_sigaction *action)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct member *member = member_find(id >> 32);
	struct interrupted *now;
	__u32 tid = id;

	if (!member || member->pending <= 0 ||
	    (unsigned long)action->sa.sa_handler <= SIG_IGN)
		return 0;
	now = bpf_map_lookup_elem(&interrupted, &tid);
	if (!now)
		return 0;
	if (now->ret == -ERESTARTNOHAND || now->ret == -ERESTART_RESTARTBLOCK ||
	    (now->ret == -ERESTARTSYS && !(action->sa.sa_flags & SA_RESTART))) {
		struct again_key key = now->key;

		if (!bpf_map_delete_elem(&again, &key))
			__sync_fetch_and_add(&member->pending, -1);
	}
	bpf_map_delete_elem(&interrupted, &tid);
	return 0;
}

/* ---- new sites --------------------------------------------------------------
 */

static long place_fill(struct task_struct *task, struct vm_area_struct *vma,
		       struct site_place *place)
{
	struct file *file = vma->vm_file;
	const unsigned char *name;

	place->start = vma->vm_start;
	place->pgoff = vma->vm_pgoff;
	if (!file)
		return 0;
	place->inode = BPF_CORE_READ(file, f_inode, i_ino);
	name = BPF_CORE_READ(file, f_path.dentry, d_name.name);
	bpf_probe_read_kernel_str(place->name, sizeof(place->name), name);
	return 0;
}

/* Told once for each site and image, so that it can be named while the
 * process lives. */
static __always_inline void site_tell(const struct site_key *key, __u64 id)
{
	struct site_place place = {};
	struct inner_site_body *body;
	struct watch_record *record;

	if (has_find_vma)
		bpf_find_vma(bpf_get_current_task_btf(), key->ip, place_fill,
			     &place, 0);
	record = event_begin(WATCH_SYS, INNER_SITE, sizeof(*body), id >> 32,
			     (__u32)id);
	if (!record)
		return;
	body = (void *)(record + 1);
	body->key = *key;
	body->place = place;
	bpf_ringbuf_submit(record, 0);
}

static __noinline struct site_count *site_add(const struct site_key *key,
					      __u64 id)
{
	struct site_count none = {};
	struct site_count *count;

	/* Another CPU may be first. */
	if (!bpf_map_update_elem(&sites, key, &none, BPF_NOEXIST))
		site_tell(key, id);
	count = bpf_map_lookup_elem(&sites, key);
	if (!count)
		lost_counter(WATCH_SYS);
	return count;
}

static __noinline void error_count(const struct site_key *key, int error)
{
	struct error_key at = { .site = *key, .error = error };
	__u64 one = 1, *count = bpf_map_lookup_elem(&errors, &at);

	if (count) {
		__sync_fetch_and_add(count, 1);
		return;
	}
	if (!bpf_map_update_elem(&errors, &at, &one, BPF_NOEXIST))
		return;
	count = bpf_map_lookup_elem(&errors, &at);
	if (count)
		__sync_fetch_and_add(count, 1);
	else
		lost_counter(WATCH_SYS);
}

/* A child's return from the call that made it, and a new image's from the
 * exec that started it, aren't calls of theirs. */
static __always_inline bool is_birth(__u16 nr, bool is_32, long ret)
{
	if (ret != 0)
		return false;
	if (is_32)
		return nr == NR_32_FORK || nr == NR_32_CLONE ||
		       nr == NR_32_VFORK || nr == NR_32_EXECVE ||
		       nr == NR_32_EXECVEAT || nr == NR_CLONE3;
	return nr == NR_CLONE || nr == NR_FORK || nr == NR_VFORK ||
	       nr == NR_CLONE3 || nr == NR_EXECVE || nr == NR_EXECVEAT;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(on_exit, struct pt_regs *regs, long ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct member *member = member_find(id >> 32);
	struct site_count *count;
	struct site_key key;
	bool is_again;
	__u64 nr;

	if (!member)
		return 0;
	nr = regs->orig_ax;
	if (nr >= NR_MAX) /* sigreturn, and what is no call at all */
		return 0;
	key.image = member->image;
	key.nr = nr;
	key.abi = bpf_get_current_task_btf()->thread_info.status & TS_COMPAT
			  ? ABI_32
			  : ABI_64;
	key.vfork = member->flags & MEMBER_VFORK;
	key.ip = regs->ip;
	if (is_birth(nr, key.abi == ABI_32, ret) ||
	    (nr == NR_MADVISE && key.abi == ABI_64 && ret < 0 &&
	     mark_take(member, regs, id >> 32)))
		return 0;
	is_again = member->pending > 0 && again_take(member, regs, (__u32)id);
	count = bpf_map_lookup_elem(&sites, &key);
	if (!count && !(is_again && nr == NR_RESTART))
		count = site_add(&key, id);
	if (count && !is_again)
		count->calls++;
	if (is_restart(ret)) {
		again_note(member, regs, (__u32)id, ret);
		return 0;
	}
	if (ret < 0 && ret >= -ERRNO_MAX) {
		if (count)
			count->failed++;
		error_count(&key, -ret);
	}
	return 0;
}

/* ---- io_uring
 * ----------------------------------------------------------------- */

static __noinline int uring_count(struct io_kiocb *request)
{
	struct member *member = member_current();
	struct uring_key key = {};
	__u64 one = 1, *count;

	if (!member)
		return 0;
	key.image = member->image;
	key.opcode = request->opcode;
	count = bpf_map_lookup_elem(&uring, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else if (bpf_map_update_elem(&uring, &key, &one, BPF_NOEXIST))
		lost_counter(WATCH_SYS);
	return 0;
}

SEC("tp_btf/io_uring_submit_req")
int BPF_PROG(on_uring, struct io_kiocb *request)
{
	return uring_count(request);
}

/* Its name from 6.0 to 6.2; before, its arguments were others. */
SEC("tp_btf/io_uring_submit_sqe")
int BPF_PROG(on_uring_sqe, struct io_kiocb *request)
{
	return uring_count(request);
}

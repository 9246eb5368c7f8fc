/* kern.h - the kernel types that our probes read, and nothing else.
 *
 * CO-RE relocates every offset at load time, by name, against the BTF of the
 * kernel that runs; so a struct here holds just the fields that are read, in
 * any order.  The kernel's whole vmlinux.h would be 2.8 MB, would need the
 * build host's kernel to be like the target's, and its 100,000 names collide
 * with ours.
 *
 * A type that changed its shape has a second spelling with ___old behind it,
 * which libbpf ignores when it looks for the kernel's; a probe asks
 * bpf_core_field_exists() which one holds.
 */
#ifndef MISHAP_BPF_KERN_H
#define MISHAP_BPF_KERN_H

#include <linux/types.h>
#include <linux/bpf.h>

typedef _Bool bool;
typedef int pid_t;
enum { false, true };

#define __VMLINUX_H__ 1 /* bpf_tracing.h: the kernel's spelling of pt_regs */

#pragma clang attribute push(__attribute__((preserve_access_index)),           \
			     apply_to = record)

/* ---- tasks --------------------------------------------------------------- */

struct pt_regs {
	unsigned long r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, sp, flags;
};

struct thread_info {
	__u32 status; /* x86: TS_COMPAT */
};

typedef struct {
	int counter;
} atomic_t;

struct mm_struct {
	unsigned long total_vm;
};

struct signal_struct {
	atomic_t live;
	int nr_threads;
	int group_exit_code;
	unsigned int flags;
	unsigned long maxrss, maj_flt;
	__u64 utime, stime;
};

struct css_set;
struct files_struct;
struct task_struct {
	struct thread_info thread_info;
	pid_t pid, tgid;
	int exit_code;
	unsigned int flags;
	char comm[16];
	struct task_struct *group_leader, *real_parent;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct files_struct *files;
	void *stack;
	unsigned long maj_flt, nvcsw, nivcsw;
	__u64 utime, stime, start_time;
	unsigned int __state;
	int exit_state;
};

struct task_struct___old { /* before 5.14 */
	long state;
};

struct linux_binprm {
	const char *filename;
};

struct kernel_siginfo {
	int si_signo, si_errno, si_code;
};

struct sigaction {
	void *sa_handler;
	unsigned long sa_flags;
};

struct k_sigaction {
	struct sigaction sa;
};

/* ---- cgroups --------------------------------------------------------------
 */

struct kernfs_node {
	__u64 id;
};

struct cgroup_root {
	int hierarchy_id;
};

struct cgroup {
	struct kernfs_node *kn;
	struct cgroup_root *root;
};

/* ---- files ----------------------------------------------------------------
 */

struct super_block {
	__u32 s_dev;
};

struct inode {
	unsigned short i_mode;
	unsigned int i_nlink;
	unsigned long i_ino;
	struct super_block *i_sb;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct inode *d_inode;
	struct dentry *d_parent;
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	unsigned int f_flags;
	struct inode *f_inode;
	struct path f_path;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct vm_area_struct {
	unsigned long vm_start, vm_end, vm_pgoff;
	struct file *vm_file;
};

/* ---- sockets ---------------------------------------------------------------
 */

struct in6_addr {
	union {
		__u8 u6_addr8[16];
	} in6_u;
};

typedef struct {
	void *net;
} possible_net_t;

struct sock_common {
	__u32 skc_daddr, skc_rcv_saddr;
	__u16 skc_dport, skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
};

struct socket {
	struct sock *sk;
};

struct sk_buff;

/* ---- io_uring ---------------------------------------------------------------
 */

struct io_kiocb {
	__u8 opcode;
};

/* ---- iterators --------------------------------------------------------------
 */

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

#endif

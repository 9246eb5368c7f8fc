/* uring_names.h - what io_uring calls its operations, <linux/io_uring.h>. */
#ifndef MISHAP_BPF_URING_NAMES_H
#define MISHAP_BPF_URING_NAMES_H

#include <stddef.h>

/* uring_name - "?" for one that is newer than this table; never NULL. */
static inline const char *uring_name(unsigned opcode)
{
	static const char *const names[] = {
		"nop",
		"readv",
		"writev",
		"fsync",
		"read_fixed",
		"write_fixed",
		"poll_add",
		"poll_remove",
		"sync_file_range",
		"sendmsg",
		"recvmsg",
		"timeout",
		"timeout_remove",
		"accept",
		"async_cancel",
		"link_timeout",
		"connect",
		"fallocate",
		"openat",
		"close",
		"files_update",
		"statx",
		"read",
		"write",
		"fadvise",
		"madvise",
		"send",
		"recv",
		"openat2",
		"epoll_ctl",
		"splice",
		"provide_bufs",
		"remove_bufs",
		"tee",
		"shutdown",
		"renameat",
		"unlinkat",
		"mkdirat",
		"symlinkat",
		"linkat",
		"msg_ring",
		"fsetxattr",
		"setxattr",
		"fgetxattr",
		"getxattr",
		"socket",
		"uring_cmd",
		"send_zc",
		"sendmsg_zc",
	};

	return opcode < sizeof(names) / sizeof(*names) ? names[opcode] : "?";
}

#endif

/* call.h - what a call is: its id, its table row, and one call in flight.
 *
 * A struct call is filled by a door (preload/), judged by faults (faults/),
 * and acted upon by the hook (preload/hook.c) alone.  It lives on the stack
 * of the thread that makes the call.  Nothing here allocates or does I/O.
 */
#ifndef MISHAP_CORE_CALL_H
#define MISHAP_CORE_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#define CALL(family, name, ...) CALL_##name,
#define KERNEL(...)
#define KERNEL_IF(...)
#define ALIAS(...)
#define SYMBOL(...)
enum call_id {
#include "core/calls.def"
	CALL_COUNT,
	CALL_NONE = 0xffff,
};
#undef CALL
#undef KERNEL
#undef KERNEL_IF
#undef ALIAS
#undef SYMBOL

#define CALL_NR_MAX 512 /* kernel numbers that the site door looks at */

enum call_family {
	FAMILY_file,
	FAMILY_net,
	FAMILY_alloc,
	FAMILY_dns,
	FAMILY_time,
	FAMILY_proc,
	FAMILY_COUNT,
};

/* How a symbol says failure; a system call always says -errno. */
enum call_fails {
	FAILS_minus1,
	FAILS_null,
	FAILS_mapfail,
	FAILS_error, /* returns the errno itself: posix_memalign(3) */
	FAILS_gai,   /* returns an EAI_ code: getaddrinfo(3) */
};

enum call_flags {
	CALL_BLOCKS = 1 << 0,	   /* may sleep in the kernel; EINTR is life */
	CALL_MOVES_IN = 1 << 1,	   /* bytes to the target; may be short */
	CALL_MOVES_OUT = 1 << 2,   /* bytes from the target; may be short */
	CALL_MOVES_WHOLE = 1 << 3, /* records; never cut by us */
	CALL_CREATES_FD = 1 << 4,
	CALL_RELEASES_FD = 1 << 5, /* even when it fails: close(2), NOTES */
	CALL_SYNCS = 1 << 6,
	CALL_NEVER_FAILS = 1 << 7,
	CALL_OLD_BREAK = 1 << 8,
	CALL_ALLOCATES = 1 << 9,
	CALL_WAITS = 1 << 10, /* waits for time or for readiness */
	CALL_CREATES_PROCESS = 1 << 11,
	CALL_CREATES_THREAD = 1 << 12,
	CALL_REPLACES_IMAGE = 1 << 13,
	CALL_CHANGES = 1 << 14, /* 0 says that something was changed */
};

/* Which kernel argument is what; 1-based, 0 is "has none". */
struct view {
	uint8_t fd, fd2, dirfd, path, dirfd2, path2;
	uint8_t buf, len, iov, iovcnt, msg, msgflags;
	uint8_t addr, addrlen, size, flags, offset;
};

struct call_cite {
	int error;
	const char *source;
};

/* One row of calls.def.  Read-only, for the process's life. */
struct call_info {
	const char *name;
	const char *pages; /* space-separated, "read.2 lseek.2" */
	const int *errnos; /* plausible by the pages; errnos_count of them */
	const struct call_cite *cites; /* ends with error 0 */
	uint16_t errnos_count;
	uint16_t flags; /* enum call_flags */
	uint8_t family;
	uint8_t fails;
	bool has_kernel, has_symbol; /* by which doors it can reach us */
};

extern const struct call_info call_table[CALL_COUNT];
extern const char *const call_family_names[FAMILY_COUNT];

/* What a kernel number means: id is CALL_NONE where we don't look. */
struct call_kernel {
	uint16_t id;
	uint16_t other_id; /* KERNEL_IF: when args[other_arg] & other_mask */
	uint8_t other_arg; /* 1-based; 0: no other */
	struct view view;
	uint64_t other_mask;
};

/* By number; the one past CALL_NR_MAX is nobody's. */
extern const struct call_kernel call_kernel_table[CALL_NR_MAX + 1];

/* call_find - id of a name or an alias of length n; CALL_NONE if unknown. */
unsigned call_find(const char *name, size_t n);
/* call_allows - may this call fail so, by its pages or its cites? */
bool call_allows(unsigned id, int error);
/* call_has_buffer - do its bytes pass through memory of the target's? */
bool call_has_buffer(unsigned id);
/* call_from_kernel - the call that a kernel number and its args make.
 * Returns CALL_NONE for a number outside the table.  Signal-safe. */
unsigned call_from_kernel(unsigned long nr, const uint64_t args[6]);

/* error names: errno(3) plus the EAI_ family of getaddrinfo(3).
 * EAI_ codes are negative in glibc and are kept so. */
const char *error_name(int error); /* "ENOSPC"; NULL if there is none */
int error_find(const char *name, size_t n); /* 0 if unknown */

/* What a fault does to the socket itself, before the call's result. */
enum call_net {
	CALL_NET_RESETS = 1 << 0, /* an RST for the peer; nothing comes after */
};

#define CALL_RULES_MAX 8 /* rules that may act on one call (`also`) */

/* One call in flight. */
struct call {
	uint16_t id;	  /* enum call_id */
	bool at_site;	  /* came by the site door: result is -errno */
	bool nonblocking; /* O_NONBLOCK or MSG_DONTWAIT, if it was asked for */
	bool loses;	  /* what was written and not synced is gone */
	bool is_warped;	  /* the time that it tells is bent, core/warp.h */

	/* What it is about; a door fills what the row's view names. */
	int fd, fd2, dirfd, dirfd2; /* -1 if none; AT_FDCWD as it stands */
	const char *path, *path2, *host;
	void *buf;
	struct iovec *iov;
	struct msghdr *msg;
	const struct sockaddr *addr;
	size_t len;  /* bytes asked for, over all of iov or msg */
	size_t size; /* bytes to allocate, to map, or the new length */
	unsigned iovcnt, addrlen, flags, msgflags;

	/* What the hook has found out for a model that asks it, before it
	 * judges: bytes that there is room for, time that is owed. */
	size_t room;
	uint64_t owed_ns;

	/* The verdict: faults write it, hook.c acts on it in one fixed order:
	 * delay, hang, kill or exit (unless after), the call or not,
	 * corruption, kill or exit (if after), the result. */
	uint64_t delay_ns;
	bool hang;
	bool skip;	 /* the call is not executed */
	bool after;	 /* error, kill, exit come after the call was made */
	bool has_result; /* result counts; error 0 */
	uint8_t net;	 /* enum call_net: what becomes of the socket */
	int error;	 /* errno or EAI_ code to report; 0: none */
	int kill_signal; /* 0: none */
	int exit_status; /* -1: none */
	int64_t result;
	size_t len_max;	       /* short: at most so many bytes; 0: no limit */
	uint32_t corrupt_bits; /* bits to flip in what was moved; 0: none */
	uint64_t corrupt_seed;
	uint32_t rot_ppm; /* blocks of a file with a wrong bit; 0: none */
};

/* call_fill - a call as its number's row says: args are the kernel's, of the
 * process that makes it.  Vectors and messages are left as they stand: what is
 * behind a pointer isn't looked at, len is 0 there.  Pure. */
void call_fill(const struct call_kernel *row, unsigned id,
	       const uint64_t args[6], struct call *ret_call);

/* call_may_say - may this very call report the error?  EAGAIN and EINPROGRESS
 * say "would block", which only a non-blocking descriptor ever says where the
 * call waits for data; fork's or mmap's EAGAIN says "out of something" and
 * fits always; a lock's errors fit only fcntl's commands for locks.  Looks at
 * nonblocking and flags.  Pure. */
bool call_may_say(const struct call *call, int error);

/* call_clock - the clockid_t that the call tells; -1: it tells no time. */
int call_clock(const struct call *call);

#endif

/* sites.h - a patch plan: where a library's `syscall` instructions stand.
 *
 * The runner computes it once per build-id with a real decoder and writes
 * <sites_dir>/<build-id>.sites; the library maps it, compares every expected
 * byte, and only then touches one.  Offsets are from the module's load
 * address.  The untouched `syscall` runs where it stood: we replace the
 * instructions before it, which the stub executes first.
 */
#ifndef MISHAP_CORE_SITES_H
#define MISHAP_CORE_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#define SITES_MAGIC    0x3153455449534921ull
#define SITES_MAX      4096
#define SITE_BYTES_MAX 24 /* displaced bytes */

enum site_kind {
	SITE_BEFORE,  /* displaced instructions end where `syscall` stands */
	SITE_AROUND,  /* `syscall` and what follows is displaced too */
	SITE_LEFT,    /* can't be patched: counted and said */
	SITE_SKIPPED, /* clone, vfork, rt_sigreturn, exit, futex ...: on purpose
		       */
	SITE_FUNNEL,  /* the call of a cancellation funnel is redirected */
};

/* What start, end and bytes are, by kind:
 *  BEFORE   whole instructions, 5 bytes or more, then `syscall` itself: it is
 *           compared, but stays as it is
 *  AROUND   `syscall` and the whole instructions after it
 *  FUNNEL   a `call` of the function through which a libc makes all its
 *           cancellable calls (glibc >= 2.41, musl) because it compares the
 *           PC with it when a thread is cancelled; `syscall` is the one in
 *           that function, `function` is its first byte
 *  others   `syscall` alone; never touched */

struct site {
	uint64_t start;	  /* first displaced byte */
	uint64_t syscall; /* the 0f 05 */
	uint64_t end;	  /* first byte after what is displaced or `syscall` */
	int32_t nr;	  /* if a constant is loaded; -1: decided at run time */
	uint8_t kind;	  /* enum site_kind */
	uint8_t length;	  /* of bytes[], from start; `syscall` may count in */
	uint8_t pad[2];
	uint8_t bytes[SITE_BYTES_MAX]; /* expected at start */
	uint64_t function; /* start of the enclosing function, 0: unknown */
};

struct sites_header {
	uint64_t magic;
	uint64_t abi;	   /* sizeof(struct site) joined with a version */
	uint64_t checksum; /* plan_checksum() of the sites */
	uint32_t count;
	uint32_t build_id_bytes;
	uint8_t build_id[32];
	uint64_t text_start, text_end; /* executable segment */
};

/* sites_open - check a patch plan.  0; -EPROTO; -EBADMSG.  Borrows map. */
int sites_open(const void *map, size_t bytes,
	       const struct sites_header **ret_header,
	       const struct site **ret_sites);
uint64_t sites_abi(void);

/* site_is_skipped - must this system call never pass a hook?  It ends or
 * splits the caller, or is the ground that libc's own locks, signal frames
 * and thread start stand on.  Pure. */
static inline bool site_is_skipped(long nr)
{
	switch (nr) {
	case SYS_clone:
	case SYS_clone3:
	case SYS_fork:
	case SYS_vfork:
	case SYS_rt_sigreturn:
	case SYS_exit:
	case SYS_exit_group:
	case SYS_futex:
	case SYS_rt_sigprocmask:
	case SYS_set_robust_list:
	case SYS_set_tid_address:
	case SYS_arch_prctl:
	case SYS_rseq:
		return true;
	}
	return false;
}

#endif

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

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "core/sites_skipped.h"

#if defined(__x86_64__)
#define SITES_MACHINE	   EM_X86_64
#define SITES_MACHINE_NAME "an x86-64"
#elif defined(__aarch64__)
#define SITES_MACHINE	   EM_AARCH64
#define SITES_MACHINE_NAME "a 64-bit ARM"
#endif

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

/* `syscall` is x86-64's word for it; 64-bit ARM's is `svc #0`.
 * What start, end and bytes are, by kind:
 *  BEFORE   whole instructions, in all as long as a jump (5 bytes; ARM: 4),
 *           then `syscall` itself: it is compared, but stays as it is
 *  AROUND   `syscall` and, if it is shorter than a jump, the whole
 *           instructions after it
 *  FUNNEL   a `call` of the function through which a libc makes all its
 *           cancellable calls (glibc >= 2.41, musl) because it compares the
 *           PC with it when a thread is cancelled; `syscall` is the one in
 *           that function, `function` is its first byte
 *  others   `syscall` alone; never touched */

struct site {
	uint64_t start;	  /* first displaced byte */
	uint64_t syscall; /* the 0f 05, the svc #0 */
	uint64_t end;	  /* first byte after what is displaced or `syscall` */
	int32_t nr;	  /* if a constant is loaded; -1: decided at run time */
	uint8_t kind;	  /* enum site_kind */
	uint8_t length;	  /* of bytes[], from start; `syscall` may count in */
	uint8_t why;	  /* enum site_why: why it isn't BEFORE */
	uint8_t pad;
	uint8_t bytes[SITE_BYTES_MAX]; /* expected at start */
	uint64_t function; /* start of the enclosing function, 0: unknown */
};

/* Why a site is AROUND, or LEFT: what the first choice met with. */
enum site_why {
	WHY_NOT,	 /* nothing is in the way */
	WHY_JUMP_INTO,	 /* a jump leads to `syscall`, or just before it */
	WHY_FIRST,	 /* the function begins there */
	WHY_UNMOVABLE,	 /* what stands there can't run elsewhere */
	WHY_NO_TABLE,	 /* code without an unwind table or symbol */
	WHY_NO_CODE,	 /* bytes that are no instructions stand near */
	WHY_BYTES_TAKEN, /* another site needs the same bytes */
	WHY_FUNNEL,	 /* a funnel that is called from more than one place */
	WHY_COUNT,
};

struct sites_header {
	uint64_t magic;
	uint64_t abi;	   /* sizeof(struct site) joined with a version */
	uint64_t checksum; /* sites_checksum() */
	uint32_t count;
	uint32_t build_id_bytes;
	uint8_t build_id[32];
	uint32_t machine; /* EM_X86_64, EM_AARCH64 */
	uint32_t pad;
	uint64_t text_start, text_end; /* executable segment */
};

/* sites_open - check a patch plan, of any machine.  0; -EPROTO other magic or
 * ABI; -EBADMSG torn, or sites that can't be.  Borrows map. */
int sites_open(const void *map, size_t bytes,
	       const struct sites_header **ret_header,
	       const struct site **ret_sites);
uint64_t sites_abi(void);
/* sites_checksum - of all that follows the checksum, up to the last site. */
uint64_t sites_checksum(const struct sites_header *header);

/* On x86-64 besides. */
#if defined(__x86_64__)
#define SITES_SKIPPED_HERE(X) X(fork) X(vfork) X(arch_prctl)
#else
#define SITES_SKIPPED_HERE(X)
#endif

/* site_is_skipped - must this system call never pass a hook?  It ends or
 * splits the caller, or is the ground that libc's own locks, signal frames
 * and thread start stand on.  Pure. */
static inline bool site_is_skipped(long nr)
{
#define SKIP(name) case SYS_##name:
	switch (nr) {
		SITES_SKIPPED(SKIP)
		SITES_SKIPPED_HERE(SKIP)
		return true;
	}
	return false;
#undef SKIP
}

#endif

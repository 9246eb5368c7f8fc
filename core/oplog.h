/* oplog.h - what was done to a tree of files, in order; a power cut's log.
 *
 * One file: a header, then records, each a struct oplog_record followed by
 * name, name2 and data, padded to 8 bytes.  First the tree as it was (BASE_*,
 * parents before children), then operations in the order in which they took
 * effect, then the tree as it was found at the end (FINAL_*), then END.
 * A log without END is torn and proves nothing.  Nothing here allocates.
 *
 * Order: `issued` and `returned` are drawn from one counter when a call enters
 * and leaves the kernel.  A barrier covers what returned before it was issued,
 * fsync(2); an acknowledgement counts from the moment its call is issued.
 */
#ifndef MISHAP_CORE_OPLOG_H
#define MISHAP_CORE_OPLOG_H

#include <stddef.h>
#include <stdint.h>

#define OPLOG_MAGIC    0x31474f4c504f4d21ull
#define OPLOG_VERSION  1
#define OPLOG_ROOT_MAX 4096
#define OPLOG_NAME_MAX 65536 /* of one record's name; a ledger line fits */
#define OPLOG_FRAMES   16

enum oplog_kind {
	OPLOG_END, /* size: wait status of the program */
	/* The tree before; ino, dir, name; size: mode. */
	OPLOG_BASE_DIR,
	OPLOG_BASE_FILE,    /* data */
	OPLOG_BASE_SYMLINK, /* name2: where it leads */
	OPLOG_BASE_LINK,    /* another name of a file that was named before */
	/* Operations. */
	OPLOG_CREATE,  /* dir, name, ino; size: mode */
	OPLOG_TMPFILE, /* ino, without a name; size: mode */
	OPLOG_MKDIR,
	OPLOG_SYMLINK, /* name2: where it leads */
	OPLOG_LINK,
	OPLOG_UNLINK,
	OPLOG_RMDIR,
	OPLOG_RENAME, /* dir, name -> dir2, name2 */
	OPLOG_EXCHANGE,
	OPLOG_WRITE,	/* ino, offset, data */
	OPLOG_TRUNCATE, /* ino, size: the new one, smaller or larger */
	OPLOG_FSYNC,
	OPLOG_FDATASYNC,
	OPLOG_FSYNC_FAILED,
	OPLOG_SYNC,	  /* sync(2), syncfs(2) */
	OPLOG_SYNC_RANGE, /* sync_file_range(2) that waits for the write */
	OPLOG_CLOSE,	  /* of a descriptor that could write */
	OPLOG_CHMOD,	  /* size: mode */
	OPLOG_LEDGER,	  /* name: a line of the ledger */
	OPLOG_UNSOUND,	  /* name: why no verdict can rest on this log */
	OPLOG_SITE, /* size: its number; name: function and line, for people */
	/* The tree after; checked, never believed. */
	OPLOG_FINAL_DIR,
	OPLOG_FINAL_FILE, /* size, offset: hash of the content */
	OPLOG_FINAL_SYMLINK,
	OPLOG_KINDS,
};

enum oplog_flags {
	OPLOG_APPEND = 1 << 0,	/* O_APPEND */
	OPLOG_DIRECT = 1 << 1,	/* O_DIRECT */
	OPLOG_MAPPED = 1 << 2,	/* stored through a mapping, seen later */
	OPLOG_REMOVED = 1 << 3, /* the target had been removed: see name */
};

struct oplog_header {
	uint64_t magic;
	uint32_t version;
	uint32_t root_bytes;
	char root[OPLOG_ROOT_MAX]; /* the tree's path; NUL-terminated */
};

struct oplog_record {
	uint32_t kind; /* enum oplog_kind */
	uint32_t flags;
	uint64_t issued, returned;
	uint64_t time_ns; /* CLOCK_MONOTONIC, when it returned */
	uint32_t pid;
	uint32_t site; /* OPLOG_SITE that it was called from; 0: not known */
	uint64_t ino, dir, dir2;
	uint64_t offset, size;
	uint32_t name_bytes, name2_bytes; /* without a NUL */
	uint64_t data_bytes;
};
_Static_assert(sizeof(struct oplog_record) == 96, "no holes");

/* One record, looked at in place; borrows from the log. */
struct oplog_view {
	const struct oplog_record *record;
	const char *name, *name2; /* not NUL-terminated */
	const uint8_t *data;
};

/* oplog_bytes - of a whole record, padding included. */
size_t oplog_bytes(const struct oplog_record *record);
/* oplog_check - is this the beginning of a log?  -EPROTO. */
int oplog_check(const void *log, size_t bytes);
/* oplog_next - the record at *at, which moves on; *at 0 is the first.
 * Returns 1; 0 at the end; -EBADMSG the log is torn or wrong there. */
int oplog_next(const void *log, size_t bytes, size_t *at,
	       struct oplog_view *ret_view);

/* oplog_hash - of content: two 64-bit lanes, good against accidents. */
struct oplog_hash {
	uint64_t a, b;
};
struct oplog_hash oplog_hash(const void *bytes, size_t n);

#endif

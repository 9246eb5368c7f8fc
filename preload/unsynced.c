/* unsynced.c - what this process has written to files and not synced, so that a
 * sync that fails can take it back.
 *
 * Before a write its old bytes and the file's length are set aside, each in a
 * mapping of its own, newest first.  A sync that succeeds drops those of its
 * file; a failing one writes them back.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "preload/model.h"

#define UNSYNCED_BYTES_MAX (256u << 20)
#define WRITE_BYTES_MAX	   0x7ffff000

struct undo {
	struct undo *next;
	uint64_t dev, ino;
	int64_t offset, size; /* size: of the file, before */
	size_t count, mapped; /* count: bytes of old */
	char old[];
};

static struct undo *_Atomic undos; /* newest first */
static _Atomic size_t undo_bytes;

static void undo_free(struct undo *undo)
{
	RAISE(undo_bytes, -undo->mapped);
	sys3(SYS_munmap, (long)undo, (long)undo->mapped, 0);
}

static void undo_push(struct undo *undo)
{
	undo->next = PEEK(undos);
	while (!atomic_compare_exchange_weak(&undos, &undo->next, undo))
		;
}

static struct undo *undo_make(size_t count)
{
	size_t mapped = (sizeof(struct undo) + count + 4095) & ~(size_t)4095;
	long map;

	if (PEEK(undo_bytes) + mapped > UNSYNCED_BYTES_MAX)
		return NULL;
	map = sys6(SYS_mmap, 0, (long)mapped, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return NULL;
	RAISE(undo_bytes, mapped);
	*(struct undo *)map = (struct undo){ .count = count, .mapped = mapped };
	return (struct undo *)map;
}

/* The same file by a descriptor that may read, or write: the target's may be
 * for one of both only. */
static long reopen(int fd, int flags)
{
	char path[40] = "/proc/self/fd/", digits[12];
	size_t n = strlen(path), d = 0;

	do {
		digits[d++] = (char)('0' + fd % 10);
		fd /= 10;
	} while (fd && d < sizeof(digits));
	while (d)
		path[n++] = digits[--d];
	path[n] = '\0';
	return sys_open(path, flags | O_CLOEXEC);
}

static bool read_old(int fd, struct undo *undo)
{
	long file = reopen(fd, O_RDONLY), got = 0;

	if (file < 0)
		return undo->count == 0;
	if (undo->count)
		got = sys6(SYS_pread64, file, (long)undo->old,
			   (long)undo->count, undo->offset, 0, 0);
	sys3(SYS_close, file, 0, 0);
	return got == (long)undo->count;
}

/* The part of the old file that a call will write over. */
static void old_range(const struct flight *flight, const struct stat *st,
		      int64_t *ret_offset, size_t *ret_count)
{
	int64_t end;
	size_t len = flight->call.len < WRITE_BYTES_MAX ? flight->call.len
							: WRITE_BYTES_MAX;

	if (flight->call.id == CALL_ftruncate) {
		*ret_offset = (int64_t)flight->call.size;
		end = st->st_size;
	} else {
		*ret_offset = model_offset(flight, st->st_size);
		end = *ret_offset + (int64_t)len;
	}
	if (end > st->st_size)
		end = st->st_size;
	*ret_count = end > *ret_offset ? (size_t)(end - *ret_offset) : 0;
}

static void keep_old(struct flight *flight, unsigned r)
{
	int fd = flight->call.fd;
	struct model_note *note;
	struct undo *undo;
	struct stat st;
	int64_t offset;
	size_t count;

	if (!model_stat_fd(fd, &st) || !S_ISREG(st.st_mode))
		return;
	old_range(flight, &st, &offset, &count);
	undo = offset < 0 ? NULL : undo_make(count);
	if (!undo) {
		BUMP(guest_state->unresolved);
		return;
	}
	undo->dev = st.st_dev;
	undo->ino = st.st_ino;
	undo->offset = offset;
	undo->size = st.st_size;
	note = read_old(fd, undo) ? model_note(flight, r, NOTE_UNSYNCED) : NULL;
	if (!note) {
		BUMP(guest_state->unresolved);
		undo_free(undo);
		return;
	}
	note->undo = undo;
}

bool unsynced_applies(struct flight *flight, unsigned r)
{
	struct model_note *note;

	if (flight->call.id != CALL_fsync &&
	    flight->call.id != CALL_fdatasync) {
		keep_old(flight, r);
		return false;
	}
	note = model_note(flight, r, NOTE_SYNCS);
	if (note)
		note->fd = flight->call.fd;
	return true;
}

/* Those of the file, newest first, each to be freed; the others stay. */
static struct undo *undo_take(const struct stat *st)
{
	struct undo *all = atomic_exchange(&undos, NULL), *next;
	struct undo *mine = NULL, **mine_end = &mine;
	struct undo *others = NULL;

	for (; all; all = next) {
		next = all->next;
		if (all->dev == st->st_dev && all->ino == st->st_ino) {
			all->next = NULL;
			*mine_end = all;
			mine_end = &all->next;
		} else {
			all->next = others;
			others = all;
		}
	}
	for (; others; others = next) { /* in their order again */
		next = others->next;
		undo_push(others);
	}
	return mine;
}

void unsynced_lose(int fd)
{
	struct undo *undo, *next;
	struct stat st;
	long file;

	if (!model_stat_fd(fd, &st))
		return;
	file = reopen(fd, O_WRONLY);
	if (file < 0) {
		BUMP(guest_state->unresolved);
		return;
	}
	for (undo = undo_take(&st); undo; undo = next) {
		next = undo->next;
		if (undo->count)
			sys6(SYS_pwrite64, file, (long)undo->old,
			     (long)undo->count, undo->offset, 0, 0);
		sys3(SYS_ftruncate, file, undo->size, 0);
		undo_free(undo);
	}
	sys3(SYS_close, file, 0, 0);
}

void unsynced_settle(const struct model_note *note, long ret)
{
	struct undo *undo, *next;
	struct stat st;

	if (note->kind == NOTE_UNSYNCED && ret >= 0) {
		undo_push(note->undo);
		return;
	}
	if (note->kind == NOTE_UNSYNCED) {
		undo_free(note->undo);
		return;
	}
	if (ret < 0 || !model_stat_fd(note->fd, &st))
		return;
	for (undo = undo_take(&st); undo; undo = next) {
		next = undo->next;
		undo_free(undo);
	}
}

/* maps.c - stores through shared writable mappings.
 *
 * They pass no call.  A file that is or was mapped so is compared with what we
 * saw of it last, before whatever could make it durable, rename it or promise
 * something; pages that differ become writes of that moment.  The order of
 * stores between two looks is not known, and the model leaves it open. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/powercut/recorder.h"

#define MAPPED_MAX  64
#define MAPPED_LOOK (8u << 20) /* up to here every call is a look */

static struct mapped *mapped_find(struct recorder *recorder, uint64_t ino)
{
	for (size_t i = 0; i < recorder->mapped_count; i++)
		if (recorder->mapped[i].ino == ino)
			return &recorder->mapped[i];
	return NULL;
}

static bool shadow_size(struct mapped *mapped, uint64_t size)
{
	uint8_t *shadow = realloc(mapped->shadow, size + 1);

	if (!shadow)
		return false;
	if (size > mapped->size)
		memset(shadow + mapped->size, 0, size - mapped->size);
	mapped->shadow = shadow;
	mapped->size = size;
	return true;
}

/* The mapping has just been made: nothing was stored through it yet.  One that
 * is only read now may be written later, mprotect(2), if the file may be. */
void map_returned(struct recorder *recorder, struct task *task, int fd)
{
	struct mapped mapped = { 0 }, *more;
	struct fd_info info;
	struct stat st;
	char path[64];

	if (!fd_in_tree(recorder, task, fd, &info) ||
	    (info.flags & O_ACCMODE) != O_RDWR ||
	    mapped_find(recorder, info.id.ino))
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)task->tid, fd);
	mapped.ino = info.id.ino;
	mapped.fd = open(path, O_RDONLY | O_CLOEXEC);
	more = reallocarray(recorder->mapped, recorder->mapped_count + 1,
			    sizeof(*more));
	if (more)
		recorder->mapped = more;
	if (mapped.fd < 0 || !more || recorder->mapped_count == MAPPED_MAX ||
	    fstat(mapped.fd, &st) != 0 ||
	    !shadow_size(&mapped, (uint64_t)st.st_size) ||
	    pread(mapped.fd, mapped.shadow, mapped.size, 0) !=
		    (ssize_t)mapped.size) {
		recorder_unsound(recorder, "a shared writable mapping of a "
					   "file can't be followed");
		return;
	}
	recorder->mapped[recorder->mapped_count++] = mapped;
	recorder->mapped_bytes += mapped.size;
}

void maps_written(struct recorder *recorder, uint64_t ino, uint64_t offset,
		  const void *data, uint64_t bytes)
{
	struct mapped *mapped = mapped_find(recorder, ino);

	if (!mapped)
		return;
	if (offset + bytes > mapped->size &&
	    !shadow_size(mapped, offset + bytes)) {
		recorder_unsound(recorder, "out of memory for a mapping");
		return;
	}
	memcpy(mapped->shadow + offset, data, bytes);
}

void maps_cut(struct recorder *recorder, uint64_t ino, uint64_t size)
{
	struct mapped *mapped = mapped_find(recorder, ino);

	if (mapped && !shadow_size(mapped, size))
		recorder_unsound(recorder, "out of memory for a mapping");
}

static void look_page(struct recorder *recorder, const struct task *task,
		      struct mapped *mapped, const uint8_t *now,
		      uint64_t offset, uint64_t bytes)
{
	struct oplog_record record;
	uint64_t from = 0, to = bytes;

	if (!memcmp(now, mapped->shadow + offset, bytes))
		return;
	while (now[from] == mapped->shadow[offset + from])
		from++;
	while (now[to - 1] == mapped->shadow[offset + to - 1])
		to--;
	memcpy(mapped->shadow + offset, now, bytes);
	record = record_of(recorder, task, OPLOG_WRITE);
	record.issued = record.returned;
	record.ino = mapped->ino;
	record.offset = offset + from;
	record.data_bytes = to - from;
	record.flags = OPLOG_MAPPED;
	sink_put(&recorder->sink, &record, NULL, NULL, now + from);
}

static void look(struct recorder *recorder, const struct task *task,
		 struct mapped *mapped)
{
	struct stat st;
	uint64_t size;
	uint8_t *now;

	if (fstat(mapped->fd, &st) != 0 || !st.st_size)
		return;
	size = (uint64_t)st.st_size;
	if (size > mapped->size)
		size = mapped->size; /* it grew by a call that is under way */
	now = size ? mmap(NULL, size, PROT_READ, MAP_SHARED, mapped->fd, 0)
		   : MAP_FAILED;
	if (now == MAP_FAILED)
		return;
	for (uint64_t at = 0; at < size; at += 4096)
		look_page(recorder, task, mapped, now, at,
			  size - at < 4096 ? size - at : 4096);
	munmap(now, size);
}

/* all: a barrier, a promise, an end; else only while it is cheap. */
void maps_look(struct recorder *recorder, const struct task *task, bool all)
{
	if (!all && recorder->mapped_bytes > MAPPED_LOOK)
		return;
	for (size_t i = 0; i < recorder->mapped_count; i++)
		look(recorder, task, &recorder->mapped[i]);
}

/* calls_fd.c - calls on descriptors: data, barriers, acknowledgements. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/powercut/recorder.h"

#define IOV_MAX_ 1024 /* UIO_MAXIOV */

/* proc_pid_fdinfo(5): which file, where in it, opened how. */
bool fd_look(const struct task *task, int fd, struct fd_info *ret_info)
{
	char path[64], text[512];
	unsigned long long position, mount, ino;
	unsigned flags;
	ssize_t n;
	int file;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)task->tid, fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	n = read(file, text, sizeof(text) - 1);
	close(file);
	if (n <= 0)
		return false;
	text[n] = '\0';
	if (sscanf(text, "pos: %llu flags: %o mnt_id: %llu ino: %llu",
		   &position, &flags, &mount, &ino) != 4)
		return false;
	ret_info->id.mount = mount;
	ret_info->id.ino = ino;
	ret_info->position = position;
	ret_info->flags = flags;
	return true;
}

bool fd_in_tree(const struct recorder *recorder, const struct task *task,
		int fd, struct fd_info *ret_info)
{
	return fd_look(task, fd, ret_info) &&
	       ret_info->id.mount == recorder->mount &&
	       inos_have(recorder, ret_info->id.ino);
}

size_t memory_read(const struct task *task, uint64_t from, void *to, size_t n)
{
	struct iovec here = { .iov_base = to, .iov_len = n };
	struct iovec there = { .iov_base = (void *)from, .iov_len = n };
	ssize_t got = process_vm_readv(task->tid, &here, 1, &there, 1, 0);

	return got < 0 ? 0 : (size_t)got;
}

/* A string ends anywhere; a page at a time never asks for too much. */
bool text_read(const struct task *task, uint64_t from, char to[PATH_BYTES])
{
	size_t got = 0;

	while (got < PATH_BYTES) {
		size_t part = 4096 - (from + got) % 4096;

		if (part > PATH_BYTES - got)
			part = PATH_BYTES - got;
		part = memory_read(task, from + got, to + got, part);
		if (!part)
			return false;
		if (memchr(to + got, 0, part))
			return true;
		got += part;
	}
	return false;
}

struct oplog_record record_of(struct recorder *recorder,
			      const struct task *task, enum oplog_kind kind)
{
	return (struct oplog_record){
		.kind = kind,
		.issued = task->issued,
		.returned = ++recorder->order,
		.time_ns = clock_now_ns(),
		.pid = (uint32_t)task->pid,
		.site = task->site,
	};
}

static uint64_t arg(const struct task *task, unsigned n)
{
	return n ? task->args[n - 1] : 0;
}

/* What the call moved, from the program's memory. */
static uint8_t *data_read(const struct task *task, const struct view *view,
			  size_t bytes)
{
	struct iovec one = { .iov_base = (void *)arg(task, view->buf),
			     .iov_len = bytes };
	struct iovec parts[IOV_MAX_], *iov = &one;
	size_t count = 1, got = 0;
	uint8_t *data = malloc(bytes + 1);

	if (!data)
		return NULL;
	if (view->iov) {
		count = arg(task, view->iovcnt);
		if (count > IOV_MAX_ ||
		    memory_read(task, arg(task, view->iov), parts,
				count * sizeof(*parts)) !=
			    count * sizeof(*parts))
			count = 0;
		iov = parts;
	}
	for (size_t i = 0; i < count && got < bytes; i++) {
		size_t part = iov[i].iov_len;

		if (part > bytes - got)
			part = bytes - got;
		if (memory_read(task, (uint64_t)iov[i].iov_base, data + got,
				part) != part)
			break;
		got += part;
	}
	if (got == bytes)
		return data;
	free(data);
	return NULL;
}

/* From the file itself: what it holds there now. */
static uint8_t *file_read(const struct task *task, int fd, uint64_t offset,
			  size_t bytes)
{
	uint8_t *data = malloc(bytes + 1);
	size_t got = 0;
	char path[64];
	int file;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)task->tid, fd);
	file = open(path, O_RDONLY | O_CLOEXEC);
	while (file >= 0 && data && got < bytes) {
		ssize_t n = pread(file, data + got, bytes - got,
				  (off_t)(offset + got));

		if (n <= 0)
			break;
		got += (size_t)n;
	}
	if (file >= 0)
		close(file);
	if (got == bytes)
		return data;
	free(data);
	return NULL;
}

static uint64_t file_size(const struct task *task, int fd)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)task->tid, fd);
	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* open(2): O_SYNC and O_DSYNC make each write a barrier of its file. */
static void write_syncs(struct recorder *recorder, struct task *task,
			const struct fd_info *info, uint64_t flags)
{
	bool whole = (info->flags & O_SYNC) == O_SYNC || flags & RWF_SYNC;
	bool data = info->flags & O_DSYNC || flags & RWF_DSYNC;
	struct oplog_record record;

	if (!whole && !data)
		return;
	task->issued = ++recorder->order;
	record = record_of(recorder, task,
			   whole ? OPLOG_FSYNC : OPLOG_FDATASYNC);
	record.ino = info->id.ino;
	sink_put(&recorder->sink, &record, NULL, NULL, NULL);
}

static void put_write(struct recorder *recorder, struct task *task,
		      const struct fd_info *info, uint64_t offset,
		      const uint8_t *data, uint64_t bytes)
{
	struct oplog_record record = record_of(recorder, task, OPLOG_WRITE);

	record.ino = info->id.ino;
	record.offset = offset;
	record.data_bytes = bytes;
	record.flags = (info->flags & O_APPEND ? OPLOG_APPEND : 0) |
		       (info->flags & O_DIRECT ? OPLOG_DIRECT : 0);
	sink_put(&recorder->sink, &record, NULL, NULL, data);
	maps_written(recorder, info->id.ino, offset, data, bytes);
}

void write_returned(struct recorder *recorder, struct task *task,
		    const struct view *view, long result)
{
	uint64_t bytes = (uint64_t)result, offset, flags = 0;
	int fd = (int)arg(task, view->fd);
	struct fd_info info;
	uint8_t *data;

	if (result <= 0 || !fd_in_tree(recorder, task, fd, &info))
		return;
	if (task->nr == SYS_pwritev2)
		flags = task->args[5];
	if (!view->offset ||
	    (task->nr == SYS_pwritev2 && (int64_t)task->args[3] == -1))
		offset = info.position - bytes;
	else if (info.flags & O_APPEND) /* pwrite(2), BUGS */
		offset = file_size(task, fd) - bytes;
	else
		offset = arg(task, view->offset);
	data = data_read(task, view, bytes);
	if (!data) {
		recorder_unsound(recorder, "the data of a write couldn't be "
					   "read from the program's memory");
		return;
	}
	put_write(recorder, task, &info, offset, data, bytes);
	free(data);
	write_syncs(recorder, task, &info, flags);
}

void copied_returned(struct recorder *recorder, struct task *task, int fd,
		     int64_t offset, uint64_t bytes)
{
	struct fd_info info;
	uint8_t *data;
	uint64_t at;

	if (!bytes || !fd_in_tree(recorder, task, fd, &info))
		return;
	at = offset < 0 ? info.position - bytes : (uint64_t)offset;
	data = file_read(task, fd, at, bytes);
	if (!data) {
		recorder_unsound(recorder,
				 "what a call copied into a file of the tree "
				 "couldn't be read back");
		return;
	}
	put_write(recorder, task, &info, at, data, bytes);
	free(data);
	write_syncs(recorder, task, &info, 0);
}

void sync_returned(struct recorder *recorder, struct task *task, int fd,
		   enum oplog_kind kind)
{
	struct oplog_record record;
	struct fd_info info;

	if (kind != OPLOG_SYNC && !fd_in_tree(recorder, task, fd, &info))
		return;
	record = record_of(recorder, task, kind);
	if (kind != OPLOG_SYNC)
		record.ino = info.id.ino;
	sink_put(&recorder->sink, &record, NULL, NULL, NULL);
}

/* ---- the ledger ---------------------------------------------------------- */
static bool is_ledger(const char *line, size_t bytes)
{
	static const char *const words[] = { "ack ", "invoke ", "fail " };

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if (bytes > n && !memcmp(line, words[i], n))
			return true;
	}
	return false;
}

void ledger_line(struct recorder *recorder, const struct task *task,
		 const char *line, size_t bytes)
{
	struct oplog_record record;

	if (bytes && line[bytes - 1] == '\r')
		bytes--;
	if (!is_ledger(line, bytes) || bytes > OPLOG_NAME_MAX)
		return;
	record = record_of(recorder, task, OPLOG_LEDGER);
	record.name_bytes = (uint32_t)bytes;
	sink_put(&recorder->sink, &record, line, NULL, NULL);
}

/* A line counts when its newline is on its way. */
static void ledger_take(struct recorder *recorder, const struct task *task,
			int which, const char *bytes, size_t count)
{
	char *line = recorder->lines[which];
	size_t *n = &recorder->line_bytes[which];

	for (size_t i = 0; i < count; i++) {
		if (bytes[i] == '\n') {
			ledger_line(recorder, task, line, *n);
			*n = 0;
		} else if (*n < sizeof(recorder->lines[0])) {
			line[(*n)++] = bytes[i];
		}
	}
}

/* Somebody was told as soon as the call is issued. */
void ledger_issued(struct recorder *recorder, struct task *task,
		   const struct view *view)
{
	int fd = (int)arg(task, view->fd);
	struct fd_info info;
	size_t bytes = arg(task, view->len);
	uint8_t *data;

	if (!fd_look(task, fd, &info))
		return;
	for (int i = 0; i < 2; i++) {
		if (info.id.mount != recorder->ledgers[i].mount ||
		    info.id.ino != recorder->ledgers[i].ino)
			continue;
		if (view->iov) {
			struct iovec parts[IOV_MAX_];
			size_t count = arg(task, view->iovcnt);

			bytes = 0;
			if (count <= IOV_MAX_ &&
			    memory_read(task, arg(task, view->iov), parts,
					count * sizeof(*parts)))
				for (size_t k = 0; k < count; k++)
					bytes += parts[k].iov_len;
		}
		maps_look(recorder, task, true);
		data = data_read(task, view, bytes);
		if (data)
			ledger_take(recorder, task, i, (char *)data, bytes);
		free(data);
	}
}

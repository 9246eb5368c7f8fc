/* opens.c - who holds a file of the tree open for writing: the last close of it
 * is an event of its own. */
#include <errno.h>
#include <stdlib.h>

#include "runner/powercut/recorder.h"

static void put_close(struct recorder *recorder, const struct task *task,
		      uint64_t ino)
{
	struct oplog_record record = record_of(recorder, task, OPLOG_CLOSE);

	for (size_t i = 0; i < recorder->opens_count; i++)
		if (recorder->opens[i].ino == ino)
			return; /* somebody still has it */
	record.ino = ino;
	sink_put(&recorder->sink, &record, NULL, NULL, NULL);
}

static struct open_row *open_find(struct recorder *recorder, pid_t pid, int fd)
{
	for (size_t i = 0; i < recorder->opens_count; i++)
		if (recorder->opens[i].pid == pid &&
		    recorder->opens[i].fd == fd)
			return &recorder->opens[i];
	return NULL;
}

bool opens_have(struct recorder *recorder, pid_t pid, int fd)
{
	return open_find(recorder, pid, fd) != NULL;
}

void opens_add(struct recorder *recorder, pid_t pid, int fd, uint64_t ino)
{
	struct open_row *row = open_find(recorder, pid, fd);

	if (recorder->opens_count == recorder->opens_room && !row) {
		size_t room = 2 * recorder->opens_room + 64;
		void *more = reallocarray(recorder->opens, room,
					  sizeof(*recorder->opens));

		if (!more) {
			recorder->sink.error = -ENOMEM;
			return;
		}
		recorder->opens = more;
		recorder->opens_room = room;
	}
	if (!row)
		row = &recorder->opens[recorder->opens_count++];
	*row = (struct open_row){ pid, fd, ino };
}

void opens_close(struct recorder *recorder, const struct task *task, int fd)
{
	struct open_row *row = open_find(recorder, task->pid, fd);
	uint64_t ino;

	if (!row)
		return;
	ino = row->ino;
	*row = recorder->opens[--recorder->opens_count];
	put_close(recorder, task, ino);
}

void opens_dup(struct recorder *recorder, const struct task *task, int from,
	       int to)
{
	struct open_row *row;

	if (from == to)
		return;
	opens_close(recorder, task, to);
	row = open_find(recorder, task->pid, from);
	if (row)
		opens_add(recorder, task->pid, to, row->ino);
}

void opens_fork(struct recorder *recorder, pid_t parent, pid_t child)
{
	size_t count = recorder->opens_count;

	for (size_t i = 0; i < count; i++)
		if (recorder->opens[i].pid == parent)
			opens_add(recorder, child, recorder->opens[i].fd,
				  recorder->opens[i].ino);
}

/* execve(2) closes what was opened O_CLOEXEC. */
void opens_exec(struct recorder *recorder, const struct task *task)
{
	for (size_t i = recorder->opens_count; i-- > 0;) {
		struct open_row row = recorder->opens[i];
		struct fd_info info;

		if (row.pid == task->pid &&
		    (!fd_look(task, row.fd, &info) || info.id.ino != row.ino))
			opens_close(recorder, task, row.fd);
	}
}

void process_ended(struct recorder *recorder, pid_t pid)
{
	const struct task task = { .pid = pid, .issued = ++recorder->order };

	for (size_t i = recorder->opens_count; i-- > 0;)
		if (i < recorder->opens_count && recorder->opens[i].pid == pid)
			opens_close(recorder, &task, recorder->opens[i].fd);
}

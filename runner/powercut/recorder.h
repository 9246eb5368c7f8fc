/* recorder.h - what the files of the recorder share; one thread. */
#ifndef MISHAP_RUNNER_POWERCUT_RECORDER_H
#define MISHAP_RUNNER_POWERCUT_RECORDER_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/call.h"
#include "core/oplog.h"
#include "runner/powercut/record.h"

#define PATH_BYTES 4096

/* One name, as the kernel will see it: a directory and what stands in it. */
struct place_of {
	int dir_fd;   /* O_PATH; -1: not in the tree */
	uint64_t dir; /* its inode */
	char name[256];
	uint64_t ino; /* what stood there when the call was issued; 0 */
};

struct task { /* a thread of the program */
	pid_t tid, pid;
	bool in_call, seen;
	uint64_t nr, args[6];
	uint64_t issued;
	uint32_t site; /* of the call that is under way */
	struct place_of from, to;
};

struct sink { /* the log */
	int fd, error;
	uint8_t *bytes;
	size_t count, room;
};

struct mapped { /* a file that is or was mapped shared and writable */
	uint64_t ino;
	int fd; /* ours, to look at what it holds */
	uint8_t *shadow;
	uint64_t size;
};

struct file_id { /* as fdinfo says it */
	uint64_t mount, ino;
};

struct recorder {
	const struct record_input *input;
	struct sink sink;
	uint64_t order; /* of issues and returns */
	int root_fd;	/* of the tree */
	uint64_t mount; /* its mount id, as fdinfo has it */
	dev_t dev;
	size_t root_bytes; /* length of input->tree */
	struct file_id ledgers[2];
	char lines[2][8192]; /* of ledgers: not yet whole */
	size_t line_bytes[2];
	uint64_t *inos; /* files and directories that the log knows */
	size_t inos_room, inos_count;
	struct task *tasks;
	size_t tasks_count, tasks_room;
	struct mapped *mapped;
	size_t mapped_count;
	uint64_t mapped_bytes;
	struct open_row { /* descriptors that can write */
		pid_t pid;
		int fd;
		uint64_t ino;
	} * opens;
	size_t opens_count, opens_room;
	bool unsound;
	struct where *where; /* call sites; where.c's own */
};

/* log.c */
void sink_put(struct sink *sink, const struct oplog_record *record,
	      const char *name, const char *name2, const void *data);
void sink_flush(struct sink *sink);
void recorder_unsound(struct recorder *recorder, const char *why);

/* snapshot.c */
int snapshot_copy(struct recorder *recorder, int from_fd, uid_t uid, gid_t gid);
int snapshot_final(struct recorder *recorder);
void inos_add(struct recorder *recorder, uint64_t ino);
bool inos_have(const struct recorder *recorder, uint64_t ino);

/* calls.c: a call is issued, has returned.  true: its return is wanted. */
bool call_issued(struct recorder *recorder, struct task *task);
void call_returned(struct recorder *recorder, struct task *task, long result);
void call_dropped(struct task *task); /* the thread is gone */

/* opens.c */
bool opens_have(struct recorder *recorder, pid_t pid, int fd);
void opens_add(struct recorder *recorder, pid_t pid, int fd, uint64_t ino);
void opens_close(struct recorder *recorder, const struct task *task, int fd);
void opens_dup(struct recorder *recorder, const struct task *task, int from,
	       int to);
void opens_fork(struct recorder *recorder, pid_t parent, pid_t child);
void opens_exec(struct recorder *recorder, const struct task *task);
void process_ended(struct recorder *recorder, pid_t pid);

/* calls_fd.c */
struct fd_info {
	struct file_id id;
	uint64_t position;
	unsigned flags; /* of open(2) */
};
bool fd_look(const struct task *task, int fd, struct fd_info *ret_info);
bool fd_in_tree(const struct recorder *recorder, const struct task *task,
		int fd, struct fd_info *ret_info);
size_t memory_read(const struct task *task, uint64_t from, void *to, size_t n);
bool text_read(const struct task *task, uint64_t from, char to[PATH_BYTES]);
struct oplog_record record_of(struct recorder *recorder,
			      const struct task *task, enum oplog_kind kind);
void write_returned(struct recorder *recorder, struct task *task,
		    const struct view *view, long result);
void copied_returned(struct recorder *recorder, struct task *task, int fd,
		     int64_t offset, uint64_t bytes);
void ledger_issued(struct recorder *recorder, struct task *task,
		   const struct view *view);
void sync_returned(struct recorder *recorder, struct task *task, int fd,
		   enum oplog_kind kind);
void ledger_line(struct recorder *recorder, const struct task *task,
		 const char *line, size_t bytes);

/* calls_path.c */
bool place_find(struct recorder *recorder, const struct task *task, int dirfd,
		uint64_t path, struct place_of *ret_place);
void place_close(struct place_of *place);
void magic_issued(struct recorder *recorder, struct task *task,
		  const char *path);

/* maps.c */
void map_returned(struct recorder *recorder, struct task *task, int fd);
void maps_look(struct recorder *recorder, const struct task *task, bool all);
void maps_written(struct recorder *recorder, uint64_t ino, uint64_t offset,
		  const void *data, uint64_t bytes);
void maps_cut(struct recorder *recorder, uint64_t ino, uint64_t size);

/* where.c - the call site of a stopped thread; 0: not known, or too many. */
uint32_t where_called(struct recorder *recorder, const struct task *task);
void where_exec(struct recorder *recorder, pid_t pid);
void where_free(struct recorder *recorder);

/* trace.c */
int trace_run(struct recorder *recorder, int *ret_status);

#endif

/* calls.c - what each system call means for the tree. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/powercut/recorder.h"

static const struct view *view_of(const struct task *task)
{
	return &call_kernel_table[task->nr].view;
}

static uint64_t arg(const struct task *task, unsigned n)
{
	return n ? task->args[n - 1] : 0;
}

static int dirfd_of(const struct task *task, unsigned n)
{
	return n ? (int)task->args[n - 1] : AT_FDCWD;
}

/* ---- issued -------------------------------------------------------------- */
static bool names_issued(struct recorder *recorder, struct task *task)
{
	const struct view *view = view_of(task);
	bool from, to = false;

	from = place_find(recorder, task, dirfd_of(task, view->dirfd),
			  arg(task, view->path), &task->from);
	if (view->path2)
		to = place_find(recorder, task, dirfd_of(task, view->dirfd2),
				arg(task, view->path2), &task->to);
	maps_look(recorder, task, false);
	return from || to;
}

static bool stat_issued(struct recorder *recorder, struct task *task)
{
	char path[PATH_BYTES];

	if (!text_read(task, arg(task, view_of(task)->path), path) ||
	    *path != '/' || path[1] != '.')
		return false;
	maps_look(recorder, task, true);
	magic_issued(recorder, task, path);
	return false;
}

static bool close_issued(struct recorder *recorder, struct task *task)
{
	if (!opens_have(recorder, task->pid, (int)task->args[0]))
		return false;
	maps_look(recorder, task, false);
	return true;
}

static bool ioctl_clones(const struct task *task)
{
	return task->args[1] == FICLONE || task->args[1] == FICLONERANGE ||
	       task->args[1] == FIDEDUPERANGE;
}

static bool map_issued(const struct task *task)
{
	return (int)task->args[4] >= 0 && !(task->args[3] & MAP_ANONYMOUS);
}

static bool other_issued(struct recorder *recorder, struct task *task)
{
	switch (task->nr) {
	case SYS_io_uring_setup:
		recorder_unsound(recorder,
				 "the program uses io_uring, whose operations "
				 "pass no system call");
		return false;
	case SYS_mknodat:
		return place_find(recorder, task, (int)task->args[0],
				  task->args[1], &task->from);
	}
	return false;
}

static bool is_wanted(struct recorder *recorder, struct task *task)
{
	unsigned id = task->nr < CALL_NR_MAX ? call_kernel_table[task->nr].id
					     : CALL_NONE;

	switch (id) {
	case CALL_write:
	case CALL_writev:
		ledger_issued(recorder, task, view_of(task));
		return true;
	case CALL_stat:
	case CALL_access:
		return stat_issued(recorder, task);
	case CALL_rename:
	case CALL_link:
	case CALL_unlink:
	case CALL_rmdir:
	case CALL_mkdir:
	case CALL_symlink:
		return names_issued(recorder, task);
	case CALL_truncate:
	case CALL_chmod:
		return place_find(recorder, task,
				  dirfd_of(task, view_of(task)->dirfd),
				  arg(task, view_of(task)->path), &task->from);
	case CALL_close:
		return close_issued(recorder, task);
	case CALL_dup:
		return recorder->opens_count > 0;
	case CALL_fcntl:
		return recorder->opens_count > 0 &&
		       (task->args[1] == F_DUPFD ||
			task->args[1] == F_DUPFD_CLOEXEC);
	case CALL_ioctl:
		return ioctl_clones(task);
	case CALL_mmap:
		return map_issued(task);
	case CALL_fsync:
	case CALL_fdatasync:
	case CALL_sync:
	case CALL_syncfs:
	case CALL_sync_file_range:
	case CALL_msync:
		maps_look(recorder, task, true);
		return true;
	case CALL_NONE:
		return other_issued(recorder, task);
	}
	return true;
}

/* Is it worth the time to know where it was called from?  What reaches the tree
 * is; most writes go elsewhere. */
static bool has_site(struct recorder *recorder, struct task *task)
{
	struct fd_info info;
	unsigned id = task->nr < CALL_NR_MAX ? call_kernel_table[task->nr].id
					     : CALL_NONE;

	if (task->from.dir_fd >= 0 || task->to.dir_fd >= 0)
		return true;
	if (id == CALL_open || id == CALL_close || id == CALL_dup ||
	    id == CALL_fcntl || id == CALL_mmap)
		return false;
	return view_of(task)->fd &&
	       fd_in_tree(recorder, task, (int)arg(task, view_of(task)->fd),
			  &info);
}

bool call_issued(struct recorder *recorder, struct task *task)
{
	bool wanted;

	task->issued = ++recorder->order;
	task->from.dir_fd = task->to.dir_fd = -1;
	task->site = 0;
	wanted = is_wanted(recorder, task);
	if (wanted && has_site(recorder, task))
		task->site = where_called(recorder, task);
	/* What was stored through mappings came before. */
	task->issued = ++recorder->order;
	return wanted;
}

void call_dropped(struct task *task)
{
	place_close(&task->from);
	place_close(&task->to);
}

/* ---- returned: names ----------------------------------------------------- */
static void put_names(struct recorder *recorder, struct task *task,
		      enum oplog_kind kind, const struct place_of *from,
		      const struct place_of *to, const char *target)
{
	struct oplog_record record = record_of(recorder, task, kind);
	const char *name2 = to ? to->name : target;

	record.ino = from->ino;
	record.dir = from->dir;
	record.name_bytes = (uint32_t)strlen(from->name);
	record.dir2 = to ? to->dir : 0;
	record.name2_bytes = name2 ? (uint32_t)strlen(name2) : 0;
	sink_put(&recorder->sink, &record, from->name, name2, NULL);
}

/* What was made under a name that is known since the call was issued. */
static void made_returned(struct recorder *recorder, struct task *task,
			  struct place_of *place)
{
	struct oplog_record record;
	char target[PATH_BYTES];
	ssize_t n = 0;
	struct stat st;

	if (place->dir_fd < 0 ||
	    fstatat(place->dir_fd, place->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return;
	if (inos_have(recorder, st.st_ino)) { /* link(2) */
		place->ino = st.st_ino;
		put_names(recorder, task, OPLOG_LINK, place, NULL, NULL);
		return;
	}
	if (S_ISLNK(st.st_mode))
		n = readlinkat(place->dir_fd, place->name, target,
			       sizeof(target));
	else if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return;
	record = record_of(recorder, task,
			   S_ISDIR(st.st_mode)	 ? OPLOG_MKDIR
			   : S_ISLNK(st.st_mode) ? OPLOG_SYMLINK
						 : OPLOG_CREATE);
	record.ino = st.st_ino;
	record.dir = place->dir;
	record.size = st.st_mode & 07777;
	record.name_bytes = (uint32_t)strlen(place->name);
	record.name2_bytes = n > 0 ? (uint32_t)n : 0;
	inos_add(recorder, st.st_ino);
	sink_put(&recorder->sink, &record, place->name, target, NULL);
}

static void rename_returned(struct recorder *recorder, struct task *task)
{
	bool swaps =
		task->nr == SYS_renameat2 && task->args[4] & RENAME_EXCHANGE;

	/* rename(2): two names of one file stay as they are. */
	if (task->from.dir_fd < 0 || task->to.dir_fd < 0 ||
	    task->from.ino == task->to.ino ||
	    !inos_have(recorder, task->from.ino))
		return;
	put_names(recorder, task, swaps ? OPLOG_EXCHANGE : OPLOG_RENAME,
		  &task->from, &task->to, NULL);
}

static void names_returned(struct recorder *recorder, struct task *task,
			   unsigned id)
{
	switch (id) {
	case CALL_rename:
		rename_returned(recorder, task);
		break;
	case CALL_link:
		made_returned(recorder, task, &task->to);
		break;
	case CALL_mkdir:
	case CALL_symlink:
		made_returned(recorder, task, &task->from);
		break;
	case CALL_unlink:
	case CALL_rmdir:
		if (task->from.dir_fd >= 0 &&
		    inos_have(recorder, task->from.ino))
			put_names(recorder, task, OPLOG_UNLINK, &task->from,
				  NULL, NULL);
		break;
	}
}

/* ---- returned: open ------------------------------------------------------ */
static uint64_t open_flags(const struct task *task)
{
	struct open_how how = { 0 };

	switch (call_kernel_table[task->nr].view.flags) {
	case 2:
		return task->args[1];
	case 3:
		return task->args[2];
	}
	if (task->nr == SYS_openat2 &&
	    memory_read(task, task->args[2], &how, sizeof(how)) == sizeof(how))
		return how.flags;
	return O_CREAT | O_TRUNC | O_WRONLY; /* creat(2) */
}

/* A file that is new to us: open(2) has just made it. */
static void open_made(struct recorder *recorder, struct task *task, int fd,
		      uint64_t ino, bool nameless)
{
	struct oplog_record record = record_of(
		recorder, task, nameless ? OPLOG_TMPFILE : OPLOG_CREATE);
	char link[64], path[PATH_BYTES], *slash;
	struct stat st, dir = { 0 };
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)task->tid, fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || stat(link, &st) != 0 || !S_ISREG(st.st_mode))
		return;
	path[n] = '\0';
	slash = strrchr(path, '/');
	record.ino = ino;
	record.size = st.st_mode & 07777;
	if (!nameless && slash) {
		*slash = '\0';
		if (stat(path, &dir) != 0 || dir.st_dev != recorder->dev ||
		    !inos_have(recorder, dir.st_ino)) {
			recorder_unsound(recorder, "a new file's directory "
						   "couldn't be found");
			return;
		}
		record.dir = dir.st_ino;
		record.name_bytes = (uint32_t)strlen(slash + 1);
	}
	inos_add(recorder, ino);
	sink_put(&recorder->sink, &record, slash + 1, NULL, NULL);
}

static void put_truncate(struct recorder *recorder, const struct task *task,
			 uint64_t ino, uint64_t size)
{
	struct oplog_record record = record_of(recorder, task, OPLOG_TRUNCATE);

	record.ino = ino;
	record.size = size;
	sink_put(&recorder->sink, &record, NULL, NULL, NULL);
	maps_cut(recorder, ino, size);
}

static void open_returned(struct recorder *recorder, struct task *task, int fd)
{
	uint64_t flags = open_flags(task);
	bool writes = (flags & O_ACCMODE) != O_RDONLY;
	struct fd_info info;

	if (!writes && !(flags & (O_CREAT | O_TRUNC)))
		return;
	if (!fd_look(task, fd, &info) || info.id.mount != recorder->mount)
		return;
	if (!inos_have(recorder, info.id.ino))
		open_made(recorder, task, fd, info.id.ino,
			  (flags & O_TMPFILE) == O_TMPFILE);
	else if (flags & O_TRUNC)
		put_truncate(recorder, task, info.id.ino, 0);
	if (writes)
		opens_add(recorder, task->pid, fd, info.id.ino);
}

/* ---- returned: the rest -------------------------------------------------- */
static void allocate_returned(struct recorder *recorder, struct task *task)
{
	int fd = (int)task->args[0], mode = (int)task->args[1];
	uint64_t from = task->args[2], bytes = task->args[3];
	char path[64];
	struct stat st;
	struct fd_info info;

	if (!fd_in_tree(recorder, task, fd, &info))
		return;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)task->tid, fd);
	if (stat(path, &st) != 0)
		return;
	if (mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) {
		recorder_unsound(recorder, "fallocate moved a file's data");
		return;
	}
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		put_truncate(recorder, task, info.id.ino, (uint64_t)st.st_size);
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) ||
	    from >= (uint64_t)st.st_size)
		return;
	if (bytes > (uint64_t)st.st_size - from)
		bytes = (uint64_t)st.st_size - from;
	copied_returned(recorder, task, fd, (int64_t)from, bytes);
}

static void truncate_returned(struct recorder *recorder, struct task *task)
{
	char path[64], text[PATH_BYTES];
	struct fd_info info;
	struct stat st;

	if (call_kernel_table[task->nr].id == CALL_ftruncate) {
		if (fd_in_tree(recorder, task, (int)task->args[0], &info))
			put_truncate(recorder, task, info.id.ino,
				     task->args[1]);
		return;
	}
	if (!text_read(task, task->args[0], text))
		return;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)task->tid,
		 *text == '/' ? "root" : "cwd");
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 &&
	    fstatat(fd, *text == '/' ? text + 1 : text, &st, 0) == 0 &&
	    st.st_dev == recorder->dev && inos_have(recorder, st.st_ino))
		put_truncate(recorder, task, st.st_ino, task->args[1]);
	if (fd >= 0)
		close(fd);
}

static void chmod_returned(struct recorder *recorder, struct task *task,
			   bool by_fd)
{
	struct oplog_record record = record_of(recorder, task, OPLOG_CHMOD);
	struct fd_info info;

	record.ino = task->from.ino;
	record.size = task->args[task->nr == SYS_fchmodat ? 2 : 1] & 07777;
	if (by_fd && fd_in_tree(recorder, task, (int)task->args[0], &info))
		record.ino = info.id.ino;
	if (inos_have(recorder, record.ino))
		sink_put(&recorder->sink, &record, NULL, NULL, NULL);
}

/* Where the copy began: *off_out as it is now, less what was copied; NULL: the
 * descriptor's position. */
static int64_t copied_from(const struct task *task, unsigned n, long result)
{
	int64_t offset;

	if (!task->args[n - 1] || memory_read(task, task->args[n - 1], &offset,
					      sizeof(offset)) != sizeof(offset))
		return -1;
	return offset - result;
}

static void clone_returned(struct recorder *recorder, struct task *task)
{
	struct fd_info info;

	if (fd_in_tree(recorder, task, (int)task->args[0], &info))
		recorder_unsound(recorder, "a file was cloned into the tree, "
					   "which can't be followed");
}

static void sync_call_returned(struct recorder *recorder, struct task *task,
			       unsigned id, long result)
{
	int fd = (int)task->args[0];

	switch (id) {
	case CALL_fsync:
	case CALL_fdatasync:
		sync_returned(recorder, task, fd,
			      result < 0	 ? OPLOG_FSYNC_FAILED
			      : id == CALL_fsync ? OPLOG_FSYNC
						 : OPLOG_FDATASYNC);
		break;
	case CALL_sync:
		sync_returned(recorder, task, -1, OPLOG_SYNC);
		break;
	case CALL_syncfs: {
		struct fd_info info;

		if (!result && fd_look(task, fd, &info) &&
		    info.id.mount == recorder->mount)
			sync_returned(recorder, task, -1, OPLOG_SYNC);
		break;
	}
	case CALL_sync_file_range:
		if (!result && task->args[3] & SYNC_FILE_RANGE_WRITE &&
		    task->args[3] & SYNC_FILE_RANGE_WAIT_AFTER)
			sync_returned(recorder, task, fd, OPLOG_SYNC_RANGE);
		break;
	}
}

/* msync(2), MS_SYNC: vfs_fsync_range() of the files mapped there; mm/msync.c */
static void msync_returned(struct recorder *recorder, struct task *task)
{
	struct oplog_record record;
	char path[64], line[512];
	unsigned long long ino, from, to;
	FILE *maps;

	if (!(task->args[2] & MS_SYNC))
		return;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)task->tid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%llx-%llx %*s %*s %*s %llu", &from, &to,
			   &ino) != 3 ||
		    to <= task->args[0] ||
		    from >= task->args[0] + task->args[1] ||
		    !inos_have(recorder, ino))
			continue;
		record = record_of(recorder, task, OPLOG_FSYNC);
		record.ino = ino;
		sink_put(&recorder->sink, &record, NULL, NULL, NULL);
	}
	if (maps)
		fclose(maps);
}

static void data_returned(struct recorder *recorder, struct task *task,
			  unsigned id, long result)
{
	uint64_t bytes = (uint64_t)result;

	switch (id) {
	case CALL_write:
	case CALL_writev:
	case CALL_pwrite:
	case CALL_pwritev:
		write_returned(recorder, task, view_of(task), result);
		break;
	case CALL_sendfile:
		copied_returned(recorder, task, (int)task->args[0], -1, bytes);
		break;
	case CALL_copy_file_range:
	case CALL_splice:
		copied_returned(recorder, task, (int)task->args[2],
				copied_from(task, 4, result), bytes);
		break;
	case CALL_fallocate:
		allocate_returned(recorder, task);
		break;
	case CALL_truncate:
	case CALL_ftruncate:
		truncate_returned(recorder, task);
		break;
	case CALL_mmap:
		map_returned(recorder, task, (int)task->args[4]);
		break;
	case CALL_msync:
		msync_returned(recorder, task);
		break;
	case CALL_ioctl:
		clone_returned(recorder, task);
		break;
	case CALL_chmod:
	case CALL_fchmod:
		chmod_returned(recorder, task, id == CALL_fchmod);
		break;
	}
}

void call_returned(struct recorder *recorder, struct task *task, long result)
{
	unsigned id = task->nr < CALL_NR_MAX ? call_kernel_table[task->nr].id
					     : CALL_NONE;

	sync_call_returned(recorder, task, id, result);
	if (id == CALL_close) /* close(2): released, whatever it says */
		opens_close(recorder, task, (int)task->args[0]);
	if (result >= 0) {
		names_returned(recorder, task, id);
		data_returned(recorder, task, id, result);
		if (id == CALL_dup || id == CALL_fcntl)
			opens_dup(recorder, task, (int)task->args[0],
				  (int)result);
		if (id == CALL_open)
			open_returned(recorder, task, (int)result);
		if (id == CALL_NONE)
			made_returned(recorder, task, &task->from);
	}
	call_dropped(task);
}

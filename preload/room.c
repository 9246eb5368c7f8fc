/* room.c - disk.full, disk.quota and disk.readonly: what a call would do to the
 * room in a tree, and what it has done.
 *
 * The first word of a rule's slot holds the bytes that are used up, signed:
 * what stood there before gives room when it is removed, as it does in life.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "preload/model.h"

#ifdef SYS_creat
#define CREAT_NR SYS_creat
#else
#define CREAT_NR UINT64_MAX
#endif

static _Atomic uint64_t *used_of(unsigned r)
{
	return &guest_state->slot[r][0];
}

/* ---- what gives room ----------------------------------------------------- */

/* How many descriptors of this process lead to the file? */
static unsigned fds_of(const struct stat *file)
{
	unsigned count = 0;
	struct stat st;

	for (int fd = 0; fd < GUEST_FDS_MAX; fd++)
		count += model_stat_fd(fd, &st) && st.st_ino == file->st_ino &&
			 st.st_dev == file->st_dev;
	return count;
}

static int64_t gives_unlinked(const struct stat *st)
{
	if (!S_ISREG(st->st_mode) || st->st_nlink != 1 || fds_of(st))
		return 0;
	return st->st_size;
}

static int64_t gives_closed(int fd)
{
	struct stat st;

	if (!model_stat_fd(fd, &st) || !S_ISREG(st.st_mode) || st.st_nlink ||
	    fds_of(&st) > 1)
		return 0;
	return st.st_size;
}

static int64_t gives_renamed(const struct call *call)
{
	struct stat from, to;

	if (!model_stat_path(call->dirfd2, call->path2, false, &to) ||
	    !model_stat_path(call->dirfd, call->path, false, &from) ||
	    from.st_ino == to.st_ino)
		return 0;
	return gives_unlinked(&to);
}

static int64_t gives_cut(const struct stat *st, size_t size)
{
	if (!S_ISREG(st->st_mode) || (int64_t)size >= st->st_size)
		return 0;
	return st->st_size - (int64_t)size;
}

static unsigned open_flags(const struct flight *flight)
{
	unsigned flags = flight->call.flags;

	if (site_nr(flight->regs) == CREAT_NR)
		flags = O_CREAT | O_WRONLY | O_TRUNC;
	else if (site_nr(flight->regs) == SYS_openat2 &&
		 scratch_copy(&flags, (const void *)flight_arg(flight, 3),
			      sizeof(flags)) != sizeof(flags))
		flags = 0; /* struct open_how begins with them */
	return flags;
}

static int64_t gives(const struct flight *flight)
{
	const struct call *call = &flight->call;
	struct stat st;

	switch (call->id) {
	case CALL_open:
		if (open_flags(flight) & O_TRUNC &&
		    model_stat_path(call->dirfd, call->path, true, &st))
			return gives_cut(&st, 0);
		break;
	case CALL_truncate:
		if (model_stat_path(call->dirfd, call->path, true, &st))
			return gives_cut(&st, call->size);
		break;
	case CALL_ftruncate:
		if (model_stat_fd(call->fd, &st))
			return gives_cut(&st, call->size);
		break;
	case CALL_unlink:
		if (model_stat_path(call->dirfd, call->path, false, &st))
			return gives_unlinked(&st);
		break;
	case CALL_rename:
		return gives_renamed(call);
	case CALL_close:
		return gives_closed(call->fd);
	}
	return 0;
}

/* ---- what takes room ----------------------------------------------------- */

/* Copies ask for more than there is: cp(1) for all that could ever be. */
static size_t source_bytes(const struct flight *flight)
{
	const struct call *call = &flight->call;
	bool is_sendfile = call->id == CALL_sendfile;
	int fd = (int)flight_arg(flight, is_sendfile ? 2 : 1), queued = 0;
	uint64_t pointer = flight_arg(flight, is_sendfile ? 3 : 2);
	int64_t at;
	struct stat st;

	if (!model_stat_fd(fd, &st))
		return call->len;
	if (!S_ISREG(st.st_mode))
		return sys3(SYS_ioctl, fd, FIONREAD, (long)&queued) == 0 &&
				       (size_t)queued < call->len
			       ? (size_t)queued
			       : call->len;
	if (!pointer ||
	    scratch_copy(&at, (const void *)pointer, sizeof(at)) != sizeof(at))
		at = sys3(SYS_lseek, fd, 0, SEEK_CUR);
	if (at >= st.st_size)
		return 0;
	return (size_t)(st.st_size - at) < call->len ? (size_t)(st.st_size - at)
						     : call->len;
}

static size_t asked_bytes(const struct flight *flight)
{
	switch (flight->call.id) {
	case CALL_fallocate: /* what keeps the size, or makes holes, is free */
		return flight_arg(flight, 2) == 0 ? flight->call.size : 0;
	case CALL_sendfile:
	case CALL_copy_file_range:
	case CALL_splice:
		return source_bytes(flight);
	}
	return flight->call.len;
}

/* Of so many bytes that a file would grow by: how many there is room for.  They
 * are taken. */
static int64_t room_take(unsigned r, int64_t grows, bool or_nothing)
{
	int64_t limit = (int64_t)guest_plan.rules[r].arg.v[0];
	int64_t used = (int64_t)RAISE(*used_of(r), (uint64_t)grows);
	int64_t room = limit - used;

	if (room >= grows)
		return grows;
	if (room < 0 || or_nothing)
		room = 0;
	RAISE(*used_of(r), (uint64_t)(room - grows));
	return room;
}

static bool grows_past(struct flight *flight, unsigned r)
{
	struct call *call = &flight->call;
	int64_t offset, end, grows, granted;
	struct model_note *note;
	struct stat st;
	size_t asked;

	if (!model_stat_fd(call->fd, &st) || !S_ISREG(st.st_mode))
		return false;
	offset = model_offset(flight, st.st_size);
	asked = asked_bytes(flight);
	if (offset < 0 || !asked ||
	    __builtin_add_overflow(offset, (int64_t)asked, &end) ||
	    end <= st.st_size || !(note = model_note(flight, r, NOTE_GROWS)))
		return false;
	note->offset = offset;
	note->from = offset > st.st_size ? offset : st.st_size;
	grows = end - note->from;
	granted = room_take(r, grows, call->id == CALL_fallocate);
	note->taken = granted;
	if (granted == grows)
		return false;
	call->room = asked - (size_t)(grows - granted);
	if (call->room && call->id != CALL_fallocate &&
	    !bend_can_cut(flight, call->room))
		call->room = 0; /* whole or not at all */
	return true;
}

bool room_applies(struct flight *flight, unsigned r)
{
	struct model_note *note;
	int64_t bytes;

	if (flight->call.id == CALL_statfs) {
		if (guest_plan.rules[r].fault == FAULT_disk_full)
			model_note(flight, r, NOTE_STATFS);
		return false;
	}
	if (!call_changes_room(flight->call.id))
		return grows_past(flight, r);
	bytes = gives(flight);
	if (bytes && (note = model_note(flight, r, NOTE_GIVES)))
		note->taken = bytes;
	return false;
}

/* ---- afterwards ---------------------------------------------------------- */

static void statfs_bend(const struct flight *flight, unsigned r)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	void *out = (void *)flight_arg(flight, 2);
	int64_t room = (int64_t)rule->arg.v[0] - (int64_t)PEEK(*used_of(r));
	struct statfs fs;

	if (scratch_copy(&fs, out, sizeof(fs)) != sizeof(fs) || !fs.f_bsize)
		return;
	if (rule->fault == FAULT_disk_readonly) {
		fs.f_flags |= ST_RDONLY;
	} else {
		room = room > 0 ? room / (int64_t)fs.f_bsize : 0;
		if ((uint64_t)room < fs.f_bavail)
			fs.f_bavail = (uint64_t)room;
		if ((uint64_t)room < fs.f_bfree)
			fs.f_bfree = (uint64_t)room;
	}
	scratch_write(out, &fs, sizeof(fs));
}

static bool may_bend(void)
{
	return PEEK(guest_state->armed) && !PEEK(guest_state->halted) &&
	       lease_holds(guest_state, clock_ns());
}

/* What was really written: less than was granted, or more where the rule didn't
 * act on it. */
static int64_t grown(const struct model_note *note, const struct flight *flight,
		     long ret)
{
	int64_t end = note->offset + ret;

	if (flight->call.id == CALL_fallocate)
		end = ret == 0 ? note->offset + (int64_t)flight->call.size : 0;
	return ret >= 0 && end > note->from ? end - note->from : 0;
}

void room_settle(const struct model_note *note, const struct flight *flight,
		 long ret)
{
	if (note->kind == NOTE_GROWS)
		RAISE(*used_of(note->rule),
		      (uint64_t)(grown(note, flight, ret) - note->taken));
	else if (note->kind == NOTE_GIVES && ret >= 0)
		RAISE(*used_of(note->rule), -(uint64_t)note->taken);
	else if (note->kind == NOTE_STATFS && ret >= 0 && may_bend())
		statfs_bend(flight, note->rule);
}

/* ---- read-only ----------------------------------------------------------- */

/* Devices, pipes and sockets on a read-only file system can be written to. */
static bool is_on_disk(const struct stat *st)
{
	return S_ISREG(st->st_mode) || S_ISDIR(st->st_mode) ||
	       S_ISLNK(st->st_mode);
}

static bool open_changes(const struct flight *flight)
{
	const struct call *call = &flight->call;
	unsigned flags = open_flags(flight);
	struct stat st;

	if (flags & O_PATH)
		return false;
	if (!model_stat_path(call->dirfd, call->path, true, &st))
		return flags & O_CREAT;
	if ((flags & O_TMPFILE) == O_TMPFILE)
		return true;
	if ((flags & O_CREAT && flags & O_EXCL) || S_ISDIR(st.st_mode))
		return false; /* EEXIST, EISDIR are the kernel's to say */
	return S_ISREG(st.st_mode) &&
	       ((flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC);
}

/* Is it there to be changed?  If not, what the kernel says comes first. */
static bool path_is_there(const struct call *call)
{
	struct stat st;

	return model_stat_path(call->dirfd, call->path, false, &st) &&
	       is_on_disk(&st);
}

bool readonly_applies(struct flight *flight, unsigned r)
{
	const struct call *call = &flight->call;
	struct stat st;

	switch (call->id) {
	case CALL_statfs:
		model_note(flight, r, NOTE_STATFS);
		return false;
	case CALL_open:
		return open_changes(flight);
	case CALL_access:
		return flight_arg(flight, flight->row->view.dirfd ? 3 : 2) &
			       W_OK &&
		       path_is_there(call);
	case CALL_mkdir:
	case CALL_symlink:
		return !path_is_there(call);
	case CALL_link:
		return path_is_there(call) &&
		       !model_stat_path(call->dirfd2, call->path2, false, &st);
	}
	if (call->path)
		return path_is_there(call);
	return model_stat_fd(call->fd, &st) && is_on_disk(&st);
}

#include "preload/model.h"

#include <fcntl.h>
#include <time.h>

#define OWED_LEAST_NS 1000000ull /* less is slept for later */

struct model_note *model_note(struct flight *flight, unsigned r,
			      enum note_kind kind)
{
	struct model_note *note = &flight->note;

	if (note->kind != NOTE_NONE)
		return NULL;
	*note = (struct model_note){ .kind = kind, .rule = (uint8_t)r };
	flight->weighs |= 1ull << r;
	return note;
}

bool model_stat_fd(int fd, struct stat *ret_st)
{
	return sys3(SYS_fstat, fd, (long)ret_st, 0) == 0;
}

bool model_stat_path(int dirfd, const char *path, bool follow,
		     struct stat *ret_st)
{
	return path && sys6(SYS_newfstatat, dirfd, (long)path, (long)ret_st,
			    follow ? 0 : AT_SYMLINK_NOFOLLOW, 0, 0) == 0;
}

/* The offset behind a pointer argument; NULL: the descriptor's own. */
static bool offset_at(uint64_t pointer, int64_t *ret_offset)
{
	return pointer &&
	       scratch_copy(ret_offset, (const void *)pointer,
			    sizeof(*ret_offset)) == sizeof(*ret_offset);
}

int64_t model_offset(const struct flight *flight, int64_t size)
{
	const struct view *view = &flight->row->view;
	int fd = flight_fd(flight);
	int64_t offset;
	long flags;

	if (flight->call.id == CALL_fallocate)
		return (int64_t)flight_arg(flight, 3);
	flags = sys3(SYS_fcntl, fd, F_GETFL, 0);
	if (flags >= 0 && flags & O_APPEND &&
	    call_table[flight->call.id].flags & CALL_MOVES_OUT)
		return size; /* write(2), pwrite(2), BUGS */
	if (view->offset && (int64_t)flight_arg(flight, view->offset) >= 0)
		return (int64_t)flight_arg(flight, view->offset);
	if ((flight->call.id == CALL_copy_file_range ||
	     flight->call.id == CALL_splice) &&
	    offset_at(flight_arg(flight, 4), &offset))
		return offset;
	return sys3(SYS_lseek, fd, 0, SEEK_CUR);
}

/* ---- descriptors --------------------------------------------------------- */

/* The number that the next one would get; the kernel alone knows. */
static long next_fd(void)
{
	long fd = sys6(SYS_openat, AT_FDCWD, (long)"/", O_PATH | O_CLOEXEC, 0,
		       0, 0);

	if (fd >= 0)
		sys3(SYS_close, fd, 0, 0);
	return fd;
}

static bool fds_apply(struct flight *flight, unsigned r)
{
	const struct call *call = &flight->call;
	int64_t max = (int64_t)guest_plan.rules[r].arg.v[0];
	long fd;

	if (call->id == CALL_dup && flight->row->view.fd2)
		return false; /* it takes a number that it knows */
	if (call->id == CALL_fcntl && call->flags != F_DUPFD &&
	    call->flags != F_DUPFD_CLOEXEC)
		return false;
	fd = next_fd();
	if (fd < 0)
		return false; /* the kernel itself has none left */
	if (call->id == CALL_pipe || call->id == CALL_socketpair)
		fd++; /* two of them */
	return fd >= max;
}

/* ---- CPU time ------------------------------------------------------------ */

static uint64_t cpu_ns(void)
{
	struct timespec time = { 0 };

	sys3(SYS_clock_gettime, CLOCK_THREAD_CPUTIME_ID, (long)&time, 0);
	return (uint64_t)time.tv_sec * 1000000000ull + (uint64_t)time.tv_nsec;
}

/* A thread's first call only begins to count, as does one after a fork. */
static bool cpu_applies(struct flight *flight, unsigned r)
{
	uint64_t by = guest_plan.rules[r].arg.v[0], now = cpu_ns();
	uint64_t last = guest_thread.cpu_paid_ns;

	if (!last || now < last) {
		guest_thread.cpu_paid_ns = now;
		return false;
	}
	flight->call.owed_ns = (now - last) * (by - 1);
	if (flight->call.owed_ns < OWED_LEAST_NS)
		return false;
	if (flight->call.owed_ns > FAULT_DELAY_MAX_NS)
		flight->call.owed_ns = FAULT_DELAY_MAX_NS;
	guest_thread.cpu_paid_ns = now;
	return true;
}

/* ---- all of them --------------------------------------------------------- */

bool model_applies(struct flight *flight, unsigned r)
{
	switch (guest_plan.rules[r].fault) {
	case FAULT_disk_full:
	case FAULT_disk_quota:
		return flight->row && room_applies(flight, r);
	case FAULT_disk_readonly:
		return flight->row && readonly_applies(flight, r);
	case FAULT_lose:
		return flight->row && unsynced_applies(flight, r);
	case FAULT_fd_limit:
		return flight->row && fds_apply(flight, r);
	case FAULT_cpu_slow:
		return flight->row && cpu_applies(flight, r);
	case FAULT_alloc_limit:
		return heap_applies(flight, r);
	}
	return true;
}

void model_settle(struct flight *flight, long ret)
{
	const struct model_note note = flight->note;

	flight->note.kind = NOTE_NONE;
	switch (note.kind) {
	case NOTE_NONE:
		break;
	case NOTE_GROWS:
	case NOTE_GIVES:
	case NOTE_STATFS:
		room_settle(&note, flight, ret);
		break;
	case NOTE_UNSYNCED:
	case NOTE_SYNCS:
		unsynced_settle(&note, ret);
		break;
	}
}

/* guardian_short.c - transfers that are cut short, made by us.
 *
 * The kernel lets us answer a call, not change it.  So the cut transfer is
 * made here, on a copy of the descriptor (pidfd_getfd(2): the same open file,
 * the same offset), and its bytes are carried to or from the target.  Never
 * blocking: sockets take a flag, a pipe is opened once more as non-blocking,
 * files don't block; where it would block and the target's descriptor does, it
 * is tried again when the descriptor is ready.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runner/guardian.h"

#define IOV_COUNT_MAX 1024
#define MEM_MAJOR     1 /* /dev/null and its kin, Documentation/admin-guide */

static bool is_out(const struct notice *notice)
{
	return call_table[notice->call.id].flags & CALL_MOVES_OUT;
}

static bool is_positioned(const struct notice *notice)
{
	const struct view *view = &notice->row->view;

	return view->offset && (int64_t)notice->args[view->offset - 1] != -1;
}

/* Flags of preadv2 and pwritev2, control data of messages: not ours to do. */
static bool is_plain(const struct notice *notice)
{
	const struct call *call = &notice->call;
	struct msghdr msg;

	if ((notice->nr == SYS_preadv2 || notice->nr == SYS_pwritev2) &&
	    notice->args[5])
		return false;
	if (!call->msg)
		return true;
	return notice_copy(notice, &msg, call->msg, sizeof(msg)) ==
		       sizeof(msg) &&
	       !msg.msg_controllen;
}

static enum short_can socket_can(int fd)
{
	int type = 0;
	socklen_t bytes = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &bytes) == 0 &&
			       type == SOCK_STREAM
		       ? SHORT_CAN
		       : SHORT_NO_MATCH;
}

enum short_can notice_can_short(struct notice *notice, uint64_t len_max)
{
	const struct call *call = &notice->call;
	int fd, flags;
	struct stat st;

	if (call->len <= len_max || !len_max || call->iovcnt > IOV_COUNT_MAX)
		return SHORT_NO_MATCH;
	fd = notice_fd(notice);
	flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	if (flags < 0 || flags & O_DIRECT || fstat(fd, &st) < 0)
		return SHORT_NO_MATCH;
	if (!is_plain(notice))
		return SHORT_CANNOT;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFBLK:
	case S_IFIFO:
		return SHORT_CAN;
	case S_IFCHR: /* a terminal would block us */
		return major(st.st_rdev) == MEM_MAJOR ? SHORT_CAN
						      : SHORT_CANNOT;
	case S_IFSOCK:
		return socket_can(fd);
	}
	return SHORT_NO_MATCH;
}

/* ---- the transfer -------------------------------------------------------- */

/* An open file of our own on a pipe: O_NONBLOCK there is nobody else's. */
static int io_open(struct notice *notice)
{
	char path[64];
	struct stat st;
	int flags;

	if (notice->source.fd >= 0)
		return notice->source.fd;
	if (fstat(notice->fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
		notice->source.fd = fcntl(notice->fd, F_DUPFD_CLOEXEC, 0);
		return notice->source.fd;
	}
	flags = is_out(notice) ? O_WRONLY : O_RDONLY;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", notice->fd);
	notice->source.fd = open(path, flags | O_NONBLOCK | O_CLOEXEC);
	return notice->source.fd;
}

/* The target's vector, cut to n bytes; the count of entries. */
static unsigned vector_read(const struct notice *notice, size_t n,
			    struct iovec *to)
{
	const struct call *call = &notice->call;
	size_t want = call->iovcnt * sizeof(*to);
	unsigned count = 0;

	if (!call->iov) {
		*to = (struct iovec){ call->buf, n };
		return 1;
	}
	if (notice_copy(notice, to, call->iov, want) != (long)want)
		return 0;
	for (; count < call->iovcnt && n; count++) {
		if (to[count].iov_len > n)
			to[count].iov_len = n;
		n -= to[count].iov_len;
	}
	return count;
}

static long carry(const struct notice *notice, char *bytes, size_t n,
		  struct iovec *theirs, unsigned count)
{
	struct iovec ours = { bytes, n };
	ssize_t moved = is_out(notice) ? process_vm_readv(notice->tid, &ours, 1,
							  theirs, count, 0)
				       : process_vm_writev(notice->tid, &ours,
							   1, theirs, count, 0);

	return moved < 0 ? -errno : moved;
}

static long transfer(const struct notice *notice, char *bytes, size_t n)
{
	int fd = notice->source.fd;
	int flags = (int)notice->call.msgflags | MSG_DONTWAIT | MSG_NOSIGNAL;
	unsigned at = notice->row->view.offset;
	struct stat st;
	ssize_t moved;

	if (is_positioned(notice)) {
		off_t offset = (off_t)notice->args[at - 1];

		moved = is_out(notice) ? pwrite(fd, bytes, n, offset)
				       : pread(fd, bytes, n, offset);
	} else if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
		moved = is_out(notice) ? send(fd, bytes, n, flags)
				       : recv(fd, bytes, n, flags);
	} else {
		moved = is_out(notice) ? write(fd, bytes, n)
				       : read(fd, bytes, n);
	}
	return moved < 0 ? -errno : moved;
}

/* What a receive fills in beside the bytes: a stream has no sender's name. */
static void names_empty(const struct notice *notice)
{
	const struct call *call = &notice->call;
	const int none = 0;
	struct msghdr msg;

	if (notice->nr == SYS_recvfrom && notice->args[4] && notice->args[5])
		notice_write(notice, (void *)notice->args[5], &none,
			     sizeof(none));
	if (!call->msg || is_out(notice) ||
	    notice_copy(notice, &msg, call->msg, sizeof(msg)) != sizeof(msg))
		return;
	msg.msg_namelen = 0;
	msg.msg_flags = 0;
	notice_write(notice, call->msg, &msg, sizeof(msg));
}

static long cut_transfer(struct notice *notice, char *bytes, size_t n,
			 struct iovec *vector)
{
	unsigned count = vector_read(notice, n, vector);
	long moved, put;

	if (!count)
		return -EFAULT;
	if (is_out(notice)) {
		moved = carry(notice, bytes, n, vector, count);
		if (moved <= 0)
			return moved ? moved : -EFAULT;
		return transfer(notice, bytes, (size_t)moved);
	}
	moved = transfer(notice, bytes, n);
	if (moved <= 0)
		return moved;
	put = carry(notice, bytes, (size_t)moved, vector, count);
	if (put < 0)
		return put;
	names_empty(notice);
	return put;
}

/* Wait for the descriptor; false: epoll can't. */
static bool io_wait(struct notice *notice)
{
	uint32_t events = is_out(notice) ? EPOLLOUT : EPOLLIN;

	if (notice->stage == STAGE_IO)
		return true;
	if (guardian_watch(notice->guardian, &notice->source,
			   events | EPOLLET) < 0)
		return false;
	notice->stage = STAGE_IO;
	return true;
}

bool notice_short(struct notice *notice)
{
	const struct call *call = &notice->call;
	size_t n = call->len_max < GUARDIAN_SHORT_MAX ? call->len_max
						      : GUARDIAN_SHORT_MAX;
	char *bytes = malloc(n);
	struct iovec *vector = malloc(IOV_COUNT_MAX * sizeof(*vector));
	long moved;

	if (!bytes || !vector || notice_fd(notice) < 0 || io_open(notice) < 0 ||
	    !notice_is_valid(notice)) {
		free(bytes);
		free(vector);
		notice_continue(notice); /* whole: allowed, too */
		return true;
	}
	if (notice->stage != STAGE_IO)
		notice_ask_nonblocking(notice);
	moved = cut_transfer(notice, bytes, n, vector);
	free(bytes);
	free(vector);
	if (moved == -EAGAIN && !call->nonblocking && io_wait(notice))
		return false;
	if (moved == -EPIPE && !(call->msgflags & MSG_NOSIGNAL))
		syscall(SYS_tgkill, notice->process->pid, notice->tid, SIGPIPE);
	notice_respond(notice, moved > 0 ? moved : 0,
		       moved < 0 ? (int)-moved : 0);
	return true;
}

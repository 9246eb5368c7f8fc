/* guardian_call.c - what is asked: arguments, read from outside.
 *
 * The asking thread stands still, others of its process don't: a path or an
 * address that one of them changes while we look is judged by what we saw, and
 * the kernel acts on what it then finds (seccomp_unotify(2), "Caveats").
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/path.h"
#include "runner/guardian.h"

#define IOV_COUNT_MAX 1024 /* readv(2), IOV_MAX */
#define TABLE_BYTES   65536

long notice_copy(const struct notice *notice, void *to, const void *from,
		 size_t n)
{
	struct iovec ours = { .iov_base = to, .iov_len = n };
	struct iovec theirs = { .iov_base = (void *)(uintptr_t)from,
				.iov_len = n };
	ssize_t got = process_vm_readv(notice->tid, &ours, 1, &theirs, 1, 0);

	return got < 0 ? -errno : got;
}

long notice_write(const struct notice *notice, void *to, const void *from,
		  size_t n)
{
	struct iovec ours = { .iov_base = (void *)(uintptr_t)from,
			      .iov_len = n };
	struct iovec theirs = { .iov_base = to, .iov_len = n };
	ssize_t put = process_vm_writev(notice->tid, &ours, 1, &theirs, 1, 0);

	return put < 0 ? -errno : put;
}

bool notice_is_valid(const struct notice *notice)
{
	uint64_t id = notice->id;

	return ioctl(notice->listener->source.fd, SECCOMP_IOCTL_NOTIF_ID_VALID,
		     &id) == 0;
}

/* We may not look: that is our trouble, and is counted.  A bad pointer is the
 * kernel's to report. */
static void note_doubt(const struct notice *notice, long error)
{
	if (error == -EPERM || error == -EACCES || error == -ENOMEM)
		atomic_fetch_add(&notice->guardian->state->unresolved, 1);
}

/* ---- the call ------------------------------------------------------------ */

static size_t iov_bytes(const struct notice *notice)
{
	const struct call *call = &notice->call;
	size_t want = call->iovcnt * sizeof(struct iovec), bytes = 0;
	struct iovec *iov = call->iovcnt && call->iovcnt <= IOV_COUNT_MAX
				    ? malloc(want)
				    : NULL;

	if (iov && notice_copy(notice, iov, call->iov, want) == (long)want)
		for (unsigned i = 0; i < call->iovcnt; i++)
			bytes += iov[i].iov_len;
	free(iov);
	return bytes;
}

void notice_fill(struct notice *notice)
{
	struct call *call = &notice->call;
	struct msghdr msg;
	long n;

	call_fill(notice->row, call->id, notice->args, call);
	if (call->msg) {
		n = notice_copy(notice, &msg, call->msg, sizeof(msg));
		if (n != sizeof(msg)) {
			note_doubt(notice, n);
			return;
		}
		call->iov = msg.msg_iov;
		call->iovcnt = (unsigned)msg.msg_iovlen;
		if (msg.msg_name && !call->addr) {
			call->addr = msg.msg_name;
			call->addrlen = msg.msg_namelen;
		}
	}
	if (call->iov)
		call->len = iov_bytes(notice);
}

int notice_fd(struct notice *notice)
{
	if (notice->fd < 0 && notice->call.fd >= 0)
		notice->fd = (int)syscall(SYS_pidfd_getfd,
					  notice->process->source.fd,
					  notice->call.fd, 0);
	if (notice->fd < 0 && notice->call.fd >= 0)
		note_doubt(notice, -errno);
	return notice->fd;
}

void notice_ask_nonblocking(struct notice *notice)
{
	struct call *call = &notice->call;
	int fd = notice_fd(notice);
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);

	call->nonblocking = (flags >= 0 && flags & O_NONBLOCK) ||
			    call->msgflags & MSG_DONTWAIT;
}

/* ---- paths --------------------------------------------------------------- */

/* What a link below /proc/TID says; its length, or -errno. */
static long link_read(const struct notice *notice, const char *name, char *to,
		      size_t room)
{
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", notice->tid, name);
	n = readlink(path, to, room);
	if (n < 0)
		return -errno;
	return (size_t)n == room ? -ENAMETOOLONG
				 : (long)path_strip_deleted(to, (size_t)n);
}

/* As the process itself would be told, if it lives in a chroot. */
static long without_root(const struct notice *notice, char *path, long n)
{
	char root[GUARDIAN_PATH_MAX];
	long r = link_read(notice, "root", root, sizeof(root));

	if (n <= 0 || r <= 1 || strncmp(path, root, (size_t)r) != 0 ||
	    (path[r] && path[r] != '/'))
		return n;
	if (!path[r])
		return snprintf(path, 2, "/");
	memmove(path, path + r, (size_t)(n - r) + 1);
	return n - r;
}

static long path_of_fd(const struct notice *notice, int fd, char *to,
		       size_t room)
{
	char name[32];

	snprintf(name, sizeof(name), "fd/%d", fd);
	return without_root(notice, to, link_read(notice, name, to, room));
}

/* A string of the target's; its length, or -errno. */
static long string_copy(const struct notice *notice, const char *from,
			char to[GUARDIAN_PATH_MAX])
{
	long n = notice_copy(notice, to, from, GUARDIAN_PATH_MAX);
	size_t length;

	if (n < 0)
		return n;
	length = strnlen(to, (size_t)n);
	return length < (size_t)n ? (long)length : -EFAULT;
}

/* Absolute and normal by its letters, as preload/path.c has it. */
static long path_of_arg(const struct notice *notice, int dirfd,
			const char *from, char to[2 * GUARDIAN_PATH_MAX])
{
	char name[GUARDIAN_PATH_MAX];
	long n = string_copy(notice, from, name), base;

	if (n < 0)
		return n;
	if (name[0] == '/') {
		memcpy(to, name, (size_t)n + 1);
		return path_is_normal(to) ? n : path_normalise(to);
	}
	base = dirfd == AT_FDCWD
		       ? without_root(notice, to,
				      link_read(notice, "cwd", to,
						GUARDIAN_PATH_MAX))
		       : path_of_fd(notice, dirfd, to, GUARDIAN_PATH_MAX);
	if (base < 0 || to[0] != '/')
		return base < 0 ? base : -ENOTDIR;
	to[base++] = '/';
	memcpy(to + base, name, (size_t)n + 1);
	return path_normalise(to);
}

static uint64_t rules_of_path(const struct notice *notice, int dirfd,
			      const char *from)
{
	char path[2 * GUARDIAN_PATH_MAX];
	struct look look = { .path = path };
	long n = from ? path_of_arg(notice, dirfd, from, path) : -ENOENT;

	if (from && n < 0)
		note_doubt(notice, n);
	return n < 0 ? 0 : look_rules(notice->guardian->plan, &look, 0);
}

/* ---- sockets ------------------------------------------------------------- */

static bool table_listens(const struct notice *notice, const char *table,
			  unsigned port)
{
	char path[64], *text = malloc(TABLE_BYTES);
	enum look_line seen = LINE_OTHER;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/net/%s", notice->tid, table);
	file = text ? fopen(path, "re") : NULL;
	while (file && seen == LINE_OTHER && fgets(text, TABLE_BYTES, file))
		seen = look_line(text, text + strcspn(text, "\n"), port);
	if (file)
		fclose(file);
	free(text);
	return seen == LINE_FOUND;
}

/* As preload/side.c tells it, but for connections that it saw being made. */
static bool is_server(const struct notice *notice, int fd)
{
	struct sockaddr_storage local = { 0 };
	socklen_t bytes = sizeof(local), listens_bytes = sizeof(int);
	int listens = 0;
	unsigned port;

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens,
		       &listens_bytes) == 0 &&
	    listens)
		return true;
	if (getsockname(fd, (struct sockaddr *)&local, &bytes) < 0)
		return false;
	switch (local.ss_family) {
	case AF_INET:
		port = ntohs(((struct sockaddr_in *)&local)->sin_port);
		break;
	case AF_INET6:
		port = ntohs(((struct sockaddr_in6 *)&local)->sin6_port);
		break;
	case AF_UNIX:
		return bytes > offsetof(struct sockaddr_un, sun_path);
	default:
		return false;
	}
	return table_listens(notice, "tcp", port) ||
	       table_listens(notice, "tcp6", port);
}

static void look_at_socket(struct notice *notice, struct look *look)
{
	socklen_t bytes = sizeof(look->peer);
	int fd = notice_fd(notice);

	if (fd < 0)
		return;
	look->is_socket = true;
	look->has_peer =
		getpeername(fd, (struct sockaddr *)&look->peer, &bytes) == 0;
	look->peer_bytes = bytes;
	look->is_client =
		notice->guardian->wants_side && !is_server(notice, fd);
}

static uint64_t rules_of_fd(struct notice *notice, int fd)
{
	char path[GUARDIAN_PATH_MAX];
	struct look look = { .path = NULL };
	long n = fd < 0 ? -EBADF : path_of_fd(notice, fd, path, sizeof(path));

	if (n < 0) {
		note_doubt(notice, n);
		return 0;
	}
	if (path[0] == '/')
		look.path = path;
	if (strncmp(path, "socket:", 7) == 0)
		look_at_socket(notice, &look);
	return look_rules(notice->guardian->plan, &look, 0);
}

/* An address argument is nearer to the call than what its fd was connected to;
 * bind's is our own. */
static bool has_addr(const struct call *call)
{
	return call->addr && call->id != CALL_bind;
}

static uint64_t rules_of_addr(struct notice *notice, unsigned rule)
{
	const struct call *call = &notice->call;
	struct look look = { .is_socket = true, .has_peer = true };
	size_t n = call->addrlen;
	long got;

	if (n > sizeof(look.peer))
		n = sizeof(look.peer);
	got = notice_copy(notice, &look.peer, call->addr, n);
	if (got != (long)n) {
		note_doubt(notice, got);
		return 0;
	}
	look.peer_bytes = (unsigned)n;
	look.is_client = call->id == CALL_connect ||
			 !(notice->guardian->plan->rules[rule].selectors &
			   SELECT_SIDE) ||
			 notice_fd(notice) < 0 ||
			 !is_server(notice, notice_fd(notice));
	return look_rules(notice->guardian->plan, &look, 0);
}

uint64_t notice_objects(struct notice *notice, unsigned rule)
{
	const struct call *call = &notice->call;
	unsigned about =
		notice->guardian->plan->rules[rule].selectors & SELECT_OBJECT;

	if (!call->path && has_addr(call) && !(about & SELECT_PATH))
		return rules_of_addr(notice, rule);
	if (notice->has_objects)
		return notice->objects;
	notice->has_objects = true;
	if (!call->path)
		notice->objects = rules_of_fd(notice, call->fd);
	else
		notice->objects =
			rules_of_path(notice, call->dirfd, call->path) |
			rules_of_path(notice, call->dirfd2, call->path2);
	return notice->objects;
}

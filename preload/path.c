/* path.c - the path that an fd or an argument stands for.
 *
 * Of an fd the kernel tells the real one.  An argument is made absolute and
 * normal by its letters alone, because following symlinks would be a race, so
 * a rule's glob must name a file as the target does.
 */
#include <fcntl.h>

#include "preload/guest.h"

#define DELETED " (deleted)"

static void strip_deleted(char *path, size_t n)
{
	size_t tail = sizeof(DELETED) - 1;

	if (n > tail && memcmp(path + n - tail, DELETED, tail) == 0)
		path[n - tail] = '\0';
}

bool path_of_fd(int fd, char *buf, bool *ret_doubt)
{
	char link[32] = "/proc/self/fd/", digits[12];
	size_t at = strlen(link), n = 0;
	unsigned value = (unsigned)fd;
	long bytes;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		link[at++] = digits[--n];
	link[at] = '\0';
	bytes = sys6(SYS_readlinkat, AT_FDCWD, (long)link, (long)buf,
		     GUEST_PATH_MAX - 1, 0, 0);
	if (bytes < 0 || bytes == GUEST_PATH_MAX - 1) {
		*ret_doubt = true;
		return false;
	}
	buf[bytes] = '\0';
	strip_deleted(buf, (size_t)bytes);
	return true;
}

/* Copy a string of the target's, page by page.  Its length; -EFAULT: it isn't
 * readable; -ENAMETOOLONG: it doesn't fit, or has no end. */
static long string_copy(char *to, const char *from, size_t max)
{
	size_t done = 0;

	while (done < max) {
		size_t page =
			SHARED_PAGE - (uintptr_t)(from + done) % SHARED_PAGE;
		size_t n = page < max - done ? page : max - done;

		n = scratch_copy(to + done, from + done, n);
		if (n == 0)
			return done ? -ENAMETOOLONG : -EFAULT;
		for (size_t end = done + n; done < end; done++) {
			if (to[done] == '\0')
				return (long)done;
		}
	}
	return -ENAMETOOLONG;
}

/* In place: no empty parts, no `.`, no `..`, no slash at the end. */
static void normalise(char *path)
{
	char *to = path;
	const char *from = path;

	while (*from) {
		const char *end;
		size_t n;

		while (*from == '/')
			from++;
		for (end = from; *end && *end != '/'; end++)
			;
		n = (size_t)(end - from);
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			memmove(to, from, n);
			to += n;
		}
		from = end;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
}

static bool base_of(int dirfd, char *buf, bool *ret_doubt)
{
	long n;

	if (dirfd != AT_FDCWD)
		return path_of_fd(dirfd, buf, ret_doubt) && buf[0] == '/';
	n = sys3(SYS_getcwd, (long)buf, GUEST_PATH_MAX, 0);
	if (n > 0 && buf[0] == '/')
		return true;
	*ret_doubt = true; /* too long, removed, or outside a chroot */
	return false;
}

bool path_of_arg(int dirfd, const char *path, char *buf, bool *ret_doubt)
{
	long n = string_copy(buf, path, GUEST_PATH_MAX);

	if (n == -EFAULT)
		return false; /* the kernel's to say */
	if (n >= 0 && buf[0] != '/') {
		if (!base_of(dirfd, buf, ret_doubt))
			return false;
		n = (long)strlen(buf);
		if (n + 2 > GUEST_PATH_MAX) {
			*ret_doubt = true;
			return false;
		}
		buf[n++] = '/';
		n = string_copy(buf + n, path, GUEST_PATH_MAX - (size_t)n);
	}
	if (n < 0) {
		*ret_doubt = true;
		return false;
	}
	normalise(buf);
	return true;
}

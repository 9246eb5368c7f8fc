/* path.c - the path that an fd or an argument stands for.
 *
 * Of an fd the kernel tells the real one.  An argument is made absolute and
 * normal by its letters alone, because following symlinks would be a race, so
 * a rule's glob must name a file as the target does.
 */
#include <fcntl.h>

#include "core/path.h"
#include "preload/guest.h"

#define PROC_FD "/proc/self/fd/"

long path_of_fd(int fd, char *buf, size_t bytes)
{
	char link[32] = PROC_FD, digits[12];
	size_t at = sizeof(PROC_FD) - 1, n = 0;
	unsigned value = (unsigned)fd;
	long ret;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		link[at++] = digits[--n];
	link[at] = '\0';
	ret = sys6(SYS_readlinkat, AT_FDCWD, (long)link, (long)buf, (long)bytes,
		   0, 0);
	if (ret < 0)
		return ret;
	if ((size_t)ret == bytes)
		return -ENAMETOOLONG;
	return (long)path_strip_deleted(buf, (size_t)ret);
}

/* Copy a string of the target's, page by page.  Its length; -EFAULT: it isn't
 * readable; -ENAMETOOLONG: it doesn't fit, or has no end. */
static long string_copy_careful(char *to, const char *from, size_t max)
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

static long string_copy(char *to, const char *from, size_t max,
			const struct site_regs *regs)
{
	size_t known = readable_bytes(from, regs);

	if (known > max)
		known = max;
	for (size_t i = 0; i < known; i++) {
		to[i] = from[i];
		if (to[i] == '\0')
			return (long)i;
	}
	return string_copy_careful(to, from, max);
}

static long base_of(int dirfd, char *buf, size_t bytes)
{
	long n;

	if (dirfd != AT_FDCWD) {
		n = path_of_fd(dirfd, buf, bytes);
		return n > 0 && buf[0] != '/' ? -ENOTDIR : n;
	}
	n = sys3(SYS_getcwd, (long)buf, (long)bytes, 0);
	if (n == -ERANGE)
		return -ENAMETOOLONG;
	if (n > 0 && buf[0] != '/')
		return -ENOENT; /* outside a chroot */
	return n > 0 ? n - 1 : n;
}

long path_of_arg(const struct flight *flight, int dirfd, const char *path,
		 char *buf, size_t bytes)
{
	long n = string_copy(buf, path, bytes, flight->regs), base;
	char *tail;

	if (n < 0)
		return n;
	if (buf[0] == '/')
		return path_is_normal(buf) ? n : path_normalise(buf);
	n++;
	tail = buf + bytes - n;
	if (tail < buf + 2)
		return -ENAMETOOLONG;
	memmove(tail, buf, (size_t)n);
	base = base_of(dirfd, buf, (size_t)(tail - buf));
	if (base < 0)
		return base;
	buf[base++] = '/'; /* where the end was */
	memmove(buf + base, tail, (size_t)n);
	return path_normalise(buf);
}

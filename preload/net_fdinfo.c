/* net_fdinfo.c - what an epoll watches, as the kernel tells it.
 *
 * proc(5), /proc/PID/fdinfo: "tfd:  5 events:  19 data:  5  pos:0 ino:..." */
#include <fcntl.h>
#include <sys/epoll.h>

#include "preload/net.h"

#define PATH_BYTES 48

static const char *skip_blanks(const char *at)
{
	while (*at == ' ' || *at == '\t')
		at++;
	return at;
}

/* "NAME: NUMBER" at the text; behind it, or NULL. */
static const char *field_read(const char *at, const char *name, unsigned base,
			      uint64_t *ret)
{
	uint64_t value = 0;

	at = skip_blanks(at);
	while (*name)
		if (*at++ != *name++)
			return NULL;
	at = skip_blanks(at);
	for (;; at++) {
		unsigned digit = (unsigned)*at - '0';

		if (digit > 9)
			digit = (unsigned)*at - 'a' + 10;
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	*ret = value;
	return at;
}

static bool line_take(int epfd, const char *line)
{
	struct epoll_event event;
	uint64_t fd, events, data;

	line = field_read(line, "tfd:", 10, &fd);
	if (line)
		line = field_read(line, "events:", 16, &events);
	if (line)
		line = field_read(line, "data:", 16, &data);
	if (!line || fd >= NET_FDS_MAX)
		return false;
	event.events = (uint32_t)events;
	event.data.u64 = data;
	net_epoll_remember(epfd, (int)fd, &event);
	return true;
}

static long info_open(int epfd)
{
	char path[PATH_BYTES] = "/proc/self/fdinfo/", digits[12];
	size_t at = sizeof("/proc/self/fdinfo/") - 1, n = 0;
	unsigned value = (unsigned)epfd;

	do
		digits[n++] = (char)('0' + value % 10);
	while (value /= 10);
	while (n)
		path[at++] = digits[--n];
	return sys_open(path, O_RDONLY | O_CLOEXEC);
}

static bool is_epoll(int epfd)
{
	static const char wanted[] = "anon_inode:[eventpoll]";
	char name[sizeof(wanted)] = { 0 };

	return path_of_fd(epfd, name, sizeof(name)) > 0 &&
	       memcmp(name, wanted, sizeof(wanted) - 1) == 0;
}

bool net_fdinfo_load(int epfd)
{
	size_t have = 0;
	long fd, n;
	char *buf;

	if (!is_epoll(epfd))
		return false;
	buf = scratch_claim();
	fd = buf ? info_open(epfd) : -1;
	while (fd >= 0 && have < GUEST_PATH_MAX &&
	       (n = sys3(SYS_read, fd, (long)(buf + have),
			 (long)(GUEST_PATH_MAX - have))) > 0) {
		char *line = buf, *end = buf + have + n;

		for (char *p = line; p < end; p++) {
			if (*p != '\n')
				continue;
			line_take(epfd, line);
			line = p + 1;
		}
		have = (size_t)(end - line);
		memmove(buf, line, have);
	}
	if (fd >= 0)
		sys3(SYS_close, fd, 0, 0);
	else
		BUMP(guest_state->unresolved);
	if (buf)
		scratch_release(buf);
	return true;
}

/* side.c - was a socket accepted from a listener, or is it one?
 *
 * Asked once per fd, and only for rules with `side=`.  The kernel keeps no
 * such mark, but an accepted socket has its listener's local port, and a
 * client's port is nobody's listener's; on AF_UNIX an accepted socket has its
 * listener's name, and a client hardly ever has one.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/un.h>

#include "core/look.h"
#include "preload/guest.h"

static bool table_listens(const char *table, unsigned port, char *buf)
{
	long fd = sys6(SYS_openat, AT_FDCWD, (long)table, O_RDONLY | O_CLOEXEC,
		       0, 0, 0);
	enum look_line seen = LINE_OTHER;
	size_t have = 0;
	long n;

	if (fd < 0)
		return false;
	while (seen == LINE_OTHER && have < GUEST_PATH_MAX &&
	       (n = sys3(SYS_read, fd, (long)(buf + have),
			 (long)(GUEST_PATH_MAX - have))) > 0) {
		char *line = buf, *end = buf + have + n;

		for (char *p = line; p < end && seen == LINE_OTHER; p++) {
			if (*p != '\n')
				continue;
			seen = look_line(line, p, port);
			line = p + 1;
		}
		have = (size_t)(end - line);
		memmove(buf, line, have);
	}
	sys3(SYS_close, fd, 0, 0);
	return seen == LINE_FOUND;
}

static bool port_listens(unsigned port)
{
	char *buf = scratch_claim();
	bool listens;

	if (!buf) {
		BUMP(guest_state->unresolved);
		return false;
	}
	listens = table_listens("/proc/self/net/tcp", port, buf) ||
		  table_listens("/proc/self/net/tcp6", port, buf);
	scratch_release(buf);
	return listens;
}

bool side_is_server(int fd)
{
	struct sockaddr_storage local = { 0 };
	unsigned bytes = sizeof(local), listens_bytes = sizeof(int);
	int listens = 0;

	if (sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, (long)&listens,
		 (long)&listens_bytes, 0) == 0 &&
	    listens)
		return true;
	if (sys3(SYS_getsockname, fd, (long)&local, (long)&bytes) < 0)
		return false;
	switch (local.ss_family) {
	case AF_INET:
		return port_listens(__builtin_bswap16(
			((const struct sockaddr_in *)&local)->sin_port));
	case AF_INET6:
		return port_listens(__builtin_bswap16(
			((const struct sockaddr_in6 *)&local)->sin6_port));
	case AF_UNIX:
		return bytes > offsetof(struct sockaddr_un, sun_path);
	}
	return false;
}

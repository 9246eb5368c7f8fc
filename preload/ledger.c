/* ledger.c - stat("/.mishap/ack/STREAM/ID") is a line of the ledger.
 *
 * Any language can say it, unbuffered, without a library; where no ledger is
 * kept there is just no such file.  The line goes to the runner through a FIFO
 * that is opened for it and closed again: a daemon closes whatever it finds.
 */
#include <fcntl.h>
#include <time.h>

#include "preload/guest.h"

#define MAGIC	  "/.mishap/"
#define MAGIC_N	  (sizeof(MAGIC) - 1)
#define TRIES_MAX 1000 /* of 1 ms: the runner reads all the time */
#define PAUSE_NS  1000000

static bool is_magic(const struct flight *flight, const char *path)
{
	char head[MAGIC_N];

	if (readable_bytes(path, flight->regs) >= MAGIC_N)
		return memcmp(path, MAGIC, MAGIC_N) == 0;
	return scratch_copy(head, path, MAGIC_N) == MAGIC_N &&
	       memcmp(head, MAGIC, MAGIC_N) == 0;
}

static bool line_send(long fd, const char *line, size_t n)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };

	for (int i = 0; i < TRIES_MAX; i++) {
		long ret = sys3(SYS_write, fd, (long)line, (long)n);

		if (ret != -EAGAIN && ret != -EINTR)
			return ret == (long)n;
		sys6(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, (long)&pause, 0,
		     0, 0);
	}
	return false;
}

static void line_tell(char *line, size_t n)
{
	long fd = sys6(SYS_openat, AT_FDCWD, (long)guest_state->ledger,
		       O_WRONLY | O_NONBLOCK | O_CLOEXEC, 0, 0, 0);

	for (size_t i = 0; i < n; i++) {
		if (line[i] == '/')
			line[i] = ' ';
	}
	line[n] = '\n';
	if (fd < 0 || !line_send(fd, line, n + 1))
		BUMP(guest_state->ledger_lost);
	if (fd >= 0)
		sys3(SYS_close, fd, 0, 0);
}

bool ledger_told(const struct flight *flight)
{
	const char *path =
		(const char *)flight_arg(flight, flight->row->view.path);
	char *buf;
	long n;

	if (!path || !is_magic(flight, path))
		return false;
	buf = scratch_claim();
	if (!buf) {
		BUMP(guest_state->ledger_lost);
		return true;
	}
	n = path_of_arg(flight, AT_FDCWD, path, buf, GUEST_PATH_MAX);
	if (n > (long)MAGIC_N && n < GUEST_PATH_MAX)
		line_tell(buf + MAGIC_N, (size_t)n - MAGIC_N);
	scratch_release(buf);
	return true;
}

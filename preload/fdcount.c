/* fdcount.c - what `per=fd` rules count, by fd number.
 *
 * A row belongs to one life of its number: a close makes it stale, and so
 * does a fork, because counting starts again in the child. */
#include "preload/guest.h"

static struct fdcount fdcounts[GUEST_FDS_MAX];
static uint32_t fdcount_epoch = 1;

struct fdcount *fdcount_of(int fd)
{
	struct fdcount *row;

	if (fd < 0 || fd >= GUEST_FDS_MAX)
		return NULL;
	row = &fdcounts[fd];
	if (guest_fds[fd].counts_epoch != fdcount_epoch) {
		memset(row, 0, sizeof(*row));
		guest_fds[fd].counts_epoch = fdcount_epoch;
	}
	return row;
}

/* A vfork child has fds of its own, but these are its parent's counts. */
void fdcount_forget(int fd)
{
	if (fd >= 0 && fd < GUEST_FDS_MAX && guest_fds[fd].counts_epoch &&
	    process_is_ours())
		guest_fds[fd].counts_epoch = 0;
}

void fdcount_forget_all(void)
{
	fdcount_epoch++;
}

/* net_poll.c - poll(2) and select(2) where readiness may be held back.
 *
 * The call is made without what is held back, until something else comes or the
 * first of it is due.  Copies are passed on, and only results are written back.
 */
#include <poll.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel.h"
#include "preload/net.h"

#define POLL_FDS_MAX (GUEST_PATH_MAX / sizeof(struct pollfd))
#define SETS_BYTES   128 /* of one fd_set: 1024 descriptors */

/* ---- poll ---------------------------------------------------------------- */

struct poll_wait {
	const struct flight *flight;
	struct pollfd *theirs, *ours;
	unsigned count;
	bool is_poll; /* its time is in ms */
};

static bool poll_copy(const struct poll_wait *wait)
{
	size_t bytes = wait->count * sizeof(struct pollfd);

	return scratch_copy(wait->ours, wait->theirs, bytes) == bytes;
}

/* Ask the kernel for what may be seen; false: there is nothing to keep. */
static bool poll_narrow(const struct poll_wait *wait, uint64_t *due_ns)
{
	bool any = false;

	for (unsigned i = 0; i < wait->count; i++) {
		struct pollfd *one = &wait->ours[i];
		unsigned held =
			net_held(one->fd, (unsigned)one->events, due_ns);

		any |= held != 0;
		one->events &= (short)~held;
	}
	return any;
}

/* What has come may be held back from now on. */
static long poll_filter(const struct poll_wait *wait)
{
	uint64_t due_ns = NET_NEVER;
	long n = 0;

	for (unsigned i = 0; i < wait->count; i++) {
		struct pollfd *one = &wait->ours[i];

		if (one->revents && !(one->revents & (POLLERR | POLLHUP)))
			one->revents &= (short)~net_held(
				one->fd, (unsigned)one->revents, &due_ns);
		n += one->revents != 0;
	}
	return n;
}

static void poll_write(const struct poll_wait *wait)
{
	for (unsigned i = 0; i < wait->count; i++)
		wait->theirs[i].revents = wait->ours[i].revents;
}

static bool poll_has_sockets(const struct poll_wait *wait)
{
	for (unsigned i = 0; i < wait->count; i++) {
		int fd = wait->ours[i].fd;

		if (fd >= 0 && (net_is_epoll(fd) || net_is_socket(fd)))
			return true;
	}
	return false;
}

static uint64_t poll_end_ns(const struct poll_wait *wait)
{
	long ms = (int)flight_arg(wait->flight, 3);
	struct timespec time;

	if (!wait->is_poll)
		return net_end_ns((const void *)flight_arg(wait->flight, 3));
	time.tv_sec = ms / 1000;
	time.tv_nsec = ms % 1000 * 1000000;
	return net_end_ns(ms < 0 ? NULL : &time);
}

static long poll_go(const struct poll_wait *wait)
{
	uint64_t end_ns = poll_end_ns(wait), due_ns;
	const struct flight *flight = wait->flight;
	long arg[6] = { (long)wait->ours, wait->count }, ret, n;
	struct timespec time;

	if (!wait->is_poll) {
		arg[3] = (long)flight_arg(flight, 4);
		arg[4] = (long)flight_arg(flight, 5);
	}
	for (;;) {
		due_ns = end_ns;
		if (!poll_copy(wait))
			return -EFAULT;
		poll_narrow(wait, &due_ns);
		arg[2] = (long)net_left(due_ns, &time);
		ret = net_make(flight, SYS_ppoll, arg);
		if (ret < 0)
			return ret;
		n = ret ? poll_filter(wait) : 0;
		if (n || clock_ns() >= end_ns) {
			poll_write(wait);
			return n;
		}
	}
}

bool net_poll(struct flight *flight, long *ret_result)
{
	struct poll_wait wait = {
		.flight = flight,
		.theirs = (void *)flight_arg(flight, 1),
		.count = (unsigned)flight_arg(flight, 2),
		.is_poll = site_nr(flight->regs) == NR_poll,
	};

	if (!wait.count || wait.count > POLL_FDS_MAX)
		return false;
	wait.ours = (void *)scratch_claim();
	if (!wait.ours)
		return false;
	if (!poll_copy(&wait) || !poll_has_sockets(&wait)) {
		scratch_release((char *)wait.ours);
		return false;
	}
	*ret_result = poll_go(&wait);
	scratch_release((char *)wait.ours);
	return true;
}

/* ---- select -------------------------------------------------------------- */

struct sets {
	uint8_t bits[3][SETS_BYTES]; /* read, write, except */
};

struct select_wait {
	const struct flight *flight;
	struct sets *asked, *ours;
	void *theirs[3];
	unsigned count, bytes;
};

static bool bit_has(const uint8_t *bits, unsigned fd)
{
	return bits[fd / 8] >> fd % 8 & 1;
}

static void bit_drop(uint8_t *bits, unsigned fd)
{
	bits[fd / 8] &= (uint8_t) ~(1u << fd % 8);
}

static unsigned select_events(const struct sets *sets, unsigned fd)
{
	return (bit_has(sets->bits[0], fd) ? POLLIN : 0) |
	       (bit_has(sets->bits[1], fd) ? POLLOUT : 0);
}

/* Take out what is held back; how much is left. */
static long select_narrow(const struct select_wait *wait, uint64_t *due_ns)
{
	long n = 0;

	for (unsigned fd = 0; fd < wait->count; fd++) {
		unsigned events = select_events(wait->ours, fd);
		unsigned held = events ? net_held((int)fd, events, due_ns) : 0;

		if (held & POLLIN)
			bit_drop(wait->ours->bits[0], fd);
		if (held & POLLOUT)
			bit_drop(wait->ours->bits[1], fd);
		n += bit_has(wait->ours->bits[0], fd) +
		     bit_has(wait->ours->bits[1], fd) +
		     bit_has(wait->ours->bits[2], fd);
	}
	return n;
}

static bool select_is_old(const struct select_wait *wait)
{
	return site_nr(wait->flight->regs) == NR_select;
}

static uint64_t select_end_ns(const struct select_wait *wait)
{
	const void *theirs = (const void *)flight_arg(wait->flight, 5);
	struct timespec time;

	if (theirs && scratch_copy(&time, theirs, sizeof(time)) != sizeof(time))
		return NET_NEVER;
	if (theirs && select_is_old(wait))
		time.tv_nsec *= 1000; /* a struct timeval */
	return net_end_ns(theirs ? &time : NULL);
}

/* Linux tells how much time is left, select(2), NOTES. */
static void select_tell_time(const struct select_wait *wait, uint64_t end_ns)
{
	void *theirs = (void *)flight_arg(wait->flight, 5);
	struct timespec time;

	if (!theirs || !net_left(end_ns, &time))
		return;
	if (select_is_old(wait))
		time.tv_nsec /= 1000;
	scratch_write(theirs, &time, sizeof(time));
}

static long select_go(const struct select_wait *wait)
{
	uint64_t end_ns = select_end_ns(wait), due_ns;
	const struct flight *flight = wait->flight;
	struct timespec time;
	long arg[6] = { wait->count }, ret;

	for (unsigned i = 0; i < 3; i++)
		arg[1 + i] = wait->theirs[i] ? (long)wait->ours->bits[i] : 0;
	if (!select_is_old(wait))
		arg[5] = (long)flight_arg(flight, 6);
	for (;;) {
		due_ns = end_ns;
		*wait->ours = *wait->asked;
		select_narrow(wait, &due_ns);
		arg[4] = (long)net_left(due_ns, &time);
		ret = net_make(flight, SYS_pselect6, arg);
		if (ret > 0)
			ret = select_narrow(wait, &due_ns);
		if (ret || clock_ns() >= end_ns)
			break;
	}
	for (unsigned i = 0; ret >= 0 && i < 3; i++)
		if (wait->theirs[i])
			scratch_write(wait->theirs[i], wait->ours->bits[i],
				      wait->bytes);
	select_tell_time(wait, end_ns);
	return ret;
}

bool net_select(struct flight *flight, long *ret_result)
{
	struct select_wait wait = {
		.flight = flight,
		.count = (unsigned)flight_arg(flight, 1),
	};
	bool is_whole = true;
	char *room;

	if (!wait.count || wait.count > SETS_BYTES * 8 ||
	    !(room = scratch_claim()))
		return false;
	wait.asked = (struct sets *)room;
	wait.ours = wait.asked + 1;
	wait.bytes = (wait.count + 63) / 64 * 8;
	memset(wait.asked, 0, sizeof(*wait.asked));
	for (unsigned i = 0; i < 3; i++) {
		wait.theirs[i] = (void *)flight_arg(flight, 2 + i);
		if (wait.theirs[i])
			is_whole &= scratch_copy(wait.asked->bits[i],
						 wait.theirs[i],
						 wait.bytes) == wait.bytes;
	}
	if (is_whole)
		*ret_result = select_go(&wait);
	scratch_release(room);
	return is_whole;
}

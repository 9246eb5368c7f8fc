/* net_epoll.c - epoll(7) where readiness may be held back.
 *
 * An event of what is held back is swallowed, and the descriptor taken out of
 * the kernel's sight (or left disarmed, if it is edge-triggered or one-shot)
 * while we go on waiting.  Before the call returns, and when it is due, its
 * registration is written anew: then the kernel tells again of what is ready,
 * edges too (epoll_ctl(2), EPOLL_CTL_MOD).  So no debt is ever left behind:
 * whichever thread waits next, or already waits, is told; and nothing is lost
 * if faults end at any moment.
 *
 * For that every registration is remembered; what was registered before we were
 * asked stands in /proc/self/fdinfo.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel.h"
#include "preload/net.h"

#define WAYS_MAX  2 /* epolls that one descriptor is registered with */
#define HINTS_MAX 4096
#define HELD_MAX  (GUEST_PATH_MAX / sizeof(struct held))
#define INNER_MAX 256
#define READABLE  (EPOLLIN | EPOLLRDNORM | EPOLLRDHUP)
#define WRITABLE  (EPOLLOUT | EPOLLWRNORM)
#define KIND	  (EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP)

static struct registration {
	_Atomic uint32_t epoll; /* its descriptor, plus 1; 0: free */
	_Atomic uint32_t events;
	_Atomic uint64_t data;
	_Atomic uint32_t told_writable; /* since it was last armed */
	uint32_t pad;
} registrations[NET_FDS_MAX][WAYS_MAX];

static _Atomic uint8_t is_epoll_fd[NET_FDS_MAX];
static _Atomic uint16_t hints[HINTS_MAX]; /* of data: a descriptor */
static _Atomic uint32_t fds_end;	  /* above all that are registered */

static unsigned hint_of(int epfd, uint64_t data)
{
	return (unsigned)(((data ^ (uint64_t)epfd << 32) *
			   0x9e3779b97f4a7c15ull) >>
			  40) &
	       (HINTS_MAX - 1);
}

bool net_is_epoll(int fd)
{
	return fd >= 0 && fd < NET_FDS_MAX && PEEK(is_epoll_fd[fd]);
}

static struct registration *registration_of(int epfd, int fd)
{
	for (unsigned i = 0; fd >= 0 && fd < NET_FDS_MAX && i < WAYS_MAX; i++)
		if (PEEK(registrations[fd][i].epoll) == (uint32_t)epfd + 1)
			return &registrations[fd][i];
	return NULL;
}

static struct registration *registration_make(int epfd, int fd)
{
	struct registration *one = registration_of(epfd, fd);

	for (unsigned i = 0; !one && i < WAYS_MAX; i++) {
		uint32_t free_one = 0;

		if (atomic_compare_exchange_strong(&registrations[fd][i].epoll,
						   &free_one,
						   (uint32_t)epfd + 1))
			one = &registrations[fd][i];
	}
	return one;
}

/* Of two descriptors with the same data the first is as good as any. */
static int fd_of_event(int epfd, uint64_t data)
{
	int fd = PEEK(hints[hint_of(epfd, data)]), end = (int)PEEK(fds_end);
	struct registration *one = registration_of(epfd, fd);

	if (one && PEEK(one->data) == data)
		return fd;
	for (fd = 0; fd < end; fd++) {
		one = registration_of(epfd, fd);
		if (one && PEEK(one->data) == data)
			return fd;
	}
	return -1;
}

void net_epoll_forget(int fd)
{
	if (fd < 0 || fd >= NET_FDS_MAX)
		return;
	for (unsigned i = 0; i < WAYS_MAX; i++)
		if (PEEK(registrations[fd][i].epoll))
			atomic_store(&registrations[fd][i].epoll, 0);
	if (!PEEK(is_epoll_fd[fd]))
		return;
	atomic_store(&is_epoll_fd[fd], 0);
	for (unsigned other = 0; other < PEEK(fds_end); other++) {
		struct registration *one = registration_of(fd, (int)other);

		if (one)
			atomic_store(&one->epoll, 0);
	}
}

/* ---- epoll_ctl ----------------------------------------------------------- */

void net_epoll_remember(int epfd, int fd, const struct epoll_event *event)
{
	struct registration *one = registration_make(epfd, fd);
	uint32_t end = PEEK(fds_end);

	if (!one) {
		BUMP(guest_state->unresolved);
		return;
	}
	atomic_store(&one->events, event->events);
	atomic_store(&one->data, event->data.u64);
	atomic_store(&one->told_writable, 0);
	atomic_store(&hints[hint_of(epfd, event->data.u64)], (uint16_t)fd);
	while (end <= (uint32_t)fd &&
	       !atomic_compare_exchange_weak(&fds_end, &end, (uint32_t)fd + 1))
		;
}

/* Everything that it watches is known, from now on. */
static bool knows(int epfd)
{
	if (epfd < 0 || epfd >= NET_FDS_MAX)
		return false;
	if (!PEEK(is_epoll_fd[epfd]) && net_fdinfo_load(epfd))
		atomic_store(&is_epoll_fd[epfd], 1);
	return PEEK(is_epoll_fd[epfd]);
}

/* Remembered before it is made, for events may come at once. */
long net_epoll_ctl(struct flight *flight)
{
	int epfd = (int)flight_arg(flight, 1), op = (int)flight_arg(flight, 2);
	int fd = (int)flight_arg(flight, 3);
	const void *theirs = (const void *)flight_arg(flight, 4);
	struct registration *one = registration_of(epfd, fd);
	struct epoll_event event = { 0 }, was = { 0 };
	bool is_kept = fd >= 0 && fd < NET_FDS_MAX && knows(epfd);
	long ret;

	if (one) {
		was.events = PEEK(one->events);
		was.data.u64 = PEEK(one->data);
	}
	if (is_kept && op != EPOLL_CTL_DEL &&
	    scratch_copy(&event, theirs, sizeof(event)) == sizeof(event))
		net_epoll_remember(epfd, fd, &event);
	else if (!is_kept && op != EPOLL_CTL_DEL)
		BUMP(guest_state->unresolved);
	ret = sys6(SYS_epoll_ctl, epfd, op, fd, (long)theirs, 0, 0);
	if (!is_kept || (ret < 0) == (op == EPOLL_CTL_DEL))
		return ret;
	if (op == EPOLL_CTL_DEL)
		one = registration_of(epfd, fd);
	else if (one && ret == -EEXIST) /* it stands as it was */
		net_epoll_remember(epfd, fd, &was);
	else
		one = op == EPOLL_CTL_ADD ? registration_of(epfd, fd) : NULL;
	if (one && (op == EPOLL_CTL_DEL || (ret < 0 && ret != -EEXIST)))
		atomic_store(&one->epoll, 0);
	return ret;
}

/* ---- out of sight and back ----------------------------------------------- */

struct held {
	int fd;
	uint32_t is_taken; /* shared with others: it was deleted */
	uint64_t due_ns;
};

struct epoll_wait {
	const struct flight *flight;
	int epfd;
	unsigned count; /* of held */
	struct held *held;
};

/* A registration that shares its wake-ups can't be modified, epoll_ctl(2). */
static void hide(const struct epoll_wait *wait, struct held *held,
		 uint32_t hidden)
{
	struct registration *one = registration_of(wait->epfd, held->fd);
	struct epoll_event event;

	if (!one)
		return;
	event.events = PEEK(one->events) & ~hidden;
	event.data.u64 = PEEK(one->data);
	held->is_taken = (event.events & EPOLLEXCLUSIVE) != 0;
	if (held->is_taken)
		sys6(SYS_epoll_ctl, wait->epfd, EPOLL_CTL_DEL, held->fd, 0, 0,
		     0);
	else if (!(event.events & (EPOLLET | EPOLLONESHOT)))
		sys6(SYS_epoll_ctl, wait->epfd, EPOLL_CTL_MOD, held->fd,
		     (long)&event, 0, 0);
}

/* Written anew, and again if the target changed it meanwhile. */
static void show(const struct epoll_wait *wait, const struct held *held)
{
	struct registration *one = registration_of(wait->epfd, held->fd);
	struct epoll_event event;
	long op = held->is_taken ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;

	if (!one)
		return;
	do {
		event.events = PEEK(one->events);
		event.data.u64 = PEEK(one->data);
		sys6(SYS_epoll_ctl, wait->epfd, op, held->fd, (long)&event, 0,
		     0);
		op = EPOLL_CTL_MOD;
	} while (PEEK(one->events) != event.events ||
		 PEEK(one->data) != event.data.u64);
}

static void show_due(struct epoll_wait *wait, uint64_t now_ns)
{
	unsigned n = 0;

	for (unsigned i = 0; i < wait->count; i++) {
		if (wait->held[i].due_ns <= now_ns)
			show(wait, &wait->held[i]);
		else
			wait->held[n++] = wait->held[i];
	}
	wait->count = n;
}

static void hold(struct epoll_wait *wait, int fd, uint32_t hidden,
		 uint64_t due_ns)
{
	struct held *one = wait->held;
	unsigned i = 0;

	while (i < wait->count && one[i].fd != fd)
		i++;
	if (i == HELD_MAX) { /* the first makes room, and comes again */
		show(wait, &one[0]);
		i = 0;
	} else if (i == wait->count) {
		wait->count++;
	}
	one[i] = (struct held){ .fd = fd, .due_ns = due_ns };
	hide(wait, &one[i], hidden);
}

/* ---- events -------------------------------------------------------------- */

/* What of an event may be seen. */
static uint32_t event_filter(struct epoll_wait *wait,
			     const struct epoll_event *event)
{
	uint32_t events = event->events, held;
	int fd = fd_of_event(wait->epfd, event->data.u64);
	struct registration *one = registration_of(wait->epfd, fd);
	uint64_t due_ns = NET_NEVER;

	if (!one && net_fdinfo_load(wait->epfd)) { /* it came past us */
		fd = fd_of_event(wait->epfd, event->data.u64);
		one = registration_of(wait->epfd, fd);
	}
	if (!one || events & (EPOLLERR | EPOLLHUP))
		return events;
	held = net_held(fd, events & (READABLE | WRITABLE), &due_ns);
	if (!held) {
		if (events & WRITABLE)
			atomic_store(&one->told_writable, 1);
		return events;
	}
	/* An edge of arrival tells of room as well; that is no news. */
	if (held & READABLE && PEEK(one->events) & EPOLLET &&
	    PEEK(one->told_writable))
		held |= events & WRITABLE;
	events &= ~held;
	if (events & WRITABLE)
		atomic_store(&one->told_writable, 1);
	if (events && PEEK(one->events) & EPOLLONESHOT)
		return events; /* that was its one */
	hold(wait, fd, held, due_ns);
	return events;
}

static long events_filter(struct epoll_wait *wait, struct epoll_event *events,
			  long n)
{
	long kept = 0;

	for (long i = 0; i < n; i++) {
		struct epoll_event event = events[i];

		event.events = event_filter(wait, &event);
		if (event.events)
			events[kept++] = event;
	}
	return kept;
}

static uint64_t first_due_ns(const struct epoll_wait *wait, uint64_t end_ns)
{
	for (unsigned i = 0; i < wait->count; i++)
		if (wait->held[i].due_ns < end_ns)
			end_ns = wait->held[i].due_ns;
	return end_ns;
}

static uint64_t epoll_end_ns(const struct flight *flight)
{
	struct timespec time;
	long ms = (int)flight_arg(flight, 4);

	if (site_nr(flight->regs) == SYS_epoll_pwait2) {
		const void *theirs = (const void *)flight_arg(flight, 4);

		if (!theirs ||
		    scratch_copy(&time, theirs, sizeof(time)) != sizeof(time))
			return NET_NEVER;
		return net_end_ns(&time);
	}
	time.tv_sec = ms / 1000;
	time.tv_nsec = ms % 1000 * 1000000;
	return net_end_ns(ms < 0 ? NULL : &time);
}

/* epoll_pwait2(2) is there from Linux 5.11 on; before, a wait is up to 1 ms too
 * long. */
static long wait_once(const struct epoll_wait *wait, uint64_t until_ns)
{
	static _Atomic bool is_old;
	const struct flight *flight = wait->flight;
	struct timespec time, *left = net_left(until_ns, &time);
	bool has_mask = !(site_nr(flight->regs) == NR_epoll_wait);
	long arg[6] = { wait->epfd,
			(long)flight_arg(flight, 2),
			(long)flight_arg(flight, 3),
			(long)left,
			has_mask ? (long)flight_arg(flight, 5) : 0,
			has_mask ? (long)flight_arg(flight, 6) : 8 };
	long ret = -ENOSYS;

	if (!is_old)
		ret = net_make(flight, SYS_epoll_pwait2, arg);
	if (ret != -ENOSYS)
		return ret;
	is_old = true;
	arg[3] = -1;
	if (left)
		arg[3] = time.tv_sec * 1000 + (time.tv_nsec + 999999) / 1000000;
	return net_make(flight, SYS_epoll_pwait, arg);
}

bool net_epoll_wait(struct flight *flight, long *ret_result)
{
	struct epoll_wait wait = { .flight = flight,
				   .epfd = (int)flight_arg(flight, 1) };
	struct epoll_event *events = (void *)flight_arg(flight, 2);
	uint64_t end_ns;
	char *room;
	long n;

	if (!knows(wait.epfd) || !(room = scratch_claim()))
		return false;
	wait.held = (struct held *)room;
	end_ns = epoll_end_ns(flight);
	do {
		n = wait_once(&wait, first_due_ns(&wait, end_ns));
		if (n > 0)
			n = events_filter(&wait, events, n);
		show_due(&wait, clock_ns());
	} while (!n && (clock_ns() < end_ns || end_ns == NET_NEVER));
	show_due(&wait, NET_NEVER);
	scratch_release(room);
	*ret_result = n;
	return true;
}

/* ---- an epoll among others ----------------------------------------------- */

/* It is readable: but is there anything in it that may be seen? */
unsigned net_epoll_held(int epfd, uint64_t *ret_due_ns)
{
	uint64_t due_ns = NET_NEVER;
	const struct timespec now = { 0 };
	bool is_held = false;

	for (unsigned fd = 0; fd < PEEK(fds_end); fd++) {
		struct registration *one = registration_of(epfd, (int)fd);
		struct pollfd of = { .fd = (int)fd };

		if (!one || net_is_epoll((int)fd))
			continue; /* two levels deep, and no deeper */
		of.events = (short)(PEEK(one->events) & (READABLE | WRITABLE));
		if (sys6(SYS_ppoll, (long)&of, 1, (long)&now, 0, 0, 0) < 1)
			continue;
		of.revents &= (short)~net_held((int)fd, (unsigned)of.revents,
					       &due_ns);
		if (of.revents)
			return 0;
		is_held = true;
	}
	if (!is_held)
		return 0;
	if (due_ns < *ret_due_ns)
		*ret_due_ns = due_ns;
	return POLLIN | POLLRDNORM;
}

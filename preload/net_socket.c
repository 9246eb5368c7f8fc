/* net_socket.c - what has arrived at a socket, and from when on it may be seen.
 *
 * A socket is known by its cookie (SO_COOKIE, socket(7)), which all of its
 * descriptors share.  Each look asks the kernel how much is there; what is more
 * than was known has just arrived, and gets the time from which on it is to be
 * seen, never before what came earlier.  So bytes are neither moved nor copied:
 * they wait in the kernel, and calls are kept from seeing them.
 *
 * A book is held by a flag for the time of a look, which does not wait.  Who
 * finds it held all the same, a signal handler in mid-look, takes the socket as
 * it is in the kernel.
 */
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>

#include "preload/net.h"

#define BOOKS_MAX  4096 /* a power of two */
#define PROBES_MAX 16
#define QUEUE_MAX  6
#define TRIES_MAX  30
#define DECIDES_NS 100000000ull /* longer: who decided is gone */
#define LATER_NS   100000ull

enum book_kind { BOOK_STREAM, BOOK_WHOLE }; /* bytes; datagrams, connections */

static struct book {
	_Atomic uint64_t cookie; /* 0: free */
	_Atomic uint32_t busy;
	uint8_t kind, count;
	uint8_t pad[2];
	uint64_t used_ns;
	uint64_t seen;	  /* of what is there: how much may be taken */
	uint64_t echo_ns; /* the next arrival answers what went out slowly */
	uint64_t open_ns; /* a connection: not to be written to before */
	uint64_t deciding_ns; /* somebody asks the rules, since then; or 0 */
	struct arrival {
		uint64_t bytes, due_ns;
	} queue[QUEUE_MAX];
} books[BOOKS_MAX];

_Atomic uint32_t net_books_made;

static long option_of(int fd, int option)
{
	int value = 0;
	unsigned bytes = sizeof(value);
	long ret = sys6(SYS_getsockopt, fd, SOL_SOCKET, option, (long)&value,
			(long)&bytes, 0);

	return ret < 0 ? ret : value;
}

bool net_is_socket(int fd)
{
	return option_of(fd, SO_TYPE) >= 0;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	unsigned bytes = sizeof(cookie);

	if (sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, (long)&cookie,
		 (long)&bytes, 0) < 0)
		return 0;
	return cookie;
}

static bool book_claim(struct book *book)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		uint32_t free_one = 0;

		if (atomic_compare_exchange_strong(&book->busy, &free_one, 1))
			return true;
		sys0(SYS_sched_yield);
	}
	return false;
}

static void book_release(struct book *book)
{
	atomic_store_explicit(&book->busy, 0, memory_order_release);
}

static struct book *probe(uint64_t cookie, unsigned i)
{
	uint64_t hash = cookie * 0x9e3779b97f4a7c15ull >> 40;

	return &books[(hash + i) & (BOOKS_MAX - 1)];
}

/* Claimed; NULL: it has none, or somebody else is at it. */
static struct book *book_find(uint64_t cookie)
{
	for (unsigned i = 0; cookie && i < PROBES_MAX; i++) {
		struct book *book = probe(cookie, i);

		if (PEEK(book->cookie) != cookie)
			continue;
		if (!book_claim(book))
			return NULL;
		if (PEEK(book->cookie) == cookie)
			return book;
		book_release(book);
	}
	return NULL;
}

/* Sockets that are gone are not told of: who holds nothing back, and wasn't
 * looked at for the longest time, makes room. */
static struct book *book_make(int fd, uint64_t cookie)
{
	struct book *oldest = NULL;

	for (unsigned i = 0; i < PROBES_MAX; i++) {
		struct book *book = probe(cookie, i);

		if (!PEEK(book->cookie)) {
			oldest = book;
			break;
		}
		if (!oldest || (book->count <= oldest->count &&
				book->used_ns < oldest->used_ns))
			oldest = book;
	}
	if (!book_claim(oldest))
		return NULL;
	atomic_store(&oldest->cookie, cookie);
	oldest->kind = option_of(fd, SO_TYPE) == SOCK_STREAM &&
				       option_of(fd, SO_ACCEPTCONN) <= 0
			       ? BOOK_STREAM
			       : BOOK_WHOLE;
	oldest->count = 0;
	oldest->seen = oldest->echo_ns = oldest->open_ns = 0;
	oldest->deciding_ns = 0;
	BUMP(net_books_made);
	return oldest;
}

static struct book *book_of(int fd, bool makes)
{
	uint64_t cookie = cookie_of(fd);
	struct book *book = book_find(cookie);

	if (!book && makes && cookie)
		book = book_make(fd, cookie);
	return book;
}

/* How much is there: bytes, and one more for the end of a stream; of what comes
 * whole, one.  *ret_broken: an error waits, or both ways are closed. */
static uint64_t there_is(const struct book *book, int fd, bool *ret_broken)
{
	struct pollfd one = { .fd = fd, .events = POLLIN | POLLRDHUP };
	const struct timespec now = { 0 };
	int bytes = 0;

	*ret_broken = false;
	if (sys6(SYS_ppoll, (long)&one, 1, (long)&now, 0, 0, 0) < 1)
		return 0;
	*ret_broken = one.revents & (POLLERR | POLLHUP | POLLNVAL);
	if (!(one.revents & (POLLIN | POLLRDHUP)))
		return 0;
	if (book->kind == BOOK_WHOLE)
		return 1;
	sys3(SYS_ioctl, fd, FIONREAD, (long)&bytes);
	return (uint64_t)bytes + !!(one.revents & POLLRDHUP);
}

static void queue_add(struct book *book, uint64_t bytes, uint64_t due_ns)
{
	struct arrival *last = book->queue + book->count;

	if (book->count && last[-1].due_ns > due_ns)
		due_ns = last[-1].due_ns;
	if (book->count == QUEUE_MAX) {
		last[-1].bytes += bytes;
		return;
	}
	*last = (struct arrival){ bytes, due_ns };
	book->count++;
}

/* Somebody took bytes past us, or the connection is another one now. */
static void queue_shrink(struct book *book, uint64_t there)
{
	unsigned n = 0;

	if (book->seen > there)
		book->seen = there;
	there -= book->seen;
	for (unsigned i = 0; i < book->count && there; i++) {
		struct arrival one = book->queue[i];

		if (one.bytes > there)
			one.bytes = there;
		there -= one.bytes;
		book->queue[n++] = one;
	}
	book->count = (uint8_t)n;
}

static uint64_t queue_known(const struct book *book)
{
	uint64_t known = book->seen;

	for (unsigned i = 0; i < book->count; i++)
		known += book->queue[i].bytes;
	return known;
}

static void queue_release(struct book *book, uint64_t now_ns)
{
	unsigned n = 0;

	while (n < book->count && book->queue[n].due_ns <= now_ns)
		book->seen += book->queue[n++].bytes;
	book->count -= (uint8_t)n;
	for (unsigned i = 0; n && i < book->count; i++)
		book->queue[i] = book->queue[i + n];
}

/* What is there and isn't known yet; the books are brought up to now. */
static uint64_t book_news(struct book *book, int fd, struct net_look *look)
{
	uint64_t there = there_is(book, fd, &look->is_broken), known;

	look->there = there;
	queue_shrink(book, there);
	known = queue_known(book);
	if (book->kind == BOOK_WHOLE && known)
		known = there; /* open until nothing is left */
	return there - known;
}

static void book_tell(struct book *book, struct net_look *look)
{
	uint64_t now_ns = clock_ns();

	queue_release(book, now_ns);
	book->used_ns = now_ns;
	look->seen = book->seen;
	look->due_ns = book->count ? book->queue[0].due_ns : 0;
	look->open_ns = book->open_ns > now_ns ? book->open_ns : 0;
	look->is_stream = book->kind == BOOK_STREAM;
}

/* The rules are asked with the book let go, for that takes its time. */
static bool look_at_news(int fd, uint64_t rules, uint64_t news,
			 struct net_look *look)
{
	uint64_t delay_ns = rules_arrival(fd, news, rules);
	struct book *book = book_of(fd, true);

	if (!book)
		return false;
	book->deciding_ns = 0;
	news = book_news(book, fd, look);
	if (news)
		queue_add(book, news, clock_ns() + delay_ns + book->echo_ns);
	book->echo_ns = 0;
	book_tell(book, look);
	book_release(book);
	return true;
}

bool net_look(int fd, uint64_t rules, struct net_look *ret_look)
{
	struct book *book;
	uint64_t news, now_ns;

	if (!rules && !PEEK(net_books_made))
		return false;
	now_ns = clock_ns();
	if (!lease_holds(guest_state, now_ns) || PEEK(guest_state->halted))
		return false;
	book = book_of(fd, rules != 0);
	if (!book)
		return false;
	news = book_news(book, fd, ret_look);
	if (news && !ret_look->is_broken && rules &&
	    now_ns >= book->deciding_ns + DECIDES_NS) {
		book->deciding_ns = now_ns;
		book_release(book);
		return look_at_news(fd, rules, news, ret_look) &&
		       !ret_look->is_broken;
	}
	if (news && !rules) {
		queue_add(book, news, now_ns + book->echo_ns);
		book->echo_ns = 0;
	}
	book_tell(book, ret_look);
	if (news && rules && !ret_look->due_ns)
		ret_look->due_ns = now_ns + LATER_NS;
	book_release(book);
	return !ret_look->is_broken;
}

void net_took(int fd, uint64_t bytes)
{
	struct book *book = book_of(fd, false);

	if (!book)
		return;
	if (book->kind == BOOK_STREAM)
		book->seen -= bytes < book->seen ? bytes : book->seen;
	book_release(book);
}

void net_echo(int fd, uint64_t delay_ns)
{
	struct book *book = book_of(fd, true);

	if (!book)
		return;
	if (book->echo_ns < delay_ns)
		book->echo_ns = delay_ns;
	book_release(book);
}

void net_opens(int fd, uint64_t at_ns)
{
	struct book *book = book_of(fd, true);

	if (!book)
		return;
	book->open_ns = at_ns;
	book_release(book);
}

/* test_guest_net.c - a slow network: what has not arrived can't be seen. */
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include "tests/unit/guest_net.h"

/* ---- what has not arrived yet -------------------------------------------- */

#define DELAY	 "30000000"
#define DELAY_NS 30000000ull

static void data_comes(int fds[2], const char *text)
{
	assert_int_equal(send(fds[1], text, strlen(text), 0), strlen(text));
}

/* The delay has passed since then. */
static void is_due(uint64_t since_ns)
{
	assert_true(clock_ns() - since_ns >= DELAY_NS);
}

static void unblock(int fd)
{
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static long recv_now(int fd, char buf[8])
{
	return site_call(SYS_recvfrom, fd, buf, 8, 0, 0, 0);
}

static void a_nonblocking_receive_finds_nothing_yet(void **state)
{
	uint64_t since_ns;
	char buf[8];
	int fds[2], same;

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	unblock(fds[0]);
	same = dup(fds[0]);
	assert_int_equal(recv_now(fds[0], buf), -EAGAIN); /* really nothing */
	assert_int_equal(guest_state->matched[0], 0);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	assert_int_equal(recv_now(fds[0], buf), -EAGAIN);
	assert_int_equal(site_call(SYS_read, same, buf, 8), -EAGAIN);
	usleep(10000);
	data_comes(fds, "cd");
	assert_int_equal(recv_now(same, buf), -EAGAIN);
	while (recv_now(fds[0], buf) == -EAGAIN)
		usleep(1000);
	is_due(since_ns);
	assert_memory_equal(buf, "ab", 2); /* "cd" came later */
	assert_int_equal(recv_now(same, buf), -EAGAIN);
	while (recv_now(same, buf) == -EAGAIN)
		usleep(1000);
	assert_memory_equal(buf, "cd", 2);
	is_due(since_ns + 10000000);
	assert_int_equal(guest_state->fired[0], 2);
	close(same);
	both_closed(fds);
}

static void a_blocking_receive_waits(void **state)
{
	struct timeval patience = { .tv_usec = 5000 };
	uint64_t since_ns = clock_ns();
	char buf[8];
	int fds[2];

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	data_comes(fds, "ab");
	assert_int_equal(recv_now(fds[0], buf), 2);
	is_due(since_ns);
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	data_comes(fds, "ab");
	assert_int_equal(recv_now(fds[0], buf), -EAGAIN);
	patience.tv_usec = 500000;
	setsockopt(fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
		   sizeof(patience));
	assert_int_equal(recv_now(fds[0], buf), 2);
	close(fds[1]); /* the end comes late as well */
	since_ns = clock_ns();
	assert_int_equal(recv_now(fds[0], buf), 0);
	is_due(since_ns);
	close(fds[0]);
}

static void files_and_other_sockets_are_not_held(void **state)
{
	int fds[2], file = file_make("a");
	struct pollfd one;
	char buf[8];

	(void)state;
	PLAN("recv,read peer=10.9.9.9 delay=" DELAY);
	connection(fds);
	unblock(fds[0]);
	data_comes(fds, "ab");
	one = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	assert_int_equal(site_call(SYS_poll, &one, 1, 0), 1);
	assert_int_equal(recv_now(fds[0], buf), 2);
	assert_int_equal(site_call(SYS_read, file, buf, 8), 0);
	assert_int_equal(guest_state->matched[0], 0);
	both_closed(fds);
	close(file);
}

static void poll_waits_and_is_still_on_time(void **state)
{
	struct pollfd two[2];
	uint64_t since_ns;
	int fds[2], pipes[2];

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	assert_int_equal(pipe(pipes), 0);
	two[0] = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	two[1] = (struct pollfd){ .fd = pipes[0], .events = POLLIN };
	data_comes(fds, "ab");
	since_ns = clock_ns();
	assert_int_equal(site_call(SYS_poll, two, 2, 5), 0);
	assert_int_equal(write(pipes[1], "x", 1), 1);
	assert_int_equal(site_call(SYS_poll, two, 2, 1000), 1);
	assert_int_equal(two[0].revents, 0);
	assert_int_equal(two[1].revents, POLLIN);
	assert_int_equal(read(pipes[0], two, 1), 1);
	two[0] = (struct pollfd){ .fd = fds[0], .events = POLLIN | POLLOUT };
	assert_int_equal(site_call(SYS_poll, two, 1, 1000), 1);
	assert_int_equal(two[0].revents, POLLOUT);
	two[0].events = POLLIN;
	assert_int_equal(site_call(SYS_poll, two, 2, 1000), 1);
	assert_int_equal(two[0].revents, POLLIN);
	is_due(since_ns);
	assert_true(clock_ns() - since_ns < 500000000);
	both_closed(fds);
	both_closed(pipes);
}

static void select_waits_and_tells_the_time_left(void **state)
{
	struct timeval patience = { .tv_usec = 5000 };
	uint64_t since_ns;
	fd_set set;
	int fds[2];

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	assert_int_equal(
		site_call(SYS_select, fds[0] + 1, &set, 0, 0, &patience), 0);
	assert_false(FD_ISSET(fds[0], &set));
	assert_int_equal(patience.tv_usec, 0);
	FD_SET(fds[0], &set);
	patience.tv_sec = 5;
	assert_int_equal(
		site_call(SYS_select, fds[0] + 1, &set, 0, 0, &patience), 1);
	assert_true(FD_ISSET(fds[0], &set));
	is_due(since_ns);
	assert_int_equal(patience.tv_sec, 4);
	both_closed(fds);
}

static int epoll_of(int fd, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.u64 = 77 };
	int epfd = (int)site_call(SYS_epoll_create1, 0);

	assert_true(epfd >= 0);
	assert_int_equal(
		site_call(SYS_epoll_ctl, epfd, EPOLL_CTL_ADD, fd, &event), 0);
	return epfd;
}

static uint32_t epoll_events(int epfd, int ms)
{
	struct epoll_event event = { 0 };
	long n = site_call(SYS_epoll_wait, epfd, &event, 1, ms, 0, 0);

	assert_true(n >= 0);
	if (n)
		assert_int_equal(event.data.u64, 77);
	return n ? event.events : 0;
}

/* An event after the delay, and as many times as its kind is to come. */
static void epoll_is_held(uint32_t kind, int times)
{
	uint64_t since_ns;
	int fds[2], epfd;

	PLAN("recv,read delay=" DELAY);
	connection(fds);
	epfd = epoll_of(fds[0], EPOLLIN | kind);
	assert_int_equal(epoll_events(epfd, 0), 0);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	assert_int_equal(epoll_events(epfd, 0), 0);
	assert_int_equal(epoll_events(epfd, 5), 0);
	assert_true(clock_ns() - since_ns >= 5000000);
	assert_int_equal(epoll_events(epfd, 5000), EPOLLIN);
	is_due(since_ns);
	assert_true(clock_ns() - since_ns < 1000000000);
	assert_int_equal(epoll_events(epfd, 0), times > 1 ? EPOLLIN : 0);
	assert_int_equal(guest_state->fired[0], 1);
	both_closed(fds);
	site_call(SYS_close, epfd);
}

static void epoll_holds_levels(void **state)
{
	(void)state;
	epoll_is_held(0, 2);
}

static void epoll_holds_edges(void **state)
{
	(void)state;
	epoll_is_held(EPOLLET, 1);
}

static void epoll_holds_what_comes_once(void **state)
{
	(void)state;
	epoll_is_held(EPOLLONESHOT, 1);
}

static void epoll_holds_what_is_shared(void **state)
{
	(void)state;
	epoll_is_held(EPOLLEXCLUSIVE, 2);
}

/* Registered before anybody asked us: the kernel tells. */
static void an_epoll_from_before_is_known(void **state)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = 77 };
	int fds[2], epfd = epoll_create1(0);
	uint64_t since_ns;

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	epoll_ctl(epfd, EPOLL_CTL_ADD, fds[0], &event);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	assert_int_equal(epoll_events(epfd, 5000), EPOLLIN);
	is_due(since_ns);
	both_closed(fds);
	site_call(SYS_close, epfd);
}

/* An edge of arrival says that there is room, too: told once, not again. */
static void room_is_told_at_once_and_not_over_and_over(void **state)
{
	int fds[2], epfd, told = 0;
	uint64_t since_ns;

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	epfd = epoll_of(fds[0], EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP);
	assert_int_equal(epoll_events(epfd, 100), EPOLLOUT);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	while (!(epoll_events(epfd, 5000) & EPOLLIN))
		told++;
	is_due(since_ns);
	assert_int_equal(told, 0);
	both_closed(fds);
	site_call(SYS_close, epfd);
}

static void an_epoll_within_others_is_held(void **state)
{
	int fds[2], inner, outer;
	struct pollfd one;
	uint64_t since_ns;

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	inner = epoll_of(fds[0], EPOLLIN);
	outer = epoll_of(inner, EPOLLIN);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	assert_int_equal(epoll_events(outer, 5), 0);
	one = (struct pollfd){ .fd = inner, .events = POLLIN };
	assert_int_equal(site_call(SYS_poll, &one, 1, 1), 0);
	assert_int_equal(epoll_events(outer, 5000), EPOLLIN);
	is_due(since_ns);
	assert_int_equal(epoll_events(inner, 0), EPOLLIN);
	both_closed(fds);
	site_call(SYS_close, inner);
	site_call(SYS_close, outer);
}

/* A thread that waits without end is told, though another one swallowed it. */
static void *wait_in_thread(void *arg)
{
	return (void *)(uintptr_t)epoll_events(*(int *)arg, 5000);
}

static void threads_on_one_epoll_are_told(void **state)
{
	int fds[2], epfd;
	uint64_t since_ns;
	pthread_t thread;
	void *events;

	(void)state;
	PLAN("recv,read delay=" DELAY);
	connection(fds);
	epfd = epoll_of(fds[0], EPOLLIN | EPOLLET);
	data_comes(fds, "ab");
	since_ns = clock_ns();
	assert_int_equal(epoll_events(epfd, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, wait_in_thread, &epfd),
			 0);
	usleep(5000);
	assert_int_equal(epoll_events(epfd, 2), 0);
	pthread_join(thread, &events);
	assert_int_equal((uintptr_t)events, EPOLLIN);
	is_due(since_ns);
	both_closed(fds);
	site_call(SYS_close, epfd);
}

static void faults_that_end_hold_nothing_back(void **state)
{
	int fds[2], epfd;
	char buf[8];

	(void)state;
	PLAN("recv,read delay=5000000000");
	connection(fds);
	unblock(fds[0]);
	epfd = epoll_of(fds[0], EPOLLIN | EPOLLET);
	data_comes(fds, "ab");
	assert_int_equal(epoll_events(epfd, 0), 0);
	assert_int_equal(recv_now(fds[0], buf), -EAGAIN);
	atomic_store(&guest_state->halted, 1);
	assert_int_equal(epoll_events(epfd, 0), EPOLLIN);
	assert_int_equal(recv_now(fds[0], buf), 2);
	both_closed(fds);
	site_call(SYS_close, epfd);
}

static void a_slow_answer_comes_after_a_slow_send(void **state)
{
	uint64_t since_ns;
	char buf[8];
	int fds[2];

	(void)state;
	PLAN("send delay=" DELAY);
	connection(fds);
	unblock(fds[0]);
	since_ns = clock_ns();
	assert_int_equal(site_call(SYS_sendto, fds[0], "x", 1, 0, 0, 0), 1);
	assert_true(clock_ns() - since_ns < DELAY_NS / 2);
	data_comes(fds, "ab");
	while (recv_now(fds[0], buf) == -EAGAIN)
		usleep(1000);
	is_due(since_ns);
	data_comes(fds, "ab");
	assert_int_equal(recv_now(fds[0], buf), 2);
	both_closed(fds);
}

static void a_slow_connection_opens_late(void **state)
{
	struct pollfd one = { .events = POLLOUT };
	struct sockaddr_in at;
	uint64_t since_ns;
	int listener;

	(void)state;
	PLAN("connect delay=" DELAY);
	at = listening(&listener);
	one.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	since_ns = clock_ns();
	assert_int_equal(site_call(SYS_connect, one.fd, &at, sizeof(at)),
			 -EINPROGRESS);
	assert_true(clock_ns() - since_ns < DELAY_NS / 2);
	assert_int_equal(site_call(SYS_poll, &one, 1, 5000), 1);
	assert_int_equal(one.revents, POLLOUT);
	is_due(since_ns);
	close(one.fd);
	close(listener);
}

/* ---- ten million bytes --------------------------------------------------- */

#define BYTES_MAX 10000000u

static uint8_t byte_at(unsigned i)
{
	return (uint8_t)(i * 2654435761u >> 24);
}

static void *send_all(void *arg)
{
	static uint8_t bytes[30011];
	unsigned sent = 0;

	while (sent < BYTES_MAX) {
		size_t n = sent % 7 * 5000 + 1;
		ssize_t ret;

		if (n > BYTES_MAX - sent)
			n = BYTES_MAX - sent;
		if (n > sizeof(bytes))
			n = sizeof(bytes);
		for (size_t i = 0; i < n; i++)
			bytes[i] = byte_at(sent + (unsigned)i);
		ret = send(*(int *)arg, bytes, n, 0);
		assert_true(ret > 0);
		sent += (unsigned)ret;
	}
	shutdown(*(int *)arg, SHUT_WR);
	return NULL;
}

static void ten_million_bytes_keep_their_order(void **state)
{
	static uint8_t bytes[65536];
	unsigned got = 0, bad = 0;
	int fds[2], epfd;
	pthread_t thread;
	long n = 1;

	(void)state;
	PLAN("recv,read delay=1000000");
	connection(fds);
	unblock(fds[0]);
	epfd = epoll_of(fds[0], EPOLLIN | EPOLLET | EPOLLRDHUP);
	pthread_create(&thread, NULL, send_all, &fds[1]);
	while (n) {
		assert_true(epoll_events(epfd, 10000));
		while ((n = site_call(SYS_recvfrom, fds[0], bytes,
				      sizeof(bytes) - got % 999, 0, 0, 0)) >
		       0) {
			for (long i = 0; i < n; i++)
				bad += bytes[i] != byte_at(got + (unsigned)i);
			got += (unsigned)n;
		}
		assert_true(n == 0 || n == -EAGAIN);
	}
	pthread_join(thread, NULL);
	assert_int_equal(got, BYTES_MAX);
	assert_int_equal(bad, 0);
	assert_true(guest_state->fired[0] > 10);
	both_closed(fds);
	site_call(SYS_close, epfd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_nonblocking_receive_finds_nothing_yet),
		TEST(a_blocking_receive_waits),
		TEST(files_and_other_sockets_are_not_held),
		TEST(poll_waits_and_is_still_on_time),
		TEST(select_waits_and_tells_the_time_left),
		TEST(epoll_holds_levels),
		TEST(epoll_holds_edges),
		TEST(epoll_holds_what_comes_once),
		TEST(epoll_holds_what_is_shared),
		TEST(an_epoll_from_before_is_known),
		TEST(room_is_told_at_once_and_not_over_and_over),
		TEST(an_epoll_within_others_is_held),
		TEST(threads_on_one_epoll_are_told),
		TEST(faults_that_end_hold_nothing_back),
		TEST(a_slow_answer_comes_after_a_slow_send),
		TEST(a_slow_connection_opens_late),
		TEST(ten_million_bytes_keep_their_order),
	};

	return GUEST_TESTS_RUN(tests);
}

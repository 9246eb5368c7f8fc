/* test_guest_net_break.c - what faults break stays broken: sockets are asked.
 */
#include "tests/unit/guest_net.h"

static int events_of(int fd)
{
	struct pollfd one = { .fd = fd,
			      .events = POLLIN | POLLOUT | POLLRDHUP };

	poll(&one, 1, 0);
	return one.revents;
}

static void a_reset_reaches_the_peer_and_stays(void **state)
{
	char buf[8];
	int fds[2];

	(void)state;
	PLAN("recv,send reset nth=1");
	connection(fds);
	assert_int_equal(send(fds[1], "late", 4, 0), 4);
	assert_int_equal(site_call(SYS_recvfrom, fds[0], buf, 8), -ECONNRESET);
	assert_int_equal(recv(fds[1], buf, 8, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	/* The kernel's own answers, from here on. */
	assert_int_equal(recv(fds[0], buf, 8, 0), 0);
	assert_int_equal(send(fds[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	assert_int_equal(events_of(fds[0]) & (POLLIN | POLLHUP | POLLRDHUP),
			 POLLIN | POLLHUP | POLLRDHUP);
	assert_int_equal(guest_state->fired[0], 1);
	both_closed(fds);
}

static void a_reset_unix_socket_ends_for_both(void **state)
{
	char buf[8];
	int fds[2];

	(void)state;
	PLAN("send reset nth=1");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(site_call(SYS_sendto, fds[0], "x", 1), -ECONNRESET);
	assert_int_equal(recv(fds[1], buf, 8, 0), 0);
	assert_int_equal(send(fds[0], "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	both_closed(fds);
}

static void what_is_no_connection_is_not_reset(void **state)
{
	int file = file_make("a"), fds[2], udp;

	(void)state;
	PLAN("read,write,recv reset");
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(site_call(SYS_write, file, "x", 1), 1);
	assert_int_equal(site_call(SYS_write, fds[1], "x", 1), 1);
	assert_int_equal(
		site_call(SYS_recvfrom, udp, fds, 1, MSG_DONTWAIT, 0, 0),
		-EAGAIN);
	assert_int_equal(guest_state->matched[0], 0);
	both_closed(fds);
	close(file);
	close(udp);
}

static void a_refused_connect_is_refused_as_its_socket_is(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr.s_addr = htonl(0x0a000001) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), error = 0;
	socklen_t bytes = sizeof(error);

	(void)state;
	PLAN("connect fail=ECONNREFUSED");
	assert_int_equal(site_call(SYS_connect, fd, &at, sizeof(at)),
			 -ECONNREFUSED);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	assert_int_equal(site_call(SYS_connect, fd, &at, sizeof(at)),
			 -EINPROGRESS);
	assert_int_equal(events_of(fd) & POLLERR, POLLERR);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
	assert_int_equal(error, ECONNREFUSED);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reset_reaches_the_peer_and_stays),
		TEST(a_reset_unix_socket_ends_for_both),
		TEST(what_is_no_connection_is_not_reset),
		TEST(a_refused_connect_is_refused_as_its_socket_is),
	};

	return GUEST_TESTS_RUN(tests);
}

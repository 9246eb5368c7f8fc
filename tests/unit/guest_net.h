/* guest_net.h - connections over loopback, for tests of what faults make of
 * them. */
#ifndef MISHAP_TESTS_GUEST_NET_H
#define MISHAP_TESTS_GUEST_NET_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/syscall.h>

#include "tests/unit/guest_site.h"

static inline struct sockaddr_in listening(int *ret_listener)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t bytes = sizeof(at);

	*ret_listener = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(*ret_listener, (void *)&at, bytes), 0);
	assert_int_equal(listen(*ret_listener, 8), 0);
	getsockname(*ret_listener, (void *)&at, &bytes);
	return at;
}

/* [0] is the target's, [1] its peer's. */
static inline void connection(int fds[2])
{
	int listener;
	struct sockaddr_in at = listening(&listener);

	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fds[0], (void *)&at, sizeof(at)), 0);
	fds[1] = accept(listener, NULL, NULL);
	assert_true(fds[1] >= 0);
	close(listener);
}

static inline void both_closed(int fds[2])
{
	site_call(SYS_close, fds[0]);
	site_call(SYS_close, fds[1]);
}

#endif

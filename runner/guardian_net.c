/* guardian_net.c - connections that break, on a copy of the descriptor.
 *
 * The same open file, so the target's own socket is brought into the state
 * that the fault speaks of; preload/net_break.c does so from inside.
 */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "runner/guardian.h"

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t bytes = sizeof(value);

	getsockopt(fd, SOL_SOCKET, option, &value, &bytes);
	return value;
}

bool notice_net_applies(struct notice *notice, const struct plan_rule *rule)
{
	struct sockaddr_storage peer;
	socklen_t bytes = sizeof(peer);
	int fd;

	if (rule->fault != FAULT_reset)
		return true;
	fd = notice_fd(notice);
	return fd >= 0 && socket_option(fd, SO_TYPE) == SOCK_STREAM &&
	       getpeername(fd, (struct sockaddr *)&peer, &bytes) == 0;
}

static void reset(int fd)
{
	const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

	if (socket_option(fd, SO_DOMAIN) != AF_UNIX)
		connect(fd, &nobody, sizeof(nobody));
	shutdown(fd, SHUT_RDWR);
	socket_option(fd, SO_ERROR);
}

/* Nobody ever listens on port 0. */
static int refuse(int fd)
{
	struct sockaddr_in at4 = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_in6 at6 = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int ret = 0;

	if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
		return ECONNREFUSED;
	if (socket_option(fd, SO_DOMAIN) == AF_INET)
		ret = connect(fd, (struct sockaddr *)&at4, sizeof(at4));
	else if (socket_option(fd, SO_DOMAIN) == AF_INET6)
		ret = connect(fd, (struct sockaddr *)&at6, sizeof(at6));
	return ret < 0 && errno == EINPROGRESS ? EINPROGRESS : ECONNREFUSED;
}

void notice_net_act(struct notice *notice)
{
	struct call *call = &notice->call;
	bool refuses = call->id == CALL_connect && call->error == ECONNREFUSED;
	int fd;

	if (!call->net && !refuses)
		return;
	fd = notice_fd(notice);
	if (fd >= 0 && call->net & CALL_NET_RESETS)
		reset(fd);
	if (fd >= 0 && refuses)
		call->error = refuse(fd);
}

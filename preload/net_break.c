/* net_break.c - connections that break, so that the kernel itself says so.
 *
 * What a fault says of one call must be true for the calls after it: so the
 * real socket is brought into the state that it would have in life.
 */
#include <netinet/in.h>

#include "preload/guest.h"
#include "preload/net.h"

static int socket_option(int fd, int option)
{
	int value = -1;
	unsigned bytes = sizeof(value);

	sys6(SYS_getsockopt, fd, SOL_SOCKET, option, (long)&value, (long)&bytes,
	     0);
	return value;
}

bool net_is_connected(int fd)
{
	struct sockaddr_storage peer;
	unsigned bytes = sizeof(peer);

	return socket_option(fd, SO_TYPE) == SOCK_STREAM &&
	       sys3(SYS_getpeername, fd, (long)&peer, (long)&bytes) == 0;
}

/* Unconnecting makes the kernel send an RST, tcp_disconnect(); it also forgets
 * that nothing may be read or sent any more, and shutdown(2) says that anew,
 * ENOTCONN or not.  AF_UNIX knows the latter alone. */
void net_reset(int fd)
{
	const struct sockaddr_storage nobody = { .ss_family = AF_UNSPEC };
	bool is_inet = socket_option(fd, SO_DOMAIN) != AF_UNIX;

	if (is_inet &&
	    sys3(SYS_connect, fd, (long)&nobody, sizeof(struct sockaddr)) < 0)
		BUMP(guest_state->unresolved); /* the peer sees an end only */
	sys3(SYS_shutdown, fd, SHUT_RDWR, 0);
	socket_option(fd, SO_ERROR); /* it is said once, and by us */
}

/* Nobody ever listens on port 0.  A non-blocking socket hears of it later, by
 * poll(2) and SO_ERROR, as ever. */
long net_refuse(int fd)
{
	struct sockaddr_in at4 = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = __builtin_bswap32(INADDR_LOOPBACK),
	};
	struct sockaddr_in6 at6 = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int domain = socket_option(fd, SO_DOMAIN);
	long ret = -ECONNREFUSED;

	if (socket_option(fd, SO_TYPE) != SOCK_STREAM)
		return ret;
	if (domain == AF_INET)
		ret = sys3(SYS_connect, fd, (long)&at4, sizeof(at4));
	if (domain == AF_INET6)
		ret = sys3(SYS_connect, fd, (long)&at6, sizeof(at6));
	return ret == -EINPROGRESS ? ret : -ECONNREFUSED;
}

bool net_applies(const struct flight *flight, const struct plan_rule *rule)
{
	return rule->fault != FAULT_reset || net_is_connected(flight->call.fd);
}

long net_act(const struct flight *flight, long ret)
{
	const struct call *call = &flight->call;

	if (call->net & CALL_NET_RESETS)
		net_reset(call->fd);
	if (call->id == CALL_connect && call->error == ECONNREFUSED)
		return net_refuse(call->fd);
	return ret;
}

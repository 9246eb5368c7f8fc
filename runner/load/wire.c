#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/load/load.h"

#define IN_BYTES_MAX (64u << 20)

int wire_fail(struct load_client *client, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(client->why, sizeof(client->why), format, args);
	va_end(args);
	return error;
}

/* Until the socket can be read or written; -ETIMEDOUT. */
static int wait_for(struct load_client *client, short what)
{
	struct pollfd poll_fd = { .fd = client->fd, .events = what };
	uint64_t now = clock_now_ns();
	int left = client->until_ns > now
			   ? (int)((client->until_ns - now) / NS_PER_MS) + 1
			   : 0;
	int n = poll(&poll_fd, 1, left);

	if (n < 0)
		return errno == EINTR ? 0 : -errno;
	return n ? 0 : wire_fail(client, -ETIMEDOUT, "no answer in time");
}

static int connect_to(struct load_client *client,
		      const struct sockaddr *address, socklen_t bytes)
{
	int one = 1, error = 0;
	socklen_t n = sizeof(error);

	client->fd = socket(address->sa_family,
			    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		return -errno;
	if (connect(client->fd, address, bytes) != 0) {
		error = errno;
		if (error == EINPROGRESS) {
			error = -wait_for(client, POLLOUT);
			if (!error)
				getsockopt(client->fd, SOL_SOCKET, SO_ERROR,
					   &error, &n);
		}
	}
	if (address->sa_family != AF_UNIX)
		setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one,
			   sizeof(one));
	if (error)
		wire_close(client);
	return -error;
}

static int connect_unix(struct load_client *client, const char *host,
			const char *port)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int n = snprintf(address.sun_path, sizeof(address.sun_path), "%s%s%s",
			 host, port ? "/" : "", port ? port : "");

	if (n < 0 || (size_t)n >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	return connect_to(client, (const struct sockaddr *)&address,
			  sizeof(address));
}

int wire_connect(struct load_client *client, const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *list = NULL;
	int error;

	client->in_count = 0;
	if (strchr(host, '/')) {
		error = connect_unix(client, host, port);
		return error ? wire_fail(client, error, "%s: %s", host,
					 strerror(-error))
			     : 0;
	}
	if (getaddrinfo(host, port, &hints, &list) != 0)
		return wire_fail(client, -EHOSTUNREACH, "%s:%s: no such host",
				 host, port);
	error = -EHOSTUNREACH;
	for (const struct addrinfo *at = list; at && error; at = at->ai_next)
		error = connect_to(client, at->ai_addr, at->ai_addrlen);
	freeaddrinfo(list);
	return error ? wire_fail(client, error, "%s:%s: %s", host, port,
				 strerror(-error))
		     : 0;
}

void wire_close(struct load_client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	client->in_count = 0;
}

int wire_send(struct load_client *client, const void *bytes, size_t count)
{
	const char *at = bytes;

	while (count) {
		ssize_t n = send(client->fd, at, count, MSG_NOSIGNAL);
		int error = 0;

		if (n < 0 && errno == EAGAIN)
			error = wait_for(client, POLLOUT);
		else if (n < 0 && errno != EINTR)
			error = -errno;
		if (error)
			return wire_fail(client, error, "while asking: %s",
					 strerror(-error));
		if (n > 0) {
			at += n;
			count -= (size_t)n;
		}
	}
	return 0;
}

int wire_fill(struct load_client *client)
{
	size_t room = 2 * client->in_room + 4096;
	ssize_t n;
	char *more;
	int error;

	if (client->in_count == client->in_room) {
		more = client->in_room < IN_BYTES_MAX
			       ? realloc(client->in, room)
			       : NULL;
		if (!more)
			return -ENOMEM;
		client->in = more;
		client->in_room = room;
	}
	error = wait_for(client, POLLIN);
	if (error)
		return error;
	n = recv(client->fd, client->in + client->in_count,
		 client->in_room - client->in_count, 0);
	if (n == 0)
		return wire_fail(client, -ECONNRESET,
				 "the connection was closed");
	if (n < 0)
		return errno == EAGAIN || errno == EINTR
			       ? 0
			       : wire_fail(client, -errno, "%s",
					   strerror(errno));
	client->in_count += (size_t)n;
	return 0;
}

int wire_want(struct load_client *client, size_t count)
{
	int error = 0;

	while (!error && client->in_count < count)
		error = wire_fill(client);
	return error;
}

int wire_line(struct load_client *client, size_t *ret_n, size_t *ret_used)
{
	size_t seen = 0;

	for (;;) {
		const char *end = client->in_count > seen
					  ? memchr(client->in + seen, '\n',
						   client->in_count - seen)
					  : NULL;
		int error;

		if (end) {
			size_t n = (size_t)(end - client->in);

			*ret_used = n + 1;
			*ret_n = n && end[-1] == '\r' ? n - 1 : n;
			return 0;
		}
		seen = client->in_count;
		error = wire_fill(client);
		if (error)
			return error;
	}
}

void wire_drop(struct load_client *client, size_t count)
{
	client->in_count -= count;
	memmove(client->in, client->in + count, client->in_count);
}

bool wire_host_port(const char *text, size_t n, const char *port_default,
		    char host[256], char port[256])
{
	const char *colon = memrchr(text, ':', n);
	size_t head = colon ? (size_t)(colon - text) : n;

	if (n && text[n - 1] == ']')
		colon = NULL, head = n;
	if (!head || head > 255 || n - head > 255)
		return false;
	if (text[0] == '[' && text[head - 1] == ']')
		snprintf(host, 256, "%.*s", (int)head - 2, text + 1);
	else
		snprintf(host, 256, "%.*s", (int)head, text);
	if (colon)
		snprintf(port, 256, "%.*s", (int)(n - head) - 1, colon + 1);
	else
		snprintf(port, 256, "%s", port_default);
	return *port;
}

#include "runner/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static int port_take(int *ret_fd, unsigned *ret_port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(addr);
	int fd, error;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&addr, n) != 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &n) != 0) {
		error = -errno;
		close(fd);
		return error;
	}
	*ret_fd = fd;
	*ret_port = ntohs(addr.sin_port);
	return 0;
}

int ports_find(unsigned *ret_ports, size_t count)
{
	int fds[PORTS_MAX], error = 0;
	unsigned ports[PORTS_MAX];
	size_t taken = 0;

	if (count > PORTS_MAX)
		return -E2BIG;
	/* All are held until all are found, so that they differ. */
	while (taken < count && !error) {
		error = port_take(&fds[taken], &ports[taken]);
		taken += !error;
	}
	for (size_t i = 0; i < taken; i++)
		close(fds[i]);
	for (size_t i = 0; i < count && !error; i++)
		ret_ports[i] = ports[i];
	return error;
}

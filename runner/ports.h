/* ports.h - TCP ports of 127.0.0.1 that nobody listens on just now.
 *
 * Nobody can promise that they are still free when the target binds; the
 * kernel gives them out in turn, so a clash within seconds is rare, and shows
 * as a target that never becomes ready. */
#ifndef MISHAP_RUNNER_PORTS_H
#define MISHAP_RUNNER_PORTS_H

#include <stddef.h>

#define PORTS_MAX 64

/* ports_find - count different ones, at most PORTS_MAX.  0 or -errno. */
int ports_find(unsigned *ret_ports, size_t count);

#endif

/* net.h - what the net_*.c files do to sockets, and for the hook. */
#ifndef MISHAP_PRELOAD_NET_H
#define MISHAP_PRELOAD_NET_H

#include "preload/guest.h"

/* net_break.c */
/* Does a rule that is about a socket fit this call's fd? */
HIDDEN bool net_applies(const struct flight *flight,
			const struct plan_rule *rule);
/* Bring the socket of a skipped call into the state that its fault speaks of.
 * ret: what the call is to report; returns what it does. */
HIDDEN long net_act(const struct flight *flight, long ret);
HIDDEN bool net_is_connected(int fd); /* a stream with a peer */
HIDDEN void net_reset(int fd);
HIDDEN long net_refuse(int fd);

#endif

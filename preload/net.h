/* net.h - what the net_*.c files do to sockets, and for the hook. */
#ifndef MISHAP_PRELOAD_NET_H
#define MISHAP_PRELOAD_NET_H

#include "core/net.h"
#include "preload/guest.h"

/* ---- net_break.c --------------------------------------------------------- */
/* Does a rule that is about a socket fit this call's fd? */
HIDDEN bool net_applies(const struct flight *flight,
			const struct plan_rule *rule);
/* Bring the socket of a skipped call into the state that its fault speaks of.
 * ret: what the call is to report; returns what it does. */
HIDDEN long net_act(const struct flight *flight, long ret);
HIDDEN bool net_is_connected(int fd); /* a stream with a peer */
HIDDEN void net_reset(int fd);
HIDDEN long net_refuse(int fd);

/* ---- net_socket.c: what has arrived, and when it may be seen ------------- */
struct net_look {
	uint64_t there;	 /* in the kernel: bytes, plus 1 for the end; or 0, 1 */
	uint64_t seen;	 /* of that, how much may be taken */
	uint64_t due_ns; /* when the next may be; 0: nothing waits */
	uint64_t open_ns; /* not to be written to before; 0: now */
	bool is_stream;
	bool is_broken;
};
/* False: nothing of this descriptor is held back, take it as it is.  rules:
 * that may hold back what arrives, as net_rules_of() says. */
HIDDEN bool net_look(int fd, uint64_t rules, struct net_look *ret_look);
HIDDEN void net_took(int fd, uint64_t bytes);
/* What arrives next comes later by so much. */
HIDDEN void net_echo(int fd, uint64_t delay_ns);
HIDDEN void net_opens(int fd, uint64_t at_ns);
HIDDEN bool net_is_socket(int fd);
HIDDEN extern _Atomic uint32_t net_books_made;

#define NET_FDS_MAX 8192 /* descriptors that an epoll may watch */

/* ---- net.c --------------------------------------------------------------- */
/* Rules that hold back; none: nothing of all this is ever looked at. */
HIDDEN extern uint64_t net_rules;
HIDDEN void net_fill(void); /* after guest_exe_rules are known */
/* Those of the phase that are about what arrives at the socket. */
HIDDEN uint64_t net_rules_of(int fd);
/* Is it for the sockets' books, not for the call, to act on the rule? */
HIDDEN bool net_leaves_call(struct flight *flight, unsigned r);
/* Before any rule looks at a call: true, with its result, if it isn't to be
 * made. */
HIDDEN bool net_begins(struct flight *flight, long *ret_result);
/* The call waits for sockets, and no rule acts on itself: true, with its
 * result, if it was made. */
HIDDEN bool net_waits(struct flight *flight, long *ret_result);
/* A delay of a call that must not wait is put on the socket. */
HIDDEN void net_defers(struct flight *flight);
/* The call was made, and moved so much. */
HIDDEN void net_ends(const struct flight *flight, long moved);

/* Is all that would make a descriptor readable or writable held back?  Of
 * events (poll(2)'s) those that are; *ret_due_ns is lowered to when that ends.
 */
HIDDEN unsigned net_held(int fd, unsigned events, uint64_t *ret_due_ns);
/* A call of our own in place of the target's, where it may be cancelled. */
HIDDEN long net_make(const struct flight *flight, long nr, const long arg[6]);
/* When a wait ends that begins now.  NULL, negative: never. */
#define NET_NEVER UINT64_MAX
HIDDEN uint64_t net_end_ns(const struct timespec *timeout);
/* From now to then; *ret_time is filled and returned, or NULL for never. */
HIDDEN struct timespec *net_left(uint64_t end_ns, struct timespec *ret_time);

/* ---- net_poll.c, net_epoll.c ------------------------------------------- */
HIDDEN bool net_poll(struct flight *flight, long *ret_result);
HIDDEN bool net_select(struct flight *flight, long *ret_result);
HIDDEN bool net_epoll_wait(struct flight *flight, long *ret_result);
HIDDEN long net_epoll_ctl(struct flight *flight);
HIDDEN unsigned net_epoll_held(int epfd, uint64_t *ret_due_ns);
HIDDEN void net_epoll_forget(int fd);
HIDDEN bool net_is_epoll(int fd);
struct epoll_event;
HIDDEN void net_epoll_remember(int epfd, int fd,
			       const struct epoll_event *event);
/* net_fdinfo.c: remember all that it watches; false: it is no epoll. */
HIDDEN bool net_fdinfo_load(int epfd);

#endif

/* net.c - a slow network, as a program meets it.
 *
 * Data that is under way is not there: a receive that must not wait finds
 * nothing, one that may waits as long, and poll(2), select(2) and epoll_wait(2)
 * go on waiting.  So a loop that serves many goes on with the others.  The
 * books of what has arrived are net_socket.c's.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/time.h>
#include <time.h>

#include "preload/around.h"
#include "preload/net.h"

uint64_t net_rules;
static uint64_t arrival_rules, accept_rules;

/* Of those whose exe= is another program's nothing is to be seen here. */
static uint64_t rules_by_way(enum net_way way)
{
	uint64_t rules = 0;

	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const uint16_t *chain = guest_plan.chain[id];

		for (unsigned i = 0; net_way_of(id) == way && i < chain[1];
		     i++) {
			unsigned r = guest_plan.index[chain[0] + i];
			const struct plan_rule *rule = &guest_plan.rules[r];

			if (net_rule_holds(rule, id) &&
			    (!(rule->selectors & SELECT_EXE) ||
			     guest_exe_rules >> r & 1))
				rules |= 1ull << r;
		}
	}
	return rules;
}

void net_fill(void)
{
	arrival_rules = rules_by_way(NET_RECEIVES);
	accept_rules = rules_by_way(NET_ACCEPTS);
	net_rules = arrival_rules | accept_rules | rules_by_way(NET_SENDS) |
		    rules_by_way(NET_CONNECTS);
}

static uint64_t rules_of_phase(uint64_t rules)
{
	uint32_t phase = 1u << (PEEK(guest_state->phase) % PLAN_PHASES_MAX);

	for (uint64_t left = rules; left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctzll(left);

		if (!(guest_plan.rules[r].phases & phase))
			rules &= ~(1ull << r);
	}
	return rules;
}

static bool is_listener(int fd)
{
	int value = 0;
	unsigned bytes = sizeof(value);

	return sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_ACCEPTCONN, (long)&value,
		    (long)&bytes, 0) == 0 &&
	       value;
}

uint64_t net_rules_of(int fd)
{
	uint64_t rules = arrival_rules, objects = 0;
	bool has_objects = false;

	if (accept_rules && is_listener(fd))
		rules = accept_rules;
	rules = rules_of_phase(rules);
	for (uint64_t left = rules; left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctzll(left);
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (rule->selectors & SELECT_FD &&
		    (fd < rule->fd_first || fd > rule->fd_last))
			rules &= ~(1ull << r);
		if (!(rule->selectors & SELECT_OBJECT))
			continue;
		if (!has_objects)
			objects = object_rules(fd, false);
		has_objects = true;
		if (!(objects >> r & 1))
			rules &= ~(1ull << r);
	}
	return rules;
}

static bool is_by_symbol(const struct flight *flight)
{
	return !flight->regs || flight->regs->stub->by_symbol;
}

bool net_leaves_call(struct flight *flight, unsigned r)
{
	enum net_way way = net_way_of(flight->call.id);

	if ((way != NET_RECEIVES && way != NET_ACCEPTS) ||
	    is_by_symbol(flight) ||
	    !net_rule_holds(&guest_plan.rules[r], flight->call.id))
		return false;
	flight_fill(flight);
	return net_is_socket(flight->call.fd);
}

/* ---- time ---------------------------------------------------------------- */

uint64_t net_end_ns(const struct timespec *timeout)
{
	if (!timeout || timeout->tv_sec < 0 ||
	    (uint64_t)timeout->tv_sec > FAULT_DELAY_MAX_NS / 1000)
		return NET_NEVER;
	return clock_ns() + (uint64_t)timeout->tv_sec * 1000000000u +
	       (uint64_t)timeout->tv_nsec;
}

struct timespec *net_left(uint64_t end_ns, struct timespec *ret_time)
{
	uint64_t now_ns = clock_ns();
	uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;

	if (end_ns == NET_NEVER)
		return NULL;
	ret_time->tv_sec = (time_t)(left_ns / 1000000000u);
	ret_time->tv_nsec = (long)(left_ns % 1000000000u);
	return ret_time;
}

long net_make(const struct flight *flight, long nr, const long arg[6])
{
	return around_make(flight->regs, nr, arg);
}

/* ---- receiving ----------------------------------------------------------- */

/* SO_RCVTIMEO, socket(7): from now; 0 there is never. */
static uint64_t patience_end_ns(int fd)
{
	struct timeval wait = { 0 };
	unsigned bytes = sizeof(wait);

	if (sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_RCVTIMEO, (long)&wait,
		 (long)&bytes, 0) < 0 ||
	    (!wait.tv_sec && !wait.tv_usec))
		return NET_NEVER;
	return clock_ns() + (uint64_t)wait.tv_sec * 1000000000u +
	       (uint64_t)wait.tv_usec * 1000u;
}

/* Until something is there: 0, or what the call has to say. */
static long wait_for_any(const struct flight *flight, uint64_t end_ns)
{
	struct pollfd one = { .fd = flight->call.fd, .events = POLLIN };
	struct timespec time;
	long arg[6] = { (long)&one, 1, 0, 0, 8, 0 }, ret;

	do {
		arg[2] = (long)net_left(end_ns, &time);
		ret = net_make(flight, SYS_ppoll, arg);
	} while (ret == -EINTR && !around_is_cancelled(flight->regs) &&
		 !act_interrupts(flight));
	return ret < 0 ? ret : ret ? 0 : -EAGAIN;
}

/* It is there, and not yet to be seen. */
static long wait_for_due(const struct flight *flight, uint64_t due_ns,
			 uint64_t end_ns)
{
	if (act_sleep(flight, due_ns < end_ns ? due_ns : end_ns))
		return -EINTR;
	return due_ns < end_ns ? 0 : -EAGAIN;
}

static bool receive_begins(struct flight *flight, long *ret_result)
{
	struct call *call = &flight->call;
	uint64_t end_ns = 0;
	struct net_look look;
	long ret;

	flight_fill(flight);
	if (call->msgflags & (MSG_OOB | MSG_ERRQUEUE))
		return false;
	while (net_look(call->fd, net_rules_of(call->fd), &look)) {
		if (look.seen) {
			flight->net_tracks = true;
			flight->net_seen = look.is_stream && !(call->msgflags &
							       MSG_WAITALL)
						   ? look.seen
						   : SIZE_MAX;
			return false;
		}
		flight_ask_nonblocking(flight);
		if (call->nonblocking) {
			*ret_result = -EAGAIN;
			return look.there != 0; /* else the kernel says so */
		}
		if (!end_ns)
			end_ns = patience_end_ns(call->fd);
		ret = look.there ? wait_for_due(flight, look.due_ns, end_ns)
				 : wait_for_any(flight, end_ns);
		if (ret) {
			*ret_result = ret;
			return true;
		}
	}
	return false;
}

/* ---- for the hook -------------------------------------------------------- */

static void forget(const struct flight *flight)
{
	unsigned first = (unsigned)flight_arg(flight, 1), last = first;

	if (flight->call.id == CALL_dup) {
		if (!flight->row->view.fd2)
			return;
		first = last = (unsigned)flight_arg(flight, 2);
	}
	if (flight->call.id == CALL_close_range)
		last = (unsigned)flight_arg(flight, 2);
	for (; first <= last && first < NET_FDS_MAX; first++)
		net_epoll_forget((int)first);
}

bool net_begins(struct flight *flight, long *ret_result)
{
	if (is_by_symbol(flight))
		return false;
	switch (net_way_of(flight->call.id)) {
	case NET_RECEIVES:
	case NET_ACCEPTS:
		return receive_begins(flight, ret_result);
	case NET_FORGETS:
		forget(flight);
		return false;
	default:
		return false;
	}
}

bool net_waits(struct flight *flight, long *ret_result)
{
	if (is_by_symbol(flight))
		return false;
	switch (net_way_of(flight->call.id)) {
	case NET_POLLS:
		return net_poll(flight, ret_result);
	case NET_SELECTS:
		return net_select(flight, ret_result);
	case NET_WAITS:
		return net_epoll_wait(flight, ret_result);
	case NET_WATCHES:
		*ret_result = net_epoll_ctl(flight);
		return true;
	default:
		return false;
	}
}

/* What is sent goes out at once, for there is nowhere to keep it; what is
 * answered to it comes later by so much. */
void net_defers(struct flight *flight)
{
	struct call *call = &flight->call;
	enum net_way way = net_way_of(call->id);

	if ((way != NET_SENDS && way != NET_CONNECTS) || is_by_symbol(flight) ||
	    !net_is_socket(call->fd))
		return;
	flight_ask_nonblocking(flight);
	if (!call->nonblocking)
		return;
	if (way == NET_SENDS)
		net_echo(call->fd, call->delay_ns);
	else
		net_opens(call->fd, clock_ns() + call->delay_ns);
	call->delay_ns = 0;
}

void net_ends(const struct flight *flight, long moved)
{
	if (moved > 0 && !(flight->call.msgflags & MSG_PEEK))
		net_took(flight->call.fd, (uint64_t)moved);
}

unsigned net_held(int fd, unsigned events, uint64_t *ret_due_ns)
{
	uint64_t due_ns = NET_NEVER;
	struct net_look look;
	unsigned held = 0;

	if (fd < 0)
		return 0;
	if (net_is_epoll(fd))
		return events & POLLIN ? net_epoll_held(fd, ret_due_ns) : 0;
	if (!net_look(fd, net_rules_of(fd), &look))
		return 0;
	if (look.there && !look.seen)
		held |= POLLIN | POLLRDNORM;
	if (look.is_stream && look.there > look.seen)
		held |= POLLRDHUP;
	if (held && look.due_ns)
		due_ns = look.due_ns;
	if (look.open_ns) {
		held |= POLLOUT | POLLWRNORM;
		if (look.open_ns < due_ns)
			due_ns = look.open_ns;
	}
	held &= events;
	if (held && due_ns < *ret_due_ns)
		*ret_due_ns = due_ns;
	return held;
}

/* net.h - which calls deal with sockets whose data may be held back.
 *
 * Faults that make a network slow or silent are no matter of one call: bytes
 * that "haven't arrived" must be unseen by every call that could see them, from
 * the start of the run on.  Pure, signal-safe. */
#ifndef MISHAP_CORE_NET_H
#define MISHAP_CORE_NET_H

#include "core/plan.h"

/* How a call has to do with what is held back. */
enum net_way {
	NET_PASSES,
	NET_RECEIVES, /* takes bytes, or datagrams */
	NET_ACCEPTS,
	NET_SENDS,
	NET_CONNECTS,
	NET_POLLS,
	NET_SELECTS,
	NET_WAITS,   /* for events of an epoll */
	NET_WATCHES, /* epoll_ctl */
	NET_FORGETS, /* ends what a descriptor was about */
};

enum net_way net_way_of(unsigned call_id);

/* net_rule_holds - does the rule, where it names this call, act on what
 * arrives at a socket rather than on the call? */
bool net_rule_holds(const struct plan_rule *rule, unsigned call_id);

/* net_plan_rules - the plan's rules that hold something back, by their bits. */
uint64_t net_plan_rules(const struct plan *plan);

#endif

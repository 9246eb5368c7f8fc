#include "core/net.h"

enum net_way net_way_of(unsigned call_id)
{
	switch (call_id) {
	case CALL_read:
	case CALL_readv:
	case CALL_recv:
	case CALL_recvmsg:
	case CALL_recvmmsg:
		return NET_RECEIVES;
	case CALL_accept:
		return NET_ACCEPTS;
	case CALL_write:
	case CALL_writev:
	case CALL_send:
	case CALL_sendmsg:
	case CALL_sendmmsg:
	case CALL_sendfile:
		return NET_SENDS;
	case CALL_connect:
		return NET_CONNECTS;
	case CALL_poll:
		return NET_POLLS;
	case CALL_select:
		return NET_SELECTS;
	case CALL_epoll_wait:
		return NET_WAITS;
	case CALL_epoll_ctl:
		return NET_WATCHES;
	case CALL_close:
	case CALL_close_range:
	case CALL_dup:
		return NET_FORGETS;
	}
	return NET_PASSES;
}

/* A size and a stack are a call's, and are not known of what has arrived. */
bool net_rule_holds(const struct plan_rule *rule, unsigned call_id)
{
	if (rule->selectors & (SELECT_PATH | SELECT_SIZE | SELECT_FRAME))
		return false;
	switch (net_way_of(call_id)) {
	case NET_RECEIVES:
	case NET_ACCEPTS:
	case NET_SENDS:
	case NET_CONNECTS:
		return rule->fault == FAULT_delay;
	default:
		return false;
	}
}

uint64_t net_plan_rules(const struct plan *plan)
{
	uint64_t rules = 0;

	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const uint16_t *chain = plan->chain[id];

		for (unsigned i = 0; i < chain[1]; i++) {
			unsigned r = plan->index[chain[0] + i];

			if (net_rule_holds(&plan->rules[r], id))
				rules |= 1ull << r;
		}
	}
	return rules;
}

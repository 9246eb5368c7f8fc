/* reset: the connection breaks, at this very call, for both sides.
 *
 * The peer gets an RST (tcp(7)), what is still unread or unsent is gone, and
 * the call reports ECONNRESET.  From then on the kernel itself answers as it
 * does for any connection that was reset: reads find the end, writes EPIPE and
 * a SIGPIPE, a poll everything at once.  A stream socket of AF_UNIX knows no
 * RST: its peer sees the end, and EPIPE. */
#include <errno.h>

#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	switch (call_id) {
	case CALL_read:
	case CALL_readv:
	case CALL_recv:
	case CALL_recvmsg:
	case CALL_write:
	case CALL_writev:
	case CALL_send:
	case CALL_sendmsg:
	case CALL_sendfile:
	case CALL_splice:
		return NULL;
	case CALL_connect:
		return "there is no connection yet; use `fail=ECONNREFUSED`";
	case CALL_accept:
		return "it makes one; use `fail=ECONNABORTED`, or `reset` what "
		       "is received";
	}
	return "it moves no bytes of a connection";
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_NOT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call->net |= CALL_NET_RESETS;
	call->skip = true;
	call->error = ECONNRESET;
}

FAULT_DEFINE(reset,
	     .says = "the connection is reset, for the peer too and for good",
	     .example = "recv,read peer=127.0.0.1:6379 reset nth=3",
	     .arg = ARG_NONE, .refuses = refuses, .effect = effect,
	     .judge = judge);

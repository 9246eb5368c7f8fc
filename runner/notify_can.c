/* notify_can.c - what can be done to a call from outside of its process. */
#include <sys/syscall.h>

#include "runner/notify.h"

/* Calls whose short transfers guardian_short.c makes itself. */
static bool can_be_short(unsigned call_id)
{
	switch (call_id) {
	case CALL_read:
	case CALL_write:
	case CALL_pread:
	case CALL_pwrite:
	case CALL_readv:
	case CALL_writev:
	case CALL_preadv:
	case CALL_pwritev:
	case CALL_recv:
	case CALL_send:
	case CALL_recvmsg:
	case CALL_sendmsg:
		return true;
	}
	return false;
}

static const char *fault_cannot(const struct plan_rule *rule, unsigned call_id)
{
	unsigned flags = call_table[call_id].flags;

	switch (rule->fault) {
	case FAULT_fail:
		if (flags & CALL_RELEASES_FD)
			return "a descriptor can't be released from outside, "
			       "and it would leak";
		if (flags & CALL_OLD_BREAK)
			return "it says failure by the old break, which isn't "
			       "known from outside";
		return NULL;
	case FAULT_delay:
	case FAULT_hang:
	case FAULT_kill:
	case FAULT_eof:
	case FAULT_lie:
	case FAULT_reset:
		return NULL;
	case FAULT_short:
		if (!can_be_short(call_id))
			return "only plain reads, writes, sends and receives "
			       "can be cut from outside";
		return NULL;
	}
	return "it acts inside of the process, or after the call";
}

const char *notify_cannot(const struct plan_rule *rule, unsigned call_id)
{
	if (!call_table[call_id].has_kernel)
		return "it is a function of libc, not a system call";
	if (rule->selectors & SELECT_FRAME)
		return "frame= needs the stack, which isn't seen from outside";
	if (rule->selectors & SELECT_HOST)
		return "host= needs the names that the program resolves, which "
		       "aren't seen from outside";
	if (rule->at == AT_AFTER)
		return "at=after: what a call did isn't known from outside";
	return fault_cannot(rule, call_id);
}

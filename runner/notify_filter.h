/* notify_filter.h - the seccomp filter that asks us about the plan's calls.
 *
 * It is inherited by every child and can't be taken off.  Calls that nothing
 * names are allowed; the kernel keeps a bitmap of those and doesn't run the
 * filter for them (seccomp_cache_prepare, Linux 5.11).
 */
#ifndef MISHAP_RUNNER_NOTIFY_FILTER_H
#define MISHAP_RUNNER_NOTIFY_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <sys/socket.h>

#include "core/plan.h"

#define NOTIFY_INSNS_MAX 320

struct notify_filter {
	struct sock_filter insns[NOTIFY_INSNS_MAX];
	unsigned count;
};

/* notify_wants - the kernel numbers that the door must be asked about: those
 * of calls that a rule of any phase or `counted` names; exec always, because
 * a process becomes another program then; what releases descriptors, for rules
 * that count per=fd; io_uring_setup, where a ring could make a named call. */
void notify_wants(const struct plan *plan, const bool counted[CALL_COUNT],
		  bool ret_wanted[CALL_NR_MAX]);

/* notify_filter_make - calls of another ABI (i386, x32) are asked about, too,
 * so that they are counted.  One call passes in any case: sendmsg(channel,
 * message, ...), by which the child hands its listener over.
 * -E2BIG: more numbers than a filter of ours holds. */
int notify_filter_make(const bool wanted[CALL_NR_MAX], int channel,
		       const struct msghdr *message,
		       struct notify_filter *ret_filter);

/* notify_filter_run - what the kernel would do: for tests and for reading.
 * Returns a SECCOMP_RET_ value. */
unsigned notify_filter_run(const struct notify_filter *filter, unsigned arch,
			   unsigned nr, const uint64_t args[6]);

#endif

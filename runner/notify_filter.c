#include "runner/notify_filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "core/arm.h"

#define X32_BIT 0x40000000u /* asm/unistd.h, __X32_SYSCALL_BIT */

static void want_call(unsigned id, bool wanted[CALL_NR_MAX])
{
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *row = &call_kernel_table[nr];

		if (row->id == id || (row->other_arg && row->other_id == id))
			wanted[nr] = true;
	}
}

void notify_wants(const struct plan *plan, const bool counted[CALL_COUNT],
		  bool ret_wanted[CALL_NR_MAX])
{
	memset(ret_wanted, 0, CALL_NR_MAX * sizeof(*ret_wanted));
	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (plan->chain[id][1] || counted[id])
			want_call(id, ret_wanted);
	want_call(CALL_execve, ret_wanted);
	for (uint32_t r = 0; r < plan->header->rules_count; r++) {
		if (plan->rules[r].per != PER_FD)
			continue;
		want_call(CALL_close, ret_wanted);
		want_call(CALL_close_range, ret_wanted);
		ret_wanted[SYS_dup2] = ret_wanted[SYS_dup3] = true;
	}
	if (plan_wants_uring(plan))
		ret_wanted[SYS_io_uring_setup] = true;
}

#define AT(member) ((unsigned)offsetof(struct seccomp_data, member))
#define LOW(n)	   (AT(args) + (n)*8u) /* little-endian */
#define HIGH(n)	   (LOW(n) + 4)

static void emit(struct notify_filter *filter, struct sock_filter insn)
{
	filter->insns[filter->count++] = insn;
}

#define EMIT(filter, ...) emit(filter, (struct sock_filter)__VA_ARGS__)
#define LOAD(at)	  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at)
#define RETURN(what)	  BPF_STMT(BPF_RET | BPF_K, what)
#define IF(how, k, t, f)  BPF_JUMP(BPF_JMP | (how) | BPF_K, k, t, f)

/* sendmsg on the channel, of the very message of ours: allowed. */
static void emit_channel(struct notify_filter *filter, int channel,
			 const struct msghdr *message)
{
	uint64_t at = (uint64_t)(uintptr_t)message;

	EMIT(filter, IF(BPF_JEQ, SYS_sendmsg, 0, 8));
	EMIT(filter, LOAD(LOW(0)));
	EMIT(filter, IF(BPF_JEQ, (unsigned)channel, 0, 5));
	EMIT(filter, LOAD(LOW(1)));
	EMIT(filter, IF(BPF_JEQ, (unsigned)at, 0, 3));
	EMIT(filter, LOAD(HIGH(1)));
	EMIT(filter, IF(BPF_JEQ, (unsigned)(at >> 32), 0, 1));
	EMIT(filter, RETURN(SECCOMP_RET_ALLOW));
	EMIT(filter, LOAD(AT(nr)));
}

int notify_filter_make(const bool wanted[CALL_NR_MAX], int channel,
		       const struct msghdr *message,
		       struct notify_filter *ret_filter)
{
	unsigned count = 0;

	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		count += wanted[nr];
	if (count > 255) /* a jump's distance is a byte */
		return -E2BIG;
	ret_filter->count = 0;
	EMIT(ret_filter, LOAD(AT(arch)));
	EMIT(ret_filter, IF(BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0));
	EMIT(ret_filter, RETURN(SECCOMP_RET_USER_NOTIF));
	EMIT(ret_filter, LOAD(AT(nr)));
	EMIT(ret_filter, IF(BPF_JGE, X32_BIT, 0, 1));
	EMIT(ret_filter, RETURN(SECCOMP_RET_USER_NOTIF));
	if (wanted[SYS_sendmsg])
		emit_channel(ret_filter, channel, message);
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		if (!wanted[nr])
			continue;
		EMIT(ret_filter, IF(BPF_JEQ, nr, (uint8_t)count, 0));
		count--;
	}
	EMIT(ret_filter, RETURN(SECCOMP_RET_ALLOW));
	EMIT(ret_filter, RETURN(SECCOMP_RET_USER_NOTIF));
	return 0;
}

unsigned notify_filter_run(const struct notify_filter *filter, unsigned arch,
			   unsigned nr, const uint64_t args[6])
{
	struct seccomp_data data = { .nr = (int)nr, .arch = arch };
	unsigned a = 0;

	memcpy(data.args, args, sizeof(data.args));
	for (unsigned i = 0; i < filter->count; i++) {
		const struct sock_filter *insn = &filter->insns[i];
		bool holds;

		switch (BPF_CLASS(insn->code)) {
		case BPF_LD:
			memcpy(&a, (const char *)&data + insn->k, sizeof(a));
			continue;
		case BPF_RET:
			return insn->k;
		}
		holds = BPF_OP(insn->code) == BPF_JEQ ? a == insn->k
						      : a >= insn->k;
		i += holds ? insn->jt : insn->jf;
	}
	return SECCOMP_RET_KILL_PROCESS; /* the kernel takes no such filter */
}

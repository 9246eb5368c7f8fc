/* scratch.c - buffers for paths and messages, and careful copies. */
#include <sys/uio.h>

#include "preload/guest.h"

#define SCRATCH_COUNT 16

static char scratch[SCRATCH_COUNT][GUEST_PATH_MAX];
static _Atomic int32_t scratch_owner[SCRATCH_COUNT]; /* thread id, 0: free */

/* A thread that was cancelled inside a call never comes back to release. */
static bool owner_is_gone(int32_t tid)
{
	return sys3(SYS_tgkill, sys0(SYS_getpid), tid, 0) == -ESRCH;
}

char *scratch_claim(void)
{
	int32_t me = (int32_t)sys0(SYS_gettid);

	for (int i = 0; i < SCRATCH_COUNT; i++) {
		int32_t owner = 0;

		if (atomic_compare_exchange_strong(&scratch_owner[i], &owner,
						   me))
			return scratch[i];
	}
	for (int i = 0; i < SCRATCH_COUNT; i++) {
		int32_t owner = PEEK(scratch_owner[i]);

		if (owner_is_gone(owner) &&
		    atomic_compare_exchange_strong(&scratch_owner[i], &owner,
						   me))
			return scratch[i];
	}
	return NULL;
}

void scratch_release(char *buf)
{
	size_t i = (size_t)(buf - scratch[0]) / GUEST_PATH_MAX;

	atomic_store_explicit(&scratch_owner[i], 0, memory_order_release);
}

/* process_vm_readv(2) on ourselves fails where a load would be a SIGSEGV.
 * A seccomp filter may forbid it; then the memory is taken to be there, as
 * the kernel would take it a moment later. */
size_t scratch_copy(void *to, const void *from, size_t n)
{
	struct iovec mine = { .iov_base = to, .iov_len = n };
	struct iovec theirs = { .iov_base = (void *)from, .iov_len = n };
	long pid = process_of_memory();
	long ret = sys6(SYS_process_vm_readv, pid, (long)&mine, 1,
			(long)&theirs, 1, 0);

	if (ret == -EPERM || ret == -ESRCH) /* a parent's: ptrace(2), Yama */
		ret = sys6(SYS_process_vm_readv, sys0(SYS_getpid), (long)&mine,
			   1, (long)&theirs, 1, 0);
	if (ret >= 0)
		return (size_t)ret;
	if (ret == -EFAULT || ret == -ENOMEM)
		return 0;
	memcpy(to, from, n);
	return n;
}

void scratch_write(void *to, const void *from, size_t n)
{
	struct iovec mine = { .iov_base = (void *)from, .iov_len = n };
	struct iovec theirs = { .iov_base = to, .iov_len = n };

	sys6(SYS_process_vm_writev, sys0(SYS_getpid), (long)&mine, 1,
	     (long)&theirs, 1, 0);
}

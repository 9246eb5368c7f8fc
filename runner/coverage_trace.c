/* coverage_trace.c - the count by a seccomp filter that stops every system
 * call for a tracer of our own, which counts it and lets it go: for machines
 * without strace.
 *
 * Where the kernel asks the notify door about a call, that filter's answer is
 * not heard (seccomp(2): a notification comes before a trace): there each call
 * stops twice, as for strace.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/coverage_count.h"
#include "runner/coverage_run.h"

/* Not in <linux/ptrace.h> beside <sys/ptrace.h>; kernel's linux/errno.h. */
#define ERESTARTSYS    512
#define ERESTARTNOHAND 514
#define OPTIONS                                                                \
	(PTRACE_O_TRACESECCOMP | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK |    \
	 PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_EXITKILL |        \
	 PTRACE_O_TRACESYSGOOD)

struct tracer {
	struct count *count;
	pid_t first;
	int first_status;
	bool has_filter; /* else calls stop by PTRACE_SYSCALL */
};

static int request_of(const struct tracer *tracer)
{
	return tracer->has_filter ? PTRACE_CONT : PTRACE_SYSCALL;
}

static int filter_install(void)
{
	struct sock_filter every = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	struct sock_fprog program = { .len = 1, .filter = &every };

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0)
		return 0;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0
		       ? -errno
		       : 0;
}

static int child_start(const struct coverage_run *run, pid_t *ret_pid)
{
	struct coverage_child child;
	int error = coverage_child_start(
		run, run->notify ? NULL : filter_install, &child);

	if (error)
		return error;
	if (ptrace(PTRACE_SEIZE, child.pid, NULL, OPTIONS) < 0 ||
	    (run->notify && ptrace(PTRACE_INTERRUPT, child.pid, NULL, 0) < 0))
		error = -errno;
	if (!error)
		error = coverage_child_go(&child);
	if (error)
		coverage_child_end(&child);
	*ret_pid = child.pid;
	return error;
}

/* It stopped as it was about to make a call. */
static int on_call(struct tracer *tracer, pid_t pid, int *ret_request)
{
	struct user_regs_struct regs;
	struct count_call call;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0)
		return 0; /* it was killed meanwhile */
	call = (struct count_call){ .pid = pid,
				    .nr = (unsigned)regs.orig_rax,
				    .ip = regs.rip,
				    .args = { regs.rdi, regs.rsi, regs.rdx } };
	/* Its result tells whether the call that it ends is made again. */
	if (call.nr == SYS_rt_sigreturn)
		*ret_request = PTRACE_SYSCALL;
	return call.nr < CALL_NR_MAX ? count_call(tracer->count, &call) : 0;
}

/* Of a sigreturn, unless every call stops here.  By then the registers are
 * those of before the signal, and orig_rax is -1. */
static int on_call_stop(struct tracer *tracer, pid_t pid)
{
	struct __ptrace_syscall_info info = { 0 };
	struct user_regs_struct regs;
	int request;

	if (!tracer->has_filter &&
	    ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0 &&
	    info.op == PTRACE_SYSCALL_INFO_ENTRY)
		return on_call(tracer, pid, &request);
	count_returned(tracer->count, pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0 &&
	    (long)regs.orig_rax < 0)
		count_sigreturn(tracer->count, pid, (long)regs.rax == -EINTR);
	return 0;
}

/* A signal is about to be delivered: was it in a call? */
static void on_signal(struct tracer *tracer, pid_t pid)
{
	struct user_regs_struct regs;
	long ret;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) < 0 ||
	    (long)regs.orig_rax < 0 || regs.orig_rax >= CALL_NR_MAX)
		return;
	ret = (long)regs.rax;
	if (ret <= -ERESTARTSYS && ret >= -ERESTARTNOHAND)
		count_interrupted(tracer->count, pid, (unsigned)regs.orig_rax,
				  regs.rip);
}

static int on_exec(struct tracer *tracer, pid_t pid)
{
	char link[64], exe[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	n = readlink(link, exe, sizeof(exe) - 1);
	return count_exec(tracer->count, pid,
			  n > 0 ? words_say("%.*s", (int)n, exe) : strdup("?"));
}

/* A new child may be seen before the event of who made it: it stands still
 * until then. */
static int on_child(struct tracer *tracer, pid_t parent)
{
	unsigned long child;
	int error;

	if (ptrace(PTRACE_GETEVENTMSG, parent, NULL, &child) < 0)
		return 0;
	error = count_child(tracer->count, (int)child, parent);
	/* Fails with ESRCH where it hasn't stopped yet: on_stop() will. */
	ptrace(request_of(tracer), (pid_t)child, NULL, 0);
	return error;
}

static int on_stop(struct tracer *tracer, pid_t pid, int status)
{
	int event = status >> 16, number = WSTOPSIG(status), error = 0;
	int request = request_of(tracer), deliver = 0;

	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		error = on_call(tracer, pid, &request);
		break;
	case PTRACE_EVENT_EXEC:
		error = on_exec(tracer, pid);
		break;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		error = on_child(tracer, pid);
		break;
	case PTRACE_EVENT_STOP:
		if (number != SIGTRAP) /* the whole group stops: SIGSTOP … */
			request = PTRACE_LISTEN;
		else if (pid != tracer->first &&
			 !count_knows(tracer->count, pid))
			return 0;
		break;
	default:
		if (number == (SIGTRAP | 0x80)) {
			error = on_call_stop(tracer, pid);
			break;
		}
		on_signal(tracer, pid);
		deliver = number;
	}
	ptrace(request, pid, NULL, deliver);
	return error;
}

static int trace(struct tracer *tracer)
{
	int status, error = 0;

	for (;;) {
		pid_t pid = waitpid(-1, &status, __WALL | __WNOTHREAD);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return error;
		if (WIFSTOPPED(status)) {
			int bad = on_stop(tracer, pid, status);

			error = error ? error : bad;
		} else {
			count_ended(tracer->count, pid);
			if (pid == tracer->first)
				tracer->first_status = status;
		}
	}
}

int coverage_by_seccomp(struct coverage_run *run,
			struct coverage_made *ret_made,
			struct ending *ret_ending)
{
	struct coverage_made made = { 0 };
	struct tracer tracer = { .count = count_open(&made),
				 .has_filter = !run->notify };
	int closing, error = tracer.count ? 0 : -ENOMEM;

	if (error)
		return error;
	error = child_start(run, &tracer.first);
	if (!error) {
		atomic_store(&run->tracer, getpid());
		error = trace(&tracer);
	}
	closing = count_close(tracer.count);
	error = error ? error : closing;
	if (error) {
		coverage_clear(&made);
		return error;
	}
	*ret_ending = coverage_ending(tracer.first_status);
	*ret_made = made;
	return 0;
}

/* trace.c - stop the program at the calls that matter, and at no other. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/powercut/recorder.h"
#include "runner/powercut/trace_arch.h"

#define TRACED_MAX    160
#define FOREIGN	      1 /* SECCOMP_RET_DATA: a call of another ABI */
#define LINGER_NS     (2 * NS_PER_S) /* for what outlives the program */
#define LOOK_EVERY_US 2000

/* ---- the filter ---------------------------------------------------------- */
static bool is_traced(unsigned nr)
{
	static const uint16_t ids[] = {
		CALL_open,     CALL_write,	     CALL_pwrite,
		CALL_writev,   CALL_pwritev,	     CALL_close,
		CALL_fsync,    CALL_fdatasync,	     CALL_sync,
		CALL_syncfs,   CALL_sync_file_range, CALL_ftruncate,
		CALL_truncate, CALL_fallocate,	     CALL_rename,
		CALL_link,     CALL_unlink,	     CALL_rmdir,
		CALL_mkdir,    CALL_symlink,	     CALL_stat,
		CALL_access,   CALL_chmod,	     CALL_fchmod,
		CALL_sendfile, CALL_copy_file_range, CALL_splice,
		CALL_dup,      CALL_msync,
	};

	if (nr == SYS_io_uring_setup || nr == SYS_mknodat)
		return true;
	if (nr >= CALL_NR_MAX)
		return false;
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		if (call_kernel_table[nr].id == ids[i])
			return true;
	return false;
}

#define LOAD(what)                                                             \
	(struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                \
				      offsetof(struct seccomp_data, what))
#define SAY(what) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, what)
#define JUMP(how, k, yes, no)                                                  \
	(struct sock_filter) BPF_JUMP(BPF_JMP | (how) | BPF_K, k, yes, no)

/* A call that matters only with some bits of an argument. */
static size_t put_masked(struct sock_filter *code, unsigned nr,
			 size_t arg_offset, uint32_t mask)
{
	code[0] = JUMP(BPF_JEQ, nr, 0, 4);
	code[1] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       (uint32_t)arg_offset);
	code[2] = JUMP(BPF_JSET, mask, 0, 1);
	code[3] = SAY(SECCOMP_RET_TRACE);
	code[4] = SAY(SECCOMP_RET_ALLOW);
	return 5;
}

static size_t put_equal(struct sock_filter *code, unsigned nr,
			size_t arg_offset, uint32_t value, uint32_t value2)
{
	code[0] = JUMP(BPF_JEQ, nr, 0, 5);
	code[1] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					       (uint32_t)arg_offset);
	code[2] = JUMP(BPF_JEQ, value, 1, 0);
	code[3] = JUMP(BPF_JEQ, value2, 0, 1);
	code[4] = SAY(SECCOMP_RET_TRACE);
	code[5] = SAY(SECCOMP_RET_ALLOW);
	return 6;
}

/* Little-endian: the low half of an argument comes first. */
#define ARG_LOW(n) (offsetof(struct seccomp_data, args) + 8 * (n))

static size_t filter_make(struct sock_filter code[2 * TRACED_MAX])
{
	size_t n = 0;

	code[n++] = LOAD(arch);
	code[n++] = JUMP(BPF_JEQ, TRACE_ARCH, 1, 0);
	code[n++] = SAY(SECCOMP_RET_TRACE | FOREIGN);
	code[n++] = LOAD(nr);
	/* fstat by another name is too frequent, and says nothing. */
	code[n++] = JUMP(BPF_JEQ, SYS_newfstatat, 0, 4);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						 (uint32_t)ARG_LOW(3));
	code[n++] = JUMP(BPF_JSET, AT_EMPTY_PATH, 0, 1);
	code[n++] = SAY(SECCOMP_RET_ALLOW);
	code[n++] = SAY(SECCOMP_RET_TRACE);
	n += put_masked(code + n, SYS_mmap, ARG_LOW(3), MAP_SHARED);
	n += put_equal(code + n, SYS_fcntl, ARG_LOW(1), F_DUPFD,
		       F_DUPFD_CLOEXEC);
	n += put_equal(code + n, SYS_ioctl, ARG_LOW(1), 0x40049409,
		       0x4020940d); /* FICLONE, FICLONERANGE */
	for (unsigned nr = 0; nr < 1024 && n < 2 * TRACED_MAX - 3; nr++)
		if (nr != SYS_newfstatat && is_traced(nr)) {
			code[n++] = JUMP(BPF_JEQ, nr, 0, 1);
			code[n++] = SAY(SECCOMP_RET_TRACE);
		}
	code[n++] = SAY(SECCOMP_RET_ALLOW);
	return n;
}

static int filter_set(void)
{
	struct sock_filter code[2 * TRACED_MAX];
	struct sock_fprog program = { .filter = code };

	program.len = (unsigned short)filter_make(code);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0)
		return -errno;
	return 0;
}

/* ---- threads ------------------------------------------------------------- */
static pid_t process_of(pid_t tid)
{
	char path[64], text[512], *at;
	int fd, pid = tid;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return tid;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\nTgid:");
	if (at)
		pid = atoi(at + 6);
	return pid;
}

static struct task *task_get(struct recorder *recorder, pid_t tid)
{
	struct task *task;

	for (size_t i = 0; i < recorder->tasks_count; i++)
		if (recorder->tasks[i].tid == tid)
			return &recorder->tasks[i];
	if (recorder->tasks_count == recorder->tasks_room) {
		size_t room = 2 * recorder->tasks_room + 64;
		struct task *more =
			reallocarray(recorder->tasks, room, sizeof(*more));

		if (!more)
			return NULL;
		recorder->tasks = more;
		recorder->tasks_room = room;
	}
	task = &recorder->tasks[recorder->tasks_count++];
	*task = (struct task){ .tid = tid, .pid = process_of(tid) };
	task->from.dir_fd = task->to.dir_fd = -1;
	return task;
}

static void task_gone(struct recorder *recorder, pid_t tid)
{
	for (size_t i = 0; i < recorder->tasks_count; i++) {
		struct task *task = &recorder->tasks[i];
		pid_t pid = task->pid;

		if (task->tid != tid)
			continue;
		call_dropped(task);
		*task = recorder->tasks[--recorder->tasks_count];
		if (pid == tid)
			process_ended(recorder, pid);
		return;
	}
}

/* ---- stops --------------------------------------------------------------- */
static void go_on(pid_t tid, long how, int signal)
{
	ptrace((enum __ptrace_request)how, tid, 0, signal);
}

static void seccomp_stop(struct recorder *recorder, struct task *task)
{
	struct __ptrace_syscall_info info = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) <=
		    0 ||
	    info.op != PTRACE_SYSCALL_INFO_SECCOMP) {
		go_on(task->tid, PTRACE_CONT, 0);
		return;
	}
	if (info.seccomp.ret_data == FOREIGN) {
		recorder_unsound(recorder, "the program makes system calls of "
					   "another ABI (32-bit)");
		go_on(task->tid, PTRACE_CONT, 0);
		return;
	}
	task->nr = info.seccomp.nr;
	for (int i = 0; i < 6; i++)
		task->args[i] = info.seccomp.args[i];
	task->in_call = call_issued(recorder, task);
	if (!task->in_call)
		call_dropped(task);
	go_on(task->tid, task->in_call ? PTRACE_SYSCALL : PTRACE_CONT, 0);
}

static void exit_stop(struct recorder *recorder, struct task *task)
{
	struct __ptrace_syscall_info info = { 0 };

	if (task->in_call &&
	    ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) >
		    0 &&
	    info.op == PTRACE_SYSCALL_INFO_EXIT)
		call_returned(recorder, task, (long)info.exit.rval);
	task->in_call = false;
	go_on(task->tid, PTRACE_CONT, 0);
}

static void fork_stop(struct recorder *recorder, struct task *task)
{
	unsigned long child = 0;
	pid_t parent = task->pid;
	struct task *born;

	ptrace(PTRACE_GETEVENTMSG, task->tid, 0, &child);
	born = task_get(recorder, (pid_t)child); /* task may have moved */
	if (born && born->pid == (pid_t)child && parent != born->pid &&
	    !born->seen) {
		born->seen = true;
		opens_fork(recorder, parent, born->pid);
	}
}

static void event_stop(struct recorder *recorder, struct task *task, int event,
		       int signal)
{
	pid_t tid = task->tid;

	switch (event) {
	case PTRACE_EVENT_SECCOMP:
		seccomp_stop(recorder, task);
		return;
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		fork_stop(recorder, task);
		break;
	case PTRACE_EVENT_EXEC:
		task->in_call = false;
		task->pid = process_of(tid);
		opens_exec(recorder, task);
		where_exec(recorder, task->pid);
		break;
	case PTRACE_EVENT_STOP:
		if (signal == SIGSTOP || signal == SIGTSTP ||
		    signal == SIGTTIN || signal == SIGTTOU) {
			ptrace(PTRACE_LISTEN, tid, 0, 0);
			return;
		}
	}
	go_on(tid, PTRACE_CONT, 0);
}

static void stopped(struct recorder *recorder, pid_t tid, int status)
{
	struct task *task = task_get(recorder, tid);
	int signal = WSTOPSIG(status), event = status >> 16;

	if (!task) {
		go_on(tid, PTRACE_CONT, 0);
		return;
	}
	if (event)
		event_stop(recorder, task, event, signal);
	else if (signal == (SIGTRAP | 0x80))
		exit_stop(recorder, task);
	else /* a signal on its way, between entry and exit too */
		go_on(tid, task->in_call ? PTRACE_SYSCALL : PTRACE_CONT,
		      signal);
}

/* ---- the program --------------------------------------------------------- */
_Noreturn static void program_run(const struct recorder *recorder, int go)
{
	const struct record_input *input = recorder->input;
	int null_fd = open("/dev/null", O_RDONLY);
	char byte;
	int error;

	setsid();
	if (read(go, &byte, 1) != 1 || null_fd < 0 || dup2(null_fd, 0) != 0 ||
	    dup2(input->out_fd, 1) != 1 || dup2(input->err_fd, 2) != 2 ||
	    dup2(input->ledger_fd, 9) != 9)
		_exit(127);
	if (!chdir(input->cwd)) {
		for (int signal = 1; signal < 32; signal++)
			if (signal != SIGKILL && signal != SIGSTOP)
				sigaction(signal,
					  &(struct sigaction){
						  .sa_handler = SIG_DFL },
					  NULL);
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close_range(3, 8, 0);
		close_range(10, ~0u, CLOSE_RANGE_CLOEXEC);
		error = sandbox_drop(input->sandbox);
		if (!error)
			error = filter_set();
		if (!error)
			execvpe(input->argv[0], input->argv, input->envp);
		error = error ? -error : errno;
	} else {
		error = errno;
	}
	dprintf(2, "mishap: %s: %s\n", input->argv[0], strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

static int program_start(struct recorder *recorder, pid_t *ret_pid)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			     PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP |
			     PTRACE_O_EXITKILL;
	int go[2], error = 0;
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		program_run(recorder, go[0]);
	close(go[0]);
	if (pid < 0)
		error = -errno;
	else if (ptrace(PTRACE_SEIZE, pid, 0, options) != 0)
		error = -errno;
	else if (write(go[1], "", 1) != 1)
		error = -EPIPE;
	close(go[1]);
	if (error && pid > 0)
		kill(pid, SIGKILL);
	*ret_pid = pid;
	return error;
}

static void tasks_kill(const struct recorder *recorder)
{
	for (size_t i = 0; i < recorder->tasks_count; i++)
		kill(recorder->tasks[i].pid, SIGKILL);
}

static bool child_ended(struct recorder *recorder, pid_t tid, int status)
{
	if (WIFSTOPPED(status)) {
		stopped(recorder, tid, status);
		return false;
	}
	task_gone(recorder, tid);
	return true;
}

/* Until all are gone; what outlives the program has two seconds. */
int trace_run(struct recorder *recorder, int *ret_status)
{
	uint64_t until = clock_now_ns() + recorder->input->timeout_ns;
	bool ended = false, late = false;
	pid_t first = -1, tid;
	int status, error = program_start(recorder, &first);

	if (error)
		return error;
	for (;;) {
		tid = waitpid(-1, &status, __WALL | (ended ? WNOHANG : 0));
		if (tid < 0 && errno != EINTR)
			break; /* ECHILD: all are gone */
		if (tid > 0 && child_ended(recorder, tid, status) &&
		    tid == first) {
			ended = true;
			*ret_status = status;
			until = clock_now_ns() + LINGER_NS;
		}
		if (tid == 0)
			usleep(LOOK_EVERY_US);
		if (clock_now_ns() < until)
			continue;
		if (!ended)
			late = true;
		tasks_kill(recorder);
		until = UINT64_MAX;
	}
	return late ? -ETIMEDOUT : 0;
}

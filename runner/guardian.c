#include "runner/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/arm.h"

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS	   SECCOMP_IOW(4, __u64)
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0) /* Linux 6.6 */
#endif

#define AUDIT_X86_64 0xc000003eu /* AUDIT_ARCH_X86_64, linux/audit.h */
#define X32_BIT	     0x40000000u

bool guardian_holds(const struct guardian *guardian, uint64_t now_ns)
{
	return !guardian->over && !guardian->quiet &&
	       lease_holds(guardian->state, now_ns);
}

int guardian_watch(struct guardian *guardian, struct guardian_source *source,
		   uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = source };

	return epoll_ctl(guardian->epoll, EPOLL_CTL_ADD, source->fd, &event) < 0
		       ? -errno
		       : 0;
}

/* ---- the runner's word --------------------------------------------------- */

static void listener_add(struct guardian *guardian, int fd)
{
	struct guardian_listener *listener = calloc(1, sizeof(*listener));

	/* Both ends run on one CPU then: half of the time of an answer. */
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
	      SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	if (!listener) {
		close(fd);
		return;
	}
	listener->source = (struct guardian_source){ SOURCE_LISTENER, fd };
	guardian_watch(guardian, &listener->source, EPOLLIN);
	guardian->listeners++;
}

static void listener_drop(struct guardian *guardian,
			  struct guardian_listener *listener)
{
	close(listener->source.fd);
	guardian->listeners--;
	listener->over = true;
	if (!listener->users)
		free(listener);
}

static void runner_gone(struct guardian *guardian)
{
	close(guardian->channel.fd);
	guardian->channel.fd = -1;
	guardian->over = true;
}

static void runner_said(struct guardian *guardian)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char word = 0;
	struct iovec iov = { .iov_base = &word, .iov_len = 1 };
	struct msghdr header = { .msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(guardian->channel.fd, &header,
			    MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *first;
	int fd;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		runner_gone(guardian);
		return;
	}
	first = CMSG_FIRSTHDR(&header);
	if (word == GUARDIAN_LISTENER && first &&
	    first->cmsg_type == SCM_RIGHTS) {
		memcpy(&fd, CMSG_DATA(first), sizeof(fd));
		listener_add(guardian, fd);
	} else if (word == GUARDIAN_QUIET) {
		guardian->quiet = true;
		guardian_processes_settle(guardian);
		send(guardian->channel.fd, &word, 1,
		     MSG_DONTWAIT | MSG_NOSIGNAL);
	}
}

/* ---- what is asked ------------------------------------------------------- */

static void notice_free(struct notice *notice)
{
	if (notice->fd >= 0)
		close(notice->fd);
	if (notice->source.fd >= 0)
		close(notice->source.fd);
	if (notice->listener && !--notice->listener->users &&
	    notice->listener->over)
		free(notice->listener);
	if (notice->process && !--notice->process->users &&
	    notice->process->gone)
		guardian_process_release(notice->process);
	free(notice);
}

/* A ring would make named calls where nobody sees them: refused as the sysctl
 * kernel.io_uring_disabled does.  true: it was answered. */
static bool refuse_uring(struct notice *notice)
{
	struct guardian *guardian = notice->guardian;

	if (notice->nr != SYS_io_uring_setup || !guardian->wants_uring ||
	    !guardian_holds(guardian, clock_now_ns()))
		return false;
	atomic_fetch_add(&guardian->state->uring_refused, 1);
	notice_respond(notice, 0, EPERM);
	return true;
}

static void count_fds(struct notice *notice)
{
	unsigned first = (unsigned)notice->args[0];

	switch (notice->nr) {
	case SYS_close:
		guardian_fd_forget(notice->process, first, first);
		break;
	case SYS_close_range:
		guardian_fd_forget(notice->process, first,
				   (unsigned)notice->args[1]);
		break;
	case SYS_dup2:
	case SYS_dup3:
		first = (unsigned)notice->args[1];
		guardian_fd_forget(notice->process, first, first);
		break;
	}
}

/* What the guest's hook does.  true: it is to be answered in steps. */
static bool look_at(struct notice *notice)
{
	struct guardian *guardian = notice->guardian;
	struct state *state = guardian->state;
	unsigned id = call_from_kernel(notice->nr, notice->args);
	bool acts = false;

	if (notice->process->owner == OWNER_NOTIFY && id != CALL_NONE &&
	    state->armed_nr[notice->nr] == NR_COUNTED)
		atomic_fetch_add(&state->notified_nr[notice->nr], 1);
	if (notice->process->owner == OWNER_NOTIFY && notice->process->slot &&
	    id != CALL_NONE && atomic_load(&state->armed_call[id])) {
		notice->row = &call_kernel_table[notice->nr];
		notice->call.id = (uint16_t)id;
		if (notice_resume(notice))
			return true;
		atomic_fetch_add(&notice->process->slot->calls[id], 1);
		acts = notice_judge(notice);
	}
	if (guardian->wants_fds && notice->process->owner == OWNER_NOTIFY)
		count_fds(notice);
	if (id == CALL_execve && !notice->call.skip)
		guardian_exec_seen(notice);
	return acts;
}

static void asked(struct notice *notice)
{
	struct guardian *guardian = notice->guardian;

	if (guardian->over || guardian->quiet) {
		notice_continue(notice);
		notice_free(notice);
		return;
	}
	notice->thread = guardian_thread_of(guardian, notice->tid);
	if (notice->thread) {
		notice->process = notice->thread->process;
		notice->process->users++;
	}
	if (refuse_uring(notice)) {
		notice_free(notice);
		return;
	}
	if (!notice->process || !look_at(notice)) {
		notice_continue(notice);
		notice_free(notice);
	} else if (notice_advance(notice, clock_now_ns())) {
		notice_free(notice);
	} else {
		notice->next = guardian->waiting;
		guardian->waiting = notice;
	}
}

static void listener_ready(struct guardian *guardian,
			   struct guardian_listener *listener)
{
	struct {
		_Alignas(struct seccomp_notif) char bytes[256];
	} room = { 0 };
	struct seccomp_notif *notif = (void *)room.bytes;
	struct notice *notice;

	if (ioctl(listener->source.fd, SECCOMP_IOCTL_NOTIF_RECV, notif) != 0)
		return; /* ENOENT: it was killed before we came */
	notice = calloc(1, sizeof(*notice));
	if (!notice)
		abort(); /* nobody could be answered any more */
	*notice = (struct notice){
		.source = { SOURCE_IO, -1 },
		.guardian = guardian,
		.listener = listener,
		.id = notif->id,
		.nr = (uint64_t)(unsigned)notif->data.nr,
		.tid = (pid_t)notif->pid,
		.fd = -1,
	};
	listener->users++;
	memcpy(notice->args, notif->data.args, sizeof(notice->args));
	if (notif->data.arch != AUDIT_X86_64 || notice->nr & X32_BIT) {
		atomic_fetch_add(&guardian->state->foreign, 1);
		notice_continue(notice);
		notice_free(notice);
		return;
	}
	asked(notice);
}

/* ---- the loop ------------------------------------------------------------ */

static void waiting_run(struct guardian *guardian)
{
	uint64_t now_ns = clock_now_ns();

	for (struct notice **at = &guardian->waiting, *notice;
	     (notice = *at);) {
		bool is_due = notice->wake_ns <= now_ns || guardian->over ||
			      guardian->quiet;

		if (is_due && notice_advance(notice, now_ns)) {
			*at = notice->next;
			notice_free(notice);
		} else {
			at = &notice->next;
		}
	}
}

/* Does anything wait, and until when?  NULL: for ever. */
static const struct timespec *next_wake(const struct guardian *guardian,
					struct timespec *room)
{
	uint64_t now_ns = clock_now_ns(), wake_ns = UINT64_MAX;

	for (const struct notice *n = guardian->waiting; n; n = n->next)
		if (n->wake_ns < wake_ns)
			wake_ns = n->wake_ns;
	if (wake_ns == UINT64_MAX)
		return NULL;
	*room = clock_timespec(wake_ns > now_ns ? wake_ns - now_ns : 0);
	return room;
}

static void happened(struct guardian *guardian, const struct epoll_event *event)
{
	struct guardian_source *source = event->data.ptr;

	switch (source->kind) {
	case SOURCE_CHANNEL:
		runner_said(guardian);
		break;
	case SOURCE_LISTENER:
		if (event->events & EPOLLIN)
			listener_ready(guardian, (void *)source);
		else
			listener_drop(guardian, (void *)source);
		break;
	case SOURCE_PROCESS:
		guardian_process_gone(guardian, (void *)source);
		break;
	case SOURCE_IO:
		((struct notice *)source)->wake_ns = 0;
		break;
	}
}

static void loop(struct guardian *guardian)
{
	while (!guardian->over || guardian->listeners) {
		struct timespec room;
		const struct timespec *until = next_wake(guardian, &room);
		struct epoll_event event;
		int n = (int)syscall(SYS_epoll_pwait2, guardian->epoll, &event,
				     1, until, NULL, 0);

		if (n == 1)
			happened(guardian, &event);
		else if (n < 0 && errno != EINTR)
			abort();
		if (guardian->waiting)
			waiting_run(guardian);
	}
}

/* Nothing of the runner's but the shared memory: not its lock, its terminal,
 * its pipes, its directory. */
static int leave_runner(int channel)
{
	sigset_t all;
	int opened = open("/dev/null", O_RDWR | O_CLOEXEC);
	int null = fcntl(opened, F_DUPFD_CLOEXEC, 4);

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "mishap-guardian");
	prctl(PR_SET_TIMERSLACK, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	if (chdir("/") != 0 || null < 0 || dup2(channel, 3) != 3)
		return -1;
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	syscall(SYS_close_range, 4u, ~0u, 0u);
	return 3;
}

_Noreturn void guardian_main(const struct notify_input *input, int channel)
{
	struct guardian *guardian = calloc(1, sizeof(*guardian));
	const struct plan *plan = input->plan;

	if (!guardian)
		_exit(1);
	channel = leave_runner(channel);
	*guardian = (struct guardian){
		.state = input->state,
		.plan = plan,
		.shared_path = input->shared_path,
		.wants_uring = plan_wants_uring(plan),
		.epoll = epoll_create1(EPOLL_CLOEXEC),
		.channel = { SOURCE_CHANNEL, channel },
	};
	for (uint32_t r = 0; r < plan->header->rules_count; r++) {
		guardian->wants_fds |= plan->rules[r].per == PER_FD;
		guardian->wants_side |= plan->rules[r].selectors & SELECT_SIDE;
	}
	if (channel < 0 || guardian->epoll < 0 ||
	    syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0,
		    &guardian->sizes) != 0 ||
	    guardian->sizes.seccomp_notif > 256 ||
	    guardian->sizes.seccomp_notif_resp > 256 ||
	    guardian_watch(guardian, &guardian->channel, EPOLLIN) < 0)
		_exit(1);
	loop(guardian);
	_exit(0);
}
